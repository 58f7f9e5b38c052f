"""The Deep Defense objective (Yan et al. 2018, equations 3 and 6)."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

import numpy as np

from tinygrad2.autodiff import Tensor
from tinygrad2.nn import Layer
from tinygrad2.ops import cross_entropy, exp, norm, reshape, sum
from tinygrad2.ops.losses import check_labels
from tinygrad2.robust.attacks.base import sizes
from tinygrad2.robust.attacks.deepfool import walk
from tinygrad2.robust.defenses.defense import Defense, Losses, with_parts
from tinygrad2.robust.evaluation import accept, argmax
from tinygrad2.robust.types import Flags, Images, Labels


class DeepDefenseLoss(NamedTuple):
    """The objective and its parts.

    total, cross_entropy, regularizer: scalars on the tape
    rho: (N,), on the host
    correct: (N,), whether the net is right
    """

    total: Tensor
    cross_entropy: Tensor
    regularizer: Tensor
    rho: np.ndarray
    correct: Flags


def deep_defense(
    net: Layer,
    x: Images,
    labels: Labels,
    *,
    lam: float = 15.0,
    c: float = 25.0,
    d: float = 5.0,
    mode: str = "corrected",
    max_iter: int = 5,
    overshoot: float = 0.02,
) -> DeepDefenseLoss:
    """mean CE + (lam/N)·[Σ_correct exp(-c·ρ_i) + Σ_wrong exp(d·ρ_i)], with ρ_i = ‖Δ_i‖/‖x_i‖ and Δ from DeepFool.

    x: (N, ...); labels: (N,)
    lam: weight of the regulariser; c, d: rates for images that are classified correctly or not
    mode, max_iter, overshoot: see `walk`

    A correctly classified sample leaves its class. A misclassified one walks to its true class, and ρ should shrink.
    ‖x‖ is a constant. Batch normalisation is meant to be frozen (net.eval()) while this loss is used.
    Source: Deep Defense (Yan et al. 2018), equations 3 and 6.

    >>> robust.deep_defense(nn.Flatten(), np.array([[2.0, 1.0]]), [0]).rho.round(3)  # the logits are the pixels
    array([0.323])
    """
    x = accept(net, x)
    n = x.shape[0]
    size = sizes(x)
    found = walk(net, x, labels, mode, max_iter, overshoot)
    correct = argmax(found.logits) == check_labels(labels, *found.logits.shape)
    rho = norm(reshape(found.delta, (n, -1)), axis=1) / size
    rate = Tensor(np.where(correct, -c, d).astype(x.dtype)).to(x.device)
    regularizer = sum(exp(rho * rate)) * (lam / n)
    fit = cross_entropy(found.logits, labels)
    return DeepDefenseLoss(fit + regularizer, fit, regularizer, rho.detach().numpy(), correct)


class DeepDefense(Defense):
    """Cross-entropy, and a penalty on how small DeepFool's perturbations are, differentiated through the attack.

    layers: those that the regulariser's gradient reaches (Deep Defense, figure 4); all if None
    options: those of `deep_defense`
    """

    training = False  # batch normalisation is frozen, and dropout off

    def __init__(self, layers: Collection[str] | None = None, **options: Any) -> None:
        super().__init__()
        self.layers = layers
        self.options = options

    def losses(self, net: Layer, x: Tensor, labels: np.ndarray, index: np.ndarray) -> Losses:
        """The loss of a batch and its two parts. See `Defense.losses`."""
        found = deep_defense(net, x, labels, **self.options)
        return with_parts(net, found.cross_entropy, found.regularizer, self.layers)
