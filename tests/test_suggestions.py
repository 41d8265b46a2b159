"""What to verify next, held to what the benchmark measured."""

from __future__ import annotations

import numpy as np
import pytest

from selfml import suggestions
from selfml.benchmark.acquisition_strategies import STRATEGIES, Pool

TABLE = """## Which images to verify

| chosen by | clean images | MAP | AP_all | flip F1, test |
| --- | ---: | ---: | ---: | ---: |
| random | 50 | 60.0 ± 1.0 | - | **70.0 ± 1.0** |
| uncertain | 50 | 60.0 ± 1.0 | - | **70.0 ± 1.0** |
| random | 1,100 | 61.0 | - | 75.0 ± 3.0 |
| uncertain | 1,100 | 62.0 | - | **76.5 ± 4.0** |

## Another table
| random | 9 | 1 | 1 | 1 |
"""


def test_entropy_by_hand():
    p = np.array([[0.5, 0.5], [0.0, 1.0], [0.5, 1.0]])
    np.testing.assert_allclose(suggestions.mean_entropy(p), np.log(2) * np.array([1, 0, 0.5]))
    assert suggestions.most_uncertain(p, 2).tolist() == [0, 2]
    assert suggestions.most_uncertain(p[:0], 2).tolist() == []


def test_the_table_is_read_and_compared_with_chance():
    table = suggestions.simulation(TABLE)
    assert len(table) == 8  # AP_all was not measured
    gains = suggestions.against_chance(table)
    assert gains["budget"].tolist() == [1100]  # nothing had been chosen at 50
    assert gains["gain"].tolist() == [1.5]
    assert gains["spread"].tolist() == [5.0]  # 3, 4, 5
    assert suggestions.winner(table) == "uncertain"


@pytest.mark.parametrize("text", ["", "# Results", suggestions.HEADING, TABLE[:60]])
def test_without_a_table_nothing_is_claimed(text):
    table = suggestions.simulation(text)
    assert table.empty
    assert suggestions.against_chance(table).empty
    assert suggestions.winner(table) == ""


def test_what_is_suggested_is_what_won():
    """The committed benchmark decides; if it changes its mind, this must be changed with it."""
    table = suggestions.simulation(suggestions.RESULTS.read_text(encoding="utf-8"))
    assert set(table["strategy"]) == set(STRATEGIES)
    assert suggestions.winner(table) == suggestions.SUGGEST_BY


def test_the_dashboard_and_the_simulation_choose_alike():
    p = np.random.default_rng(0).random((30, 4))
    pool = Pool(np.zeros((30, 2)), np.zeros((1, 2)), p)
    chosen = STRATEGIES[suggestions.SUGGEST_BY](pool, 7, np.random.default_rng(1))
    assert chosen.tolist() == suggestions.most_uncertain(p, 7).tolist()
