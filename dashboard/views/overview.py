"""The overview: which run, how far, how good, and where to go next."""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape
from typing import Any

import pandas as pd
import streamlit as st

from dashboard import components, load, measures_panel, media, relabelled_panel, state, trust_panel
from dashboard.figures import overview as figures
from dashboard.frames import overview as frames
from dashboard.frames.relabelled import is_relabelled
from selfml.decided import sentence
from selfml.run import Run

POLL_S = 2
QUIET_S = 900  # after this long without news a run in training is said to be stopped, perhaps
STAGE = {
    "pretrain": "first pass over the noisy labels",
    "baseline_0": "Baseline 0, on the noisy labels",
    "baseline_1": "Baseline 1, fine-tuned on the verified labels",
    "reconstruction": "choosing the basis images",
    "flipping": "learning to flip labels",
    "self_ml": "SELF-ML, on the corrected labels",
}


def _when(text: str) -> str:
    try:
        return datetime.fromisoformat(text).strftime("%-d %B %Y, %H:%M UTC")
    except ValueError:
        return "unknown"


def _seconds_since(text: str) -> float:
    try:
        return (datetime.now(UTC) - datetime.fromisoformat(text)).total_seconds()
    except (TypeError, ValueError):
        return 0.0


def _heading(run: Run) -> None:
    info = run.info
    dataset = info.get("dataset")
    name = dataset.get("name") if isinstance(dataset, dict) else dataset
    others = is_relabelled(info)  # its first images are none of the catalogue
    counts = [
        f"{int(info[key]):,} {noun}"
        for key, noun in (
            *(() if others else (("n_images", "images"),)),
            ("n_attributes", "attributes"),
            ("n_atoms", "basis images to choose from"),
        )
        if info.get(key)
    ]
    parts = [components.plain(name)] if name else []
    if info.get("relabelled"):
        n = info["relabelled"]["n_basis_images"]
        images = f"basis image{'' if n == 1 else 's'}"
        parts.append(f"{components.plain(info['parent']['name'])} with {n:,} {images} labelled")
    if others:
        parts += relabelled_panel.heading(run)
    if info.get("decisions"):
        st.html(f'<p class="sm-note">{escape(sentence(info["decisions"]))}</p>')
    st.caption(" · ".join([*parts, *counts, f"started {_when(str(info.get('created', '')))}"]))


def _progress(run: Run) -> None:
    history = run.history()
    now = frames.progress(run.info, history)
    stage = STAGE.get(now.stage, now.stage.replace("_", " "))
    if is_relabelled(run.info):
        st.progress(
            now.fraction or 0.0, text=f"Relabelling: {now.step:,} of {now.n_steps:,} images"
        )
        st.caption(
            "If it was stopped, `selfml relabel` with `--resume` goes on from the last part."
        )
        return
    if now.fraction is None:
        st.info(f"Training: {stage}, step {now.step:,}", icon=":material/hourglass_top:")
    else:
        where = f"stage {now.stage_number} of {now.n_stages}, step {now.step:,} of {now.n_steps:,}"
        st.progress(now.fraction, text=f"Training: {stage} ({where})")
    quiet_s = _seconds_since(str(run.info.get("updated", "")))
    if len(history):
        quiet_s = min(quiet_s, _seconds_since(str(history["time"].iloc[-1])))
    if run.is_stopped:
        st.warning(
            "Training was stopped. `selfml train` with `--resume` goes on from the last saved "
            "step.",
            icon=":material/pause_circle:",
        )
    elif quiet_s > QUIET_S:
        st.warning(
            f"Nothing was written for {quiet_s / 60:,.0f} minutes, so training may have been "
            "stopped. `selfml train` with `--resume` goes on from the last saved step.",
            icon=":material/pause_circle:",
        )
    shown = (
        ("loss", "Loss", "{:.3f}", "What training makes small; it has no unit."),
        ("map", "MAP", "{:.1%}", "Mean average precision over the attributes, so far."),
        ("atoms_used", "Basis in use", "{:,.0f}", "Basis images that an image leans on."),
        (
            "flips_per_image",
            "Flips an image",
            "{:.2f}",
            "Labels that would be changed if training ended now, of a sample of the noisy images.",
        ),
    )
    items: list[tuple[Any, ...]] = [
        (label, form.format(now.latest[name]), help_text)
        for name, label, form, help_text in shown
        if name in now.latest
    ]
    if items:
        components.metric_row(items)
    components.show_figure(
        figures.losses(frames.losses(history)), "losses", alt="Losses over the training steps"
    )


@st.fragment(run_every=POLL_S)
def _live(name: str) -> None:
    """A run in training, read again every two seconds until it ends."""
    run = load.open_run(name)
    if run.info.get("status") != "running":
        st.rerun(scope="app")
    _progress(run)
    st.caption(f"Read again every {POLL_S} seconds. Flips, map and basis open when it is done.")


def _key_figures(run: Run, noise: pd.DataFrame) -> None:
    counts = load.frame(run, frames.flip_counts)
    items: list[tuple[Any, ...]] = relabelled_panel.key_figures(run)
    items += [
        (
            "Flips", f"{counts.flips:,}",
            "Labels that SELF-ML would change, over all images. Audit does not ask about those on "
            "verified images: exports keep the verified labels.",
        ),
        ("Labels added", f"{counts.to_1:,}", "The shop did not give the label; the image has it."),
        ("Labels removed", f"{counts.to_0:,}", "The shop gave the label; the image lacks it."),
        ("Images changed", f"{counts.images:,}", "Images with at least one label to change."),
    ]  # fmt: skip
    if counts.auto_accept:
        items.append(
            (
                "Safe to accept", f"{counts.auto_accept:,}",
                "Flips so sure that enough of their like were right on verified images which "
                "training did not use; they need no look. See below.",
            )
        )  # fmt: skip
    if len(noise):
        first = noise[noise["set"] == noise["set"].iloc[0]].set_index("labels")["wrong_percent"]
        items.append(
            (
                "Right labels", f"{100 - first['Corrected']:.1f} %",
                f"{noise['set'].iloc[0]}: labels that equal the verified ones, after correction. "
                "The small figure is the change against the given labels, in percentage points.",
                f"{first['Given'] - first['Corrected']:+.1f} points",
            )
        )  # fmt: skip
    components.metric_row(items)


def _next_steps(run: Run) -> None:
    safe = load.frame(run, frames.flip_counts).auto_accept > 0
    mapped = load.frame(run, frames.is_mapped)
    gained = not is_relabelled(run.info)
    accept = ("views/flips.py", "Flips safe to accept", ":material/done_all:", {"auto": True})
    steps = (
        ("views/flips.py", "See the flips", ":material/swap_horiz:", {}),
        *([accept] if safe else []),
        *([("views/map.py", "Browse the map", ":material/scatter_plot:", {})] if mapped else []),
        *(
            [("views/attributes.py", "Which labels gained", ":material/label:", {})]
            if gained
            else []
        ),
        ("views/basis.py", "What the basis learned", ":material/apps:", {}),
    )
    row = st.container(horizontal=True, gap="small")
    for page, label, icon, fields in steps:
        row.page_link(page, label=label, icon=icon, query_params=state.query_for(**fields))


def _noise(run: Run, noise: pd.DataFrame) -> None:
    st.header("Noise before and after")
    left, right = st.columns(2)
    with left:
        st.markdown("**Labels per image**")
        alt = "Mean number of labels per image: given, corrected and verified"
        figure = load.figure(run, figures.labels_per_image, frames.noise)
        components.show_figure(figure, "labels-per-image", alt=alt)
    with right:
        st.markdown("**Wrong labels**")
        alt = "Share of wrong labels before and after the correction"
        figure = load.figure(run, figures.wrong_labels, frames.noise)
        components.show_figure(figure, "wrong-labels", alt=alt)
    if len(noise):
        sizes = noise.drop_duplicates("set")
        listed = ", ".join(f"{r.n_images:,} {r.set.lower()}" for r in sizes.itertuples())
        st.caption(f"Measured where somebody verified the labels: {listed}.")
        components.download_csv(noise, "noise")


def _all_runs() -> None:
    runs = load.runs()
    if len(runs) < 2:
        return

    def table() -> None:
        rows = [
            (r.name, r.status, _when(r.created), r.n_images, r.problem.partition(": ")[2])
            for r in runs
        ]
        names = ["Run", "Status", "Started", "Images", "Problem"]
        frame = pd.DataFrame(rows, columns=names)
        st.dataframe(frame, hide_index=True, key="runs")
        components.download_csv(frame, "runs")

    components.drawer(f"All runs ({len(runs)})", table, key="open_runs")


def _training(run: Run, failed: bool) -> None:
    def curves() -> None:
        figure = figures.losses(frames.losses(run.history()))
        components.show_figure(figure, "losses", alt="Losses over the steps")

    components.drawer("How training went", curves, key="open_training", expanded=failed)


def show() -> None:
    """Draw the view."""
    st.title("Overview")
    run = components.run_or_stop()
    _heading(run)
    status = run.info.get("status")
    if status == "running":
        _live(media.run_name(run))
        _all_runs()
        return
    if status == "failed":
        st.error(
            f"Training did not finish. {run.info.get('message') or ''} Below is what it wrote; "
            "the same `selfml train` command with `--resume` goes on from the last saved step.",
            icon=":material/error:",
        )
    others = is_relabelled(run.info)  # no label of such a catalogue is verified
    noise = pd.DataFrame() if others else load.frame(run, frames.noise)
    if run.has("flips"):
        _key_figures(run, noise)
        _next_steps(run)
        if others:
            relabelled_panel.show(run)
        else:
            _noise(run, noise)
        trust_panel.show(run)
    if run.has("metrics"):
        metrics = load.table(run, "metrics")
        if not others:
            measures_panel.show_table_1(metrics)
        measures_panel.show_others(metrics)
    if not others:
        _training(run, status == "failed")
    _all_runs()


show()
