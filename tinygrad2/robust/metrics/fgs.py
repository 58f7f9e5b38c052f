"""Accuracy under the fast gradient sign method, ε_ref, and a row of Deep Defense's table 1 (section 4.1)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tinygrad2.nn import Layer
from tinygrad2.robust.attacks.base import check_epsilon
from tinygrad2.robust.attacks.fgsm import sign_direction
from tinygrad2.robust.batches import Progress, in_batches
from tinygrad2.robust.evaluation import accept, correct
from tinygrad2.robust.metrics.accuracy import accuracy, check_paired
from tinygrad2.robust.metrics.rho import rho
from tinygrad2.robust.types import Box

SHARES = (0.2, 0.5, 1.0)  # of ε_ref: the columns of table 1


class FGS:
    """Accuracy under x + ε·sign(∂CE/∂x) as a function of ε; the directions are computed once.

    x: (N, ...); labels: (N,)
    box: lowest and highest pixel; nothing is clipped unless it is given, as in the paper
    saturating: see `fgsm`

    The net is in evaluation mode meanwhile. Source: Deep Defense (Yan et al. 2018), section 4.1.

    >>> fgs = robust.FGS(nn.Flatten(), np.array([[2.0, 1.0]]), np.array([0]))  # the logits are the pixels
    >>> fgs.accuracy(0.4), fgs.accuracy(0.6)
    (1.0, 0.0)
    """

    def __init__(
        self,
        net: Layer,
        x: np.ndarray,
        labels: np.ndarray,
        *,
        box: Box | None = None,
        saturating: bool = False,
        batch_size: int = 250,
        progress: Progress | None = None,
    ) -> None:
        check_paired(x, labels)
        accept(net, x, box)
        self.net = net
        self.x = x
        self.labels = labels
        self.box = box
        self.batch_size = batch_size
        self.right = in_batches(lambda part: correct(net, x[part], labels[part]), len(x), batch_size)
        self.directions = in_batches(
            lambda part: sign_direction(net, accept(net, x[part]), labels[part], saturating).numpy(),
            len(x),
            batch_size,
            progress,
        )

    def accuracy(self, epsilon: float) -> float:
        """The share still classified as labelled, in [0, 1]; what is wrong already stays wrong, as in `fgsm`.

        epsilon: l∞ size, in the units of the images.
        """
        check_epsilon(epsilon)
        moved = self.x + self.x.dtype.type(epsilon) * self.directions
        if self.box is not None:
            moved = moved.clip(*self.box)
        right = lambda part: correct(self.net, moved[part], self.labels[part])
        return float((self.right & in_batches(right, len(moved), self.batch_size)).mean())

    def epsilon_ref(self, largest: float, steps: int = 32, tolerance: float = 1e-3) -> float:
        """The smallest ε at which half of the images are misclassified; inf if it is larger than `largest`.

        It scans `steps` equal intervals for the first that crosses one half, because accuracy need not fall steadily,
        and halves that one until it is known to the relative tolerance.
        """
        check_epsilon(largest)
        lo = 0.0
        for hi in np.linspace(0, largest, steps + 1).tolist():
            if self.accuracy(hi) <= 0.5:
                break
            lo = hi
        else:
            return float("inf")
        while hi - lo > tolerance * hi:
            middle = (lo + hi) / 2
            lo, hi = (lo, middle) if self.accuracy(middle) <= 0.5 else (middle, hi)
        return float(hi)


class Robustness(NamedTuple):
    """One row of Deep Defense's table 1.

    accuracy: in [0, 1]; rho2: the mean of ρ₂; fgs: share of ε_ref → accuracy in [0, 1]
    """

    accuracy: float
    rho2: float
    fgs: dict[float, float]


def table_row(
    fgs: FGS, epsilon_ref: float | None, *, mode: str = "corrected", progress: Progress | None = None
) -> Robustness:
    """Accuracy, ρ₂, and, if there is an ε_ref, accuracy at its SHARES.

    fgs: of the net and the images that the row is about
    epsilon_ref: the defended net's, for every row of a table
    mode: DeepFool's. progress: of ρ₂
    """
    return Robustness(
        accuracy(fgs.net, fgs.x, fgs.labels),
        float(rho(fgs.net, fgs.x, mode=mode, progress=progress).mean(dtype=np.float64)),
        {} if epsilon_ref is None else {share: fgs.accuracy(share * epsilon_ref) for share in SHARES},
    )
