"""The smallest case in which a rule is wrong: first the few integers of the configuration, then one-hot arrays.

The integers are lowered one at a time as long as the rule stays wrong. Because a rule is linear in g, some one-hot g
fails too; inputs are then made one-hot, ones or small integers, as far as the failure allows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from tinygrad2.kernels import Array
from tinygrad2.verify.differences import Uncertified
from tinygrad2.verify.point import Point, Tally, make_point
from tinygrad2.verify.problem import Problem
from tinygrad2.verify.space import Case

SEEDS = 2  # per configuration: a wrong rule is wrong at nearly every point
TRIALS = 60  # of simpler arrays


def fails(problem: Problem, case: Case, tally: Tally) -> Point | None:
    """A point of the case where the rule is wrong; None where it is right, or where the case does not fit f."""
    for shift in range(SEEDS):
        try:
            point = make_point(problem, replace(case, seed=case.seed + shift), tally)
        except Exception:  # f does not take this configuration: then it is no smaller case
            return None
        if point.wrong():
            return point
    return None


def smallest(point: Point) -> Point:
    """The point of the smallest configuration that still fails, with the simplest arrays that still fail."""
    problem = point.problem
    again = True
    while again:
        again = False
        for case in problem.space.smaller(point.case):
            if problem.space.fits(case) and (lower := fails(problem, case, point.tally)):
                point = lower
                again = True
                break
    return simplest(point)


def simplest(point: Point) -> Point:
    """The same configuration with a one-hot cotangent and inputs of zeros and ones, as far as it still fails."""
    trials = TRIALS
    for i in range(-1, len(point.inputs)):  # -1: the cotangent
        target = point.g if i < 0 else point.inputs[i]
        if target.dtype.kind != "f":
            continue
        for candidate in _simpler(target):
            trials -= 1
            if trials < 0:
                return point
            if better := _with(point, i, candidate):
                point = better
                break
    return point


def _simpler(a: Array) -> Iterator[Array]:
    for i in range(min(a.size, 6)):
        yield (np.arange(a.size) == i).astype(np.float64).reshape(a.shape)
    yield np.ones(a.shape)
    yield np.arange(1.0, a.size + 1).reshape(a.shape)
    yield np.round(a)


def _with(point: Point, i: int, values: Array) -> Point | None:
    """The point with other values of input i (or of g), if the rule is wrong there and the truth certain."""
    inputs = [values if j == i else a for j, a in enumerate(point.inputs)]
    try:
        changed = Point(point.problem, point.case, inputs, point.tally, g=values if i < 0 else point.g)
        return changed if changed.wrong() else None
    except (Uncertified, ValueError, FloatingPointError):
        return None
