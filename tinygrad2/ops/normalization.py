"""Normalisation of each sample on its own: by its features, by groups of channels, or by the root mean square alone."""

from __future__ import annotations

import math

import numpy as np

from tinygrad2.autodiff import Tensor, TensorLike
from tinygrad2.ops.elementwise import add, divide, multiply, sqrt
from tinygrad2.ops.functional import standardize
from tinygrad2.ops.reduce import mean
from tinygrad2.ops.shape import as_tensor, reshape

__all__ = ["group_norm", "layer_norm", "rms_norm"]

Sizes = int | tuple[int, ...]


def layer_norm(
    x: TensorLike,
    normalized_shape: Sizes,
    weight: TensorLike | None = None,
    bias: TensorLike | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """weight (x - μ)/√(var + eps) + bias, with μ and var over the last axes. x: (..., *normalized_shape).

    weight, bias: normalized_shape. Result: x's shape. Raises ValueError where the last axes of x are others.
    Source: Ba et al., Layer Normalization, 2016, equation 4.

    >>> tg.layer_norm(tg.Tensor([[1.0, 3.0]]), 2, eps=0.0)
    Tensor([[-1.,  1.]], float64)
    """
    x = as_tensor(x)
    normal, _ = standardize(x, last_axes(x, normalized_shape), eps)
    return scaled(normal, weight, bias)


def group_norm(
    x: TensorLike, num_groups: int, weight: TensorLike | None = None, bias: TensorLike | None = None, eps: float = 1e-5
) -> Tensor:
    """weight (x - μ)/√(var + eps) + bias, with μ and var over each group of C/num_groups channels. x: (N, C, ...).

    weight, bias: (C,). Result: x's shape. Raises ValueError where the channels cannot be divided into the groups.
    Source: Wu & He, Group Normalization, 2018, equations 1, 2 and 7.

    >>> tg.group_norm(tg.Tensor([[1.0, 3.0, 5.0, 7.0]]), 2, eps=0.0)[0, :2]
    Tensor([-1.,  1.], float64)
    """
    x = as_tensor(x)
    normal, _ = standardize(grouped(x, num_groups), -1, eps)
    shape = (-1, *(1,) * (x.ndim - 2))
    weight = None if weight is None else reshape(weight, shape)
    bias = None if bias is None else reshape(bias, shape)
    return scaled(reshape(normal, x.shape), weight, bias)


def rms_norm(
    x: TensorLike, normalized_shape: Sizes, weight: TensorLike | None = None, eps: float | None = None
) -> Tensor:
    """weight x/√(mean x² + eps), with the mean over the last axes. x: (..., *normalized_shape).

    weight: normalized_shape. eps: None for the dtype's rounding unit, as in PyTorch. Result: x's shape.
    Raises ValueError where the last axes of x are others. Source: Zhang & Sennrich, Root Mean Square Layer
    Normalization, 2019, equation 4.

    >>> tg.rms_norm(tg.Tensor([[3.0, 3.0]]), 2, eps=0.0)
    Tensor([[1., 1.]], float64)
    """
    x = as_tensor(x)
    normal, _ = unit_scaled(x, last_axes(x, normalized_shape), eps)
    return scaled(normal, weight, None)


def unit_scaled(x: Tensor, axes: tuple[int, ...], eps: float | None) -> tuple[Tensor, Tensor]:
    """x/√(mean x² + eps) over the axes, and the factor 1/√(mean x² + eps)."""
    if eps is None:
        eps = float(np.finfo(x.dtype).eps)
    factor = divide(1.0, sqrt(add(mean(multiply(x, x), axes, keepdims=True), eps)))
    return multiply(x, factor), factor


def last_axes(x: Tensor, normalized_shape: Sizes) -> tuple[int, ...]:
    """The axes of normalized_shape in x, counted from the end."""
    sizes = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    if not sizes or x.shape[-len(sizes) :] != sizes:
        expected = ", ".join(["...", *map(str, sizes)])
        raise ValueError(f"expected the last axes ({expected}), got shape {x.shape}")
    return tuple(range(-len(sizes), 0))


def grouped(x: Tensor, num_groups: int) -> Tensor:
    """x, (N, C, ...), as (N, num_groups, the entries of one group)."""
    n, *sample = x.shape
    if not sample or num_groups < 1 or sample[0] % num_groups:
        raise ValueError(f"expected (N, C, ...) with C divisible into {num_groups} groups, got shape {x.shape}")
    return reshape(x, (n, num_groups, math.prod(sample) // num_groups))


def scaled(normal: Tensor, weight: TensorLike | None, bias: TensorLike | None) -> Tensor:
    """weight ⊙ normal + bias, where they are given. All: shapes that broadcast."""
    y = normal if weight is None else multiply(normal, weight)
    return y if bias is None else add(y, bias)
