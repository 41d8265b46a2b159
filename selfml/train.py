"""Train the three methods of the paper's Table 1 on a dataset folder, into a run directory."""

from __future__ import annotations

import shutil
from pathlib import Path

import keras
import pandas as pd

from selfml.config import Config, to_toml
from selfml.coverage import measure_coverage
from selfml.data.dataset import Dataset, DatasetError
from selfml.decided import keep_decisions
from selfml.evaluate import evaluate, store
from selfml.faithfulness_measures import measure_faithfulness
from selfml.files import clear_unfinished
from selfml.maps import MapsUnavailable, write_maps
from selfml.nn.devices import shared_by
from selfml.nn.fitting import Interrupted, Session, stop_on_signals
from selfml.progress import Reporter
from selfml.run import Run, RunWriter
from selfml.run_start import check_out, origin, plan
from selfml.stages import EXPLAINER_BATCH, Training
from selfml.training_data import prepare


def train(
    root: str | Path,
    out: str | Path,
    config: Config,
    *,
    resume: bool = False,
    decided: pd.DataFrame | None = None,
    dataset: Dataset | None = None,
    reporter: Reporter | None = None,
) -> Path:
    """Train all three methods on a dataset folder and write a run.

    Parameters
    ----------
    resume : bool
        Continue an interrupted run of the same configuration; else ``out`` must be new or empty.
    decided : DataFrame, optional
        Labels that people decided on (`selfml.decided.read_decisions`), which SELF-ML learns from;
        the baselines do not. A resumed run goes on with those that it began with, and refuses
        others.
    dataset : Dataset, optional
        What `selfml.data.dataset.read_dataset` gave of ``root``, where it was read already.

    Raises
    ------
    DatasetError, BackboneError, FileExistsError, ValueError
        In one line each.
    Interrupted
        When stopped by Ctrl-C, after saving what ``resume`` continues.
    """
    out = Path(out)
    check_out(out, config, resume)
    clear_unfinished(out)
    continues = resume and (out / "config.toml").exists()
    session = Session(config, RunWriter(out), reporter or Reporter())
    keep_decisions(session.writer, decided, continues=continues)
    session.writer.write_text("config.toml", to_toml(config))
    session.writer.update(
        status="running",
        stopped=False,
        seed=config.seed,
        recipe=config.recipe,
        stages=plan(config),
        **origin(),
    )
    if config.train.mixed_precision:
        keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        shared = shared_by(config.train.devices, config.train.batch_size, sum(EXPLAINER_BATCH))
        with stop_on_signals(session.stop, quiet=session.reporter.quiet), shared:
            data = prepare(session, root, dataset)
            Training(session, data).run()
            _finish(session)
    except Interrupted:
        session.writer.update(stopped=True)  # by somebody; a killed one cannot say so
        raise
    except (DatasetError, ValueError) as error:
        session.writer.update(status="failed", message=str(error))
        raise
    finally:
        keras.mixed_precision.set_global_policy("float32")
    shutil.rmtree(session.work)
    session.writer.update(status="complete", stage="complete", message="")
    return out


def _finish(session: Session) -> None:
    """Measures and maps, from the files of the run alone."""
    run = Run(session.writer.path)
    store(run, *evaluate(run), measure_coverage(run), measure_faithfulness(run))
    if session.config.maps.enabled:
        try:
            seed, n = session.config.seed, session.config.maps.max_images
            write_maps(run, seed=seed, max_images=n, reporter=session.reporter)
        except MapsUnavailable as error:
            session.reporter.say(f"note: no maps; {error}")
