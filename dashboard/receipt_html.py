"""The receipt's own HTML: cards of basis images, the bar they add up to, the sums in figures.

Pure: frames in, escaped text out. Colours stand beside a word and a sign, never alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
import pandas as pd

from dashboard.figures.theme import NEUTRAL, RIGHT, TO_0, TO_1, WRONG
from dashboard.frames.receipt import LABEL_WORDS, Verdict, reason, shown_parts
from dashboard.frames.receipt_words import MARKS, percent
from selfml.flips import basis_logit
from selfml.receipts import Receipt

COLOR = {1: TO_1, 0: TO_0, -1: NEUTRAL}
SIGN = {1: "✓", 0: "✕", -1: "?"}

CSS = f"""
<style>
.rc-chip{{display:inline-block;max-width:100%;overflow-wrap:anywhere;unicode-bidi:isolate;
 padding:1px 8px;border-radius:10px;font-size:.78rem;
 font-weight:600;border:1.5px solid var(--c)}}
.rc-chip i{{font-style:normal;color:var(--c);margin-right:4px;font-weight:800}}
.rc-chips{{display:flex;flex-wrap:wrap;gap:6px;align-items:center}}
.rc-head{{display:flex;gap:24px;flex-wrap:wrap;align-items:flex-start}}
.rc-head>img{{width:min(280px,100%);aspect-ratio:1;object-fit:contain;border-radius:10px;
 background:#f4f1ec;border:3px solid {WRONG}}}
.rc-blue>img{{border-color:#1f77c9!important}}
.rc-head>div{{flex:1 1 340px;min-width:0}}
.rc-head h2{{font-size:1.6rem;line-height:1.25;margin:0 0 8px;padding:0;overflow-wrap:anywhere}}
.rc-words{{font-size:1.08rem;line-height:1.55;max-width:68ch;margin:14px 0;
 overflow-wrap:anywhere}}
.rc-words b{{font-weight:600}}
.rc-safe{{border-left:4px solid {RIGHT};padding:2px 0 2px 12px;margin:10px 0;max-width:68ch;
 font-size:.9rem;line-height:1.45}}
.rc-meta{{font-size:.84rem;opacity:.75;margin-top:10px;overflow-wrap:anywhere}}
.rc-strip{{display:flex;gap:12px;overflow-x:auto;padding:2px 2px 10px}}
.rc-card{{flex:0 0 138px;font-size:.82rem;line-height:1.4;margin:0}}
.rc-card a{{color:inherit!important;text-decoration:none;display:block}}
.rc-card img{{width:138px;height:138px;object-fit:contain;background:#f4f1ec;display:block;
 border-radius:8px;border:3px solid #1f77c9}}
.rc-card a:focus-visible img,.rc-card a:hover img{{box-shadow:0 0 0 3px #1f77c988}}
.rc-card b{{font-size:1rem;font-variant-numeric:tabular-nums}}
.rc-card .rc-x{{margin-top:2px;font-size:.76rem}}
.rc-card .rc-falls{{font-weight:700;color:light-dark(#b3261e,#f28b82)}}
.rc-card .rc-edit{{font-weight:700;border-left:3px solid {TO_1};padding-left:6px}}
.rc-bar{{display:flex;height:26px;border-radius:6px;overflow:hidden;margin:6px 0 4px;gap:2px}}
.rc-bar span{{background:var(--c);color:#fff;font-size:.76rem;font-weight:700;line-height:26px;
 text-align:center;min-width:2px;overflow:hidden}}
.rc-bar .l0{{background-image:repeating-linear-gradient(135deg,#0002 0 5px,#0000 5px 10px)}}
.rc-sum{{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.9rem;width:100%}}
.rc-sum th,.rc-sum td{{padding:5px 10px;text-align:right;
 border-bottom:1px solid rgba(128,134,146,.25)}}
.rc-sum td{{white-space:nowrap}}
.rc-sum th:first-child,.rc-sum td:first-child{{text-align:left;white-space:normal;
 min-width:110px}}
.rc-sum tr.total td{{font-weight:700;border-top:2px solid {NEUTRAL};border-bottom:0}}
.rc-sum a{{color:inherit!important;text-decoration:underline;text-decoration-color:#1f77c9;
 text-decoration-thickness:2px;text-underline-offset:3px;overflow-wrap:anywhere}}
.rc-sum a:hover,.rc-sum a:focus-visible{{background:#1f77c933}}
.rc-mark{{font-size:.75rem;font-weight:600;border-left:3px solid var(--c);padding-left:6px;
 margin:2px 0 4px}}
.rc-scroll{{overflow-x:auto}}
.rc-narrow{{max-width:520px}}
</style>
"""


def spoken(text: str) -> str:
    """Text for ``alt`` and ``aria-label``, escaped.

    Browsers drop an attribute that holds what may end a script (DOMPurify, which Streamlit uses),
    and a picture without words is nothing to a screen reader.
    """
    return escape(text.replace("<", "‹").replace(">", "›"))


def chip(text: str, color: str, sign: str) -> str:
    """A word with a sign, in a coloured outline."""
    return f'<span class="rc-chip" style="--c:{color}"><i>{escape(sign)}</i>{escape(text)}</span>'


def label_chip(label: int, before: str = "") -> str:
    """``yes``, ``no`` or ``unknown``, with its sign."""
    return chip(f"{before}{LABEL_WORDS[label]}", COLOR[label], SIGN[label])


def mark_lines(name: str) -> str:
    """Where basis images are not the reason, in small lines; ``name`` of ``selfml.reasons``."""
    return "".join(
        f'<div class="rc-mark" style="--c:{_mark_color(text)}">! {text}</div>'
        for text in MARKS.get(name, ())
    )


def _mark_chips(name: str) -> list[str]:
    texts = MARKS.get(name, ())
    return [chip(text[:1].upper() + text[1:], _mark_color(text), "!") for text in texts]


def _mark_color(text: str) -> str:
    """What speaks against the label stands out more than what it does without."""
    return WRONG if "disagree" in text else NEUTRAL


def verdict_chips(receipt: Receipt, of: Verdict) -> str:
    """What was done, how sure, whether both kinds of evidence agree, and whether it is right."""
    if of.flipped:
        done = ("Added", TO_1, "+") if of.corrected else ("Taken off", TO_0, "−")
    else:
        done = ("Kept", NEUTRAL, "=") if receipt.given >= 0 else ("Not given", NEUTRAL, "?")
    chips = [chip(*done), chip(f"{percent(of.confidence)} sure", NEUTRAL, "◔")]
    chips += _mark_chips(reason(receipt, of)) or [chip("Basis images agree", RIGHT, "✓")]
    if of.auto_accept:
        chips.append(chip("Safe to accept", RIGHT, "✓"))
    if of.truth >= 0:
        right = of.truth == of.corrected
        chips.append(
            chip("Verified: right", RIGHT, "✓") if right else chip("Verified: wrong", WRONG, "✕")
        )
    return f'<div class="rc-chips">{"".join(chips)}</div>'


def head(
    receipt: Receipt,
    of: Verdict,
    sentences: Sequence[str],
    image: pd.Series,
    url: str,
    acceptance: str = "",
) -> str:
    """The image beside the change, the chips, the reason in words, and what acceptance means."""
    labels = label_chip(receipt.given, "given: ") + (
        " → " + label_chip(of.corrected, "now: ") if of.flipped else ""
    )
    lead = 0 if reason(receipt, of) == "basis" else 1
    words = " ".join(
        f"<b>{escape(s)}</b>" if n < lead else escape(s) for n, s in enumerate(sentences)
    )
    about = [image["image_id"], image["category"], image["split"], f"image {receipt.image_index}"]
    meta = " · ".join(escape(str(part)) for part in about if isinstance(part, str))
    alt = f"Image {receipt.image_index}"
    return (
        f'<div class="rc-head"><img src="{escape(url)}" alt="{alt}"><div>'
        f"<h2>{escape(receipt.attribute)}</h2>"
        f'<div class="rc-chips">{labels}</div><div style="height:6px"></div>'
        f"{verdict_chips(receipt, of)}"
        f'<p class="rc-words" data-testid="receipt-words">{words}</p>{_acceptance(acceptance)}'
        f'<div class="rc-meta">{meta}</div></div></div>'
    )


def _acceptance(text: str) -> str:
    return f'<p class="rc-safe" data-testid="acceptance">{escape(text)}</p>' if text else ""


def _card(row: object, url: str, href: str, of: Verdict, edit: str) -> str:
    what = "change" if of.flipped else "label"
    mark = "" if row.label >= 0 else f" (counts as {row.value:.2f})"
    without = f"without it {row.score_without:+.2f}"
    note = (
        f'<div class="rc-x">✓ {without}, the {what} stands</div>'
        if row.stands
        else f'<div class="rc-x rc-falls">✕ {without}, the {what} would not stand</div>'
    )
    alt = f"Basis image {row.basis_index}, {LABEL_WORDS[row.label]}"
    supposed = f'<div class="rc-x rc-edit">supposed: {escape(edit)}</div>' if edit else ""
    return (
        f'<figure class="rc-card"><a href="{escape(href)}" target="_self">'
        f'<img src="{escape(url)}" alt="{escape(alt)}" loading="lazy"></a>'
        f"<b>c = {row.coefficient:.2f}</b> {label_chip(row.label)}"
        f"<div>adds {row.contribution:.2f}{escape(mark)}</div>{note}{supposed}</figure>"
    )


def strip(
    atoms: pd.DataFrame,
    of: Verdict,
    urls: Sequence[str],
    hrefs: Sequence[str],
    edits: Mapping[int, str] | None = None,
) -> str:
    """The basis images with their share, verified label, and what their absence would change.

    Parameters
    ----------
    edits : mapping of basis_index to str, optional
        What is supposed of some of them, in words.
    """
    edits = edits or {}
    cards = (
        _card(row, url, href, of, edits.get(row.basis_index, ""))
        for row, url, href in zip(atoms.itertuples(), urls, hrefs, strict=True)
    )
    return f'<div class="rc-strip">{"".join(cards)}</div>'


def share_bar(atoms: pd.DataFrame) -> str:
    """One bar of all coefficients, those of images with the attribute first."""
    order = atoms.assign(rank=atoms["label"].map({1: 0, -1: 1, 0: 2})).sort_values(
        ["rank", "coefficient"], ascending=[True, False]
    )
    parts = "".join(
        f'<span class="l{row.label}" style="--c:{COLOR[row.label]};'
        f'flex:{row.coefficient:.6f} 1 0" '
        f'title="basis image {row.basis_index}: {row.coefficient:.2f}">'
        f"{SIGN[row.label] if row.coefficient > 0.04 else ''}</span>"
        for row in order.itertuples()
    )
    shares = atoms.groupby("label")["coefficient"].sum()
    told = ", ".join(f"{LABEL_WORDS[k]} {100 * v:.0f} %" for k, v in shares.items())
    return f'<div class="rc-bar" role="img" aria-label="{escape(told)}">{parts}</div>'


def _table(name: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    top = "".join(f'<th scope="col">{escape(h)}</th>' for h in header)
    body = "".join(
        f"<tr{' class=total' if n == len(rows) - 1 else ''}>"
        + "".join(f"<td>{escape(cell)}</td>" for cell in row)
        + "</tr>"
        for n, row in enumerate(rows)
    )
    return (
        f'<div class="rc-scroll"><table class="rc-sum" data-testid="{name}">'
        f"<thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def atoms_table(receipt: Receipt) -> str:
    """c times label for every basis image, and their sum Y_B c; the digits shown add up."""
    atoms = receipt.atoms
    parts = shown_parts(atoms["contribution"].to_numpy())
    rows = [
        (f"basis image {a.basis_index}", f"{a.coefficient:.4f}", LABEL_WORDS[a.label],
         f"{a.value:.2f}", f"{part:.4f}")
        for a, part in zip(atoms.itertuples(), parts, strict=True)
    ]  # fmt: skip
    total = ("label score", f"{atoms['coefficient'].sum():.4f}", "", "", f"{parts.sum():.4f}")
    header = ("", "c", "verified", "counts as", "c × label")
    return _table("sum-atoms", header, [*rows, total])


def from_score_to_log_odds(receipt: Receipt) -> str:
    """How the label score becomes the basis images' term, with this receipt's numbers."""
    r = receipt
    smoothed = (r.label_score + r.smoothing * r.prior) / (1 + r.smoothing)
    odds = float(basis_logit(np.array(r.label_score), r.prior, r.smoothing))
    return (
        f"Into log-odds: ({r.label_score:.4f} + {r.smoothing:g} × {r.prior:.4f}) / "
        f"{1 + r.smoothing:g} = {smoothed:.4f}, log-odds {odds:+.4f}; weighted by "
        f"{r.basis_weight:.4g} in all evidence ({r.terms['basis']:+.4f}) and by "
        f"{r.strict_basis_weight:.4g} alone ({r.strict_terms['basis']:+.4f})."
    )


def terms_table(terms: pd.DataFrame, name: str) -> str:
    """The log-odds terms and their sum; the digits shown add up."""
    parts = shown_parts(terms["value"].to_numpy())
    rows = [(text, f"{part:+.4f}") for text, part in zip(terms["name"], parts, strict=True)]
    score = float(parts.sum())
    return _table(name, ("Evidence", "Log-odds"), [*rows, ("Score", f"{score:+.4f}")])


def image_labels(image: pd.Series, labels: pd.DataFrame, url: str, hrefs: Sequence[str]) -> str:
    """One image and its labels as given, corrected and, where known, verified; each row leads to
    its receipt."""
    verified = bool((labels["truth"] >= 0).any())

    def verified_cell(label: int) -> str:
        return f"<td>{label_chip(label) if label >= 0 else ''}</td>" if verified else ""

    rows = "".join(
        f'<tr><td><a href="{escape(href)}" target="_self">{escape(row.attribute)}</a>'
        f"{mark_lines(row.reason)}</td>"
        f"<td>{label_chip(row.given)}</td><td>{label_chip(row.corrected)}</td>"
        f"{verified_cell(row.truth)}<td>{100 * row.label_score:.0f} %</td>"
        f"<td>{chip('changed', NEUTRAL, '→') if row.flipped else ''}</td></tr>"
        for row, href in zip(labels.itertuples(), hrefs, strict=True)
    )
    known = ["Verified"] if verified else []
    names = ["Attribute (opens its receipt)", "Given", "Corrected", *known, "Basis score", ""]
    header = "".join(f'<th scope="col">{name}</th>' for name in names)
    about = [image["category"], image["split"]]
    meta = " · ".join(escape(part) for part in about if isinstance(part, str))
    index = int(image["image_index"])
    return (
        f'<div class="rc-head"><img src="{escape(url)}" alt="Image {index}"><div>'
        f"<h2>{escape(image['image_id'])}</h2>"
        f'<div class="rc-meta">{meta} · image {index} · '
        f"{int(labels['flipped'].sum())} of {len(labels)} labels changed</div>"
        f'<div class="rc-scroll"><table class="rc-sum" data-testid="image-labels">'
        f"<thead><tr>{header}</tr></thead><tbody>{rows}</tbody></table></div></div></div>"
    )
