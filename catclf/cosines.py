"""Rows as directions, whose products are cosines: how alike pictures are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def directions(rows: NDArray[np.generic]) -> NDArray[np.float32]:
    """Rows (m, n_x) of unit length; zeros stay zeros."""
    some = rows.astype(np.float32)
    some /= np.maximum(np.linalg.norm(some, axis=1, keepdims=True), 1e-12)
    return some
