"""What people take for the rules of sliding windows: of pooling and of convolution."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from tinygrad2.kernels import Array, Geometry
from tinygrad2.verify.tracing import Step

Wrong = tuple[str, str, Callable[[Array], Array]]  # the mistake, what was done, and the wrong rule
OVERWRITE = "where windows overlap, what meets at one entry overwrites each other, but it must add"


def of_windows(step: Step, i: int) -> Iterator[Wrong]:
    """The wrong rules for argument i of a pool or a convolution; none for another call."""
    geo = step.geometry
    if geo is None or geo.groups != 1:
        return
    if step.op.name == "pool_gather":
        yield from _of_largest(step.inputs[0], step.inputs[1], geo)
    if step.op.name == "avg_pool2d":
        yield "unsummed", OVERWRITE, partial(_assigned, _seen(geo), step.inputs[0].shape, 1 / np.prod(geo.kernel))
    if step.op.name == "conv2d" and i == 0:
        x, w = step.inputs
        yield "unsummed", OVERWRITE, partial(_filled, w, x.shape, geo, True)
        yield "shift", "the padding is not cut off, so that everything is moved by it", partial(_uncut, w, x.shape, geo)
    if step.op.name == "conv2d" and i == 1:
        x, w = step.inputs
        yield (
            "wrong-index",
            "the stride is ignored: neighbours in g are taken for neighbours in x",
            partial(_dense, x, w, geo),
        )


def _seen(geo: Geometry) -> Array:
    """(OH*OW, kh*kw): the places in the plane (H, W) that each window sees, -1 for padding."""
    rows, columns = (
        np.arange(out)[:, None] * stride - before + np.arange(kernel) * dilation
        for out, stride, (before, _), kernel, dilation in zip(
            geo.output, geo.stride, geo.padding, geo.kernel, geo.dilation, strict=True
        )
    )
    r = rows[:, None, :, None]
    c = columns[None, :, None, :]
    inside = (r >= 0) & (r < geo.input[0]) & (c >= 0) & (c < geo.input[1])
    return np.where(inside, r * geo.input[1] + c, -1).reshape(len(rows) * len(columns), -1)


def _of_largest(x: Array, taken: Array, geo: Geometry) -> Iterator[Wrong]:
    """x: (..., H, W), taken: the places of the largest entries, (..., OH, OW)."""
    seen = _seen(geo)
    planes = x.reshape(-1, x.shape[-2] * x.shape[-1])
    entries = np.where(seen >= 0, planes[:, seen], np.nan)  # (planes, windows, entries)
    whole = (seen >= 0) * np.ones(entries.shape)
    smallest = np.where(seen >= 0, entries == np.nanmin(entries, 2, keepdims=True), False) * 1.0
    place = np.arange(seen.shape[1])
    yield (
        "mask",
        "the cotangent goes to every entry of its window, not only to the largest",
        partial(_dealt, seen, whole, x.shape),
    )
    shared = whole / whole.sum(2, keepdims=True)
    yield (
        "mask",
        "the cotangent is shared by all entries of its window alike, as for a mean",
        partial(_dealt, seen, shared, x.shape),
    )
    text = "the cotangent goes to the smallest entry of its window in place of the largest"
    yield "mask", text, partial(_dealt, seen, smallest, x.shape)
    for word, chosen in (("first", place == 0), ("last", place == len(place) - 1)):
        text = f"the cotangent goes to the {word} entry of its window, whichever is the largest"
        yield "mask", text, partial(_dealt, seen, whole * chosen, x.shape)
    yield "unsummed", OVERWRITE, partial(_taken, taken.reshape(len(planes), -1), x.shape)


def _dealt(seen: Array, weights: Array, shape: tuple[int, ...], g: Array) -> Array:
    """Every entry of g dealt to its window. weights: (planes, windows, entries)."""
    planes = np.zeros((len(weights), shape[-2] * shape[-1] + 1))  # the last place is for padding
    given = weights * g.reshape(len(weights), -1, 1)
    np.add.at(planes, (np.arange(len(planes))[:, None, None], seen), given)
    return planes[:, :-1].reshape(shape)


def _assigned(seen: Array, shape: tuple[int, ...], weight: float, g: Array) -> Array:
    """The same where the last window that sees an entry wins."""
    planes = np.zeros((int(np.prod(shape[:-2])), shape[-2] * shape[-1] + 1))
    for window, places in enumerate(seen):
        planes[:, places] = weight * g.reshape(len(planes), -1)[:, window, None]
    return planes[:, :-1].reshape(shape)


def _taken(taken: Array, shape: tuple[int, ...], g: Array) -> Array:
    planes = np.zeros((len(taken), shape[-2] * shape[-1]))
    for window in range(taken.shape[1]):
        planes[np.arange(len(planes)), taken[:, window]] = g.reshape(taken.shape)[:, window]
    return planes.reshape(shape)


def _padded(shape: tuple[int, ...], geo: Geometry) -> Array:
    (top, bottom), (left, right) = geo.padding
    return np.zeros((*shape[:2], shape[2] + top + bottom, shape[3] + left + right))


def _places(geo: Geometry, stride: tuple[int, int], i: int, j: int) -> tuple[slice, slice]:
    """Where entry (i, j) of the filter falls, for all windows, in the padded plane."""
    starts = (i * geo.dilation[0], j * geo.dilation[1])
    rows, columns = (
        slice(start, start + (out - 1) * step + 1, step)
        for start, out, step in zip(starts, geo.output, stride, strict=True)
    )
    return rows, columns


def _spread(w: Array, shape: tuple[int, ...], geo: Geometry, assign: bool, g: Array) -> Array:
    full = _padded(shape, geo)
    for i, j in np.ndindex(*geo.kernel):
        at = (..., *_places(geo, geo.stride, i, j))
        part = np.einsum("nohw,oc->nchw", g, w[:, :, i, j])
        full[at] = part if assign else full[at] + part
    return full


def _filled(w: Array, shape: tuple[int, ...], geo: Geometry, assign: bool, g: Array) -> Array:
    (top, _), (left, _) = geo.padding
    return _spread(w, shape, geo, assign, g)[:, :, top : top + shape[2], left : left + shape[3]]


def _uncut(w: Array, shape: tuple[int, ...], geo: Geometry, g: Array) -> Array:
    return _spread(w, shape, geo, False, g)[:, :, : shape[2], : shape[3]]


def _dense(x: Array, w: Array, geo: Geometry, g: Array) -> Array:
    (top, bottom), (left, right) = geo.padding
    padded = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    out = np.zeros(w.shape)
    for i, j in np.ndindex(*geo.kernel):
        part = padded[(..., *_places(geo, (1, 1), i, j))]
        out[:, :, i, j] = np.einsum("nohw,nchw->oc", g, part)
    return out
