"""Losses of a regression: how far the output is from a target of the same shape."""

from __future__ import annotations

from tinygrad2.autodiff import Tensor, TensorLike
from tinygrad2.ops.elementwise import abs, clip, multiply, subtract
from tinygrad2.ops.reduce import mean, sum
from tinygrad2.ops.shape import as_tensor

__all__ = ["huber_loss", "l1_loss", "mse_loss"]


def mse_loss(input: TensorLike, target: TensorLike, reduction: str = "mean") -> Tensor:
    """(input - target)², then reduced. input, target: one shape. reduction: "mean", "sum" or "none".

    >>> tg.mse_loss(tg.Tensor([1.0, 3.0]), [1.0, 1.0])
    Tensor(2., float64)
    """
    input = as_tensor(input)
    d = subtract(input, matching(input, target))
    return reduced(multiply(d, d), reduction)


def l1_loss(input: TensorLike, target: TensorLike, reduction: str = "mean") -> Tensor:
    """|input - target|, then reduced. input, target: one shape. reduction: "mean", "sum" or "none".

    >>> tg.l1_loss(tg.Tensor([1.0, 3.0]), [1.0, 1.0])
    Tensor(1., float64)
    """
    input = as_tensor(input)
    return reduced(abs(subtract(input, matching(input, target))), reduction)


def huber_loss(input: TensorLike, target: TensorLike, reduction: str = "mean", delta: float = 1.0) -> Tensor:
    """d²/2 where |d| ≤ delta, delta (|d| - delta/2) elsewhere, of d = input - target; then reduced.

    input, target: one shape. reduction: "mean", "sum" or "none". Raises ValueError unless delta > 0.
    Source: Huber, Robust Estimation of a Location Parameter, 1964.

    >>> tg.huber_loss(tg.Tensor([0.5, 3.0]), [0.0, 0.0], reduction="none")
    Tensor([0.125, 2.5  ], float64)
    """
    input = as_tensor(input)
    if not delta > 0:
        raise ValueError(f"huber_loss: delta must be positive, got {delta}")
    d = subtract(input, matching(input, target))
    near = clip(d, -delta, delta)
    return reduced(subtract(multiply(near, d), multiply(multiply(near, near), 0.5)), reduction)


def matching(input: Tensor, target: TensorLike) -> Tensor:
    """The target as a Tensor. Raises ValueError where its shape is another: broadcasting would hide mistakes."""
    target = target if isinstance(target, Tensor) else Tensor(target)
    if input.shape != target.shape:
        raise ValueError(f"a loss compares arrays of one shape, got {input.shape} and {target.shape}")
    return target


def reduced(loss: Tensor, reduction: str) -> Tensor:
    """The loss of all entries in one, as `reduction` says. Raises ValueError for another word."""
    if reduction == "mean":
        return mean(loss)
    if reduction == "sum":
        return sum(loss)
    if reduction == "none":
        return loss
    raise ValueError(f"unknown reduction {reduction!r}; expected 'mean', 'sum' or 'none'")
