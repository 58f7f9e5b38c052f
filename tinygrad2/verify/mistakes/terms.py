"""Mistakes with the terms of a sum: one is missing, has a wrong sign or a wrong weight, or does not belong there.

Where an exercise knows the terms of the right answer, the weights that the rule has given them say which; elsewhere one
term of the form c · A ⊙ Σ(g ⊙ B) is looked for, with A and B among the saved values.
"""

# mypy: disable-error-code="misc"
# (it cannot infer lambdas with default arguments, which bind the loop variables here)

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from tinygrad2.kernels import Array
from tinygrad2.verify.mistakes.constants import all_close, named_numbers
from tinygrad2.verify.mistakes.hypothesis import Diagnosis, Hypothesis, cotangent, explains, got, saved
from tinygrad2.verify.problem import Broken, Point


def of_terms(points: Sequence[Point], k: int) -> Iterator[Hypothesis]:
    """One term c · A ⊙ Σ(g ⊙ B), with or without the sum, and A, B made of saved values."""
    first = points[0]
    shape = first.expected[k].shape
    fitting = [n for n, a in saved(first).items() if a.shape == shape]
    names = ["1", *fitting, *[f"{n}²" for n in fitting]]
    c = first.problem.cotangent
    for axes in [
        (),
        *[(a,) for a in range(-1, -len(shape) - 1, -1)],
        tuple(range(len(shape))),
        (0, *range(2, len(shape))),
    ]:
        for a in names:
            for b in names if axes else ["1"]:
                term = lambda p, a=a, b=b, axes=axes: _term(p, k, a, b, axes)
                inner = c if b == "1" else f"{c}·{b}"
                said = f"{'' if a == '1' else a + ' · '}{inner if not axes else f'Σ({inner})'}"
                yield from _scaled_term(points, k, said, term)


def _term(p: Point, k: int, a: str, b: str, axes: tuple[int, ...]) -> Array:
    values = saved(p)
    values |= {f"{n}²": v * v for n, v in values.items()}
    g = cotangent(p)
    if g.shape != p.expected[k].shape:
        raise Broken("no elementwise term")
    inner = g if b == "1" else g * values[b]
    inner = inner.sum(axes, keepdims=True) if axes else inner
    return np.broadcast_to(inner if a == "1" else values[a] * inner, g.shape)


def _scaled_term(points: Sequence[Point], k: int, said: str, term: Callable[[Point], Array]) -> Iterator[Hypothesis]:
    """got + c·term, with the same named c at every point."""
    ratios = []
    for p in points:
        try:
            t, rest = term(p), p.expected[k] - got(p, k)
        except (Broken, ValueError, KeyError):
            return
        norm = float((t * t).sum())
        ratio = float((t * rest).sum() / norm) if norm else 0.0
        if rest.shape != p.expected[k].shape or not p.close(got(p, k) + ratio * t, p.expected[k]):
            return
        ratios.append(ratio)
    if all_close(ratios, [1.0] * len(ratios)):
        yield Hypothesis(
            "missing-term", f"A term is missing: right after adding {said}.", lambda p, k: got(p, k) + term(p)
        )
    for number, f in named_numbers(points, ratios):
        said_c = "-" if number == "-1" else f"{number} · "
        yield Hypothesis(
            "missing-term",
            f"A term is missing: right after adding {said_c}{said}.",
            lambda p, k, f=f: got(p, k) + f(p) * term(p),
        )


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
            yield f"{plain:.0f}", lambda p, v=plain: v
    yield from named_numbers(points, values)


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
