"""How robust a net is: accuracy, ρ₂, accuracy under FGS perturbations, and ε_ref (Deep Defense, section 4.1).

All take the whole set and work through it in batches; `progress` wraps the list of batches (tqdm, for instance).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

from tinygrad2.autodiff import no_grad
from tinygrad2.nn import Layer
from tinygrad2.ops.functional import check_labels
from tinygrad2.robust.attack import accept, argmax, check_epsilon, sizes
from tinygrad2.robust.attacks.deepfool import deepfool
from tinygrad2.robust.attacks.fgsm import sign_direction

__all__ = ["FGS", "SHARES", "Robustness", "accuracy", "in_batches", "predict", "rho", "table_row"]

Array = np.ndarray[Any, Any]
SHARES = (0.2, 0.5, 1.0)  # of ε_ref: the columns of table 1
Progress = Callable[[list[slice]], Iterable[slice]]


def in_batches(f: Callable[[slice], Array], n: int, batch_size: int = 250, progress: Progress | None = None) -> Array:
    """The results of f on consecutive slices of n samples, joined along the first axis."""
    if n == 0:
        raise ValueError("an empty set of images has no accuracy or robustness")
    slices = [slice(i, min(i + batch_size, n)) for i in range(0, n, batch_size)]
    return np.concatenate([f(part) for part in (progress(slices) if progress else slices)])


def predict(net: Layer, x: Array, batch_size: int = 250) -> Array:
    """The predicted classes. x: (N, ...); result: (N,)."""
    with no_grad():
        return in_batches(lambda part: argmax(net(accept(net, x[part]))), len(x), batch_size)


def accuracy(net: Layer, x: Array, labels: Array, batch_size: int = 250) -> float:
    """The share of samples that the net classifies as labelled, in [0, 1]. x: (N, ...); labels: (N,)."""
    check_paired(x, labels)

    def right(part: slice) -> Array:
        logits = net(accept(net, x[part]))
        return argmax(logits) == check_labels(labels[part], *logits.shape)

    with no_grad():
        return float(in_batches(right, len(x), batch_size).mean())


def rho(
    net: Layer,
    x: Array,
    *,
    p: float = 2,
    mode: str = "corrected",
    max_iter: int = 5,
    batch_size: int = 100,
    progress: Progress | None = None,
) -> Array:
    """‖Δ_i‖_p/‖x_i‖_p of each image, Δ from DeepFool in l_p, 1 ≤ p ≤ ∞. Misclassified images are included.

    The mean is Deep Defense's ρ₂ (equation 7); with max_iter=50 it is DeepFool's own ρ̂_adv, that of Jacobian
    regularisation's tables.
    """

    def ratios(part: slice) -> Array:
        images = accept(net, x[part])
        divisors = sizes(images, p).numpy()
        return deepfool(net, images, p=p, mode=mode, max_iter=max_iter).norms / divisors

    return in_batches(ratios, len(x), batch_size, progress)


class FGS:
    """Accuracy under x + ε·sign(∂CE/∂x) as a function of ε; the directions are computed once.

    No clipping unless a box is given, as in the paper. `saturating`: see `sign_direction`.
    """

    def __init__(
        self,
        net: Layer,
        x: Array,
        labels: Array,
        *,
        box: tuple[float, float] | None = None,
        saturating: bool = False,
        batch_size: int = 250,
        progress: Progress | None = None,
    ) -> None:
        check_paired(x, labels)
        self.net, self.x, self.labels, self.box, self.batch_size = net, x, labels, box, batch_size
        self.directions = in_batches(
            lambda part: sign_direction(net, accept(net, x[part]), labels[part], saturating).numpy(),
            len(x),
            batch_size,
            progress,
        )

    def accuracy(self, epsilon: float) -> float:
        """The share still classified as labelled. epsilon: l∞ size, in the units of x."""
        check_epsilon(epsilon)
        moved = self.x + self.x.dtype.type(epsilon) * self.directions
        return accuracy(self.net, moved if self.box is None else moved.clip(*self.box), self.labels, self.batch_size)

    def epsilon_ref(self, largest: float, steps: int = 32, tolerance: float = 1e-3) -> float:
        """The smallest ε at which half of the images are misclassified, to the relative tolerance; inf if > `largest`.

        It scans `steps` equal intervals for the first that crosses one half, since accuracy need not fall steadily, and
        halves that one.
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
    """One row of the paper's table 1."""

    accuracy: float
    rho2: float
    fgs: dict[float, float]  # share of ε_ref → accuracy


def table_row(
    fgs: FGS, epsilon_ref: float | None, *, mode: str = "corrected", progress: Progress | None = None
) -> Robustness:
    """Accuracy, ρ₂, and, if there is an ε_ref, accuracy at its SHARES (the defended net's, for every row of a table).

    fgs: of the net and the images that the row is about. progress: of ρ₂.
    """
    return Robustness(
        accuracy(fgs.net, fgs.x, fgs.labels),
        float(rho(fgs.net, fgs.x, mode=mode, progress=progress).mean(dtype=np.float64)),
        {} if epsilon_ref is None else {share: fgs.accuracy(share * epsilon_ref) for share in SHARES},
    )


def check_paired(x: Array, labels: Array) -> None:
    """Raise ValueError unless there is one label for each image."""
    if np.shape(labels) != (len(x),):
        raise ValueError(f"labels: expected shape ({len(x)},), one for each image, got {np.shape(labels)}")
