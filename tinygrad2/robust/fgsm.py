"""The fast gradient sign method (Goodfellow et al. 2015, section 4)."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad2.autodiff import Tensor, autograd, no_grad
from tinygrad2.nn import Layer
from tinygrad2.ops import clip, cross_entropy, sign
from tinygrad2.robust.attack import AttackResult, accept, argmax


def loss_gradient(net: Layer, x: Tensor, labels: Any, saturating: bool = False) -> Tensor:
    """∂CE_i/∂x_i for each sample. x: (N, ...). The exact gradient; `saturating=True` lets p_t - 1 round to 0 as usual float32 code does."""
    leaf = Tensor(x.data, requires_grad=True, name="x")
    (g,) = autograd.grad(cross_entropy(net(leaf), labels, reduction="sum", saturating=saturating), leaf)
    assert g is not None
    return g


def fgsm(
    net: Layer, x: Any, labels: Any, epsilon: float, *, box: tuple[float, float] | None = None, saturating: bool = False
) -> AttackResult:
    """x + epsilon · sign(∂CE/∂x), clipped to the box where one is given. x: (N, ...); epsilon in the units of x; sign(0) = 0.

    Norms are l∞.
    """
    if not epsilon >= 0:
        raise ValueError(f"fgsm: epsilon is a size in the units of x and must not be negative, got {epsilon}")
    x = accept(net, x, labels)
    direction = sign(loss_gradient(net, x, labels, saturating))
    with no_grad():
        adversarial = x + direction.astype(x.dtype) * epsilon
        adversarial = adversarial if box is None else clip(adversarial, *box)
        success = argmax(net(adversarial)) != np.asarray(labels)
        norms = (adversarial - x).reshape((len(success), -1)).abs().max(1).numpy()
    return AttackResult(adversarial, success, norms, np.ones(len(success), np.int64))
