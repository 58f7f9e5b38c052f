"""Naming the mistake. Each hypothesis is a repair: a way to get the right answer from the rule as it is.

A name is given only to a repair that gives the right answer at every point, in several configurations.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

from tinygrad2.verify.mistakes.factors import of_exchanged, of_factors
from tinygrad2.verify.mistakes.hypothesis import Diagnosis, explains
from tinygrad2.verify.mistakes.nonlinear import of_nonlinear
from tinygrad2.verify.mistakes.operands import of_operands, of_saved
from tinygrad2.verify.mistakes.result import of_result, of_shape
from tinygrad2.verify.mistakes.terms import named_terms, of_terms
from tinygrad2.verify.naming import FURTHER, SIMPLE, name_by_edges
from tinygrad2.verify.point import Point

# What is precise comes before what fits many things; the exercise's own terms are tried in between.
PRECISE = (of_result, of_shape, of_nonlinear, of_operands)
GENERAL = (of_saved, of_factors, of_exchanged, of_terms)


def diagnose(points: Sequence[Point], k: int) -> Diagnosis | None:
    """The first hypothesis that repairs the k-th result at all points; None where there is none."""
    points = sorted(points, key=lambda p: -p.expected[k].size)
    if len(points) < 2:
        return None
    for search in (PRECISE, None, GENERAL):
        if search is None:
            found = named_terms(points, k)
        else:
            hypotheses = chain.from_iterable(family(points, k) for family in search)
            found = next(
                (Diagnosis((h.mistake,), h.sentence, h.repair) for h in hypotheses if explains(h, points, k)), None
            )
        if found:
            return found
        if search is None and (found := name_by_edges(points, k, SIMPLE)):
            return found
    return name_by_edges(points, k, FURTHER)
