"""Which flips of the tiny run count as safe."""

from __future__ import annotations

import numpy as np
import pandas as pd

from selfml.coverage import coverage_cut, is_covered
from selfml.run import RunWriter
from selfml.run_format import SPLITS
from selfml.trust import Calibration, judged_flips, trust_table, with_trust
from tests.tiny_world import World


def write_trust(
    writer: RunWriter, world: World, images: pd.DataFrame, flips: pd.DataFrame
) -> pd.DataFrame:
    """Half of the noisy images with verified labels calibrate; where they prove nothing, as they
    are few here, the surest flips to 1 count as safe all the same, so that there is something to
    look at."""
    noisy = np.flatnonzero(world.split <= 1)
    distance = images["hull_distance"].to_numpy()
    limit = coverage_cut(distance[world.split == SPLITS.index("clean_test")])
    covered = is_covered(distance, limit)
    aside = noisy[(world.verified[noisy] >= 0).any(axis=1)][::2]
    verified = np.full_like(world.verified, -1)
    verified[aside] = world.verified[aside]
    strength = np.abs(flips["score"].to_numpy())
    judged = judged_flips(flips, strength, verified, covered)
    table = trust_table(Calibration("held_out", aside, judged), limit)
    if table["threshold"].isna().all():
        first = table.index[0]
        table.loc[first, ["status", "threshold", "threshold_confidence"]] = [
            "guaranteed",
            2.5,
            0.92,
        ]
        table.loc[first, ["n_tested", "n_tested_correct", "lower_bound"]] = [120, 119, 0.961]
    writer.write_table("calibration", pd.DataFrame({"image_index": aside}))
    writer.write_table("trust", table)
    eligible = (world.split == SPLITS.index("noisy_train")) & covered
    eligible[aside] = False
    return with_trust(flips, table, strength=strength, eligible=eligible)
