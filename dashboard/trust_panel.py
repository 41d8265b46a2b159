"""The panel on trust: honest confidence, what may be accepted without a look, and if it held."""

from __future__ import annotations

from html import escape

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from dashboard import components, load
from dashboard.figures import trust as figures
from dashboard.frames import trust as frames
from selfml.run import Run


def show(run: Run) -> None:
    """Draw the panel, or say why there is none."""
    st.header("How far the flips can be trusted")
    of = load.frame(run, frames.trust)
    if of is None:
        components.empty_state(
            "This run does not know",
            "It was made before confidence was calibrated. Train it again with `selfml train` to "
            "see which flips need no look.",
        )
        return
    _verdict(of)
    if not of.is_measured:
        return
    left, right = st.columns(2, gap="large")
    with left:
        _reliability(of, load.figure(run, _honesty, frames.trust))
    with right:
        _realised(of, load.figure(run, _promise, frames.trust))
    st.html(_table_html(frames.threshold_rows(of)))
    _details(of)


def _verdict(of: frames.Trust) -> None:
    """The answer first: what may be accepted, in a sentence a direction."""
    rows = frames.threshold_rows(of)
    lines = "\n".join(f"- **{row.title}**: {row.promise}" for row in rows.itertuples())
    if of.guaranteed:
        st.success(f"Some flips need no look.\n{lines}", icon=":material/verified:")
    elif rows["promise"].nunique() == 1:
        st.warning(str(rows["promise"].iloc[0]), icon=":material/gpp_maybe:")
    else:
        st.warning(f"No flip is accepted without a look.\n{lines}", icon=":material/gpp_maybe:")
    st.caption(frames.source_sentence(of.thresholds))


def _honesty(of: frames.Trust) -> go.Figure:
    return figures.reliability(of.reliability[of.reliability["direction"] == "all"])


def _promise(of: frames.Trust) -> go.Figure:
    return figures.realised(of.realised, precision=float(of.thresholds["precision"].iloc[0]))


def _reliability(of: frames.Trust, figure: go.Figure) -> None:
    st.markdown("**Is the confidence honest?**")
    alt = "Share of flips that are right against their confidence, on test images"
    components.show_figure(figure, "reliability", alt=alt)
    if "all" in of.errors:
        after, before = of.errors["all"]
        calibrated = (of.thresholds["source"] == "held_out").any()
        earlier = f"; before calibration by {before:.1f}" if calibrated else ""
        st.caption(
            f"Confidence is off by {after:.1f} percentage points on average (calibration error, "
            f"ECE){earlier}. On the dashed line it is exactly right. Larger dots stand for more "
            "flips; bars are 95 % intervals."
        )


def _realised(of: frames.Trust, figure: go.Figure) -> None:
    st.markdown("**Is the promise kept?**")
    alt = "Share of accepted flips that are right, each time other images were set aside"
    components.show_figure(figure, "realised", alt=alt)
    drawn = of.realised[of.realised["resample"] > 0]
    if drawn.empty:
        return
    n, aside, rest = (int(drawn[name].max()) for name in ("resample", "n_calibration", "n_images"))
    stands_in = (of.thresholds["source"] != "held_out").any()
    why = "this run set none aside, so half of its test images stand in; " if stands_in else ""
    st.caption(
        f"{n} draws: {why}of the verified images that training never used, {aside:,} were set "
        f"aside to find the threshold, and flips of the other {rest:,} were counted. A promise "
        "with 95 % certainty may fail in 1 of 20 draws."
    )


def _percent(value: float, digits: int = 1) -> str:
    return f"{100 * value:.{digits}f} %" if np.isfinite(value) else "–"


def _table_html(rows: pd.DataFrame) -> str:
    head = ("Flips", "Accepted from", "Accepted (test)", "Right (test)", "Right (draws)", "Kept")
    top = "".join(f'<th scope="col">{name}</th>' for name in head)
    body = ""
    for _, row in rows.iterrows():
        drawn = _percent(row["mean"])
        if np.isfinite(row["lowest"]):
            drawn += f" ({100 * row['lowest']:.1f}–{100 * row['highest']:.1f})"
        cells = (
            _percent(row["threshold"]),
            f"{row['n_accepted']:,} of {row['n_flips']:,}",
            _percent(row["precision"]),
            drawn,
            f"{row['n_kept']} of {row['n_resamples']}" if row["n_accepting"] else "–",
        )
        shown = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
        body += f'<tr><th scope="row">{escape(row["title"])}</th>{shown}</tr>'
    return (
        '<div class="sm-table" tabindex="0" data-testid="trust"><table><thead><tr>'
        f"{top}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _unlike(distance: float) -> str:
    if not np.isfinite(distance):
        return "unlike the basis images (too few test images here to say which those are)"
    return (
        f"unlike the basis images (farther from their hull than {distance:.3g}, as at most 5 % of "
        "the verified test images are)"
    )


def _details(of: frames.Trust) -> None:
    with st.expander("What this means"):
        precision, level = (
            f"{100 * float(of.thresholds[name].iloc[0]):.0f} %"
            for name in ("precision", "confidence_level")
        )
        distance = float(of.thresholds["largest_covered_distance"].iloc[0])
        st.markdown(
            "**Confidence** is the chance that a flip is right, adjusted on images whose verified "
            "labels training did not use.\n\n"
            f"**Accepted without a look**: thresholds are tried from the most confident flips "
            f"down, until one can no longer be shown to leave {precision} of the flips right "
            f"with {level} certainty. Flips of one image count as fewer, since they may be wrong "
            "together.\n\n"
            f"**Never accepted**: flips of images {_unlike(distance)}, of images a person "
            "verified, and of images that training did not see.\n\n"
            "**Not promised**: anything about another catalogue, another season, or about one "
            "attribute alone; the promise is about all flips of a direction together. Images that "
            "training did not see at all, as test images are, fare a little worse than those whose "
            "given labels it saw."
        )
        rows = frames.threshold_rows(of)
        components.download_csv(rows, "trust")
