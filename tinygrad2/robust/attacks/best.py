"""The best point that a search has seen of each sample."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad2.autodiff import Tensor
from tinygrad2.ops import where
from tinygrad2.robust.attack import Flags


class Best:
    """Of each sample: any point that fools the net before any that does not, then the higher value, then the earlier.

    A nan counts as higher, lest it be swallowed.
    """

    def __init__(self, x: Tensor) -> None:
        n = x.shape[0]
        self.points = x
        self.values = np.full(n, -np.inf, x.dtype)
        self.fooled = np.zeros(n, bool)
        self.steps = np.zeros(n, np.int64)

    def offer(self, points: Tensor, values: np.ndarray[Any, Any], fooled: Flags, step: int) -> Flags:
        """Keep what is better, found at this step; result: (N,), where it was. points: (N, ...); values: (N,)."""
        better = (fooled > self.fooled) | ((fooled == self.fooled) & ~(values <= self.values))
        self.points = where(Tensor(per_sample(better, points)).to(points.device), points, self.points)
        for kept, new in ((self.values, values), (self.fooled, fooled), (self.steps, step)):
            np.copyto(kept, new, where=better)
        return better


def per_sample(a: np.ndarray[Any, Any], x: Tensor) -> np.ndarray[Any, Any]:
    """One entry per sample, in a shape that spreads over those of x. a: (N,); result: (N, 1, ...)."""
    return a.reshape((-1, *(1,) * (x.ndim - 1)))
