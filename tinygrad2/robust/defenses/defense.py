"""What a training loop asks of every defense: the losses of a batch, and what to do once the step is taken.

A defense decides which images are trained on; its objective says what is minimised on them. So adversarial training
with a penalty is `AdversarialTraining` with an objective that has the penalty.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from tinygrad2.autodiff import Tensor
from tinygrad2.nn import Layer, Trace
from tinygrad2.nn.init import Rng
from tinygrad2.ops import cross_entropy
from tinygrad2.robust.batches import Progress
from tinygrad2.robust.defenses.total_loss import total_loss
from tinygrad2.robust.types import Labels

Losses: TypeAlias = dict[str, Tensor]  # "loss" is minimised; its parts are logged


@dataclass(frozen=True)
class Objective:
    """CE + lam · penalty(trace, labels), on clean and perturbed images alike.

    penalty: penalty(trace, labels), a scalar; none if None
    reduction: "mean" or "sum" of the cross-entropies over the batch; "sum" is "mean" with lam divided by the batch size
    label_smoothing: s in [0, 1)
    smoothing_over: "all" classes: targets (1-s)·onehot + s/K; or the "others": 1-s, and s/(K-1) for each
    layers: those that the penalty's gradient reaches; all if None

    >>> objective = robust.Objective(robust.PENALTIES["jacobian_frobenius"], lam=2.0)
    >>> losses = objective(nn.Flatten(), tg.Tensor([[2.0, 1.0]]), [0])  # the Jacobian is the identity
    >>> round(losses["regularizer"].item(), 3)
    2.828
    """

    penalty: Callable[[Trace, Labels], Tensor] | None = None
    lam: float = 1.0
    reduction: str = "mean"
    label_smoothing: float = 0.0
    smoothing_over: str = "all"
    layers: Collection[str] | None = None

    def __call__(self, net: Layer, x: Tensor, labels: Labels) -> Losses:
        if self.penalty is None:
            return {"loss": self.fit(net(x), labels)}
        trace = net.trace(x)
        return with_parts(net, self.fit(trace.output, labels), self.penalty(trace, labels) * self.lam, self.layers)

    def fit(self, logits: Tensor, labels: Labels) -> Tensor:
        """The cross-entropy against the smoothed labels. logits: (N, K)."""
        s = self.label_smoothing
        if self.smoothing_over == "others":
            s *= logits.shape[1] / (logits.shape[1] - 1)  # 1 - s + s/K is then 1 minus the s that was asked for
        return cross_entropy(logits, labels, label_smoothing=s, reduction=self.reduction)


class Defense:
    """No defense: the objective on the images as they are, cross-entropy where no penalty is named.

    objective: what is minimised. rng: a seed or a generator, for defenses that draw random numbers
    """

    training = True  # whether dropout and batch normalisation train

    def __init__(self, objective: Objective | None = None, rng: Rng = 0) -> None:
        self.objective = objective or Objective()
        self.rng = np.random.default_rng(rng)

    def start(self, net: Layer, images: np.ndarray, labels: np.ndarray, progress: Progress | None = None) -> None:
        """Called once before the first step. images: (M, ...), all that will be trained on; labels: (M,)."""

    def losses(self, net: Layer, x: Tensor, labels: np.ndarray, index: np.ndarray) -> Losses:
        """The losses of a batch. x: (N, ...); labels: (N,); index: (N,), where the images are among all images."""
        return self.objective(net, x, labels)

    def after_step(self, net: Layer) -> None:
        """Called when the optimizer has moved the parameters."""

    def arrays(self) -> dict[str, np.ndarray]:
        """Arrays that the next step depends on; `rng` is the other thing that it depends on."""
        return {}

    def load_arrays(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Continue from what `arrays` gave: arrays of any shapes."""
        if arrays:
            raise ValueError(f"{type(self).__name__} keeps no arrays, got {', '.join(arrays)}")


def with_parts(net: Layer, fit: Tensor, regularizer: Tensor, layers: Collection[str] | None) -> Losses:
    """What is minimised, and the two parts that are logged. layers: see `total_loss`."""
    loss = total_loss(net, fit, regularizer, layers)
    return {"loss": loss, "cross_entropy": fit, "regularizer": regularizer}
