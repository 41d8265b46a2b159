"""HTML of what would follow without a basis image or with other labels; styled by the receipt's.

Pure: frames and numbers in, escaped text out.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
import pandas as pd

from dashboard.receipt_html import spoken


def blast_table(frame: pd.DataFrame, hrefs: Sequence[str], fall_hrefs: Sequence[str]) -> str:
    """What leans on a basis image by attribute; names and falling flips lead to those flips.

    Parameters
    ----------
    frame : DataFrame
        ``frames.what_if.BlastRadius.by_attribute``.
    """
    rows = "".join(
        f'<tr><td><a href="{escape(href)}" target="_self">{escape(row.attribute)}</a></td>'
        f"<td>{row.n_flips:,}</td>"
        + (
            f'<td><a href="{escape(fall)}" target="_self" aria-label="{row.n_fall:,} flips of '
            f'{spoken(row.attribute)} that would fall">{row.n_fall:,}</a></td>'
            if row.n_fall
            else "<td>0</td>"
        )
        + f"<td>{row.n_arise:,}</td></tr>"
        for row, href, fall in zip(frame.itertuples(), hrefs, fall_hrefs, strict=True)
    )
    names = ("Attribute", "Flips", "Would fall", "Newly flipped")
    header = "".join(f'<th scope="col">{name}</th>' for name in names)
    return (
        '<div class="rc-scroll rc-narrow"><table class="rc-sum" data-testid="blast-radius">'
        f"<thead><tr>{header}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def sentence(text: str) -> str:
    """What becomes of the label when the basis is edited, in a sentence."""
    return f'<p class="rc-words" data-testid="what-if"><b>{escape(text)}</b></p>'


def others(text: str, about: str) -> str:
    """What becomes of all other labels, in a sentence, and what it was counted over."""
    return (
        f'<p class="rc-words" data-testid="what-if-others">{escape(text)}</p>'
        f'<div class="rc-meta">{escape(about)}</div>'
    )


def before_and_after(strict_name: str, before: np.ndarray, after: np.ndarray) -> str:
    """Label score and both kinds of evidence of one label, as it is and as supposed; (3,) each."""
    names = ("Label score", "All evidence, log-odds", f"{strict_name}, log-odds")
    forms = ("{:.4f}", "{:+.4f}", "{:+.4f}")
    rows = "".join(
        f"<tr><td>{escape(name)}</td><td>{form.format(now)}</td><td>{form.format(then)}</td></tr>"
        for name, form, now, then in zip(names, forms, before, after, strict=True)
    )
    return (
        '<div class="rc-scroll rc-narrow"><table class="rc-sum" data-testid="what-if-scores">'
        '<thead><tr><th scope="col"></th><th scope="col">As it is</th>'
        f'<th scope="col">Supposed</th></tr></thead><tbody>{rows}</tbody></table></div>'
    )
