"""What a run measured, as the overview shows it: Table 1 and all the rest."""

from __future__ import annotations

from html import escape

import pandas as pd
import streamlit as st

from dashboard import components
from dashboard.figures import theme
from dashboard.frames import overview as frames


def _table_html(table: pd.DataFrame, texts: dict[str, str]) -> str:
    """Table 1 as HTML; the best value of a column is bold."""
    head = "".join(
        f'<th scope="col"><abbr title="{escape(texts.get(name, ""))}" '
        f'style="text-decoration:none">{escape(frames.TABLE_1[name])}</abbr></th>'
        for name in table.columns
    )
    best = table.max()
    body = ""
    for method, row in table.iterrows():
        cells = "".join(
            f'<td class="{"best" if value == best[name] else ""}">'
            f"{'–' if pd.isna(value) else f'{value:.1f}'}</td>"
            for name, value in row.items()
        )
        label = escape(theme.METHOD_NAME.get(str(method), str(method)))
        body += f'<tr><th scope="row">{label}</th>{cells}</tr>'
    return (
        f'<div class="sm-table" tabindex="0"><table><thead><tr><th scope="col">Method</th>{head}'
        f"</tr></thead><tbody>{body}</tbody></table></div>"
    )


def show_table_1(metrics: pd.DataFrame) -> None:
    """SELF-ML beside the two baselines."""
    st.header("How good the labels predicted for new images are")
    table = frames.table_1(metrics)
    if table.empty:
        components.empty_state(
            "No comparison in this run",
            "Compare it with the two baselines by `selfml evaluate RUN`.",
        )
        return
    texts = frames.definitions(metrics)
    st.html(_table_html(table, texts))
    st.caption(
        "In percent, on verified images that no method was trained on; higher is better, the best "
        "is bold. Baseline 0 learned from the noisy labels alone, Baseline 1 was then fine-tuned "
        "on the verified ones."
    )
    with st.expander("What the columns mean"):
        for name in table.columns:
            st.markdown(f"**{frames.TABLE_1[name]}**: {texts.get(name, 'no definition given')}")
        components.download_csv(table.reset_index(), "table-1")


def show_others(metrics: pd.DataFrame) -> None:
    """Every other measure of the run, once somebody opens the drawer."""
    rest = frames.other_measures(metrics)
    if rest.empty:
        return

    def table() -> None:
        rest["method"] = [theme.METHOD_NAME.get(m, m) for m in rest["method"]]
        config = {
            "group": st.column_config.TextColumn("About"),
            "measure": st.column_config.TextColumn("Measure"),
            "method": st.column_config.TextColumn("Method"),
            "value": st.column_config.NumberColumn("Value", format="%.4g"),
            "definition": st.column_config.TextColumn("What it means", width="large"),
        }
        st.dataframe(rest, hide_index=True, column_config=config, key="measures")
        components.download_csv(rest, "measures")

    components.drawer("All other measures of this run", table, key="open_measures")
