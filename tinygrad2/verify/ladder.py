"""The ladder of checks, from cheap to thorough. A derivation fails at the first step that it does not pass.

A step looks at one point and returns what it found, or None. At last the ladder is climbed again at other sizes and
parameters, because a rule that is right for stride 1 may be wrong for stride 2.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from tinygrad2.verify.differences import EPS
from tinygrad2.verify.point import Broken, Point
from tinygrad2.verify.truth import split

LINEAR_RTOL = 1e-9


class Finding(NamedTuple):
    """What a step found: a sentence, and the mistake where the fact itself names it."""

    sentence: str
    mistake: str | None = None


def signature(p: Point) -> Finding | None:
    """The rule takes (g, *inputs, **params) and returns as many cotangents as it should."""
    return Finding(f"the rule breaks: {p.why}") if p.claimed() is None else None


def shape(p: Point) -> Finding | None:
    """Each cotangent has its input's shape."""
    for k, (a, e) in enumerate(zip(p.claimed() or [], p.expected, strict=True)):
        if a.shape != e.shape:
            name = p.problem.result(k)
            return Finding(f"{name} has shape {a.shape}, the input {p.problem.names[p.problem.wrt[k]]} has {e.shape}")
    return None


def dtype(p: Point, wanted: Sequence[type] = (np.float64, np.float32)) -> Finding | None:
    """float64 in, float64 out; with float32 the rule gives float32 where f does."""
    for kind in wanted:
        if not p.keeps(kind):
            continue
        for k, a in enumerate(p.claim(dtype=kind)):
            if a.dtype != kind:
                sentence = f"for {np.dtype(kind)} inputs, {p.problem.result(k)} comes out as {a.dtype}"
                return Finding(sentence, "dtype")
    return None


def finite(p: Point) -> Finding | None:
    """No nan and no infinity where the true derivative is finite."""
    for k, a in enumerate(p.claimed() or []):
        if not np.isfinite(a).all():
            return Finding(f"{p.problem.result(k)} holds {a[~np.isfinite(a)][0]}, where every true entry is finite")
    return None


def unmutated(p: Point) -> Finding | None:
    """The rule leaves its inputs and the cotangent as they were."""
    p.claim()
    c = p.problem.cotangent
    cotangents = split(p.g, p.truth.out_shapes)
    before = [(f"its input {n}", n, a) for n, a in zip(p.problem.names, p.inputs, strict=False)]
    before += [(f"the cotangent {c}", c, a) for a in cotangents]
    for (what, name, a), after in zip(before, [*p.after, *p.cotangents_after], strict=True):
        if not np.array_equal(a, after, equal_nan=True):
            sentence = f"the rule changes {what} in place: others still need it (write {name} = {name}.copy())"
            return Finding(sentence, "mutates")
    return None


def linear(p: Point) -> Finding | None:
    """The rule is linear in g: a Jacobian is a linear map."""
    a = p.g
    b = np.random.default_rng(5).permutation(p.g) + 0.25
    for k, (whole, first, second) in enumerate(zip(p.claim(g=2 * a - b), p.claim(g=a), p.claim(g=b), strict=True)):
        parts = 2.0 * first - second
        size = np.abs(first).max(initial=0) + np.abs(second).max(initial=0)
        doubt = 512 * EPS * float(p.product.natural.max(initial=0.0))
        if p.rounding is not None:
            doubt = max(doubt, 4 * float(p.rounding[k].max(initial=0.0)))
        if np.any(np.abs(whole - parts) > LINEAR_RTOL * size + doubt):
            c = p.problem.cotangent
            return Finding(
                f"{p.problem.result(k)} is not linear in {c}: at 2{c}₁ - {c}₂ it is not 2·(at {c}₁) - (at {c}₂)"
            )
    return None


def adjoint(p: Point) -> Finding | None:
    """⟨claimed Jᵀg, v⟩ = ⟨g, Jv⟩ for a random v: one number, but it shows almost every mistake."""
    rng = np.random.default_rng(6)
    wrong = p.wrong()
    for k, (a, place) in enumerate(zip(p.claimed() or [], p.problem.wrt, strict=True)):
        v = np.zeros(sum(p.inputs[i].size for i in p.slices))
        v[p.slices[place]] = rng.uniform(0.5, 1.5, a.size) * rng.choice([-1, 1], a.size)
        if k not in wrong:
            continue
        left = float(a.ravel() @ v[p.slices[place]])
        right = float(p.product.value @ v)
        size = np.abs(a.ravel()) @ np.abs(v[p.slices[place]]) + np.abs(p.product.value) @ np.abs(v)
        if abs(left - right) > 1e-7 * size:
            name = p.problem.result(k)
            c = p.problem.cotangent
            return Finding(f"⟨{name}, v⟩ = {left:.6g}, but ⟨{c}, J v⟩ = {right:.6g} for a random v")
    return None


def entries(p: Point) -> Finding | None:
    """Every entry is the measured one."""
    got = p.claimed() or []
    for k in p.wrong():
        a = got[k]
        e = p.expected[k]
        judged = p.judged()[k]
        assert judged is not None
        i = np.unravel_index(int(np.argmax(np.where(judged.wrong, judged.error, -1))), e.shape)
        at = f"[{', '.join(map(str, i))}]" if e.shape else ""
        return Finding(f"{p.problem.result(k)}{at} is {a[i]:.6g}, measured {e[i]:.6g} ({p.scheme})")
    return None


Step = Callable[[Point], Finding | None]
STEPS: dict[str, Step] = {
    "signature": signature,
    "shape": shape,
    "finite": finite,
    "unmutated": unmutated,
    "linear in g": linear,
    "adjoint": adjoint,
    "entries": entries,
}
AGAIN = "other configurations"
DTYPE = "dtype"  # the last: it must not hide a mistake


def climb(p: Point, steps: dict[str, Step]) -> tuple[list[str], Finding | None]:
    """The names of the steps passed, and what the first step that was not passed found."""
    passed: list[str] = []
    for name, step in steps.items():
        try:
            finding = step(p)
        except Broken as error:
            finding = Finding(f"the rule breaks: {error}")
        if finding:
            return passed, finding
        passed.append(name)
    return passed, None
