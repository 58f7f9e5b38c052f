"""Naming a mistake in any function: the backward pass with one edge handled wrongly that gives what the rule gives.

f is traced. Changes of its right backward pass are tried, edge by edge: a value treated as a constant, a contribution
that counts c times, another local rule, a factor too many or too few, two of these. A change is a name only if it
reproduces the rule's result at all points; of several the one is said that is simplest and nearest to the output.

| change | name |
|---|---|
| a value is treated as a constant; an edge or a path is cut | missing-term |
| a contribution counts -1 times | sign |
| a contribution counts c times | factor |
| another slope of an elementwise function | wrong-derivative; mask for a condition; missing-factor for 1 |
| another value in a rule, or the derivative at another point | wrong-operand |
| a map transposed, reversed, shifted, halves exchanged, its diagonal | transpose, flip, shift, swap, elementwise |
| entries that meet overwrite each other | unsummed |
| a sum along another axis | wrong-axis |
| a factor too few or too many on an edge | missing-factor, extra-factor, mask |
| another value's cotangent; something added | wrong-derivative, extra-term |
| some entries left out | only-part |
| the derivative of f with another constant | wrong-constant |
"""

from __future__ import annotations

from collections.abc import Sequence

from tinygrad2.kernels import Array
from tinygrad2.verify.changes.cotangents import exchanged, other_cotangents
from tinygrad2.verify.changes.elsewhere import (
    along_other_axes,
    other_axes,
    other_constants,
    other_points,
    two_other_axes,
)
from tinygrad2.verify.changes.factors import factors, factors_in_groups, products_of_factors
from tinygrad2.verify.changes.first_order import first_order
from tinygrad2.verify.changes.pairs import pairs, rules_in_pairs
from tinygrad2.verify.changes.parts import parts
from tinygrad2.verify.changes.places import places
from tinygrad2.verify.changes.rules import conditions, local_rules, rules_in_groups, whole_maps
from tinygrad2.verify.changes.search import SEARCHED, Change, Effect, Family, Missing, Search, Seen, passed
from tinygrad2.verify.changes.values import left_out, other_values
from tinygrad2.verify.changes.weights import weights
from tinygrad2.verify.mistakes.hypothesis import Diagnosis, got
from tinygrad2.verify.point import Broken, Point
from tinygrad2.verify.tracing import Untraceable

SIMPLE: tuple[tuple[Family, ...], ...] = ((weights,), (conditions,))
# The families of one group are tried together; a later group only where no earlier one explains the mistake.
FURTHER: tuple[tuple[Family, ...], ...] = (
    (local_rules, first_order, factors, rules_in_groups, whole_maps, other_axes, other_constants, along_other_axes),
    (parts, pairs, factors_in_groups, rules_in_pairs, other_points, left_out, exchanged, places, two_other_axes),
    (other_values,),
    (other_cotangents,),
    (products_of_factors,),
)


def name_by_edges(points: Sequence[Point], k: int, groups: Sequence[Sequence[Family]]) -> Diagnosis | None:
    """The simplest change of the right backward pass that gives what the rule gives, at all points."""
    spread = [points[0], points[-1], points[len(points) // 2], *points[1:-1]]  # of the first, some lie near each other
    try:
        found = _name(spread, k, groups, False)
        if found is None and passed(spread[0], k, True) is not passed(spread[0], k, False):
            found = _name(spread, k, groups, True)
    except (Untraceable, Broken):
        return None
    return found


def _name(points: Sequence[Point], k: int, groups: Sequence[Sequence[Family]], idle: bool) -> Diagnosis | None:
    seen = [Seen(p, k, idle) for p in points[:SEARCHED]]
    search = Search(seen)
    others: list[Seen] = []
    for families in groups:
        found: list[Change] = []
        for change in (change for family in families for change in family(search)):
            if all(s.explained(change.effect) for s in seen):
                others = others or [Seen(p, k, idle) for p in points[SEARCHED:]]
                if all(s.explained(change.effect) for s in others):
                    found.append(change)
        if found:
            best = min(found, key=lambda c: c.cost)
            return Diagnosis((best.mistake,), best.sentence, _Repair(best.effect, idle))
    return None


class _Repair:
    """The rule's answer without what the change does to it."""

    def __init__(self, effect: Effect, idle: bool) -> None:
        self.effect = effect
        self.idle = idle

    def __call__(self, p: Point, k: int) -> Array:
        try:
            return got(p, k) - self.effect(passed(p, k, self.idle)).reshape(p.expected[k].shape)
        except (Untraceable, Missing) as error:
            raise Broken(str(error)) from error
