"""Losses between probabilities: of two classes, and of two distributions."""

from __future__ import annotations

import math

from tinygrad2.autodiff import Tensor, TensorLike
from tinygrad2.ops.elementwise import add, exp, log, maximum, multiply, negative, positive, softplus, subtract, where
from tinygrad2.ops.reduce import sum
from tinygrad2.ops.regression import matching, reduced
from tinygrad2.ops.shape import as_tensor

__all__ = ["binary_cross_entropy", "binary_cross_entropy_with_logits", "kl_div"]

LEAST_LOG = -100.0  # as in PyTorch, so that a certain mistake has a finite loss


def binary_cross_entropy(input: TensorLike, target: TensorLike, reduction: str = "mean") -> Tensor:
    """-(t log p + (1 - t) log(1 - p)), then reduced. input p: probabilities, any shape; target t: the same.

    Logarithms below -100 count as -100, as in PyTorch. reduction: "mean", "sum" or "none". Where p comes from a
    sigmoid, `binary_cross_entropy_with_logits` is precise and has no such limit.

    >>> tg.binary_cross_entropy(tg.Tensor([0.5, 0.5]), [0.0, 1.0])
    Tensor(0.69314718, float64)
    """
    input = as_tensor(input)
    t = matching(input, target)
    yes = _limited_log(input)
    no = _limited_log(subtract(1.0, input))
    return reduced(negative(add(multiply(t, yes), multiply(subtract(1.0, t), no))), reduction)


def _limited_log(p: Tensor) -> Tensor:
    return log(maximum(p, math.exp(LEAST_LOG)))


def binary_cross_entropy_with_logits(
    input: TensorLike, target: TensorLike, reduction: str = "mean", pos_weight: TensorLike | None = None
) -> Tensor:
    """The binary cross-entropy of σ(input), without its rounding: w t softplus(-z) + (1 - t) softplus(z), then reduced.

    input z, target t: one shape, t in [0, 1]. pos_weight w: a shape that broadcasts, 1 where none is given.
    reduction: "mean", "sum" or "none".

    >>> tg.binary_cross_entropy_with_logits(tg.Tensor([0.0, 0.0]), [0.0, 1.0])
    Tensor(0.69314718, float64)
    """
    input = as_tensor(input)
    t = matching(input, target)
    yes = multiply(t, softplus(negative(input)))
    if pos_weight is not None:
        yes = multiply(yes, pos_weight)
    return reduced(add(yes, multiply(subtract(1.0, t), softplus(input))), reduction)


def kl_div(input: TensorLike, target: TensorLike, reduction: str = "mean", log_target: bool = False) -> Tensor:
    """target · (log target - input), then reduced: how far the distribution exp(input) is from target.

    input: logarithms of probabilities, any shape, e.g. (N, K); target: probabilities of the same shape, or their
    logarithms with log_target. reduction: "mean" (of all entries), "batchmean" (the divergence: the sum over N), "sum"
    or "none". Source: Kullback & Leibler, On Information and Sufficiency, 1951.

    >>> tg.kl_div(tg.log(tg.Tensor([[0.5, 0.5]])), [[0.5, 0.5]], reduction="batchmean")
    Tensor(0., float64)
    """
    input = as_tensor(input)
    t = matching(input, target)
    if log_target:
        loss = multiply(exp(t), subtract(t, input))
    else:
        some = positive(t)  # 0 log 0 is 0
        loss = where(some, multiply(t, subtract(log(where(some, t, 1.0)), input)), 0.0)
    if reduction == "batchmean":
        return multiply(sum(loss), 1.0 / input.shape[0])
    return reduced(loss, reduction)
