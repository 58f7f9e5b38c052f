"""The best point that a search has seen of each sample."""

from __future__ import annotations

import numpy as np

from tinygrad2.autodiff import Tensor
from tinygrad2.robust.attacks.base import placed
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

    def offer(
        self, points: Tensor, values: np.ndarray, fooled: Flags, step: int | Integers, at: Integers | None = None
    ) -> None:
        """Keep what is better, found at this step.

        points: (n, ...); values, fooled: (n,); step: one or (n,); at: (n,), which samples these are; all if None
        """
        at = np.arange(len(values)) if at is None else at
        better = (fooled > self.fooled[at]) | ((fooled == self.fooled[at]) & (values > self.values[at]))
        if not better.any():
            return
        at = at[better]
        self.points = placed(self.points, at, points[better])
        self.values[at] = values[better]
        self.fooled[at] = fooled[better]
        self.steps[at] = np.broadcast_to(step, better.shape)[better]
