"""What a hypothesis about a mistake is: a name, a sentence, and a repair of the rule's result that makes it right.

Here too is what all repairs are written with: the claim, the rule run again, and the values of the forward pass.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from tinygrad2.kernels import Array
from tinygrad2.verify.point import Broken, Point
from tinygrad2.verify.truth import SecondOrder

Repair = Callable[[Point, int], Array]  # the point and the number of the wrong result -> the right result


class Hypothesis(NamedTuple):
    """A mistake and its repair."""

    mistake: str
    sentence: str
    repair: Repair


class Diagnosis(NamedTuple):
    """A mistake that, repaired, leaves nothing wrong."""

    mistakes: tuple[str, ...]
    sentence: str
    repair: Repair


def explains(h: Hypothesis, points: Sequence[Point], k: int) -> bool:
    """True if the repair leaves nothing wrong at any point."""
    return all(_repairs(h, p, k) for p in points)


def _repairs(h: Hypothesis, p: Point, k: int) -> bool:
    try:
        with np.errstate(all="ignore"):
            repaired = h.repair(p, k)
        return repaired is not None and p.close(np.asarray(repaired), p.expected[k])
    except (Broken, ValueError, IndexError, TypeError, FloatingPointError):
        return False


def got(p: Point, k: int) -> Array:
    """What the rule claims; a broken rule claims nothing that could be transformed."""
    claimed = p.claimed()
    if claimed is None or claimed[k] is None:
        raise Broken("nothing")
    return claimed[k]


def again(p: Point, k: int, **changed: Any) -> Array:
    """What the rule claims for other operands."""
    result = p.claim(**changed)[k]
    if result is None:
        raise Broken("nothing")
    return result


def cotangent(p: Point) -> Array:
    if len(p.truth.out_shapes) > 1:
        raise Broken("several cotangents")
    return p.g.reshape(p.truth.out_shapes[0])


def put(p: Point, i: int, value: Array) -> list[Array]:
    return [value if j == i else a for j, a in enumerate(p.inputs)]


def saved(p: Point) -> dict[str, Array]:
    """Everything of the forward pass that a rule may use: the inputs, the output, and what the exercise adds."""
    values = {name: a for name, a in zip(p.problem.names, p.inputs, strict=False) if a.dtype.kind == "f"}
    if isinstance(p.truth, SecondOrder):
        values["y"] = p.truth.base.y.reshape(p.truth.base.out_shapes[0])
    elif len(p.truth.out_shapes) == 1:
        values["y"] = p.y[0]
    if p.problem.saved:
        values |= p.problem.saved(*p.inputs, **p.case.params)
    return values


def fit(a: Array, shape: tuple[int, ...], front: bool = False) -> Array:
    """a as a factor for an array of the shape: broadcast from behind, or from the front. It must not enlarge it."""
    if front and np.ndim(a) < len(shape):
        a = a.reshape(a.shape + (1,) * (len(shape) - a.ndim))
    if np.broadcast_shapes(np.shape(a), shape) != shape:
        raise Broken("does not fit")
    return a


def axes_named(axes: tuple[int, ...], ndim: int) -> str:
    """How a set of axes is called in a sentence."""
    return "both kernel axes" if ndim == 4 and axes == (2, 3) else f"axis {', '.join(map(str, axes))}"


def subsets(n: int) -> list[tuple[int, ...]]:
    """Sets of axes, the last axes first."""
    sets = [s for size in range(1, min(n, 3) + 1) for s in combinations(range(n), size)]
    return sorted(sets, key=lambda s: (s != (n - 2, n - 1), len(s), [-a for a in s]))
