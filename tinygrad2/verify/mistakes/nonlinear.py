"""Mistakes by which a rule is not linear in the cotangent: it is ignored, masked by itself, or joined by a constant."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from tinygrad2.kernels import Array
from tinygrad2.verify.mistakes.hypothesis import Hypothesis, again, cotangent, fit, got, saved
from tinygrad2.verify.point import Broken, Point


def of_nonlinear(points: Sequence[Point], k: int) -> Iterator[Hypothesis]:
    """The cotangent ignored, masked by itself, or joined by a constant."""
    c = points[0].problem.cotangent
    ignored = f"The cotangent is ignored: your rule is right only for {c} = 1, since it does not use {c}."
    yield Hypothesis("ignores-cotangent", ignored, _times_cotangent)
    yield Hypothesis("ignores-cotangent", ignored, _right_for_ones)
    constant = f"A term without {c} has been added: right after removing what the rule gives for {c} = 0."
    yield Hypothesis("nonlinear", constant, _without_constant)
    said = f"Right when every entry of {c} is treated alone: {c} enters with a power or an absolute value."
    yield Hypothesis("nonlinear", said, polarised)
    for name in saved(points[0]):
        said = f"The mask comes from the cotangent; it must be [{name} > 0], from the forward pass."
        yield Hypothesis("mask", said, partial(_masked_by, name))


def _times_cotangent(p: Point, k: int) -> Array:
    return _ignoring(p, k) * fit(cotangent(p), p.expected[k].shape)


def _without_constant(p: Point, k: int) -> Array:
    return got(p, k) - again(p, k, g=0 * p.g)


def _masked_by(name: str, p: Point, k: int) -> Array:
    return polarised(p, k) * (fit(saved(p)[name], p.expected[k].shape) > 0)


def _ignoring(p: Point, k: int) -> Array:
    a = got(p, k)
    if not np.array_equal(a, again(p, k, g=-0.5 * p.g)):
        raise Broken("it does use g")
    return a


def _right_for_ones(p: Point, k: int) -> Array:
    """The true answer, provided that the rule gives the true answer for g = 1 whatever g is."""
    if not p.close(_ignoring(p, k), p.expected_for(np.ones_like(p.g))[k]):
        raise Broken("not even for ones")
    return p.expected[k]


def polarised(p: Point, k: int) -> Array:
    """Σ gᵢ · rule(eᵢ): the linear rule that agrees with this one on one-hot cotangents."""
    return np.sum([c * again(p, k, g=e) for c, e in zip(p.g, np.eye(p.g.size), strict=True)], 0)
