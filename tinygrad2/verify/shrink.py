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
    names = [point.problem.cotangent, *point.problem.names]
    for i, name in enumerate(names[: 1 + len(point.inputs)]):
        target = point.g if i == 0 else point.inputs[i - 1]
        if target.dtype.kind != "f" or not _same_size(target):
            continue
        for form in _simpler(target):
            trials -= 1
            if trials < 0:
                return point
            if better := _with(point, name, form):
                point = better
                break
    return point


def _same_size(a: Array) -> bool:
    """True if zeros and ones are of the size of the entries."""
    return 0.1 < float(np.abs(a).max(initial=0.0)) < 10.0


def _simpler(a: Array) -> Iterator[str]:
    yield from (f"one-hot({i})" for i in range(min(a.size, 6)))
    yield from ("ones", "counting", "rounded")


def _with(point: Point, name: str, form: str) -> Point | None:
    """The point with a simple array for one input (or for g), if the rule is wrong there and the truth certain."""
    case = replace(point.case, simple={**point.case.simple, name: form})
    try:
        changed = make_point(point.problem, case, point.tally)
        return changed if changed.wrong() else None
    except (Uncertified, ValueError, FloatingPointError):
        return None
