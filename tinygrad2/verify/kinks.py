"""Which side of every kink a point is on: differences are trusted only where that is the same at all sample points.

While a function of Tensors runs, each piecewise primitive leaves its sides (masks, indices) and its margin (how far
the nearest entry is from the kink). Two points with equal sides lie in one smooth region of the function.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinygrad2.autodiff import Tensor, watch
from tinygrad2.kernels import Array, Geometry, reference, to_numpy

Sight = tuple[Array, Array]  # masks or indices, distances to the kinks


@dataclass
class Sides:
    """The sides that one run of a function took, and the smallest distance to a kink (inf where there is none)."""

    masks: list[bytes] = field(default_factory=list)
    margin: float = np.inf

    def see(self, sight: Sight) -> None:
        mask, distances = sight
        self.masks.append(np.ascontiguousarray(mask).tobytes())
        if distances.size:
            self.margin = min(self.margin, float(distances.min()))


def _side(x: Array) -> Sight:
    return x > 0, np.abs(x)


def _mask(x: Array) -> Sight:
    """Zeros are what a ReLU leaves behind, which has shown its own distance."""
    return x > 0, np.abs(x[x != 0])


def _order(a: Array, b: Array) -> Sight:
    return np.sign(a - b), np.abs(a - b)


def _box(x: Array, lo: float, hi: float) -> Sight:
    return (x > lo).astype(np.int8) + (x > hi), np.minimum(np.abs(x - lo), np.abs(x - hi))


def _top(x: Array, axes: Any) -> Sight:
    """The entries that are the maximum over the axes; the gap between the two largest."""
    axes = tuple(range(x.ndim)) if axes is None else (axes,) if isinstance(axes, int) else tuple(axes)
    rest = [a for a in range(x.ndim) if a not in {b % x.ndim for b in axes}]
    rows = x.transpose(*rest, *axes).reshape(-1, int(np.prod([x.shape[a] for a in axes])))
    return _first_of(rows)


def _first_of(rows: Array) -> Sight:
    gaps = np.diff(np.partition(rows, -2)[:, -2:]).ravel() if rows.shape[1] > 1 else np.full(len(rows), np.inf)
    return rows.argmax(1), gaps


def _ranks(x: Array, axis: int, descending: bool) -> Sight:
    """Which entry comes where along the axis; the gaps between neighbours in that order."""
    return x.argsort(axis, kind="stable"), np.diff(np.sort(x, axis), axis=axis).ravel()


def _window(x: Array, geo: Geometry) -> Sight:
    planes = x.reshape(-1, *x.shape[-2:])
    padded = np.full((len(planes), *geo.padded), -np.inf)
    padded[(..., *reference.inside(geo))] = planes
    return _first_of(np.stack([padded[(..., *seen)].ravel() for _, _, seen in reference.offsets(geo)], 1))


def _zero(x: Array, axes: Any, p: float) -> Sight:
    size = np.sqrt((x * x).sum(axes))
    return size == 0, size


def _cusp(r: Array, q: float) -> Sight:
    """|r|^q has no slope at 0 where q is at most 1."""
    return _side(r if q <= 1 else r.ravel()[:0])


# Every primitive that is not smooth everywhere, and what tells its pieces apart.
KINKS: dict[str, Callable[..., Sight]] = {
    **dict.fromkeys(("relu", "abs", "sign"), _side),
    **dict.fromkeys(
        ("maximum", "share", "less", "less_equal", "greater", "greater_equal", "equal", "not_equal"), _order
    ),
    **dict.fromkeys(("clip", "inside"), _box),
    **dict.fromkeys(("max", "ties", "argmax"), _top),
    "argmin": lambda x, axis: _top(-x, axis),
    "argsort": _ranks,
    "positive": _mask,
    "pool_argmax": _window,
    "norm": _zero,
    **dict.fromkeys(("odd_power", "even_power"), _cusp),
    "ratio": lambda a, b: (b == 0, np.abs(b[b != 0])),
}


@contextmanager
def watching() -> Iterator[Sides]:
    """Note on which side of its kinks every piecewise primitive is that this thread runs inside the block."""
    sides = Sides()

    def see(call: watch.Call) -> None:
        look = KINKS.get(call.op.name)
        if look is not None:
            sides.see(look(*map(_real, call.args)))

    with watch.watching(see):
        yield sides


def _real(value: Any) -> Any:
    """The real part of an array or a Tensor; other arguments (numbers, axes, a geometry) as they are."""
    if isinstance(value, Tensor):
        value = value.array
    return to_numpy(value).real if hasattr(value, "ndim") else value
