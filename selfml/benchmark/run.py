"""``selfml benchmark``: every method, budget and seed once, kept as soon as it is done."""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from selfml.benchmark.acquisition import simulate
from selfml.benchmark.acquisition_strategies import STRATEGIES
from selfml.benchmark.methods import ACQUIRE, all_methods
from selfml.benchmark.prepare import Seed
from selfml.benchmark.problem import Method, Outcome
from selfml.benchmark.scores import score
from selfml.benchmark.store import NO_BUDGET, Results
from selfml.benchmark.tables import report
from selfml.config import Config, ConfigError, differences, load_recipe, to_toml
from selfml.data.dataset import DatasetError
from selfml.files import write_atomic
from selfml.metrics import mean_average_precision
from selfml.nn.fitting import stop_on_signals
from selfml.progress import Reporter
from selfml.training_data import TrainingData

TUNING_BUDGET = 500
ALL = 10**9
FIRST_VERIFIED = 50  # images verified before anything is chosen
VERIFIED = (50, 100, 200, 400, 800)


@dataclass(frozen=True)
class Plan:
    """What is to be run.

    Attributes
    ----------
    methods : tuple of str
    seeds : tuple of int
    budgets : tuple of str
        Numbers of clean images, or ``all``.
    """

    methods: tuple[str, ...]
    seeds: tuple[int, ...]
    budgets: tuple[str, ...]

    def cells(self, methods: Mapping[str, Method]) -> list[tuple[str, str]]:
        """(method, budget) of each seed; a method without clean labels has one, ``-``."""
        found = []
        for budget in self.budgets:
            for name in self.methods:
                if name == ACQUIRE:
                    continue
                cell = (name, budget if methods[name].needs_clean else NO_BUDGET)
                if cell not in found:
                    found.append(cell)
        return found


def parse_budgets(text: str) -> tuple[str, ...]:
    """``"50,200,all"`` -> ("50", "200", "all").

    Raises
    ------
    ValueError
        For anything but whole numbers of at least 10, and ``all``.
    """
    budgets = tuple(part.strip() for part in text.split(",") if part.strip())
    if not budgets or any(b != "all" and not (b.isdigit() and int(b) >= 10) for b in budgets):
        raise ValueError(
            f"--budgets: must be numbers of clean images of at least 10, or all, got {text!r}; "
            "e.g. 50,200,500,all"
        )
    return budgets


class Benchmark:
    """Runs a plan on a dataset; what is done already is not done again."""

    def __init__(self, root: str | Path, out: Path, config: Config, plan: Plan, reporter: Reporter):
        self.root, self.out, self.plan, self.reporter = root, out, plan, reporter
        self.config = replace(config, data=replace(config.data, clean_samples=ALL))
        self.results = Results(out)
        self.stop = threading.Event()
        self._check_out()

    def _check_out(self) -> None:
        stored = self.out / "config.toml"
        text = to_toml(self.config)
        if stored.exists() and stored.read_text(encoding="utf-8") != text:
            raise FileExistsError(
                f"--out: {self.out} has results of other settings; name a new folder"
            )
        self.out.mkdir(parents=True, exist_ok=True)
        stored.write_text(text, encoding="utf-8")

    def run(self, command: str = "") -> None:
        """All that is missing, then the tables; Ctrl-C saves where it was.

        Parameters
        ----------
        command : str
            What is shown in the tables as what made them.

        Raises
        ------
        DatasetError, ValueError
            In one line.
        Interrupted
            When stopped by Ctrl-C.
        """
        names = all_methods()
        commands = self._commands(command)
        with stop_on_signals(self.stop, quiet=self.reporter.quiet):
            for seed in self.plan.seeds:
                cells = self.plan.cells(names)
                done = all(self.results.has(name, budget, seed) for name, budget in cells)
                if done and ACQUIRE not in self.plan.methods:
                    continue
                self._run_seed(seed, cells)
        self.results.write()
        self._write_tables(commands)

    def _commands(self, command: str) -> list[str]:
        """Every command that has worked on these results, this one last where it is new."""
        path = self.out / "commands.txt"
        before = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        found = list(dict.fromkeys([*before, *[command] * bool(command)]))
        write_atomic(path, "".join(f"{line}\n" for line in found).encode())
        return found

    def _write_tables(self, commands: Sequence[str]) -> None:
        tuned = self.out / "tuned.json"
        chosen = json.loads(tuned.read_text(encoding="utf-8")) if tuned.exists() else {}
        parts = [Path(self.root).name, f"recipe {self.config.recipe}", *self._settings()]
        notes = [
            f"tuned on validation images: {name} {of['settings']}" for name, of in chosen.items()
        ]
        text = report(
            self.results.frame(),
            {name: method.title for name, method in all_methods().items()},
            heading=", ".join(parts),
            commands=commands,
            date=f"{datetime.now(UTC):%Y-%m-%d}",
            notes=notes,
        )
        (self.out / "RESULTS.md").write_text(text, encoding="utf-8")
        self._write_figures()

    def _settings(self) -> list[str]:
        """Where the settings leave their recipe, but for what the plan decides."""
        try:
            recipe = load_recipe(self.config.recipe)
        except ConfigError:  # a file's recipe, whose path is not kept
            return []
        planned = ("data.clean_samples=", "seed=")
        found = differences(self.config, recipe)
        return [setting for setting in found if not setting.startswith(planned)]

    def _write_figures(self) -> None:
        try:
            from selfml.benchmark.figures import write_figures
        except ImportError:  # a bare GPU machine has no plotly
            self.reporter.say("note: no figures, as plotly is not installed; pip install plotly")
            return
        attributes = self.out / "work" / f"seed-{self.plan.seeds[0]}" / "attributes.parquet"
        if attributes.exists():
            table = pd.read_parquet(attributes).set_index("name")
            titles = {name: method.title for name, method in all_methods().items()}
            frame, prevalence = self.results.frame(), table["prevalence_given"]
            write_figures(frame, prevalence, self.out / "figures", titles=titles)

    def _run_seed(self, seed: int, cells: Sequence[tuple[str, str]]) -> None:
        folder = self.out / "work" / f"seed-{seed}"
        prepared = Seed(
            self.root,
            replace(self.config, seed=seed),
            folder,
            reporter=self.reporter,
            stop=self.stop,
            maps_from=self.out / "work" / f"seed-{self.plan.seeds[0]}",
        )
        check_truth(prepared.data, self.plan.methods)
        methods = all_methods(prepared.data.true)
        tuned = self._tuned(prepared, methods)
        for name, budget in cells:
            if self.results.has(name, budget, seed):
                continue
            self.reporter.say(f"{name}, {budget} clean, seed {seed}")
            data = prepared.data_of(None if budget in ("all", NO_BUDGET) else int(budget))
            started = time.monotonic()
            with prepared.problem(data, f"{name}-{budget}") as problem:
                outcome = methods[name].run(problem, **tuned.get(name, {}))
            seconds = time.monotonic() - started
            rows = [*measure(outcome, prepared.data), ("seconds", seconds)]
            self.results.add(name, budget, seed, rows)
        if ACQUIRE in self.plan.methods:
            self._acquire(prepared, seed)
        if seed != self.plan.seeds[0]:
            shutil.rmtree(folder)

    def _acquire(self, prepared: Seed, seed: int) -> None:
        """Which images of C_train to verify next: every strategy from the same few on."""
        data = prepared.data
        pool = data.splits.clean_train
        rng = np.random.default_rng([seed, 19])
        start = rng.choice(pool, min(FIRST_VERIFIED, len(pool)), replace=False)
        budgets = [b for b in VERIFIED if len(start) <= b < len(pool)] + [len(pool)]
        for strategy in STRATEGIES:
            name = f"{ACQUIRE}/{strategy}"
            if all(self.results.has(name, b, seed) for b in budgets):
                continue
            self.reporter.say(f"{name}, seed {seed}")
            frame = simulate(
                *(
                    prepared.features,
                    data.given,
                    data.true,
                    start,
                    pool,
                    data.splits.clean_test,
                ),
                *(budgets, [strategy], seed, data.dataset.categories),
            )
            for budget, rows in frame.groupby("budget"):
                found = zip(rows["metric"], 100 * rows["value"], strict=True)
                self.results.add(name, int(budget), seed, list(found))

    def _tuned(self, seed: Seed, methods: Mapping[str, Method]) -> dict[str, dict[str, Any]]:
        """Each method's setting with the best MAP on validation images, chosen once.

        The first seed learns from ``TUNING_BUDGET`` clean images (two thirds where there are
        fewer than 1.5 times as many), and the other images of C_train validate. Test images play
        no part. Where fewer than 30 would validate, every method has its first setting.
        """
        path = self.out / "tuned.json"
        tuned = json.loads(path.read_text()) if path.exists() else {}
        pool = seed.data.splits.clean_train
        budget = min(TUNING_BUDGET, 2 * len(pool) // 3)
        data = seed.data_of(budget)
        validation = np.setdiff1d(pool, data.splits.clean_train)
        data = seed.data_of(budget, exclude=validation)
        for name in (name for name in self.plan.methods if name != ACQUIRE):
            grid = methods[name].grid
            if name in tuned or len(grid) == 1 or len(validation) < 30:
                continue
            values = []
            for k, settings in enumerate(grid):
                self.reporter.say(f"tuning {name}: {settings or 'as published'}")
                with seed.problem(data, f"tune-{name}-{k}") as problem:
                    outcome = methods[name].run(problem, **settings)
                values.append(_validation_map(outcome, seed.data, validation))
            best = int(np.argmax(values))
            tuned[name] = {"settings": dict(grid[best]), "validation_map": values}
            temporary = path.with_suffix(".tmp")
            temporary.write_text(json.dumps(tuned, indent=1))
            os.replace(temporary, path)
        return {name: found["settings"] for name, found in tuned.items()}


def _validation_map(outcome: Outcome, data: TrainingData, rows: np.ndarray) -> float:
    scores = outcome.label_score if outcome.probabilities is None else outcome.probabilities
    return 100 * mean_average_precision(scores[rows], data.dataset.labels_verified[rows])


def measure(outcome: Outcome, data: TrainingData) -> list[tuple[str, float]]:
    """Metrics of an outcome on the test images and on the noisy ones whose truth is known.

    All unverified images count as noisy, whatever the budget, so that budgets are measured on
    the same images.
    """
    noisy = np.flatnonzero(~data.dataset.is_clean)
    test, names = data.splits.clean_test, data.dataset.attributes
    rows = score(outcome, data.given, data.true, test, noisy, names)
    for prefix, scores in outcome.label_scores.items():
        part = score(Outcome(label_score=scores), data.given, data.true, test, noisy, names)
        rows += [(f"{prefix}/{name}", value) for name, value in part]
    return rows


def check_truth(data: TrainingData, methods: Sequence[str]) -> None:
    """Refuse the oracle where nothing but C is verified.

    Raises
    ------
    DatasetError
        When ``oracle`` is asked for and there is no truth.csv.
    """
    if "oracle" in methods and data.dataset.labels_truth is None:
        raise DatasetError("--methods: oracle needs truth.csv; leave it out")
