"""Naming the mistake. Each hypothesis is a repair: a way to get the right answer from the rule as it is.

A name is given only to a repair that gives the right answer at every point, in several configurations. The tables read:
mistake, sentence, transformation. Repairs of the result come first, then the rule run again on changed operands, then
what may have been left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain, combinations, permutations
from typing import Any, NamedTuple

import numpy as np

from tinygrad2.verify.problem import Array, Broken, Point
from tinygrad2.verify.truth import SecondOrder

Repair = Callable[..., Any]  # the point and the number of the wrong result -> the right result


class Hypothesis(NamedTuple):
    """A mistake and its repair."""

    mistake: str
    sentence: str
    repair: Repair


class Diagnosis(NamedTuple):
    """A mistake that, repaired, leaves nothing wrong."""

    mistakes: tuple[str, ...]
    sentence: str
    repair: Repair | None = None  # None for a fact, such as a changed input


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
                (Diagnosis((h.mistake,), h.sentence, h.repair) for h in hypotheses if _explains(h, points, k)), None
            )
        if found:
            return found
    return None


def _explains(h: Hypothesis, points: Sequence[Point], k: int) -> bool:
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
    return claimed[k]  # type: ignore[return-value]


def again(p: Point, k: int, **changed: Any) -> Array:
    """What the rule claims for other operands."""
    result = p.claim(**changed)[k]
    if result is None:
        raise Broken("nothing")
    return result


# --- the result, transformed


def of_result(points: Sequence[Point], k: int) -> Iterator[Hypothesis]:
    """Sign, factor, order of the axes, direction of the axes, order of the results."""
    shape = points[0].expected[k].shape
    yield Hypothesis("sign", "The sign is wrong: right after multiplying by -1.", lambda p, k: -got(p, k))
    yield from _factor(points, k)
    for order in permutations(range(len(shape))):
        if order != tuple(range(len(shape))) and len(shape) <= 4:
            mistake = (
                "swap"
                if len(shape) > 2 and order[:2] == (1, 0) and order[2:] == tuple(range(2, len(shape)))
                else "transpose"
            )
            said = (
                "swapping the first two axes (the channels)"
                if mistake == "swap"
                else f"transposing it to the axes {order}"
            )
            yield Hypothesis(mistake, f"Right after {said}.", lambda p, k, o=order: got(p, k).transpose(o))
    for axes in _subsets(len(shape)):
        which = "both kernel axes" if len(shape) == 4 and axes == (2, 3) else f"axis {', '.join(map(str, axes))}"
        yield Hypothesis("flip", f"Right after flipping {which}.", lambda p, k, a=axes: np.flip(got(p, k), a))
    yield Hypothesis(
        "mask", "The mask is inverted: right where you have 0, and 0 elsewhere.", lambda p, k: _g(p) - got(p, k)
    )
    for other in range(len(points[0].expected)):
        if other != k:
            said = f"{points[0].problem.result(k)} and {points[0].problem.result(other)} have changed places."
            yield Hypothesis("swap", f"The results {said}", lambda p, k, o=other: got(p, o))


def of_shape(points: Sequence[Point], k: int) -> Iterator[Hypothesis]:
    """A result of another shape: not summed, not spread out, or only written in another shape."""
    yield Hypothesis(
        "unsummed", "Right after summing over the axes that were broadcast.", lambda p, k: _unbroadcast(p, k)
    )
    for axes in _subsets(5):
        said = f"Not summed over axis {', '.join(map(str, axes))} of the result: right after .sum({axes})."
        yield Hypothesis("unsummed", said, lambda p, k, a=axes: _summed(p, k, a))
    yield Hypothesis(
        "shape",
        "The entries are right, the shape is not: right after a reshape to the input's shape.",
        lambda p, k: _other_shape(p, k).reshape(p.expected[k].shape),
    )
    for side in ("before", "behind"):
        said = "Right after spreading the result over the input's shape (np.broadcast_to)."
        yield Hypothesis("broadcast", said, lambda p, k, s=side: _spread(p, k, s))
    alone = "Right when every sample is treated alone"
    yield Hypothesis("broadcast", f"{alone}: your rule mixes samples along the first axis.", _sample_by_sample)
    meet = "contributions that meet at one place overwrite each other, they must add"
    yield Hypothesis("unsummed", f"{alone} and the results added: {meet}.", _samples_added)
    entry = (
        "Right when every entry of the cotangent is passed alone: the result is summed up, but must keep each entry."
    )
    yield Hypothesis("broadcast", entry, _entry_by_entry)


def _other_shape(p: Point, k: int) -> Array:
    a = got(p, k)
    if a.shape == p.expected[k].shape and p.expected[k].size > 1:
        raise Broken("the shape is right")
    return a


def _unbroadcast(p: Point, k: int) -> Array:
    a, shape = got(p, k), p.expected[k].shape
    a = a.sum(tuple(range(a.ndim - len(shape)))) if a.ndim > len(shape) else a
    return a.sum(tuple(i for i, (n, m) in enumerate(zip(shape, a.shape, strict=True)) if n == 1 != m), keepdims=True)


def _summed(p: Point, k: int, axes: tuple[int, ...]) -> Array:
    a, shape = got(p, k), p.expected[k].shape
    result = a.sum(axes)
    return result if result.shape == shape else a.sum(axes, keepdims=True)


def _spread(p: Point, k: int, side: str) -> Array:
    a, shape = got(p, k), p.expected[k].shape
    missing = len(shape) - a.ndim
    grown = a.reshape((1,) * missing + a.shape if side == "before" else a.shape + (1,) * missing)
    return np.broadcast_to(grown, shape)


def _samples(p: Point, k: int, whole: Sequence[int] = ()) -> list[Array]:
    """The rule on every sample alone: on row i of the cotangent, and of all inputs with as many rows but the `whole` ones."""
    g = _g(p)
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
    return np.sum(_samples(p, k, whole=[p.problem.wrt[k]]), 0)


def _entry_by_entry(p: Point, k: int) -> Array:
    if got(p, k).ndim or _g(p).shape != p.expected[k].shape:
        raise Broken("no sum")
    return np.array([again(p, k, g=e * p.g) for e in np.eye(p.g.size)]).reshape(p.expected[k].shape)


def _subsets(n: int) -> list[tuple[int, ...]]:
    """Sets of axes, the last axes first."""
    sets = [s for size in range(1, min(n, 3) + 1) for s in combinations(range(n), size)]
    return sorted(sets, key=lambda s: (s != (n - 2, n - 1), len(s), [-a for a in s]))


# --- a constant factor


def _factor(points: Sequence[Point], k: int) -> Iterator[Hypothesis]:
    """The one constant between claim and truth, if there is one at every point and it is a number with a name."""
    ratios = []
    for p in points:
        claimed = p.claimed()
        a, e = (claimed[k] if claimed else None), p.expected[k]
        if a is None or a.shape != e.shape or not np.any(np.abs(a) > 0):
            return
        ratios.append(float((a * e).sum() / (a * a).sum()))
    for said, factor in named_numbers(points, ratios):
        yield Hypothesis(
            "factor", f"A constant factor: right after multiplying by {said}.", lambda p, k, f=factor: f(p) * got(p, k)
        )


def named_numbers(points: Sequence[Point], values: Sequence[float]) -> Iterator[tuple[str, Callable[[Point], float]]]:
    """The numbers with a name (a constant, a size, 1/size, products of two) that equal the values at all points."""
    if _all_close(values, [values[0]] * len(values)) and abs(values[0]) > 1e-9 and values[0] != 1:
        yield _constant(values[0]), lambda p, v=values[0]: v
    sizes = [_sizes(p) for p in points]
    names = [n for n in sizes[0] if all(n in s for s in sizes)]
    for said, f in _formulas(names):
        if _all_close(values, [f(s) for s in sizes]):
            yield said, lambda p, f=f: f(_sizes(p))


def _formulas(names: Sequence[str]) -> Iterator[tuple[str, Callable[[dict[str, float]], float]]]:
    for a in names:
        yield a, lambda s, a=a: s[a]
        yield f"1/{a}", lambda s, a=a: 1 / s[a]
        yield f"2/{a}", lambda s, a=a: 2 / s[a]
        yield f"{a}/2", lambda s, a=a: s[a] / 2
        yield f"({a}-1)/{a}", lambda s, a=a: (s[a] - 1) / s[a]
        yield f"{a}/({a}-1)", lambda s, a=a: s[a] / max(s[a] - 1, 1e-9)
    for a, b in combinations(names, 2):
        yield f"{a}·{b}", lambda s, a=a, b=b: s[a] * s[b]
        yield f"1/({a}·{b})", lambda s, a=a, b=b: 1 / (s[a] * s[b])
        yield f"{a}/{b}", lambda s, a=a, b=b: s[a] / s[b]
        yield f"{b}/{a}", lambda s, a=a, b=b: s[b] / s[a]
    for a, b, c in combinations(names, 3):
        yield f"1/({a}·{b}·{c})", lambda s, a=a, b=b, c=c: 1 / (s[a] * s[b] * s[c])
        yield f"{a}·{b}·{c}", lambda s, a=a, b=b, c=c: s[a] * s[b] * s[c]


def _sizes(p: Point) -> dict[str, float]:
    """Everything in a case that a factor could be made of."""
    numbers = {k: v for k, v in p.case.params.items() if isinstance(v, int | float) and not isinstance(v, bool) and v}
    squares = {f"{k}²": v * v for k, v in numbers.items()}
    outs = {f"output axis {i}": n for i, n in enumerate(p.truth.out_shapes[0])}
    ins = {
        f"{name}.shape[{i}]": n
        for name, a in zip(p.problem.names, p.inputs, strict=False)
        for i, n in enumerate(a.shape)
    }
    return {
        **p.case.sizes,
        **numbers,
        **squares,
        **({} if p.case.sizes else ins),
        **outs,
        "output size": max(p.truth.y.size, 1),
    }


def _constant(c: float) -> str:
    for bottom in (1, 2, 3, 4):
        if abs(c * bottom - round(c * bottom)) < 1e-7 * abs(c * bottom) and round(c * bottom):
            return f"{round(c * bottom)}" if bottom == 1 else f"{round(c * bottom)}/{bottom}"
    return f"{c:.6g}"


def _all_close(a: Sequence[float], b: Sequence[float]) -> bool:
    return bool(np.allclose(a, b, rtol=1e-6, atol=1e-12))


# --- the rule, run again


def of_operands(points: Sequence[Point], k: int) -> Iterator[Hypothesis]:
    """The rule on transposed, flipped or exchanged operands; other readings of the rule."""
    first = points[0]
    for mistake, (said, rule) in first.problem.variants.items():
        yield Hypothesis(mistake.split()[0], said, lambda p, k, r=rule: again(p, k, rule=r))
    for i, a in enumerate(first.inputs):
        name = first.problem.names[i]
        if a.dtype.kind != "f":
            continue
        for axes in _subsets(a.ndim) if a.ndim > 1 else []:
            which = "both kernel axes" if a.ndim == 4 and axes == (2, 3) else f"axis {', '.join(map(str, axes))}"
            said = f"Right when {name} is flipped along {which} first."
            yield Hypothesis(
                "flip", said, lambda p, k, i=i, s=axes: again(p, k, inputs=_put(p, i, np.flip(p.inputs[i], s)))
            )
        for x, y in combinations(range(a.ndim), 2):
            mistake = "swap" if a.ndim > 2 and (x, y) == (0, 1) else "transpose"
            said = f"Right when {name} is given with its axes {x} and {y} exchanged."
            move = lambda p, k, i=i, x=x, y=y: again(p, k, inputs=_put(p, i, np.swapaxes(p.inputs[i], x, y)))
            yield Hypothesis(mistake, said, move)
    for i, j in combinations(range(len(first.inputs)), 2):
        said = f"Right when {first.problem.names[i]} and {first.problem.names[j]} change places."
        yield Hypothesis("swap", said, lambda p, k, i=i, j=j: again(p, k, inputs=_exchanged(p.inputs, i, j)))
    c = first.problem.cotangent
    for axes in _subsets(len(first.truth.out_shapes[0])):
        said = f"Right when {c} is flipped along axis {', '.join(map(str, axes))} first."
        yield Hypothesis("flip", said, lambda p, k, s=axes: again(p, k, g=np.flip(_g(p), s).ravel()))
    yield Hypothesis("transpose", "Right along the other axis: you worked along rows in place of columns.", _other_axis)


def _g(p: Point) -> Array:
    if len(p.truth.out_shapes) > 1:
        raise Broken("several cotangents")
    return p.g.reshape(p.truth.out_shapes[0])


def _put(p: Point, i: int, value: Array) -> list[Array]:
    return [value if j == i else a for j, a in enumerate(p.inputs)]


def _exchanged(inputs: Sequence[Array], i: int, j: int) -> list[Array]:
    new = list(inputs)
    new[i], new[j] = new[j], new[i]
    return new


def _other_axis(p: Point, k: int) -> Array:
    """The rule on transposed matrices, its result transposed back."""
    turned = [a.T if a.ndim == 2 and a.shape == p.expected[k].shape else a for a in p.inputs]
    return p.part(_g(p).T, turned, k).T


# --- what may be missing

FACTORS: tuple[tuple[str, Callable[[Array], Array]], ...] = (
    ("[{} > 0]", lambda a: (a > 0) * 1.0),
    ("[{} < 0]", lambda a: (a < 0) * 1.0),
    ("{}", lambda a: a),
    ("{}²", lambda a: a * a),
    ("(1 - {})", lambda a: 1 - a),
    ("(1 + {})", lambda a: 1 + a),
    ("{}(1 - {})", lambda a: a * (1 - a)),
    ("(1 - {}²)", lambda a: 1 - a * a),
    ("sign({})", np.sign),
    ("|{}|", np.abs),
    ("exp({})", np.exp),
    ("√{}", np.sqrt),
    ("{}³", lambda a: a**3),
    ("‖{}‖", lambda a: np.sqrt((a * a).sum())),
    ("‖{}‖²", lambda a: (a * a).sum()),
    ("‖{}‖ of each row", lambda a: np.sqrt((a * a).sum(-1, keepdims=True))),
    ("‖{}‖² of each row", lambda a: (a * a).sum(-1, keepdims=True)),
)


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


def of_factors(points: Sequence[Point], k: int) -> Iterator[Hypothesis]:
    """A factor made of saved values: on the result, on the cotangent, or one too many."""
    c = points[0].problem.cotangent
    for name, front in _operands(points[0]):
        for form, f in FACTORS:
            factor = lambda p, shape, name=name, f=f, front=front: _fit(f(saved(p)[name]), shape, front)
            said = form.replace("{}", name)
            result = lambda p, k, f=factor: got(p, k) * f(p, p.expected[k].shape)
            first = lambda p, k, f=factor: again(p, k, g=(_g(p) * f(p, _g(p).shape)).ravel())
            mistake, word = ("mask", "mask") if form.startswith("[") else ("missing-factor", "factor")
            yield Hypothesis(
                mistake, f"The {word} {said} is missing: right after multiplying the result by it.", result
            )
            yield Hypothesis(mistake, f"The {word} {said} is missing: right when {c} is multiplied by it first.", first)
            if mistake == "mask":
                continue
            less = lambda p, k, f=factor: got(p, k) / f(p, p.expected[k].shape)
            before = lambda p, k, f=factor: again(p, k, g=(_g(p) / f(p, _g(p).shape)).ravel())
            yield Hypothesis(
                mistake, f"The factor 1/({said}) is missing: right after dividing the result by {said}.", less
            )
            yield Hypothesis(
                mistake, f"The factor 1/({said}) is missing: right when {c} is divided by {said} first.", before
            )


def of_exchanged(points: Sequence[Point], k: int) -> Iterator[Hypothesis]:
    """One factor of saved values where another should be."""
    forms = [
        (form, f) for form, f in FACTORS if form in ("{}", "(1 - {})", "(1 + {})", "{}²", "(1 - {}²)", "{}(1 - {})")
    ]
    for name, front in _operands(points[0]):
        for (there, f), (wanted, h) in permutations(forms, 2):
            said = f"The factor {there.replace('{}', name)} stands where {wanted.replace('{}', name)} should."
            ratio = lambda p, shape, n=name, f=f, h=h, front=front: _fit(h(saved(p)[n]) / f(saved(p)[n]), shape, front)
            yield Hypothesis("missing-factor", said, lambda p, k, r=ratio: got(p, k) * r(p, p.expected[k].shape))


def of_saved(points: Sequence[Point], k: int) -> Iterator[Hypothesis]:
    """The rule run with another saved value in the place of an input, or with an input scaled by one."""
    first = points[0]
    for i, a in enumerate(first.inputs):
        for name, value in saved(first).items():
            own = first.problem.names[i]
            if a.dtype.kind != "f" or name == own:
                continue
            if value.shape == a.shape:
                said = f"The rule uses {own} where it needs {name}: right when {name} is given in its place."
                yield Hypothesis(
                    "missing-factor", said, lambda p, k, i=i, n=name: again(p, k, inputs=_put(p, i, saved(p)[n]))
                )
            said = f"The factor {name} is missing: right when {own} is multiplied by it first."
            scaled = lambda p, k, i=i, n=name: again(
                p, k, inputs=_put(p, i, p.inputs[i] * _fit(saved(p)[n], p.inputs[i].shape))
            )
            yield Hypothesis("missing-factor", said, scaled)


def _operands(p: Point) -> Iterator[tuple[str, bool]]:
    """Every saved value, and whether its axes are the front ones of a larger array (one number per sample)."""
    for name, a in saved(p).items():
        yield name, False
        if np.ndim(a):
            yield name, True


def _fit(a: Array, shape: tuple[int, ...], front: bool = False) -> Array:
    """a as a factor for an array of the shape: broadcast from behind, or from the front. It must not enlarge it."""
    if front and np.ndim(a) < len(shape):
        a = a.reshape(a.shape + (1,) * (len(shape) - a.ndim))
    if np.broadcast_shapes(np.shape(a), shape) != shape:
        raise Broken("does not fit")
    return a


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
    g = _g(p)
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
    if _all_close(ratios, [1.0] * len(ratios)):
        yield Hypothesis(
            "missing-term", f"A term is missing: right after adding {said}.", lambda p, k: got(p, k) + term(p)
        )
    for number, f in named_numbers(points, ratios):
        said_c = "-" if number == "-1" else f"{number} · "
        yield Hypothesis(
            "missing-term", f"A term is missing: right after adding {said_c}{said}.",
            lambda p, k, f=f: got(p, k) + f(p) * term(p),
        )  # fmt: skip


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

    if not _explains(Hypothesis("", "", repair), points, k):
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


# --- rules that are not linear in g


def of_nonlinear(points: Sequence[Point], k: int) -> Iterator[Hypothesis]:
    """The cotangent ignored, masked by itself, or joined by a constant."""
    c = points[0].problem.cotangent
    ignored = f"The cotangent is ignored: your rule is right only for {c} = 1, since it does not use {c}."
    yield Hypothesis("ignores-cotangent", ignored, lambda p, k: _ignoring(p, k) * _fit(_g(p), p.expected[k].shape))
    yield Hypothesis("ignores-cotangent", ignored, _right_for_ones)
    constant = f"A term without {c} has been added: right after removing what the rule gives for {c} = 0."
    yield Hypothesis("nonlinear", constant, lambda p, k: got(p, k) - again(p, k, g=0 * p.g))
    said = f"Right when every entry of {c} is treated alone: {c} enters with a power or an absolute value."
    yield Hypothesis("nonlinear", said, lambda p, k: _polarised(p, k))
    for name in saved(points[0]):
        said = f"The mask comes from the cotangent; it must be [{name} > 0], from the forward pass."
        yield Hypothesis(
            "mask", said, lambda p, k, n=name: _polarised(p, k) * (_fit(saved(p)[n], p.expected[k].shape) > 0)
        )


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


def _polarised(p: Point, k: int) -> Array:
    """Σ gᵢ · rule(eᵢ): the linear rule that agrees with this one on one-hot cotangents."""
    return np.sum([c * again(p, k, g=e) for c, e in zip(p.g, np.eye(p.g.size), strict=True)], 0)


# What is precise comes before what fits many things; the exercise's own terms are tried in between.
PRECISE = (of_result, of_shape, of_nonlinear, of_operands)
GENERAL = (of_saved, of_factors, of_exchanged, of_terms)
