"""The entries of a tensor in another order, or several times: composed of slices, joints and broadcasts."""

from __future__ import annotations

import builtins
import operator
from collections.abc import Sequence

import numpy as np

from tinygrad2.autodiff import Tensor, TensorLike
from tinygrad2.kernels.arrays import NDArray, xp
from tinygrad2.ops.elementwise import add
from tinygrad2.ops.shape import (
    Axis,
    _index_add,
    as_tensor,
    broadcast_to,
    concatenate,
    index,
    moveaxis,
    position,
    positions,
    ravel,
    reshape,
    swapaxes,
    take,
)

__all__ = ["flip", "fliplr", "flipud", "pad", "repeat", "roll", "rot90", "sliding_window_view", "tile"]

PadWidth = int | tuple[int, int] | Sequence[tuple[int, int]]
MODES = ("constant", "edge", "reflect", "symmetric", "wrap")


def along(axis: int, part: slice | NDArray) -> tuple[slice | NDArray, ...]:
    """The key that takes the part along the axis, and everything along the others."""
    return (slice(None),) * axis + (part,)


def flip(x: TensorLike, axis: Axis = None) -> Tensor:
    """The entries in reverse order along the axes. x: any shape. axis: an int, several, or None for all.

    >>> tg.flip(tg.Tensor([[1.0, 2.0], [3.0, 4.0]]), axis=1)
    Tensor([[2., 1.],
            [4., 3.]], float64)
    """
    x = as_tensor(x)
    axes = positions(axis, x.ndim, "flip")
    return index(x, tuple([slice(None, None, -1 if i in axes else 1) for i in range(x.ndim)]))


def fliplr(x: TensorLike) -> Tensor:
    """The entries in reverse order along axis 1, left to right. x: (M, N, ...).

    >>> tg.fliplr(tg.Tensor([[1.0, 2.0]]))
    Tensor([[2., 1.]], float64)
    """
    x = as_tensor(x)
    if x.ndim < 2:
        raise ValueError(f"fliplr: expected at least two axes, got shape {x.shape}")
    return flip(x, 1)


def flipud(x: TensorLike) -> Tensor:
    """The entries in reverse order along axis 0, up to down. x: (M, ...).

    >>> tg.flipud(tg.Tensor([1.0, 2.0]))
    Tensor([2., 1.], float64)
    """
    x = as_tensor(x)
    if x.ndim < 1:
        raise ValueError(f"flipud: expected at least one axis, got shape {x.shape}")
    return flip(x, 0)


def rot90(x: TensorLike, k: int = 1, axes: tuple[int, int] = (0, 1)) -> Tensor:
    """x turned k times by 90 degrees, from the first of the axes towards the second. x: (M, N, ...).

    >>> tg.rot90(tg.Tensor([[1.0, 2.0], [3.0, 4.0]]))
    Tensor([[2., 4.],
            [1., 3.]], float64)
    """
    x = as_tensor(x)
    first, second = positions(axes, x.ndim, "rot90")
    if k % 4 == 2:
        return flip(x, (first, second))
    if k % 2 == 1:
        return swapaxes(flip(x, second), first, second) if k % 4 == 1 else flip(swapaxes(x, first, second), second)
    return x


def roll(x: TensorLike, shift: int | Sequence[int], axis: Axis = None) -> Tensor:
    """The entries moved on by `shift` places along the axis; those that leave at its end enter at its start.

    x: any shape. axis: an int, or several with a shift for each; None moves through all entries in row-major order.

    >>> tg.roll(tg.Tensor([1.0, 2.0, 3.0]), 1)
    Tensor([3., 1., 2.], float64)
    """
    x = as_tensor(x)
    if axis is None:
        steps = builtins.sum(shift) if isinstance(shift, Sequence) else shift
        return reshape(roll(ravel(x), steps, 0), x.shape)
    axes = [position(a, x.ndim, "roll") for a in (axis if isinstance(axis, Sequence) else (axis,))]
    for step, a in np.broadcast(shift, axes):
        n = x.shape[a]
        cut = n - step % n if n else 0
        if 0 < cut < n:
            x = concatenate([index(x, along(a, slice(cut, n))), index(x, along(a, slice(cut)))], a)
    return x


def sliding_window_view(x: TensorLike, window_shape: int | Sequence[int], axis: Axis = None) -> Tensor:
    """What a window sees at every place, as `np.lib.stride_tricks.sliding_window_view`. x: any shape.

    window_shape: the window's size along each of the axes, all by default. Result: x's shape, smaller by the window's
    size less 1 along those axes, and then one axis for each of the window's. An entry that several windows see gets the
    sum of their cotangents. ValueError where the window is larger than x.

    >>> tg.sliding_window_view(tg.arange(4.0), 3)
    Tensor([[0., 1., 2.],
            [1., 2., 3.]], float64)
    """
    x = as_tensor(x)
    sizes = tuple(window_shape) if isinstance(window_shape, Sequence) else (window_shape,)
    given = range(x.ndim) if axis is None else axis if isinstance(axis, Sequence) else (axis,)
    axes = [position(a, x.ndim, "sliding_window_view") for a in given]
    if len(sizes) != len(axes):
        raise ValueError(f"sliding_window_view: window_shape {sizes} must have one size for each of the axes {axes}")
    for size, a in zip(sizes, axes, strict=True):
        count = x.shape[a] - size + 1
        if size < 0 or count < 1:
            raise ValueError(f"sliding_window_view: a window of {size} does not fit into axis {a} of shape {x.shape}")
        seen = index(x, along(a, np.arange(count)[:, None] + np.arange(size)))
        x = moveaxis(seen, a + 1, -1)
    return x


def repeat(x: TensorLike, repeats: int | Sequence[int], axis: int | None = None) -> Tensor:
    """Each entry several times in a row along the axis. x: any shape.

    repeats: a number for all, or one for each entry along the axis. axis: None repeats all entries in row-major order.

    >>> tg.repeat(tg.Tensor([1.0, 2.0]), 2)
    Tensor([1., 1., 2., 2.], float64)
    """
    x = as_tensor(x)
    if axis is None:
        return repeat(ravel(x), repeats, 0)
    axis = position(axis, x.ndim, "repeat")
    counts = np.atleast_1d(repeats)
    if counts.dtype.kind not in "iu" or counts.min(initial=0) < 0 or counts.shape not in ((1,), (x.shape[axis],)):
        raise ValueError(f"repeat: expected one count, or {x.shape[axis]} of them, integers from 0; got {repeats}")
    if counts.size > 1:
        return take(x, np.repeat(np.arange(x.shape[axis]), counts), axis)
    head, tail, n = x.shape[: axis + 1], x.shape[axis + 1 :], int(counts[0])
    return reshape(broadcast_to(reshape(x, (*head, 1, *tail)), (*head, n, *tail)), (*head[:-1], head[-1] * n, *tail))


def tile(x: TensorLike, reps: int | Sequence[int]) -> Tensor:
    """The whole of x several times along each axis. x: any shape. reps: a number for the last axis, or for each.

    >>> tg.tile(tg.Tensor([1.0, 2.0]), 2)
    Tensor([1., 2., 1., 2.], float64)
    """
    x = as_tensor(x)
    counts = tuple(reps) if isinstance(reps, Sequence) else (operator.index(reps),)
    ndim = builtins.max(len(counts), x.ndim)
    counts = (1,) * (ndim - len(counts)) + counts
    shape = (1,) * (ndim - x.ndim) + x.shape
    pairs = [n for pair in zip(counts, shape, strict=True) for n in pair]
    apart = [n for size in shape for n in (1, size)]
    return reshape(broadcast_to(reshape(x, apart), pairs), [c * n for c, n in zip(counts, shape, strict=True)])


def pad(x: TensorLike, pad_width: PadWidth, mode: str = "constant", constant_values: float = 0.0) -> Tensor:
    """x with entries added before and after along its axes. x: any shape.

    pad_width: a number, a pair (before, after) for all axes, or one pair for each axis; none negative.
    mode: "constant" adds constant_values; "edge" repeats the outermost entry; "reflect" mirrors at it and "symmetric"
    mirrors with it; "wrap" goes on at the other end (PyTorch says replicate, reflect, none, circular).

    >>> tg.pad(tg.Tensor([1.0, 2.0, 3.0]), (1, 2))
    Tensor([0., 1., 2., 3., 0., 0.], float64)
    >>> tg.pad(tg.Tensor([1.0, 2.0, 3.0]), (1, 2), mode="reflect")
    Tensor([2., 1., 2., 3., 2., 1.], float64)
    """
    x = as_tensor(x)
    widths = _pairs(pad_width, x)
    if mode not in MODES:
        raise ValueError(f"pad: unknown mode {mode!r}; expected one of {', '.join(MODES)}")
    if mode == "constant":
        return _pad_constant(x, widths, constant_values)
    for axis, (before, after) in enumerate(widths):
        n = x.shape[axis]
        if n == 0 and before + after:
            raise ValueError(f"pad: mode {mode!r} has nothing to repeat along axis {axis} of shape {x.shape}")
        if before + after:
            places = np.pad(np.arange(n), (before, after), mode)  # type: ignore[call-overload]
            x = concatenate([index(x, along(axis, run)) for run in _runs(places)], axis)
    return x


def _pairs(widths: PadWidth, x: Tensor) -> list[tuple[int, int]]:
    """(before, after) for each axis; ValueError for a negative width, or for too few."""
    given = np.asarray(widths)
    if given.dtype.kind not in "iu":
        raise TypeError(f"pad: expected integers as widths, got {widths}")
    if (given.ndim == 2 and given.shape != (x.ndim, 2)) or given.ndim > 2 or (given.ndim == 1 and given.shape != (2,)):
        raise ValueError(f"pad: expected a pair (before, after) for each axis of shape {x.shape}, got {widths}")
    if given.min(initial=0) < 0:
        raise ValueError(f"pad: expected widths of at least 0, got {widths}; a slice takes entries away")
    return [(int(a), int(b)) for a, b in np.broadcast_to(given, (x.ndim, 2))]


def _pad_constant(x: Tensor, widths: list[tuple[int, int]], value: float) -> Tensor:
    shape = tuple([n + a + b for n, (a, b) in zip(x.shape, widths, strict=True)])
    inside = tuple([slice(a, a + n) for n, (a, _) in zip(x.shape, widths, strict=True)])
    if not value:
        return _index_add(x, inside, shape)
    border = xp(x.array).full(shape, value, x.dtype)
    border[inside] = 0
    return add(_index_add(x, inside, shape), Tensor(border))


def _runs(places: NDArray) -> list[slice]:
    """Slices that, one after the other, visit these places: each goes up or down in steps of one."""
    runs = []
    start = 0
    steps = [*np.diff(places).tolist(), 0]
    while start < len(places):
        step = steps[start] if abs(steps[start]) == 1 else 1
        stop = start
        while steps[stop] == step:
            stop += 1
        end = int(places[stop]) + step
        runs.append(slice(int(places[start]), None if end < 0 else end, step))
        start = stop + 1
    return runs
