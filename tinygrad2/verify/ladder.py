"""The ladder of checks, from cheap to thorough. A derivation fails at the first step that it does not pass.

A step looks at one point and returns what it found, or None. At last the ladder is climbed again at other sizes and
parameters, because a rule that is right for stride 1 may be wrong for stride 2.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from tinygrad2.verify.point import Broken, Point

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
        if a is not None and a.shape != e.shape:
            name = p.problem.result(k)
            return Finding(f"{name} has shape {a.shape}, the input {p.problem.names[p.problem.wrt[k]]} has {e.shape}")
    return None


def dtype(p: Point) -> Finding | None:
    """float64 in, float64 out; float32 in, float32 out."""
    for wanted in (np.float64, np.float32):
        for k, a in enumerate(p.claim(dtype=wanted)):
            if a is not None and a.dtype != wanted:
                sentence = f"for {np.dtype(wanted)} inputs, {p.problem.result(k)} comes out as {a.dtype}"
                return Finding(sentence, "dtype")
    return None


def finite(p: Point) -> Finding | None:
    """No nan and no infinity where the true derivative is finite."""
    for k, a in enumerate(p.claimed() or []):
        if a is not None and not np.isfinite(a).all():
            return Finding(f"{p.problem.result(k)} holds {a[~np.isfinite(a)][0]}, where every true entry is finite")
    return None


def unmutated(p: Point) -> Finding | None:
    """The rule leaves its inputs as they were."""
    p.claim()
    for name, before, after in zip(p.problem.names, p.inputs, p.after, strict=False):
        if not np.array_equal(before, after, equal_nan=True):
            sentence = (
                f"the rule changes its input {name} in place: others still need it (write {name} = {name}.copy())"
            )
            return Finding(sentence, "mutates")
    return None


def linear(p: Point) -> Finding | None:
    """The rule is linear in g: a Jacobian is a linear map."""
    a = p.g
    b = np.random.default_rng(5).permutation(p.g) + 0.25
    for k, (whole, first, second) in enumerate(zip(p.claim(g=2 * a - b), p.claim(g=a), p.claim(g=b), strict=True)):
        if whole is None or first is None or second is None:
            continue
        parts = 2.0 * first - second
        if np.any(np.abs(whole - parts) > LINEAR_RTOL * (np.abs(first).max(initial=0) + np.abs(second).max(initial=0))):
            c = p.problem.cotangent
            return Finding(
                f"{p.problem.result(k)} is not linear in {c}: at 2{c}₁ - {c}₂ it is not 2·(at {c}₁) - (at {c}₂)"
            )
    return None


def adjoint(p: Point) -> Finding | None:
    """⟨claimed Jᵀg, v⟩ = ⟨g, Jv⟩ for a random v: one number, but it sees almost every mistake, at any size."""
    rng = np.random.default_rng(6)
    for k, (a, place) in enumerate(zip(p.claimed() or [], p.problem.wrt, strict=True)):
        if a is None:
            continue
        v = np.zeros(sum(p.inputs[i].size for i in p.slices))
        v[p.slices[place]] = rng.uniform(0.5, 1.5, a.size) * rng.choice([-1, 1], a.size)
        slope = p.truth.jvp(v)
        left = float(a.ravel() @ v[p.slices[place]])
        right = float(slope.value @ p.g)
        size = np.abs(a.ravel()) @ np.abs(v[p.slices[place]]) + np.abs(slope.value) @ np.abs(p.g) + 1e-3
        if abs(left - right) > 1e-7 * size + 4 * slope.budget @ np.abs(p.g):
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
        assert a is not None
        i = np.unravel_index(int(np.abs(a - e).argmax()), e.shape)
        at = f"[{', '.join(map(str, i))}]" if e.shape else ""
        return Finding(f"{p.problem.result(k)}{at} is {a[i]:.6g}, measured {e[i]:.6g} ({p.scheme})")
    return None


Step = Callable[[Point], Finding | None]
STEPS: dict[str, Step] = {
    "signature": signature,
    "shape": shape,
    "dtype": dtype,
    "finite": finite,
    "unmutated": unmutated,
    "linear in g": linear,
    "adjoint": adjoint,
    "entries": entries,
}
AGAIN = "other configurations"


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
