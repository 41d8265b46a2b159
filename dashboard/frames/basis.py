"""What the basis is, what leans on it, and how well it covers the data."""

from __future__ import annotations

import numpy as np
import pandas as pd

from dashboard.frames.database import ask, giving_back, kept
from dashboard.frames.flips import with_names
from selfml.run import Run

MASS_SHARE = 0.95  # atoms that hold this share of all coefficients; as in the paper's "about 40"
NO_CATEGORY = "no category"


def atoms(run: Run) -> pd.DataFrame:
    """The basis images in use, most used first.

    Returns
    -------
    DataFrame
        The columns of ``basis.parquet`` for ``usage > 0``, then share (of all coefficients,
        0..1), cumulated (share up to this one), n_yes (verified labels that are yes) and
        category.
    """
    sql = """
        SELECT b.*, i.category FROM read_parquet(?) b
        LEFT JOIN read_parquet(?) i USING (image_index)
        WHERE b.usage > 0 ORDER BY b.mass DESC, b.usage DESC, b.basis_index
    """
    frame = ask(sql, [str(run.table_path("basis")), str(run.table_path("images"))])
    mass = frame["mass"].to_numpy(np.float64)
    share = mass / mass.sum() if len(mass) else mass
    labels = run.array("basis_labels")[frame["basis_index"].to_numpy(np.int64)]
    return frame.assign(
        share=share, cumulated=np.cumsum(share), n_yes=(labels == 1).sum(axis=1).astype(np.int32)
    )


def n_holding(frame: pd.DataFrame, share: float = MASS_SHARE) -> int:
    """How many of the most used basis images hold a share of all coefficients."""
    return (
        int(np.searchsorted(frame["cumulated"].to_numpy(), share - 1e-9) + 1) if len(frame) else 0
    )


def flips_leaning(run: Run) -> pd.DataFrame:
    """basis_index, n_flips: flips of images that have a coefficient on the atom."""
    sql = """
        WITH f AS (SELECT image_index, count(*) AS n FROM read_parquet(?) GROUP BY 1)
        SELECT c.basis_index, sum(f.n)::BIGINT AS n_flips
        FROM read_parquet(?) c JOIN f USING (image_index) GROUP BY 1 ORDER BY 1
    """
    with giving_back():
        return ask(sql, [str(run.table_path("flips")), str(run.table_path("coefficients"))])


def leaning(run: Run, basis_index: int, limit: int = 24) -> pd.DataFrame:
    """image_index, coefficient, image_id, category of the images that lean on an atom most."""
    sql = f"""
        SELECT image_index, coefficient FROM {kept(run, "coefficients")} WHERE basis_index = ?
        ORDER BY coefficient DESC, image_index LIMIT ?
    """
    frame = ask(sql, [int(basis_index), int(limit)])
    of = run.table_rows("images", frame["image_index"].to_numpy(), ["image_id", "category"])
    return frame.assign(image_id=of["image_id"], category=of["category"])


def labels_of(run: Run, basis_index: int) -> pd.DataFrame:
    """attribute_index, attribute, label (-1 unknown) of one atom, yes first, then no."""
    label = np.array(run.array("basis_labels")[int(basis_index)])
    frame = pd.DataFrame({"attribute_index": np.arange(len(label), dtype=np.int16), "label": label})
    return with_names(run, frame).sort_values(
        "label", ascending=False, kind="stable", ignore_index=True
    )


def coverage(run: Run) -> pd.DataFrame:
    """How the verified labels of the atoms in use cover the attributes.

    Returns
    -------
    DataFrame
        attribute_index, attribute, n_yes, n_no, n_unknown (atoms in use), mass_yes (share of
        all coefficients on atoms that have it, 0..1); fewest yes first.
    """
    used = atoms(run)
    labels = np.asarray(run.array("basis_labels"))[used["basis_index"].to_numpy(np.int64)]
    share = used["share"].to_numpy()
    frame = pd.DataFrame(
        {
            "attribute_index": np.arange(labels.shape[1], dtype=np.int16),
            "n_yes": (labels == 1).sum(axis=0),
            "n_no": (labels == 0).sum(axis=0),
            "n_unknown": (labels < 0).sum(axis=0),
            "mass_yes": share @ (labels == 1),
        }
    )
    return with_names(run, frame).sort_values(["n_yes", "attribute_index"], ignore_index=True)


def label_matrix(run: Run, max_atoms: int = 100) -> pd.DataFrame:
    """Verified labels, int8, -1 unknown: a row an attribute, a column a basis_index.

    The ``max_atoms`` most used; rows in the order of :func:`coverage`, most covered first.
    """
    columns = atoms(run)["basis_index"].to_numpy(np.int64)[:max_atoms]
    order = coverage(run)[::-1]
    rows = order["attribute_index"].to_numpy(np.int64)
    labels = np.asarray(run.array("basis_labels"))[np.ix_(columns, rows)].T
    return pd.DataFrame(
        labels, index=pd.Index(order["attribute"], name="attribute"), columns=columns
    )


def explained(run: Run) -> dict[str, float]:
    """Metrics of the reconstruction, as far as the run has them: r2, r2_pca, ..."""
    table = run.table("metrics", ["method", "metric", "value"]) if run.has("metrics") else None
    if table is None:
        return {}
    own = table[(table["method"] == "self_ml") & table["value"].notna()]
    return dict(zip(own["metric"], own["value"].astype(float), strict=True))
