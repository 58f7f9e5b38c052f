"""The fast gradient sign method (Goodfellow et al. 2015, section 4)."""

from __future__ import annotations

import numpy as np

from tinygrad2.autodiff import Tensor, no_grad
from tinygrad2.nn import Layer
from tinygrad2.ops import cross_entropy, sign
from tinygrad2.ops.losses import log_odds_against
from tinygrad2.robust.attacks.base import (
    AttackObjective,
    AttackResult,
    accept,
    boxed,
    check_epsilon,
    conclude,
    value_and_gradient,
)
from tinygrad2.robust.types import Box, Images, Labels


def loss_gradient(net: Layer, x: Tensor, labels: Labels, saturating: bool = False) -> Tensor:
    """∂CE_i/∂x_i of each sample, a constant.

    x: (N, ...); labels: (N,); result: like x
    saturating: let p_t - 1 round to 0 for a confident net, as usual float32 code does; the default is exact
    """
    return value_and_gradient(
        net, x, lambda z: cross_entropy(z, labels, reduction="none", saturating=saturating)
    ).gradient


def rising(labels: Labels, saturating: bool = False) -> AttackObjective:
    """What grows with the cross-entropy: the log odds against the true class.

    Its gradient is a positive multiple of CE's and does not underflow, however confident the net. `saturating`: CE
    itself with p_t - 1, which rounds to 0 for a confident net, as usual float32 code does.
    """
    if saturating:
        return lambda z: cross_entropy(z, labels, reduction="none", saturating=True)
    return lambda z: log_odds_against(z, labels)


def sign_direction(net: Layer, x: Tensor, labels: Labels, saturating: bool = False) -> Tensor:
    """sign(∂CE_i/∂x_i) of each sample, a constant with entries -1, 0 and 1.

    x: (N, ...); labels: (N,); result: like x. saturating: see `fgsm`.
    """
    with no_grad():
        return sign(value_and_gradient(net, x, rising(labels, saturating)).gradient)


def fgsm(
    net: Layer, x: Images, labels: Labels, epsilon: float, *, box: Box | None = None, saturating: bool = False
) -> AttackResult:
    """One step of size epsilon along the sign of the loss gradient: x + epsilon · sign(∂CE/∂x), with sign(0) = 0.

    x: (N, ...); labels: (N,)
    epsilon: l∞ size of the step, in the units of x
    box: lowest and highest pixel; the result is clipped to it if it is given
    saturating: let p_t - 1 round to 0 for a confident net, as usual float32 code does; the default is exact

    Norms are l∞. Source: Goodfellow et al. 2015, section 4.

    >>> robust.fgsm(nn.Flatten(), np.array([[2.0, 1.0]]), [0], 0.6).adversarial.numpy()  # the logits are the pixels
    array([[1.4, 1.6]])
    """
    check_epsilon(epsilon)
    x = accept(net, x, box)
    start = value_and_gradient(net, x, rising(labels, saturating))
    with no_grad():
        adversarial = boxed(x + sign(start.gradient) * epsilon, box)
    return conclude(net, x, adversarial, labels, start, np.inf, np.ones(x.shape[0], np.int64))
