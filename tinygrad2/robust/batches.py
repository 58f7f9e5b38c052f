"""How a whole set of images is worked through: in batches, with a progress bar if one is wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

import numpy as np

Progress: TypeAlias = Callable[[list[slice]], Iterable[slice]]  # wraps the list of batches (tqdm, for instance)


def in_batches(
    f: Callable[[slice], np.ndarray], n: int, batch_size: int = 250, progress: Progress | None = None
) -> np.ndarray:
    """The results of f on consecutive slices of n samples, joined along the first axis. Raises ValueError for n = 0."""
    if n == 0:
        raise ValueError("an empty set of images has no accuracy or robustness")
    slices = [slice(i, min(i + batch_size, n)) for i in range(0, n, batch_size)]
    return np.concatenate([f(part) for part in (progress(slices) if progress else slices)])
