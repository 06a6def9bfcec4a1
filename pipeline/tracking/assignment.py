"""The assignment that is best for all together, where few pairs are possible at all.

Finds the same as the Hungarian method on the whole matrix (Kuhn 1955; Jonker and Volgenant 1987) with every
impossible pair at `worst`, but looks only at rows and columns that have a choice: with hundreds of objects most have
a single possible partner, who has no other.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np
import scipy  # type: ignore[import-untyped]
from numpy.typing import NDArray

from pipeline.geometry.plane import Floats

Rows = NDArray[np.int64]
Solver = Callable[[Floats], tuple[Rows, Rows]]


def _solver() -> Solver:
    """SciPy's `linear_sum_assignment`, from its compiled module: `scipy.optimize` takes half a second to import."""
    folder = str(Path(scipy.__file__).parent / "optimize")
    spec = importlib.machinery.PathFinder.find_spec("_lsap", [folder])
    if spec is not None and spec.loader is not None:
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        if hasattr(module, "linear_sum_assignment"):
            solver: Solver = module.linear_sum_assignment
            return solver
    from scipy.optimize import linear_sum_assignment  # type: ignore[import-untyped]

    whole: Solver = linear_sum_assignment
    return whole


linear_sum_assignment = _solver()


def assign(rows: Rows, columns: Rows, costs: Floats, worst: float) -> tuple[Rows, Rows]:
    """Chooses pairs so that each row and column occurs once and the sum of costs is least, where to leave a pair
    out costs `worst`.

    Args:
        rows, columns: (K,) the possible pairs; each pair once.
        costs: (K,) below `worst`.

    Returns:
        Rows and columns of the chosen pairs, by row.
    """
    if len(rows) < 2:
        return rows, columns
    alone = (np.bincount(rows)[rows] == 1) & (np.bincount(columns)[columns] == 1)
    if alone.all():
        return rows, columns
    some = ~alone
    names, row = np.unique(rows[some], return_inverse=True)
    others, column = np.unique(columns[some], return_inverse=True)
    matrix = np.full((len(names), len(others)), worst)
    matrix[row, column] = costs[some]
    chosen, partner = linear_sum_assignment(matrix)
    good = matrix[chosen, partner] < worst
    all_rows = np.concatenate([rows[alone], names[chosen[good]]])
    all_columns = np.concatenate([columns[alone], others[partner[good]]])
    order = np.argsort(all_rows)
    return all_rows[order], all_columns[order]
