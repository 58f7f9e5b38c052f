"""The Deep Defense objective (Yan et al. 2018, equations 3 and 6)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tinygrad2.autodiff import Tensor
from tinygrad2.nn import Layer
from tinygrad2.ops import cross_entropy, exp, norm, reshape
from tinygrad2.ops.functional import check_labels
from tinygrad2.robust.attack import accept
from tinygrad2.robust.deepfool import walk


class DeepDefenseLoss(NamedTuple):
    """The objective and its parts. total, cross_entropy, regularizer: scalars on the tape; rho, correct: (N,) on the host."""

    total: Tensor
    cross_entropy: Tensor
    regularizer: Tensor
    rho: np.ndarray[Any, Any]
    correct: np.ndarray[Any, Any]


def deep_defense(
    net: Layer,
    x: Any,
    labels: Any,
    *,
    lam: float = 15.0,
    c: float = 25.0,
    d: float = 5.0,
    mode: str = "corrected",
    max_iter: int = 5,
    overshoot: float = 0.02,
) -> DeepDefenseLoss:
    """mean CE + (lam/N)·[Σ_correct exp(-c·ρ_i) + Σ_wrong exp(d·ρ_i)],  ρ_i = ‖Δ_i‖/‖x_i‖, Δ_i from DeepFool. x: (N, ...).

    A correctly classified sample leaves its class; a misclassified one walks to its true class, so its ρ is pushed down. ‖x‖ is a
    constant. mode: see `walk`. Batch normalisation is meant to be frozen (net.eval()) while this loss is used.
    """
    x = accept(net, x, labels)
    n = x.shape[0]
    found = walk(net, x, check_labels(labels, n, 1 << 31), mode, max_iter, overshoot)
    correct = found.logits.numpy().argmax(1) == np.asarray(labels)
    size = norm(reshape(x, (n, -1)), 1)
    if not size.numpy().all():
        raise ValueError(f"image {int(size.numpy().argmin())} of the batch is all zeros: ρ = ‖Δ‖/‖x‖ is not defined for it")
    rho = norm(reshape(found.delta, (n, -1)), 1) / size
    rate = np.where(correct, -c, d).astype(x.dtype)
    regularizer = exp(rho * Tensor(rate).to(x.device)).sum() * (lam / n)
    fit = cross_entropy(found.logits, labels)
    return DeepDefenseLoss(fit + regularizer, fit, regularizer, rho.numpy(), correct)
