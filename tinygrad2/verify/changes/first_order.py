"""A double backward that is the right derivative of a wrong first-order rule."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tinygrad2.kernels import Array
from tinygrad2.verify.changes.search import Change, Effect, Missing, Search, trace_of
from tinygrad2.verify.edges import Pass, locals_of
from tinygrad2.verify.tracing import FirstOrder, Untraceable
from tinygrad2.verify.truth import SecondOrder

SAID = {
    0.0: "treats {} as a constant",
    -1.0: "has the wrong sign in the part through {}",
    2.0: "counts the part through {} twice",
    0.5: "counts the part through {} half",
}


def first_order(s: Search) -> Iterator[Change]:
    """One edge of the first-order backward pass cut, scaled, or passed on unchanged; all else follows from that."""
    if not isinstance(s.seen[0].point.truth, SecondOrder):
        return
    for edge in s.edges:
        step = s.step(edge)
        if edge.key.backward or step.parents.count(s.first.parent(edge)) > 1:
            continue
        arg = sum(p >= 0 for p in step.parents[: edge.arg])
        cost = s.distance(edge.key)
        for weight, said in SAID.items():
            change = FirstOrder(edge.key, arg, weight)
            what = f"Your first-order rule {said.format(s.edge_said(edge))}; the rest follows from it rightly."
            mistake = "missing-term" if weight == 0 else "sign" if weight < 0 else "factor"
            yield Change(mistake, what, _by(change), cost)
        if s.first.locals[edge].slope is not None and step.inputs[edge.arg].shape == step.out.shape:
            change = FirstOrder(edge.key, arg, 1.0, unchanged=True)
            what = f"Your first-order rule leaves out the derivative of {s.words.expression(edge.key)}."
            yield Change("missing-factor", what, _by(change), cost + 0.01)


def _by(change: FirstOrder) -> Effect:
    def effect(p: Pass) -> Array:
        try:
            trace = trace_of(p.point, change)
            wrong = Pass(p.point, trace, p.leaf, p.seeds, locals_of(trace))
        except Untraceable as error:
            raise Missing from error
        return np.asarray(wrong.right - p.right)

    return effect
