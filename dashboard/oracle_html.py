"""HTML of the basis images to label: the list, the head of one, the effect by attribute.

Pure: frames and numbers in, escaped text out.
"""

from __future__ import annotations

from html import escape
from typing import Any

import pandas as pd

from dashboard import receipt_html

CSS = """
<style>
.or-list{display:grid;gap:14px 20px;grid-template-columns:repeat(auto-fill,minmax(300px,1fr));
 margin:0!important;padding:0!important;list-style:none}
.or-item{margin:0!important;padding:0!important;min-width:0}
.or-item>a{display:flex;gap:12px;align-items:flex-start;font-size:.88rem;line-height:1.4;
 color:inherit!important;text-decoration:none;border:1px solid rgba(128,134,146,.35);
 border-radius:10px;padding:10px;height:100%;box-sizing:border-box}
.or-item>a:hover,.or-item>a:focus-visible{border-color:#1f77c9;box-shadow:0 0 0 1px #1f77c9;
 outline:none}
.or-item img{width:96px;aspect-ratio:1;object-fit:contain;border-radius:8px;flex:none;
 border:1px solid rgba(128,134,146,.4);background:#f4f1ec}
.or-item div{min-width:0;overflow-wrap:anywhere}
.or-item b{font-weight:600}
.or-item .or-go{display:inline-block;margin-top:4px;font-weight:600;text-decoration:underline;
 text-decoration-color:#1f77c9;text-decoration-thickness:2px;text-underline-offset:3px}
.or-mark{display:inline-block;padding:0 8px;border-radius:9px;font-size:.76rem;font-weight:600;
 border:1.5px solid #1f77c9;white-space:nowrap}
.or-mark.done{border-color:#2e8540}
.or-now{display:flex;gap:10px;align-items:center;font-size:.84rem;margin-top:10px}
.or-now img{width:64px;height:64px;object-fit:contain;border-radius:8px;background:#f4f1ec;
 border:1px solid rgba(128,134,146,.4);flex:none}
.or-head img.or-big{width:min(300px,100%);aspect-ratio:1;object-fit:contain;border-radius:10px;
 background:#f4f1ec;border:3px solid #1f77c9;display:block;box-sizing:border-box}
.or-head h2{font-size:1.35rem;line-height:1.25;margin:10px 0 4px;padding:0}
.or-head p{margin:4px 0;font-size:.92rem;line-height:1.45;overflow-wrap:anywhere}
@media (max-width:640px){.or-head{display:flex;gap:12px;flex-wrap:wrap;align-items:flex-start}
 .or-head img.or-big{width:150px}.or-head>div{flex:1 1 150px;min-width:0}
 .or-head h2{margin-top:0}}
</style>
"""
SHOWN_LABELS = 5


def count(n: float, noun: str) -> str:
    """``1 image``, ``2 images``, ``0.4 images``; one decimal below ten."""
    text = f"{n:,.1f}" if 0 < n < 10 and n != int(n) else f"{n:,.0f}"
    return f"{text} {noun}{'' if text == '1' else 's'}"


def effect_words(row: Any) -> str:
    """What labelling one basis image is expected to change."""
    if row.verified:
        return "Verified"
    return f"Expected to change {count(row.expected_effect, 'label')}, at most {row.most:,}"


def item(row: Any, rank: int, url: str, href: str, labels: pd.DataFrame, labelled: bool) -> str:
    """One basis image of the list.

    Parameters
    ----------
    row : named tuple
        Of ``frames.oracle.order``.
    labels : DataFrame
        attribute, label: its present ones.
    """
    yes = labels[labels["label"] == 1]["attribute"].tolist()
    n_open = int((labels["label"] < 0).sum())
    shown = ", ".join(yes[:SHOWN_LABELS]) or "none"
    more = f" and {len(yes) - SHOWN_LABELS} more" if len(yes) > SHOWN_LABELS else ""
    unknown = f"; {n_open} not known" if n_open else ""
    marks = ""
    if labelled:
        marks = '<span class="or-mark">Labelled, not saved</span><br>'
    elif row.verified:
        marks = '<span class="or-mark done">✓ Verified</span><br>'
    facts = "" if row.verified else f"{escape(effect_words(row))}<br>"
    doubt = f"Least sure: {escape(row.doubtful)}<br>" if row.doubtful else ""
    go = "Change its labels" if labelled or row.verified else "Label it"
    return (
        f'<li class="or-item"><a href="{escape(href)}" target="_self">'
        f'<img src="{escape(url)}" alt="" loading="lazy" decoding="async"><div>'
        f"<b>{rank}. Basis image {row.basis_index}</b> · "
        f"{count(row.usage, 'image')} lean on it<br>{marks}{facts}{doubt}"
        f"Present labels: {escape(shown + more + unknown)}<br>"
        f'<span class="or-go">{go}</span></div></a></li>'
    )


def items(parts: list[str]) -> str:
    """The list of :func:`item`."""
    return f'<ol class="or-list" data-testid="to-label">{"".join(parts)}</ol>'


def head(row: Any, url: str, note: str, neighbour: tuple[str, str] | None) -> str:
    """The image to label; ``neighbour`` is the address and a sentence on another image that its
    present labels are of."""
    now = ""
    if neighbour:
        now = (
            f'<div class="or-now"><img src="{escape(neighbour[0])}" alt="The verified image '
            f'whose labels it has"><span>{escape(neighbour[1])}</span></div>'
        )
    return (
        f'<div class="or-head"><img class="or-big" src="{escape(url)}" '
        f'alt="The image of basis image {row.basis_index}"><div>'
        f"<h2>Basis image {row.basis_index}</h2><p>{count(row.usage, 'image')} lean on it. "
        f"{escape(effect_words(row))}.</p><p>{escape(note)}</p>{now}</div></div>"
    )


def by_attribute(frame: pd.DataFrame) -> str:
    """New flips, flips gone and labels changed by attribute.

    Parameters
    ----------
    frame : DataFrame
        ``frames.oracle.Preview.by_attribute``.
    """
    rows = "".join(
        f"<tr><td>{escape(row.attribute)}</td><td>{row.n_new:,}</td><td>{row.n_gone:,}</td>"
        f"<td>{row.n_changed:,}</td></tr>"
        for row in frame.itertuples()
    )
    names = ("Attribute", "New flips", "Flips gone", "Labels changed")
    header = "".join(f'<th scope="col">{name}</th>' for name in names)
    return (
        f'{receipt_html.CSS}<div class="rc-scroll rc-narrow" tabindex="0"><table class="rc-sum" '
        f'data-testid="oracle-effect"><thead><tr>{header}</tr></thead><tbody>{rows}</tbody>'
        "</table></div>"
    )
