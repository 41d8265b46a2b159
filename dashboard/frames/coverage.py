"""How far the basis covers the images: the cut, groups, uncovered images and what to label next.

"Uncovered" is what `selfml.coverage.is_covered` is not: farther from the hull of the basis than
95 % of the verified test images. Images shown as basis images are left out of every count here:
they lie at distance 0 of their own hull and would make it look better than it is.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from selfml.coverage import FALSE_ALARM, coverage_cut, is_covered
from selfml.flips import corrected_probabilities
from selfml.intervals import wilson_interval
from selfml.run import Run
from selfml.suggestions import highest, mean_entropy

N_BINS = 40
NO_CATEGORY = "no category"
REFERENCE = "clean_test"
CURVE_COLUMNS = ["curve", "n_atoms", "value", "n_images"]
SPLITS = {
    "noisy_train": "Noisy, trained on",
    "noisy_test": "Noisy, kept aside",
    "clean_train": "Verified, trained on",
    "clean_test": "Verified, kept aside",
}
CHUNK = 16_384  # rows whose evidence is added up at once
DOUBTS = 3  # attributes named as the reason for a suggestion


def curves(run: Run, modified_ns: int = 0) -> pd.DataFrame:
    """curve, n_atoms, value (%), n_images; no rows where the run was never measured.

    ``modified_ns`` only tells a cache that the table has been written again.
    """
    if not run.has("coverage"):
        return pd.DataFrame(columns=CURVE_COLUMNS)
    return run.table("coverage")


def images(run: Run) -> pd.DataFrame:
    """One row an image, at row image_index.

    Returns
    -------
    DataFrame
        image_index, image_id, category, split, hull_distance, is_basis (shown as a basis image),
        uncovered, times_cut (distance over the cut; NaN where there
        is no cut) and n_flips.
    """
    columns = ["image_index", "image_id", "category", "split", "hull_distance"]
    frame = run.table("images", columns)
    frame["category"] = frame["category"].fillna(NO_CATEGORY)
    atoms = run.table("basis", ["image_index"])["image_index"]
    distance = frame["hull_distance"].to_numpy(np.float64)
    reference = (frame["split"] == REFERENCE).to_numpy()
    line = coverage_cut(distance[reference])
    n_flips = np.zeros(len(frame), np.int64)
    if run.has("flips"):
        changed = run.table("flips", ["image_index"])["image_index"].to_numpy()
        n_flips = np.bincount(changed, minlength=len(frame))
    return frame.assign(
        is_basis=frame["image_index"].isin(atoms),
        uncovered=~is_covered(distance, line) & np.isfinite(distance),
        times_cut=distance / line if np.isfinite(line) and line > 0 else np.nan,
        n_flips=n_flips,
    )


def cut(run: Run) -> float:
    """The hull distance beyond which an image is uncovered; ``inf`` where there is none."""
    frame = run.table("images", ["split", "hull_distance"])
    return coverage_cut(frame["hull_distance"][frame["split"] == REFERENCE])


def summary(run: Run) -> dict[str, float]:
    """n (images outside the basis with a distance), uncovered, share (0..1), n_reference, cut."""
    frame = images(run)
    part = frame[~frame["is_basis"] & np.isfinite(frame["hull_distance"])]
    reference = np.isfinite(frame["hull_distance"]) & (frame["split"] == REFERENCE)
    n, n_out = len(part), int(part["uncovered"].sum())
    return {
        "n": n,
        "uncovered": n_out,
        "share": n_out / n if n else float("nan"),
        "n_reference": int(reference.sum()),
        "cut": cut(run),
        "expected": FALSE_ALARM,
    }


def distance_bins(run: Run) -> pd.DataFrame:
    """low, high, n, reference: hull distances in equal bins, one edge of which is the cut.

    ``reference`` counts the verified test images, scaled to the same total as ``n``.
    """
    frame = images(run)
    known = np.isfinite(frame["hull_distance"])
    all_ = frame["hull_distance"][known & ~frame["is_basis"]].to_numpy(np.float64)
    columns = ["low", "high", "n", "reference"]
    if not len(all_):
        return pd.DataFrame({c: np.array([], np.float64) for c in columns})
    low, high, line = all_.min(), all_.max(), cut(run)
    width = max(high - low, 1e-9) / N_BINS
    if np.isfinite(line):
        low = line - np.ceil((line - low) / width - 1e-9) * width
    n_bins = max(1, int(np.ceil((high - low) / width - 1e-9)))
    edges = low + width * np.arange(n_bins + 1)
    edges[-1] = max(edges[-1], high)
    test = frame["hull_distance"][known & (frame["split"] == REFERENCE)].to_numpy(np.float64)
    n = np.histogram(all_, edges)[0]
    reference = np.histogram(test, edges)[0] * (len(all_) / max(len(test), 1))
    return pd.DataFrame({"low": edges[:-1], "high": edges[1:], "n": n, "reference": reference})


def groups(run: Run, by: str) -> pd.DataFrame:
    """How well each category or attribute is covered, worst first.

    Parameters
    ----------
    by : {"category", "attribute", "split"}
        An image belongs to an attribute that its corrected labels say it has.

    Returns
    -------
    DataFrame
        key (category or split, or attribute_index as text), name, n (images outside the basis),
        uncovered, share, low, high (0..1, 95 % Wilson interval), median (hull distance).

    Raises
    ------
    ValueError
        On another ``by``.
    """
    frame = images(run)
    keep = (~frame["is_basis"] & np.isfinite(frame["hull_distance"])).to_numpy()
    if by in ("category", "split"):
        names = frame[by].to_numpy(object)
        parts = [(c, SPLITS.get(c, c), keep & (names == c)) for c in sorted(set(names[keep]))]
    elif by == "attribute":
        labels = np.asarray(run.array("labels_corrected")) if keep.any() else None
        parts = [
            (str(j), name, keep & (labels[:, j] == 1))
            for j, name in enumerate(run.attributes if labels is not None else ())
        ]
    else:
        raise ValueError(f"by: must be category, attribute or split, got {by!r}")
    distance, out = frame["hull_distance"].to_numpy(np.float64), frame["uncovered"].to_numpy()
    rows = [
        (key, name, int(m.sum()), int(out[m].sum()), float(np.median(distance[m])))
        for key, name, m in parts
        if m.any()
    ]
    table = pd.DataFrame(rows, columns=["key", "name", "n", "uncovered", "median"])
    if table.empty:
        return table.assign(share=0.0, low=0.0, high=0.0)
    low, high = wilson_interval(table["uncovered"], table["n"])
    table = table.assign(share=table["uncovered"] / table["n"], low=low, high=high)
    order = ["share", "n", "key"]
    return table.sort_values(order, ascending=[False, False, True], ignore_index=True)


def uncovered_images(
    run: Run, category: str | None = None, attribute: int | None = None
) -> pd.DataFrame:
    """Rows of :func:`images` that are uncovered, farthest first, of a category and an attribute."""
    frame = images(run)
    keep = (frame["uncovered"] & ~frame["is_basis"]).to_numpy()
    if category:
        keep = keep & (frame["category"] == category).to_numpy()
    if attribute is not None:
        keep = keep & (np.asarray(run.array("labels_corrected")[:, attribute]) == 1)
    part = frame[keep].sort_values(["hull_distance", "image_index"], ascending=[False, True])
    return part.drop(columns=["is_basis", "uncovered"]).reset_index(drop=True)


def label_next(run: Run, n: int = 200) -> pd.DataFrame:
    """Unverified images whose labels are least certain, least certain first.

    The choice is that of `selfml.suggestions`: mean entropy of the labels by full evidence.

    Returns
    -------
    DataFrame
        rank (from 1), image_index, image_id, category, entropy (nats), expected_wrong (sum over
        attributes of min(p, 1 - p): labels expected to be wrong), doubts (attributes nearest to
        even, with the probability that the image has them), uncovered, n_flips.
    """
    frame = images(run)
    verified = frame["split"].str.startswith("clean").to_numpy() | frame["is_basis"].to_numpy()
    if run.has("calibration"):  # verified too, though training took them for noisy
        verified[run.table("calibration")["image_index"]] = True
    rows = np.flatnonzero(~verified)
    categories = run.table("images", ["category"])["category"].to_numpy(object)
    entropy = np.empty(len(rows))
    for start in range(0, len(rows), CHUNK):
        part = slice(start, start + CHUNK)
        entropy[part] = mean_entropy(corrected_probabilities(run, rows[part], categories))
    places = highest(entropy, n)
    p = np.zeros((0, len(run.attributes)))
    if len(places):
        p = corrected_probabilities(run, rows[places], categories)
    doubts = np.argsort(np.abs(p - 0.5), axis=1, kind="stable")[:, :DOUBTS]
    names = run.attributes
    chosen = frame.loc[rows[places], ["image_index", "image_id", "category"]]
    return chosen.assign(
        rank=np.arange(1, len(chosen) + 1),
        entropy=entropy[places],
        expected_wrong=np.minimum(p, 1 - p).sum(axis=1),
        doubts=[
            ", ".join(f"{names[j]} ({100 * q[j]:.0f} %)" for j in which)
            for q, which in zip(p, doubts, strict=True)
        ],
        uncovered=frame.loc[rows[places], "uncovered"],
        n_flips=frame.loc[rows[places], "n_flips"],
    ).reset_index(drop=True)


def benefit_words(gains: pd.DataFrame, strategy: str) -> str:
    """What a strategy was worth against choosing at random, in a sentence.

    Parameters
    ----------
    gains : DataFrame
        Of `selfml.suggestions.against_chance`.
    """
    mine = gains[gains["strategy"] == strategy]
    if mine.empty:
        return ""
    parts = [f"{row.gain:+.1f} at {row.budget:,}" for row in mine.itertuples()]
    parts[0] = parts[0].replace(" at ", " points at ")
    clear = int((mine["gain"] > mine["spread"]).sum())
    spread = (
        "none of these is larger than the spread between seeds"
        if clear == 0
        else f"{clear} of these {len(mine)} is larger than the spread between seeds"
        if clear == 1
        else f"{clear} of these {len(mine)} are larger than the spread between seeds"
    )
    return f"{', '.join(parts)} verified images; {spread}"
