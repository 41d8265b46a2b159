"""What is measured on the tiny run: tables that hang together, or are made up where they must."""

from __future__ import annotations

import numpy as np
import pandas as pd

from selfml.faithfulness import COLUMNS
from selfml.run_format import METHODS
from tests.tiny_world import World

TABLE_1 = {
    "precision_at_k": (68.2, 83.8, 86.3),
    "recall_at_k": (57.7, 83.9, 86.8),
    "f1_at_k": (56.3, 83.8, 86.3),
    "ap_all": (75.0, 87.3, 89.5),
    "map": (65.7, 70.9, 75.0),
    "jaccard": (29.6, 74.9, 78.8),
    "exact_match": (1.6, 41.7, 50.0),
}


def metrics_table(world: World, corrected: np.ndarray, flips: pd.DataFrame) -> pd.DataFrame:
    """Table 1 with the paper's figures; what is about labels and flips is counted."""
    rows = [
        (method, name, values[i], f"{name} on the verified test images, in %")
        for name, values in TABLE_1.items()
        for i, method in enumerate(METHODS)
    ]
    known = (world.verified >= 0) & (world.given >= 0)
    before = 100 * float((world.given == world.verified)[known].mean())
    after = 100 * float((corrected == world.verified)[known].mean())
    judged = flips[flips["truth"] >= 0]
    precision = 100 * float((judged["corrected"] == judged["truth"]).mean())
    counts = np.diff(world.coefficients.indptr)
    own = {
        "label_accuracy_before": (before, "given labels that equal the verified ones, in %"),
        "label_accuracy_after": (after, "corrected labels that equal the verified ones, in %"),
        "residual_noise_before": (100 - before, "given labels that are wrong, in %"),
        "residual_noise_after": (100 - after, "corrected labels that are wrong, in %"),
        "flip_precision": (precision, "flips that agree with the verified label, in %"),
        "atoms_used": (len(world.atoms) - 1.0, "basis images with a coefficient above .05"),
        "nonzeros_per_image": (float(counts.mean()), "basis images an image is made of"),
        "self_coefficient": (0.9, "mean share of a basis image in itself"),
        "r2": (81.0, "explained variance of the features by the reconstruction, in %"),
        "r2_hull": (84.0, "explained variance by the best convex combination, in %"),
        "r2_pca": (88.0, "explained variance by as many principal components less one, in %"),
    }
    rows += [("self_ml", name, value, text) for name, (value, text) in own.items()]
    return pd.DataFrame(rows, columns=["method", "metric", "value", "definition"])


def attribute_metrics_table(
    world: World, flips: pd.DataFrame, rng: np.random.Generator
) -> pd.DataFrame:
    """Made-up gains; flips are counted."""
    rows = []
    support = ((world.verified == 1) & (world.split == 3)[:, None]).sum(axis=0)
    for j in range(world.truth.shape[1]):
        base = float(rng.uniform(40, 80))
        for step, method in enumerate(METHODS):
            ap = base + 6.0 * step
            rows.append((j, method, "ap", ap, ap - 5, ap + 5, support[j]))
        gain = float(rng.uniform(-2, 12))
        rows.append((j, "self_ml", "ap_gain", gain, gain - 3, gain + 3, support[j]))
        mine = flips[flips["attribute_index"] == j]
        for label in (0, 1):
            part = mine[mine["corrected"] == label]
            rows.append((j, "self_ml", f"flips_to_{label}", len(part), None, None, len(part)))
            judged = part[part["truth"] >= 0]
            right = 100 * (judged["truth"] == label).mean() if len(judged) else None
            name = f"flip_precision_to_{label}"
            rows.append((j, "self_ml", name, right, None, None, len(judged)))
    columns = ["attribute_index", "method", "metric", "value", "low", "high", "support"]
    return pd.DataFrame(rows, columns=columns)


def coverage_table(n_atoms: int) -> pd.DataFrame:
    """Curves that rise to the run's explained variance; made up, as Table 1 is."""
    last = {"learned": 81.0, "hull": 84.0, "farthest": 80.0, "pca": 88.0}
    sizes = sorted({1, max(1, n_atoms // 2), n_atoms})
    rows = [(c, k, v - 30 * (1 - k / n_atoms), 18) for c, v in last.items() for k in sizes]
    return pd.DataFrame(rows, columns=["curve", "n_atoms", "value", "n_images"])


def stability_table() -> pd.DataFrame:
    """What training measures with the model."""
    rows = [
        ("stability_jaccard", "", 61.0, 40),
        ("stability_l1", "", 0.42, 40),
        ("stability_top", "", 85.0, 40),
        ("stability_flips", "full", 91.0, 60),
        ("stability_flips", "strict", 88.0, 50),
    ]
    frame = pd.DataFrame(rows, columns=["measure", "evidence", "value", "n"])
    return frame.assign(explanation="changed", k=0, attribute_index=-1)[list(COLUMNS)]
