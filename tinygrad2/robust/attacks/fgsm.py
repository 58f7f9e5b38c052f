"""The fast gradient sign method (Goodfellow et al. 2015, section 4)."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad2.autodiff import Tensor, grad, no_grad
from tinygrad2.nn import Layer
from tinygrad2.ops import abs, clip, cross_entropy, max, reshape, sign, sum
from tinygrad2.ops.functional import log_odds_against
from tinygrad2.robust.attack import AttackResult, accept, argmax


def loss_gradient(net: Layer, x: Tensor, labels: Any, saturating: bool = False) -> Tensor:
    """∂CE_i/∂x_i of each sample, a constant. x: (N, ...).

    `saturating=True` lets p_t - 1 round to 0 for a confident net, as usual float32 code does; the default is exact.
    """
    with no_grad():  # nobody differentiates the result, and it may itself be asked for inside no_grad
        g: Tensor = grad(lambda x: cross_entropy(net(x), labels, reduction="sum", saturating=saturating))(x)
    return g


def sign_direction(net: Layer, x: Tensor, labels: Any, saturating: bool = False) -> Tensor:
    """sign(∂CE_i/∂x_i) of each sample, a constant of entries -1, 0, 1. x: (N, ...).

    It is taken from the log odds against the true class, whose gradient is a positive multiple of CE's and does not
    underflow, however confident the net. `saturating`: the sign of `loss_gradient(..., saturating=True)`.
    """
    if saturating:
        return sign(loss_gradient(net, x, labels, saturating))
    with no_grad():
        return sign(grad(lambda x: sum(log_odds_against(net(x), labels)))(x))


def check_epsilon(epsilon: float) -> None:
    """Raise ValueError unless epsilon is a size."""
    if not 0 <= epsilon < np.inf:
        raise ValueError(f"epsilon is a size in the units of x and must be finite and not negative, got {epsilon}")


def fgsm(
    net: Layer,
    x: Any,
    labels: Any,
    epsilon: float,
    *,
    box: tuple[float, float] | None = None,
    saturating: bool = False,
) -> AttackResult:
    """One step of size epsilon along the sign of the loss gradient.

    x + epsilon · sign(∂CE/∂x), sign(0) = 0, clipped to the box if one is given. x: (N, ...), epsilon in its units.
    Norms are l∞. `saturating`: see `sign_direction`.
    """
    check_epsilon(epsilon)
    x = accept(net, x)
    direction = sign_direction(net, x, labels, saturating)
    with no_grad():
        adversarial = x + direction * epsilon
        adversarial = adversarial if box is None else clip(adversarial, *box)
        success = argmax(net(adversarial)) != np.asarray(labels)
        norms = max(abs(reshape(adversarial - x, (x.shape[0], -1))), 1).numpy()
    return AttackResult(adversarial, success, norms, np.ones(len(success), np.int64))
