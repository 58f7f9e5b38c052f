"""The best point that a search has seen of each sample."""

from __future__ import annotations

import numpy as np

from tinygrad2.autodiff import Tensor
from tinygrad2.robust.attacks.base import chosen
from tinygrad2.robust.types import Flags, Integers


class Best:
    """Of each sample: any point that fools the net before any that does not, then the higher value, then the earlier.

    A value of nan is worse than any other: the logits there are not finite, and nobody can say what the class is.
    """

    def __init__(self, x: Tensor) -> None:
        n = x.shape[0]
        self.points = x
        self.values = np.full(n, -np.inf, x.dtype)
        self.fooled = np.zeros(n, bool)
        self.steps = np.zeros(n, np.int64)

    def offer(self, points: Tensor, values: np.ndarray, fooled: Flags, step: int | Integers) -> None:
        """Keep what is better, found at this step. points: (N, ...); values, fooled: (N,); step: one or (N,)."""
        better = (fooled > self.fooled) | ((fooled == self.fooled) & (values > self.values))
        if not better.any():
            return
        self.points = chosen(better, points, self.points)
        for kept, new in ((self.values, values), (self.fooled, fooled), (self.steps, step)):
            np.copyto(kept, new, where=better)
