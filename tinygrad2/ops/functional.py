"""What layers compute, composed of primitives: so their derivatives of every order need no rule of their own."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from tinygrad2.autodiff import Tensor, TensorLike, stateful
from tinygrad2.kernels import Geometry
from tinygrad2.kernels.arrays import to_device
from tinygrad2.kernels.geometry import Padding, RowPadding
from tinygrad2.ops import families
from tinygrad2.ops.elementwise import add, divide, mask, multiply, power, sqrt, subtract
from tinygrad2.ops.reduce import mean, var
from tinygrad2.ops.shape import _index_add, as_tensor, index, reshape

__all__ = [
    "avg_pool2d", "batch_norm", "conv1d", "conv2d", "conv_transpose2d", "dropout", "linear", "local_response_norm",
    "max_pool2d",
]  # fmt: skip

Size = int | tuple[int, int]


def linear(x: TensorLike, w: TensorLike, bias: TensorLike | None = None) -> Tensor:
    """x wᵀ + b. x: (..., I); w: (O, I); bias: (O,). Result: (..., O).

    >>> tg.linear(tg.ones((5, 3)), tg.ones((2, 3))).shape
    (5, 2)
    """
    x = as_tensor(x)
    w = as_tensor(w)
    if x.shape[-1:] != w.shape[1:]:
        raise ValueError(f"linear: x has shape {x.shape}; its last axis must be the {w.shape[1]} inputs of w {w.shape}")
    y = families.linear(x, w)
    return y if bias is None else add(y, bias)


# fmt: off
def conv2d(
    x: TensorLike, w: TensorLike, bias: TensorLike | None = None,
    stride: Size = 1, padding: Padding = 0, dilation: Size = 1, groups: int = 1,
) -> Tensor:
    """Cross-correlation. x: (..., C, H, W); w: (O, C/groups, kh, kw); bias: (O,). Result: (..., O, OH, OW).

    padding: a number, a pair, ((top, bottom), (left, right)), "valid", or "same" (⌈H/stride⌉, odd row at the bottom).

    >>> tg.conv2d(tg.ones((5, 1, 8, 8)), tg.ones((4, 1, 3, 3))).shape
    (5, 4, 6, 6)
    """
    x = as_tensor(x)
    w = as_tensor(w)
    geo = Geometry.of(x.shape[-2:], w.shape[-2:], stride, padding, dilation, groups)
    return add_channels(families.conv2d(x, w, geo), bias)


def conv1d(
    x: TensorLike, w: TensorLike, bias: TensorLike | None = None,
    stride: int = 1, padding: RowPadding = 0, dilation: int = 1, groups: int = 1,
) -> Tensor:
    """Cross-correlation along one axis. x: (..., C, L); w: (O, C/groups, k); bias: (O,). Result: (..., O, OL).

    padding: a number, (before, after), "valid", or "same" (⌈L/stride⌉).

    >>> tg.conv1d(tg.ones((5, 1, 8)), tg.ones((4, 1, 3))).shape
    (5, 4, 6)
    """
    x = as_tensor(x)
    w = as_tensor(w)
    geo = row_geometry(x.shape[-1], w.shape[-1], stride, padding, dilation, groups)
    return add_channels(without_rows(families.conv2d(with_rows(x), with_rows(w), geo)), bias, 1)


def conv_transpose2d(
    x: TensorLike, w: TensorLike, bias: TensorLike | None = None,
    stride: Size = 1, padding: Padding = 0, output_padding: Size = 0, groups: int = 1, dilation: Size = 1,
) -> Tensor:
    """The adjoint of conv2d, as a layer. x: (..., O, OH, OW); w: (O, C/groups, kh, kw); bias: (C,).

    Result: (..., C, H, W), the smallest image that conv2d would bring to x's size, and output_padding more rows and
    columns, fewer than the stride. padding: as conv2d takes it; with "same" the image is stride times as large as x.

    >>> tg.conv_transpose2d(tg.ones((5, 4, 6, 6)), tg.ones((4, 1, 3, 3))).shape
    (5, 1, 8, 8)
    """
    x = as_tensor(x)
    w = as_tensor(w)
    geo = Geometry.transposed(x.shape[-2:], w.shape[-2:], stride, padding, output_padding, dilation, groups)
    return add_channels(families.conv2d_input(x, w, geo), bias)
# fmt: on


def row_geometry(length: int, kernel: int, stride: int, padding: Padding, dilation: int, groups: int) -> Geometry:
    """The geometry of a window along one axis, as that of an image with one row."""
    if isinstance(padding, str):
        return Geometry.of((1, length), (1, kernel), (1, stride), padding, (1, dilation), groups)
    return Geometry.of((1, length), (1, kernel), (1, stride), ((0, 0), _ends(padding)), (1, dilation), groups)


def _ends(padding: Padding) -> tuple[int, int]:
    """The padding before and after a row. ValueError unless it is an integer or one or two integers."""
    ends: Sequence[Any] = padding if isinstance(padding, Sequence) else (padding,)
    try:
        before, after = (operator.index(n) for n in tuple(ends) * (2 // len(ends)))
    except (TypeError, ValueError, ZeroDivisionError):
        raise ValueError(f"padding must be an integer, (before, after), 'valid' or 'same'; got {padding!r}") from None
    return before, after


def with_rows(x: Tensor) -> Tensor:
    """x, (..., C, L), as images of one row: (..., C, 1, L)."""
    return reshape(x, (*x.shape[:-1], 1, x.shape[-1]))


def without_rows(x: Tensor) -> Tensor:
    """Images of one row, (..., C, 1, L), as (..., C, L)."""
    return reshape(x, (*x.shape[:-2], x.shape[-1]))


def border(geometry: Geometry, mode: str, like: Tensor) -> tuple[Any, Any]:
    """Which row and which column of the plane stands at each place of the padded one: (PH, 1) and (PW,).

    mode: "reflect", "replicate" or "circular". Raises ValueError for another word.
    """
    names: dict[str, Any] = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}
    if mode not in names:
        raise ValueError(f"padding_mode {mode!r} is unknown: expected 'zeros', {', '.join(map(repr, names))}")
    rows, columns = (
        to_device(np.pad(np.arange(n), ends, names[mode]), like.device)
        for n, ends in zip(geometry.input, geometry.padding, strict=True)
    )
    return rows[:, None], columns


def bordered(x: Tensor, at: tuple[Any, Any]) -> Tensor:
    """The padded planes. x: (..., C, H, W); at: what `border` gives. Result: (..., C, PH, PW)."""
    return index(x, (..., *at))


def unbordered(g: Tensor, at: tuple[Any, Any], size: tuple[int, int]) -> Tensor:
    """The adjoint of `bordered`: what came from one entry is added up. g: (..., C, PH, PW); result: (..., C, *size)."""
    return _index_add(g, (..., *at), (*g.shape[:-2], *size))


def add_channels(y: Tensor, bias: TensorLike | None, axes: int = 2) -> Tensor:
    """y + bias, one number per channel. y: (..., C, H, W), or (..., C, L) with axes=1; bias: (C,) or None."""
    return y if bias is None else add(y, reshape(bias, (-1, *(1,) * axes)))


# fmt: off
def max_pool2d(
    x: TensorLike, kernel_size: Size, stride: Size | None = None,
    padding: Padding = 0, dilation: Size = 1, ceil_mode: bool = False,
) -> Tensor:
    """The maximum of each window. x: (..., C, H, W). Result: (..., C, OH, OW).

    The default stride is the kernel size. ceil_mode: the last windows may stand out, so that they cover the remainder.
    At a tie the first in row-major order gets the whole cotangent.

    >>> tg.max_pool2d(tg.ones((5, 1, 8, 8)), 3, ceil_mode=True).shape
    (5, 1, 3, 3)
    """
    x = as_tensor(x)
    geo = pool_geometry(x, kernel_size, stride, padding, dilation, ceil_mode)
    return families.pool_gather(x, families.pool_argmax(x, geo), geo.input)
# fmt: on


def avg_pool2d(x: TensorLike, kernel_size: Size, stride: Size | None = None, padding: Padding = 0) -> Tensor:
    """The mean of each window, padding counted as zeros. x: (..., C, H, W). Result: (..., C, OH, OW).

    >>> tg.avg_pool2d(tg.ones((5, 1, 8, 8)), 2).shape
    (5, 1, 4, 4)
    """
    x = as_tensor(x)
    return families.avg_pool(x, pool_geometry(x, kernel_size, stride, padding))


# fmt: off
def pool_geometry(
    x: Tensor, kernel_size: Size, stride: Size | None = None,
    padding: Padding = 0, dilation: Size = 1, ceil_mode: bool = False,
) -> Geometry:
    """The geometry of a pooling window over the last two axes of x; the default stride is the kernel size."""
    stride = kernel_size if stride is None else stride
    return Geometry.of(x.shape[-2:], kernel_size, stride, padding, dilation, ceil=ceil_mode)
# fmt: on


def standardize(x: Tensor, axis: Any, eps: float) -> tuple[Tensor, Tensor]:
    """(x - mean) / √(var + eps) over the axes, and the factor 1/√(var + eps). Ioffe & Szegedy 2015, algorithm 1."""
    inverse_std = divide(1.0, sqrt(add(var(x, axis, keepdims=True), eps)))
    return multiply(subtract(x, mean(x, axis, keepdims=True)), inverse_std), inverse_std


# fmt: off
def batch_norm(
    x: TensorLike, weight: TensorLike | None = None, bias: TensorLike | None = None,
    running_mean: TensorLike | None = None, running_var: TensorLike | None = None, eps: float = 1e-5,
) -> Tensor:
    """Batch normalisation. x: (N, C, ...); weight, bias, running_mean, running_var: (C,). Result: x's shape.

    With running statistics (eval mode) they are constants; without (train mode) the batch's own mean and variance are
    used, and differentiated through; there must be at least two values per channel. Raises ValueError for other shapes,
    and for one running statistic without the other. Source: Ioffe & Szegedy, Batch Normalization, 2015, algorithm 1.

    >>> tg.batch_norm(tg.Tensor([[1.0], [3.0]]), tg.ones(1), tg.zeros(1), eps=0.0)
    Tensor([[-1.],
            [ 1.]], float64)
    """
    x = as_tensor(x)
    _check_batch_norm(x, weight=weight, bias=bias, running_mean=running_mean, running_var=running_var)
    shape = (1, -1, *(1,) * (x.ndim - 2))
    if running_mean is None or running_var is None:
        normal, _ = standardize(x, (0, *range(2, x.ndim)), eps)
    else:
        inverse_std = power(add(running_var, eps), -0.5)
        normal = multiply(subtract(x, reshape(running_mean, shape)), reshape(inverse_std, shape))
    y = normal if weight is None else multiply(normal, reshape(weight, shape))
    return y if bias is None else add(y, reshape(bias, shape))
# fmt: on


def _check_batch_norm(x: Tensor, **vectors: TensorLike | None) -> None:
    """The shapes that batch_norm takes: x (N, C, ...), all others (C,); both running statistics, or none."""
    if x.ndim < 2:
        raise ValueError(f"batch_norm: x must be (N, C, ...), got shape {x.shape}")
    for name, t in vectors.items():
        if t is not None and as_tensor(t).shape != x.shape[1:2]:
            raise ValueError(
                f"batch_norm: {name} must be {x.shape[1:2]}, one for each channel; got shape {as_tensor(t).shape}"
            )
    missing = [name for name in ("running_mean", "running_var") if vectors[name] is None]
    if len(missing) == 1:
        raise ValueError(f"batch_norm: {missing[0]} is missing; give both running statistics (eval), or none (train)")
    if missing and x.size < 2 * x.shape[1]:
        raise ValueError(f"batch_norm: without running statistics, a channel needs two values or more; got {x.shape}")


def channel_window(channels: int, size: int, like: Tensor) -> Tensor:
    """The 1×1 filters (C, C, 1, 1) that sum `size` neighbours: row c sums channels c - size//2 ... c + (size-1)//2."""
    c = np.arange(channels)
    offset = c[None, :] - c[:, None]
    band = ((offset >= -(size // 2)) & (offset <= (size - 1) // 2)).astype(like.dtype)
    return Tensor(to_device(band.reshape(channels, channels, 1, 1), like.device))


def local_response_norm(x: TensorLike, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Tensor:
    """x / (k + alpha/size · Σ x²)^beta, Σ over `size` neighbour channels. x: (N, C, ...). Result: x's shape.

    Source: Krizhevsky et al., ImageNet Classification with Deep Convolutional Neural Networks, 2012, section 3.3.

    >>> tg.local_response_norm(tg.ones((1, 3, 2, 2)), size=3).shape
    (1, 3, 2, 2)
    """
    x = as_tensor(x)
    if x.ndim < 2 or size < 1:
        raise ValueError(f"local_response_norm: x must be (N, C, ...) and size at least 1; got {x.shape} and {size}")
    n, c, *places = x.shape
    squares = reshape(multiply(x, x), (n, c, math.prod(places), 1))
    near = reshape(conv2d(squares, channel_window(c, size, x)), x.shape)
    return divide(x, power(add(multiply(near, alpha / size), k), beta))


def dropout_mask(shape: tuple[int, ...], p: float, rng: np.random.Generator, like: Tensor) -> Tensor:
    """A constant of entries 0 (with probability p) or 1/(1-p), drawn from the explicit generator."""
    if not 0.0 <= p < 1.0:
        raise ValueError(f"dropout: p is a probability in [0, 1), got {p}")
    with stateful(partial(generator_state, rng)):
        keep = (rng.random(shape, dtype=np.float32) >= p) / (1.0 - p)
    return Tensor(to_device(keep.astype(like.dtype), like.device))


def generator_state(rng: np.random.Generator) -> Callable[[], None]:
    """Look at the state of a generator; the result puts it back."""
    state = rng.bit_generator.state
    return lambda: setattr(rng.bit_generator, "state", state)


def dropout(x: TensorLike, p: float, rng: np.random.Generator) -> Tensor:
    """x with entries dropped with probability p and the others scaled by 1/(1-p). x: any shape; p: in [0, 1).

    >>> tg.dropout(tg.ones(4), 0.5, np.random.default_rng(0))
    Tensor([2., 2., 2., 0.], float64)
    """
    x = as_tensor(x)
    return mask(x, dropout_mask(x.shape, p, rng, x))
