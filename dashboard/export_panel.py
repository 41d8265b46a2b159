"""What people accepted, to take away: corrected labels, the change list and the manifest."""

from __future__ import annotations

import io
import re
import tempfile
import zipfile
from html import escape
from pathlib import Path, PurePath

import pandas as pd
import streamlit as st

from dashboard import access, blinding, components, flip_cards, load
from dashboard.events import event
from dashboard.frames import flips as flip_frames
from selfml.audited import audited_flips
from selfml.decisions import Store
from selfml.export import dataset_folder, export, outlook
from selfml.run import Run

ENDINGS = {"CSV": "csv", "Parquet": "parquet"}
WHY_NOT = "not-exported.txt"


def show_export(run: Run, store: Store, catalogue: str) -> None:
    """Counts of what an export holds, and one button that makes and saves it."""
    flips = audited_flips(
        run, run.table("flips"), store.state(catalogue), store.of_auditors(catalogue),
        with_auto=True,
    )  # fmt: skip
    n_accepted = int((flips["decision"] != "auto").sum())
    flips, n_verified = outlook(run, flips)
    by_hand = flips["decision"] != "auto"
    n_auto = int((~by_hand).sum())
    if not n_accepted and flips.empty:
        components.empty_state(
            "No flip is accepted yet",
            "Accept some under **One at a time** or **All at once**; then take the corrected "
            "labels away here.",
        )
        return
    row = st.container(horizontal=True, vertical_alignment="bottom", gap="medium")
    kind = row.segmented_control(
        "Format", list(ENDINGS), default="CSV", required=True, key="export_format"
    )
    with_auto = row.toggle(
        f"Also {n_auto:,} undecided that need no look",
        key="export_with_auto",
        disabled=not n_auto,
        help="Flips above the threshold that was proven on verified images, and that nobody "
        "decided. Rejected ones and conflicts are never exported.",
    )
    chosen = flips if with_auto and n_auto else flips[by_hand]
    st.html(flip_cards.CSS + _counts(chosen, n_verified))
    st.caption(_the_others(run, chosen, n_accepted - int(by_hand.sum())))
    ending = ENDINGS[kind]
    st.markdown(
        f"- **corrected.{ending}**: {_what(run)}, with these flips and the verified labels\n"
        "- **corrected.flips.csv**: each flip, before and after, its evidence, who accepted it\n"
        "- **corrected.manifest.json**: hashes, counts, and what the files were made from"
    )
    st.caption(
        "Made when the button is pressed; the same decisions give the same files. A label that the "
        "shop has changed since training stays as the shop has it."
    )
    auditor = access.require("viewer").id  # the function runs outside of the session

    def made() -> bytes:
        event("export", auditor=auditor, what="corrected.zip", n=len(chosen))
        return archive(run, store, ending, with_auto=bool(with_auto and n_auto))

    st.download_button(
        "Download corrected labels",
        made,
        file_name=f"{_plain(PurePath(catalogue).name)}-corrected.zip",
        mime="application/zip",
        icon=":material/download:",
        type="primary",
        on_click="ignore",
        key="download_export",
    )


def _the_others(run: Run, chosen: pd.DataFrame, n_settled: int) -> str:
    """Why the run has other flips than these."""
    counts = load.frame(run, flip_frames.flips_summary, flip_frames.FlipQuery())
    n_verified = blinding.of_counts(counts)["verified"]
    of_others = int(chosen["score"].isna().sum())
    why = "undecided, rejected, in conflict" + (" or on verified images" * bool(n_verified))
    words = (
        f"{len(chosen) - of_others:,} of {counts['n']:,} flips of this run: the others are {why}"
    )
    words += f" ({n_verified:,})." if n_verified else "."
    if of_others:
        words += (
            f" {of_others:,} more {'was' if of_others == 1 else 'were'} proposed by another run."
        )
    if n_settled:
        words += (
            f" {n_settled:,} accepted flips are of labels that were verified before: the verified "
            "label stands."
        )
    return words


def _what(run: Run) -> str:
    root = dataset_folder(run)
    if root is not None and root.is_dir():
        return "the rows and columns of your labels file"
    return "the images of this run (the dataset folder is not on this machine)"


def _plain(catalogue: str) -> str:
    return re.sub(r"[^\w.-]+", "-", catalogue).strip("-.") or "catalogue"


def _counts(flips: pd.DataFrame, n_verified: int) -> str:
    added = int((flips["corrected"] == 1).sum())
    accepted = flips[flips["decision"] != "auto"]
    parts = [
        f"<strong>{len(flips):,}</strong> flips",
        f"{added:,} to add, {len(flips) - added:,} to take off",
        f"on {flips['image_index'].nunique():,} images",
    ]
    by = accepted["auditors"].value_counts()
    if len(by):
        names = ", ".join(
            f"{n:,} by {escape(str(who).replace(', ', ' and '))}" for who, n in by.head(4).items()
        )
        more = f", {by[4:].sum():,} by others" if len(by) > 4 else ""
        parts.append(f"accepted: {names}{more}")
    if len(flips) > len(accepted):
        parts.append(f"{len(flips) - len(accepted):,} undecided")
    if n_verified:
        parts.append(f"and {n_verified:,} labels that were verified before")
    spans = "".join(f"<span>{part}</span>" for part in parts)
    return f'<div class="fc-line" data-testid="export-counts">{spans}</div>'


def archive(run: Run, store: Store, ending: str, *, with_auto: bool) -> bytes:
    """A ZIP of the export's files; the same export gives the same bytes.

    Where nothing can be exported it holds one text that says why, for a download has no page.
    """
    try:
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / f"corrected.{ending}"
            export(run, out, store=store, with_auto=with_auto)
            files = {p.name: p.read_bytes() for p in sorted(Path(folder).iterdir())}
    except (ValueError, OSError) as error:
        files = {WHY_NOT: f"Nothing was exported. {error}\n".encode()}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as zipped:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name)  # of 1980, whatever the clock says
            entry.compress_type = zipfile.ZIP_DEFLATED
            zipped.writestr(entry, data)
    return buffer.getvalue()
