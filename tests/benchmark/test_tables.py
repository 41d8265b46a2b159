"""The report of a made frame: every number worked by hand."""

import numpy as np
import pandas as pd
import pytest

from selfml.benchmark.store import COLUMNS, empty_frame
from selfml.benchmark.summary import Summary, budget_order, by_atoms
from selfml.benchmark.tables import report
from selfml.metrics import HEADLINE

TITLES = {
    "baseline_0": "Baseline 0",
    "baseline_1": "Baseline 1",
    "self_ml": "SELF-ML",
    "oracle": "Oracle",
}


def frame_of(*rows):
    """(method, budget, metric, values of seeds 0, 1, ...; None: no row)."""
    cells = [
        (method, budget, seed, metric, value)
        for method, budget, metric, values in rows
        for seed, value in enumerate(values)
        if value is not None
    ]
    return pd.DataFrame(cells, columns=list(COLUMNS)).astype(COLUMNS)


MADE = frame_of(
    ("oracle", "-", "map", [80, 82]),
    ("self_ml", "500", "map", [70, 74]),
    ("self_ml", "all", "map", [75, np.nan]),
    ("baseline_1", "500", "map", [66, 68]),
    ("baseline_0", "-", "map", [50, 52]),
    ("self_ml", "500", "map_rare", [30, 32]),
    ("baseline_1", "500", "map_rare", [33, 31.5]),
    ("self_ml", "500", "seconds", [30, 20]),
    ("baseline_1", "500", "seconds", [20, 10]),
    ("self_ml", "500", "label_accuracy_noisy", [96, 97]),
    ("baseline_1", "500", "label_accuracy_noisy", [95, 95]),
    ("self_ml", "500", "flip_f1_strict", [77, 78]),
    ("baseline_1", "500", "label_accuracy_given_noisy", [91, 92]),
)


def made(frame=MADE, titles=TITLES, **how):
    return report(frame, titles, **{"heading": "Photos", "commands": [], "date": "today"} | how)


def table(text, heading):
    """Rows of the first table under a heading: first cell -> {column: cell}."""
    lines = text.split(f"# {heading}\n", 1)[1].strip().splitlines()
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split(" | ")])
    assert set("".join(rows[1])) <= set("-: ")
    assert {len(row) for row in rows} == {len(rows[0])}
    return {row[0]: dict(zip(rows[0][1:], row[1:], strict=True)) for row in rows[2:]}


def section(text, budget):
    return text.split(f"\n## {budget}\n", 1)[1].split("\n## ")[0]


def test_heading_commands_and_notes():
    text = made(commands=["selfml benchmark x", "y"], notes=["one GPU", "two"])
    assert text.startswith(
        "# Photos\n\ntoday\n\n```\nselfml benchmark x\ny\n```\n\n- one GPU\n- two"
    )
    assert "```" not in made()
    assert text.endswith("|\n")
    assert "nan" not in text.lower().split()


def test_table_1_has_means_deviations_and_the_best_in_bold():
    found = table(section(made(), "500 clean images"), "Table 1")
    assert list(found) == list(TITLES.values())
    assert len(found["SELF-ML"]) == len(HEADLINE) + 1
    assert found["SELF-ML"]["MAP"] == "**72.0 ± 2.8**"  # (70, 74): 4 / sqrt(2)
    assert found["Oracle"]["MAP"] == "81.0 ± 1.4"
    assert found["Baseline 1"]["MAP"] == "67.0 ± 1.4"
    assert found["Baseline 0"]["MAP"] == "51.0 ± 1.4"  # its one budget stands in every one
    assert found["SELF-ML"]["AP_all"] == "-"
    assert found["SELF-ML"]["seeds"] == "2"


def test_what_looks_equal_is_bold_alike():
    frame = frame_of(("a", "50", "map", [70.01]), ("b", "50", "map", [70.04]))
    found = table(made(frame, {}), "Table 1")
    assert [found[name]["MAP"] for name in "ab"] == ["**70.0**"] * 2


def test_budgets_come_largest_first_and_nan_is_missing():
    text = made()
    assert text.index("## All clean images") < text.index("## 500 clean images")
    found = table(section(text, "All clean images"), "Table 1")
    assert found["SELF-ML"] == dict.fromkeys(found["SELF-ML"], "-") | {
        "MAP": "**75.0**",
        "seeds": "1",
    }
    assert "Baseline 1" not in found
    assert "## Without clean images" in made(frame_of(("baseline_0", "-", "map", [50])))
    assert sorted(["all", "50", "-", "1000"], key=budget_order) == ["-", "50", "1000", "all"]


def test_labels_of_noisy_and_test_images():
    text = section(made(), "500 clean images")
    noisy = table(text, "Labels of N")
    assert list(noisy) == ["as given", "Baseline 1", "SELF-ML"]
    assert noisy["as given"]["label accuracy"] == "91.5 ± 0.7"
    assert noisy["SELF-ML"]["label accuracy"] == "**96.5 ± 0.7**"
    assert noisy["SELF-ML"]["label MAP"] == "-"
    test = table(text, "Labels of test")
    assert test == {
        "SELF-ML": {
            "label accuracy": "-",
            "flip F1": "-",
            "label accuracy, strict": "-",
            "flip F1, strict": "**77.5 ± 0.7**",
            "label MAP": "-",
        }
    }


def test_differences_are_paired():
    text = section(made(), "500 clean images")
    found = table(text, "SELF-ML minus Baseline 1 in the same seed")
    assert found["MAP"] == {"mean": "+5.0 ± 1.4", "seed 0": "+4.0", "seed 1": "+6.0"}
    assert found["AP of rare attributes"] == {
        "mean": "-1.2 ± 2.5",  # (-3, .5): mean -1.25, rounded to even
        "seed 0": "-3.0",
        "seed 1": "+0.5",
    }
    assert found["label accuracy, N"]["mean"] == "+1.5 ± 0.7"
    assert "minus" not in section(made(), "All clean images")


def test_only_seeds_of_both_are_paired():
    frame = frame_of(
        ("self_ml", "50", "map", [70, 71, None]),
        ("baseline_1", "50", "map", [None, 70, 60]),
    )
    found = table(made(frame), "SELF-ML minus Baseline 1 in the same seed")
    assert found["MAP"] == {"mean": "+1.0", "seed 0": "-", "seed 1": "+1.0", "seed 2": "-"}


def test_gap_closed_rare_attributes_and_time():
    text = section(made(), "500 clean images")
    found = {
        k: list(v.values()) for k, v in table(text, "Gap closed, rare attributes, time").items()
    }
    # of means: (72 - 51) / (81 - 51) = 70 %, (72 - 67) / (81 - 67) = 36 %; time 1.5 and 2
    assert found["SELF-ML"] == ["70", "36", "31.0 ± 1.4", "1.75 ± 0.35"]
    assert found["Baseline 1"] == ["53", "0", "**32.2 ± 1.1**", "1.00 ± 0.00"]
    assert found["Baseline 0"] == ["0", "-114", "-", "-"]
    assert found["Oracle"] == ["100", "100", "-", "-"]


def test_gap_closed_is_of_common_seeds_only():
    frame = frame_of(
        ("baseline_0", "-", "map", [50, 0]),
        ("self_ml", "50", "map", [60, None]),
        ("oracle", "-", "map", [70, 100]),
    )
    assert Summary(frame).share("self_ml", "baseline_0", "oracle", "50", "map") == 0.5
    assert np.isnan(Summary(frame).share("self_ml", "baseline_1", "oracle", "50", "map"))
    assert Summary(frame).ratio("self_ml", "baseline_0", "50", "map").to_dict() == {0: 1.2}


def test_atoms_are_read_as_strict_evidence():
    frame = frame_of(
        ("self_ml_atoms", "500", "atoms/100/label_accuracy_noisy", [95.7]),
        ("self_ml_atoms", "500", "atoms/40/label_accuracy_noisy", [95.5]),
        ("self_ml_atoms", "500", "atoms/40/flip_f1_strict", [75]),
        ("self_ml_atoms", "500", "atoms/40/full/flip_f1_noisy", [78]),
        ("self_ml_atoms", "500", "atoms/40/nonzeros_per_image", [6.1]),
        ("self_ml_atoms", "500", "atoms/100/nonzeros_per_image", [6.2]),
    )
    text = made(frame, {"self_ml_atoms": "By atoms"})
    found = table(text, "By atoms: 500 clean images")
    assert list(found) == ["40", "100"]
    assert found["40"]["label accuracy, strict, N"] == "95.5"
    assert found["100"]["label accuracy, strict, N"] == "**95.7**"
    assert found["40"]["flip F1, strict, test"] == "**75.0**"
    assert found["40"]["flip F1, full, N"] == "**78.0**"
    assert found["100"]["non-zeros per image"] == "6.2"  # no merit, so never bold
    assert by_atoms(frame)["atoms"].tolist() == [100, 40, 40, 40, 40, 100]


def test_acquisition_is_a_table_of_its_own():
    frame = frame_of(
        ("acquire/random", "50", "map", [60, 62]),
        ("acquire/doubt", "50", "map", [64, 64]),
        ("acquire/random", "200", "map", [65]),
        ("acquire/random", "200", "flip_f1_noisy", [70]),
    )
    text = made(frame, {"acquire/doubt": "least sure"})
    assert "### Table 1" not in text
    rows = [line for line in text.splitlines() if line.startswith("|")][2:]
    assert [row.split(" | ")[:3] for row in rows] == [
        ["| least sure", "50", "**64.0 ± 0.0**"],
        ["| random", "50", "61.0 ± 1.4"],
        ["| random", "200", "**65.0**"],
    ]
    assert "acquire" not in made(pd.concat([MADE, frame])).split("## Which")[0]


@pytest.mark.parametrize("frame", [empty_frame(), pd.DataFrame(columns=list(COLUMNS))])
def test_an_empty_frame_says_so(frame):
    assert made(frame).endswith("No results yet.\n")


def test_a_frame_of_nan_says_so():
    assert "No results yet." in made(frame_of(("self_ml", "50", "map", [np.nan])))


def test_a_bar_in_a_title_stays_in_its_cell():
    text = made(frame_of(("a", "50", "map", [1])), {"a": "A|B"})
    assert "| A\\|B |" in text


def test_a_method_with_fewer_seeds_is_never_the_best():
    frame = frame_of(
        ("self_ml", "500", "map", [80, 82, 84]),
        ("baseline_1", "500", "map", [78, 79, 80]),
        ("self_ml_strict", "500", "map", [90]),
    )
    text = made(frame, {})
    assert "**82.0" in text
    assert "90.0" in text
    assert "**90.0" not in text
