"""Rejected flips traced back to the basis images that they share.

A wrong label of a basis image makes wrong flips wherever images lean on it. Notation: a decided
flip of image i gives attribute j the label v; ``t_kj`` in 0..1 is how far the label of basis image
k says v. Its part in the flip is

    a_ik = c_ik t_kj / sum over k of c_ik t_kj

With the share r of all decided flips that were rejected, basis image k would be expected to have
its part in ``r (A + R)`` rejected flips of attribute j, where R and A add up its parts in rejected
and accepted ones. What it has beyond that,

    excess = R - r (A + R),

ranks the labels of basis images (our choice: an observed-minus-expected count; it prefers neither
images in heavy use, whose flips are mostly accepted, nor those with a single rejected flip).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import sparse

COLUMNS = ("basis_index", "attribute_index", "label", "rejected", "accepted", "excess")


def trace_rejects(
    coefficients: sparse.csr_matrix,
    basis_labels: np.ndarray,
    prior: np.ndarray,
    flips: pd.DataFrame,
) -> pd.DataFrame:
    """Labels of basis images by how many more rejected flips they have a part in than expected.

    Parameters
    ----------
    coefficients : scipy.sparse CSR (N, K)
    basis_labels : (K, L) int8
        -1 unknown.
    prior : (L,) float
        What an unknown label counts as.
    flips : DataFrame
        Decided flips: image_index, attribute_index, corrected, rejected (bool).

    Returns
    -------
    DataFrame
        ``COLUMNS``, most suspicious first; rejected and accepted are sums of parts, in flips.
        Labels with no part in a rejected flip are left out.
    """
    if flips.empty or not flips["rejected"].any():
        return pd.DataFrame(columns=list(COLUMNS)).astype(
            {"basis_index": int, "attribute_index": int}
        )
    attribute = flips["attribute_index"].to_numpy(np.int64)
    rejected = flips["rejected"].to_numpy(bool)
    values = np.where(basis_labels < 0, prior, basis_labels).astype(np.float64)
    used = sparse.csr_matrix(coefficients)[flips["image_index"].to_numpy(np.int64)].tocoo()
    says = values[used.col, attribute[used.row]]
    added = flips["corrected"].to_numpy()[used.row] == 1
    part = used.data * np.where(added, says, 1.0 - says)
    total = np.bincount(used.row, part, minlength=len(flips))
    part = part / np.where(total > 0, total, 1.0)[used.row]
    cell = used.col.astype(np.int64) * values.shape[1] + attribute[used.row]
    size = values.size
    of_rejected = np.bincount(cell, part * rejected[used.row], minlength=size)
    of_accepted = np.bincount(cell, part * ~rejected[used.row], minlength=size)
    excess = of_rejected - rejected.mean() * (of_rejected + of_accepted)
    found = np.flatnonzero(of_rejected > 0)
    found = found[np.argsort(-excess[found], kind="stable")]
    k, j = np.divmod(found, values.shape[1])
    columns = (k, j, basis_labels[k, j], of_rejected[found], of_accepted[found], excess[found])
    return pd.DataFrame(dict(zip(COLUMNS, columns, strict=True)))


def suspects(traced: pd.DataFrame) -> pd.DataFrame:
    """The most suspicious label of each basis image, most suspicious image first."""
    return traced.drop_duplicates("basis_index").reset_index(drop=True)
