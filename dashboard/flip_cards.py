"""Cards of flips: what changed, how sure, and how much of the image speaks for it."""

from __future__ import annotations

from html import escape

import pandas as pd
import streamlit as st

from dashboard import media, state
from dashboard.figures.theme import RIGHT, TO_0, TO_1, WRONG
from dashboard.frames.receipt_words import percent
from dashboard.receipt_html import CSS as RECEIPT_CSS
from dashboard.receipt_html import chip, mark_lines, spoken
from selfml.intervals import wilson_interval
from selfml.run import Run

CSS = (
    RECEIPT_CSS
    + f"""
<style>
.fc-grid{{display:grid;gap:18px 14px;grid-template-columns:repeat(auto-fill,minmax(150px,1fr))}}
@media (max-width:640px){{.fc-grid{{grid-template-columns:repeat(2,minmax(0,1fr));gap:14px 10px}}}}
.fc-card{{color:inherit!important;text-decoration:none!important;display:block;border-radius:10px;
 font-size:.82rem;line-height:1.35;min-width:0}}
.fc-card img{{width:100%;aspect-ratio:1;object-fit:contain;display:block;border-radius:10px;
 background:#f4f1ec;border:1px solid rgba(128,134,146,.4)}}
.fc-card:hover img,.fc-card:focus-visible img{{box-shadow:0 0 0 3px #1f77c9}}
.fc-card b{{display:-webkit-box;-webkit-line-clamp:2;-webkit-box-orient:vertical;overflow:hidden;
 overflow-wrap:anywhere;font-size:.9rem;margin:6px 0 3px}}
.fc-row{{display:flex;gap:5px;flex-wrap:wrap;align-items:center}}
.fc-row .rc-chip{{padding:0 6px;font-size:.72rem}}
.fc-bar{{height:7px;border-radius:4px;background:{TO_0}66;margin:6px 0 2px;overflow:hidden}}
.fc-bar span{{display:block;height:100%;background:{TO_1}}}
.fc-note{{font-size:.75rem;opacity:.8}}
.fc-line{{display:flex;gap:6px 20px;flex-wrap:wrap;font-size:.95rem;align-items:baseline;
 font-variant-numeric:tabular-nums}}
.fc-line span{{min-width:0;overflow-wrap:anywhere;unicode-bidi:isolate}}
.fc-line strong{{font-size:1.25rem}}
</style>
"""
)


SAFE = "Safe to accept without a look; the receipt says what that means"


def _share(part: int, whole: int) -> str:
    return f"{part:,} ({100 * part / whole:.0f} %)" if whole else "0"


def _right(right: int, known: int) -> str:
    low, high = (100 * float(end) for end in wilson_interval(right, known))
    return (
        f"{right:,} of {known:,} ({100 * right / known:.0f} %, "
        f'<span title="95 % interval">{low:.0f} to {high:.0f} %</span>)'
    )


def counts_line(
    counts: dict[str, int], basis: int | None = None, needed: bool = False, judged: bool = False
) -> str:
    """How many flips, and of what kind, in one line of HTML.

    Where the flips were ``judged``, chosen for being right or wrong, no share of them is.
    """
    n, known = counts["n"], counts["right"] + counts["wrong"]
    parts = [f"<span><strong>{n:,}</strong> flip{'' if n == 1 else 's'}</span>"]
    if n:
        parts += [
            f"<span>{chip('added', TO_1, '+')} {_share(counts['to_1'], n)}</span>",
            f"<span>{chip('taken off', TO_0, '−')} {_share(counts['to_0'], n)}</span>",
            f"<span>basis images agree on {_share(counts['agree'], n)}</span>",
        ]
    if counts["bare"]:
        parts.append(f"<span>stand without basis images: {_share(counts['bare'], n)}</span>")
    if counts["auto"]:
        parts.append(f"<span>safe to accept: {_share(counts['auto'], n)}</span>")
    if known and not judged:
        parts.append(f"<span>right where verified: {_right(counts['right'], known)}</span>")
    if basis is not None:
        which = "that would fall without" if needed else "of images that lean on"
        parts.append(f"<span>{which} basis image {basis}</span>")
    return f'<div class="fc-line" data-testid="flip-counts">{"".join(parts)}</div>'


def verified_note(counts: dict[str, int], judged: bool = False) -> str:
    """What becomes of the flips on verified images, of which there are some; see `counts_line`."""
    note = (
        f"{counts['verified']:,} on verified images: Audit does not ask about these, and exports "
        "keep the verified labels."
    )
    if counts["learned"] and not judged:
        note += f" {counts['learned']:,} were trained on: they count neither as right nor as wrong."
    return note


def _card(row: object, url: str, href: str) -> str:
    added = row.corrected == 1
    chips = [chip("added", TO_1, "+") if added else chip("taken off", TO_0, "−")]
    if row.truth >= 0:
        right = row.truth == row.corrected
        chips.append(chip("right", RIGHT, "✓") if right else chip("wrong", WRONG, "✕"))
    if row.auto_accept:
        chips.append(f'<span title="{SAFE}">{chip("safe", RIGHT, "✓✓")}</span>')
    sure = percent(row.confidence).replace("over ", "&gt;")
    alt = f"{row.attribute}: {'added' if added else 'taken off'}, image {row.image_index}"
    return (
        f'<a class="fc-card" href="{escape(href)}" target="_self">'
        f'<img src="{escape(url)}" alt="{spoken(alt)}" loading="lazy" decoding="async">'
        f"<b>{escape(row.attribute)}</b>{mark_lines(row.reason)}"
        f'<div class="fc-row"><span>{sure}</span>{"".join(chips)}</div>'
        f'<div class="fc-bar"><span style="width:{100 * row.label_score:.1f}%"></span></div>'
        f'<div class="fc-note">basis images say {100 * row.label_score:.0f} %</div></a>'
    )


def grid(run: Run, page: pd.DataFrame, filters: dict[str, object]) -> None:
    """A page of flips; each card opens its receipt and keeps the filters.

    Parameters
    ----------
    page : DataFrame
        Of ``frames.flips.flips_page``.
    filters : dict
        Fields of the address to keep.
    """
    urls = media.image_urls(run, page["image_index"].tolist())
    hrefs = [
        state.link("flips", **filters, flip=f"{i}-{j}")
        for i, j in zip(page["image_index"], page["attribute_index"], strict=True)
    ]
    cards = (_card(*args) for args in zip(page.itertuples(), urls, hrefs, strict=True))
    st.html(f'<div class="fc-grid">{"".join(cards)}</div>')
