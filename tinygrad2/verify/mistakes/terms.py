"""Mistakes with the terms of a sum: one is missing, has a wrong sign or a wrong weight, or does not belong there.

Where an exercise knows the terms of the right answer, the weights that the rule has given them say which; elsewhere one
term of the form c · A ⊙ Σ(g ⊙ B) is looked for, with A and B among the saved values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from tinygrad2.kernels import Array
from tinygrad2.verify.mistakes.constants import all_close, named_numbers
from tinygrad2.verify.mistakes.hypothesis import Diagnosis, Hypothesis, cotangent, explains, got, saved
from tinygrad2.verify.point import Broken, Point


class Term(NamedTuple):
    """A ⊙ Σ(g ⊙ B), the sum over the axes; no sum where there are none. a, b: names of saved values, or "1"."""

    a: str
    b: str
    axes: tuple[int, ...]

    def said(self, c: str) -> str:
        """The term as it is printed, with the name of the cotangent."""
        inner = c if self.b == "1" else f"{c}·{self.b}"
        return f"{'' if self.a == '1' else self.a + ' · '}{f'Σ({inner})' if self.axes else inner}"

    def at(self, p: Point, k: int) -> Array:
        """The term at a point."""
        values = saved(p)
        values |= {f"{n}²": v * v for n, v in values.items()}
        g = cotangent(p)
        if g.shape != p.expected[k].shape:
            raise Broken("no elementwise term")
        inner = g if self.b == "1" else g * values[self.b]
        inner = inner.sum(self.axes, keepdims=True) if self.axes else inner
        return np.broadcast_to(inner if self.a == "1" else values[self.a] * inner, g.shape)


def of_terms(points: Sequence[Point], k: int) -> Iterator[Hypothesis]:
    """One term c · A ⊙ Σ(g ⊙ B), with or without the sum, and A, B made of saved values."""
    first = points[0]
    shape = first.expected[k].shape
    fitting = [n for n, a in saved(first).items() if a.shape == shape]
    names = ["1", *fitting, *[f"{n}²" for n in fitting]]
    single = [(a,) for a in range(-1, -len(shape) - 1, -1)]
    for axes in [(), *single, tuple(range(len(shape))), (0, *range(2, len(shape)))]:
        for a in names:
            for b in names if axes else ["1"]:
                yield from _scaled(points, k, Term(a, b, axes))


def _scaled(points: Sequence[Point], k: int, term: Term) -> Iterator[Hypothesis]:
    """got + c·term, with the same named c at every point."""
    ratios = []
    for p in points:
        try:
            t = term.at(p, k)
            rest = p.expected[k] - got(p, k)
        except (Broken, ValueError, KeyError):
            return
        norm = float((t * t).sum())
        ratio = float((t * rest).sum() / norm) if norm else 0.0
        if rest.shape != p.expected[k].shape or not p.close(got(p, k) + ratio * t, p.expected[k]):
            return
        ratios.append(ratio)
    said = term.said(points[0].problem.cotangent)
    missing = "A term is missing: right after adding"
    if all_close(ratios, [1.0] * len(ratios)):
        yield Hypothesis("missing-term", f"{missing} {said}.", partial(_plus, term, lambda p: 1.0))
    for number, value in named_numbers(points, ratios):
        c = "-" if number == "-1" else f"{number} · "
        yield Hypothesis("missing-term", f"{missing} {c}{said}.", partial(_plus, term, value))


def _plus(term: Term, c: Callable[[Point], float], p: Point, k: int) -> Array:
    return got(p, k) + c(p) * term.at(p, k)


def named_terms(points: Sequence[Point], k: int) -> Diagnosis | None:
    """Where the exercise knows the terms of the right answer: the weights with which the rule has added them up.

    A term whose name begins with ~ is a usual mistake: its right weight is 0.
    """
    terms = points[0].problem.terms
    if terms is None:
        return None
    try:
        tables = [terms(p.cotangents, *p.inputs, **p.case.params)[k] for p in points]
        known = [(p, w) for p, t in zip(points, tables, strict=True) if (w := _weights(t, got(p, k))) is not None]
        if len(known) < 3:  # too few entries at one point: one set of weights for all
            known = [(p, w) for p in points if (w := _joint_weights(tables, [got(p, k) for p in points])) is not None]
    except (Broken, ValueError):
        return None
    if not known:
        return None
    numbers = {}
    for i, name in enumerate(tables[0]):
        number = next(_numbers([p for p, _ in known], [float(w[i]) for _, w in known]), None)
        if number is None:
            return None
        numbers[name] = number

    def repair(p: Point, k: int) -> Array:
        t = terms(p.cotangents, *p.inputs, **p.case.params)[k]
        return got(p, k) + sum((not n.startswith("~")) * t[n] - f(p) * t[n] for n, (_, f) in numbers.items())

    if not explains(Hypothesis("", "", repair), points, k):
        return None
    said = [s for name, (number, _) in numbers.items() if (s := _weight(name, number))]
    return Diagnosis(tuple(dict.fromkeys(m for m, _ in said)), " ".join(s for _, s in said), repair) if said else None


def _joint_weights(tables: Sequence[Mapping[str, Array]], claimed: Sequence[Array]) -> Array | None:
    """The weights of the terms in all claims together."""
    joined = {
        n: np.concatenate([np.broadcast_to(t[n], c.shape).ravel() for t, c in zip(tables, claimed, strict=True)])
        for n in tables[0]
    }
    return _weights(joined, np.concatenate([c.ravel() for c in claimed]))


def _weights(terms: Mapping[str, Array], claimed: Array) -> Array | None:
    """The weights of the terms in a claim; None where this point does not determine them. Broken where none fit."""
    columns = [np.broadcast_to(t, claimed.shape).ravel() for t in terms.values()]
    if not columns or len(columns[0]) < len(columns):
        return None
    matrix = np.stack(columns, 1)
    scale = np.linalg.norm(matrix, axis=0)
    if not np.all(scale > 1e-9) or np.linalg.svd(matrix / scale, compute_uv=False)[-1] < 1e-3:
        return None
    weights = np.linalg.lstsq(matrix, claimed.ravel(), rcond=None)[0]
    if np.abs(matrix @ weights - claimed.ravel()).max() > 1e-6 * max(np.abs(claimed).max(), 1e-3):
        raise Broken("not a sum of these terms")
    return np.where(np.abs(weights - np.round(4 * weights) / 4) < 1e-6, np.round(4 * weights) / 4, weights)


def _numbers(points: Sequence[Point], values: Sequence[float]) -> Iterator[tuple[str, Callable[[Point], float]]]:
    """0, 1 and all numbers with a name."""
    for plain in (0.0, 1.0):
        if all(v == plain for v in values):
            yield f"{plain:.0f}", partial(_constant, plain)
    yield from named_numbers(points, values)


def _constant(value: float, p: Point) -> float:
    return value


def _weight(name: str, number: str) -> tuple[str, str] | None:
    """The mistake and the sentence for a term that has this weight."""
    if name.startswith("~"):
        return None if number == "0" else ("missing-term", f"The term {name[1:]} does not belong there.")
    if number == "1":
        return None
    if number == "0":
        return "missing-term", f"The term {name} is missing."
    if number == "-1":
        return "sign", f"The term {name} has the wrong sign."
    return "factor", f"The term {name} has the factor {number} too much."
