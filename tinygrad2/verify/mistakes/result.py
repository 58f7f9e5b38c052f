"""Mistakes that a transformation of the result repairs: sign, factor, order of the axes, shape, sums."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import permutations

import numpy as np

from tinygrad2.kernels import Array
from tinygrad2.verify.mistakes.constants import named_numbers
from tinygrad2.verify.mistakes.hypothesis import Hypothesis, again, axes_named, cotangent, got, subsets
from tinygrad2.verify.point import Broken, Point


def of_result(points: Sequence[Point], k: int) -> Iterator[Hypothesis]:
    """Sign, factor, order of the axes, direction of the axes, order of the results."""
    ndim = points[0].expected[k].ndim
    yield Hypothesis("sign", "The sign is wrong: right after multiplying by -1.", _negative)
    yield from _factor(points, k)
    for order in permutations(range(ndim)) if ndim <= 4 else []:
        if order == tuple(range(ndim)):
            continue
        if ndim > 2 and order == (1, 0, *range(2, ndim)):
            said = "Right after swapping the first two axes (the channels)."
            yield Hypothesis("swap", said, partial(_transposed, order))
        else:
            said = f"Right after transposing it to the axes {order}."
            yield Hypothesis("transpose", said, partial(_transposed, order))
    for axes in subsets(ndim):
        yield Hypothesis("flip", f"Right after flipping {axes_named(axes, ndim)}.", partial(_flipped, axes))
    yield Hypothesis("mask", "The mask is inverted: right where you have 0, and 0 elsewhere.", _masked_inversely)
    problem = points[0].problem
    for other in range(len(points[0].expected)):
        if other != k:
            said = f"The results {problem.result(k)} and {problem.result(other)} have changed places."
            yield Hypothesis("swap", said, partial(_result_number, other))


def _factor(points: Sequence[Point], k: int) -> Iterator[Hypothesis]:
    """The one constant between claim and truth, if there is one at every point and it is a number with a name."""
    ratios = []
    for p in points:
        claimed = p.claimed()
        a = claimed[k] if claimed else None
        e = p.expected[k]
        if a is None or a.shape != e.shape or not np.any(np.abs(a) > 0):
            return
        ratios.append(float((a * e).sum() / (a * a).sum()))
    for said, number in named_numbers(points, ratios):
        yield Hypothesis("factor", f"A constant factor: right after multiplying by {said}.", partial(_times, number))


def of_shape(points: Sequence[Point], k: int) -> Iterator[Hypothesis]:
    """A result of another shape: not summed, not spread out, or only written in another shape."""
    yield Hypothesis("unsummed", "Right after summing over the axes that were broadcast.", _unbroadcast)
    for axes in subsets(5):
        said = f"Not summed over axis {', '.join(map(str, axes))} of the result: right after .sum({axes})."
        yield Hypothesis("unsummed", said, partial(_summed, axes))
    said = "The entries are right, the shape is not: right after a reshape to the input's shape."
    yield Hypothesis("shape", said, _reshaped)
    said = "Right after spreading the result over the input's shape (np.broadcast_to)."
    yield Hypothesis("broadcast", said, partial(_spread, True))
    yield Hypothesis("broadcast", said, partial(_spread, False))
    alone = "Right when every sample is treated alone"
    yield Hypothesis("broadcast", f"{alone}: your rule mixes samples along the first axis.", _sample_by_sample)
    meet = "of contributions that meet at one place not all count, but they must add"
    yield Hypothesis("unsummed", f"{alone} and the results added: {meet}.", _samples_added)
    said = "Right when every entry of the cotangent is passed alone: the result is summed up, but must keep each entry."
    yield Hypothesis("broadcast", said, _entry_by_entry)


def _negative(p: Point, k: int) -> Array:
    return -got(p, k)


def _times(number: Callable[[Point], float], p: Point, k: int) -> Array:
    return number(p) * got(p, k)


def _transposed(order: tuple[int, ...], p: Point, k: int) -> Array:
    return got(p, k).transpose(order)


def _flipped(axes: tuple[int, ...], p: Point, k: int) -> Array:
    return np.flip(got(p, k), axes)


def _masked_inversely(p: Point, k: int) -> Array:
    a = got(p, k)
    g = cotangent(p)
    if not np.all((a == 0) | (a == g)):
        raise Broken("no mask")
    return g - a


def _result_number(other: int, p: Point, k: int) -> Array:
    return got(p, other)


def _reshaped(p: Point, k: int) -> Array:
    a = got(p, k)
    if a.shape == p.expected[k].shape and p.expected[k].size > 1:
        raise Broken("the shape is right")
    return a.reshape(p.expected[k].shape)


def _unbroadcast(p: Point, k: int) -> Array:
    a = got(p, k)
    shape = p.expected[k].shape
    a = a.sum(tuple(range(a.ndim - len(shape)))) if a.ndim > len(shape) else a
    return a.sum(tuple(i for i, (n, m) in enumerate(zip(shape, a.shape, strict=True)) if n == 1 != m), keepdims=True)


def _summed(axes: tuple[int, ...], p: Point, k: int) -> Array:
    a = got(p, k)
    shape = p.expected[k].shape
    result = a.sum(axes)
    return result if result.shape == shape else a.sum(axes, keepdims=True)


def _spread(before: bool, p: Point, k: int) -> Array:
    a = got(p, k)
    shape = p.expected[k].shape
    missing = len(shape) - a.ndim
    grown = a.reshape((1,) * missing + a.shape if before else a.shape + (1,) * missing)
    return np.broadcast_to(grown, shape)


def _samples(p: Point, k: int, whole: Sequence[int] = ()) -> list[Array]:
    """The rule on every sample alone: row i of the cotangent, and of all inputs with as many rows but the `whole`."""
    g = cotangent(p)
    if not g.ndim or not len(g):
        raise Broken("no samples")
    cut = [j for j, a in enumerate(p.inputs) if a.shape[:1] == g.shape[:1] and j not in whole]
    results = []
    for i in range(len(g)):
        row = [a[i : i + 1] if j in cut else a for j, a in enumerate(p.inputs)]
        results.append(p.part(g[i : i + 1], row, k))
    return results


def _sample_by_sample(p: Point, k: int) -> Array:
    return np.concatenate(_samples(p, k))


def _samples_added(p: Point, k: int) -> Array:
    samples = _samples(p, k, whole=[p.problem.wrt[k]])
    whole = got(p, k)
    if not np.all(np.any([np.isclose(s, whole, rtol=1e-9) for s in samples], 0)):
        raise Broken("no entry is overwritten")
    return np.sum(samples, 0)


def _entry_by_entry(p: Point, k: int) -> Array:
    if got(p, k).ndim or cotangent(p).shape != p.expected[k].shape:
        raise Broken("no sum")
    return np.array([again(p, k, g=e * p.g) for e in np.eye(p.g.size)]).reshape(p.expected[k].shape)
