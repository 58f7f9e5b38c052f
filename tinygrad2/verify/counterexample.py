"""The failing case that a report shows: its arrays, what the rule returned, what is true, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from tinygrad2.kernels import Array
from tinygrad2.verify.point import Point
from tinygrad2.verify.truth import Measured, SecondOrder


class Wrong(NamedTuple):
    """One wrong result: its name, such as "dw"; what the rule returned (None where it breaks); what is true.

    off: True for the entries that are wrong; None where the rule breaks, or returned another shape.
    """

    name: str
    yours: Array | None
    expected: Array
    off: Array | None

    @property
    def difference(self) -> Array | None:
        """yours - expected where that is wrong, else 0; None where the two have different shapes."""
        if self.yours is None or self.off is None:
            return None
        return np.where(self.off, self.yours - self.expected, 0.0)


@dataclass(frozen=True)
class Counterexample:
    """One case in which a rule is wrong. inputs, cotangents: by name. why: the chain rule of the worst entry."""

    case: str
    inputs: dict[str, Array]
    cotangents: dict[str, Array]
    wrong: list[Wrong]
    why: str | None = None

    def lines(self) -> list[str]:
        """The case as it is printed."""
        given = [f"  {name} = {compact(a)}" for name, a in {**self.inputs, **self.cotangents}.items()]
        wrong = [
            f"  your {name} = {'nothing (the rule breaks)' if yours is None else compact(yours)}   "
            f"expected = {compact(expected)}"
            for name, yours, expected, _ in self.wrong
        ]
        why = [f"  Why: {self.why}"] if self.why else []
        return [f"Smallest failing case found: {self.case}", *given, *wrong, *why]

    def as_dict(self) -> dict[str, Any]:
        """The same with lists of numbers, as JSON can hold them."""
        wrong = [
            {"name": n, "yours": None if y is None else y.tolist(), "expected": e.tolist()} for n, y, e, _ in self.wrong
        ]
        return {**vars(self), "inputs": _lists(self.inputs), "cotangents": _lists(self.cotangents), "wrong": wrong}


def describe(p: Point) -> Counterexample:
    """A failing point as a counterexample."""
    problem = p.problem
    got = p.claimed()
    parts = p.cotangents if isinstance(p.cotangents, tuple) else (p.cotangents,)
    names = [problem.cotangent] if len(parts) == 1 else [f"{problem.cotangent}[{i}]" for i in range(len(parts))]
    return Counterexample(
        str(p.case),
        dict(zip(problem.names, p.inputs, strict=False)),
        dict(zip(names, parts, strict=True)),
        [_wrong(p, k) for k in p.wrong()],
        _why(p),
    )


def _wrong(p: Point, k: int) -> Wrong:
    name = p.problem.result(k)
    got = p.claimed()
    if got is None:
        return Wrong(name, None, p.expected[k], None)
    judged = p.judged()[k]
    return Wrong(name, got[k], p.expected[k], None if judged is None else judged.wrong.reshape(p.expected[k].shape))


def by_configuration(points: Sequence[Point]) -> dict[str, tuple[int, int]]:
    """How many cases are right per parameter or size value; names that decide it, else parameters, else sizes."""
    table: dict[str, dict[str, tuple[int, int]]] = {}
    for p in points:
        for name, value in {**p.case.params, **p.case.sizes}.items():
            right, n = table.setdefault(name, {}).get(f"{name}={value!r}", (0, 0))
            table[name][f"{name}={value!r}"] = right + (not p.wrong()), n + 1
    telling = {name: rows for name, rows in table.items() if len({right / n for right, n in rows.values()}) > 1}
    clear = {name: rows for name, rows in telling.items() if all(right in (0, n) for right, n in rows.values())}
    named = {name: rows for name, rows in telling.items() if name in points[0].case.params}
    telling = clear or named or telling
    return {row: count for rows in telling.values() for row, count in sorted(rows.items())}


def _lists(arrays: dict[str, Array]) -> dict[str, Any]:
    return {name: a.tolist() for name, a in arrays.items()}


def _why(p: Point) -> str | None:
    """The chain rule for the entry that is most wrong, with measured slopes."""
    k = p.wrong()[0]
    e = p.expected[k]
    got = p.claimed()
    place = p.problem.wrt[k]
    slot = p.slices[place]
    if e.size == 0 or isinstance(p.truth, SecondOrder) or len(p.truth.out_shapes) > 1:
        return None
    judged = p.judged()[k] if got is not None else None
    at = int(np.argmax(np.abs(e) if judged is None else np.where(judged.wrong, judged.error, -1)))
    assert isinstance(p.truth, Measured)
    row = p.truth.jacobian().value[:, slot.start + at]
    shape = p.truth.out_shapes[0]
    row = np.where(np.abs(row) > 1e-12 * np.abs(row).max(initial=0.0), row, 0.0)
    terms = [(i, s * c, s, c) for i, (s, c) in enumerate(zip(row, p.g, strict=True)) if s * c]
    target = f"{p.problem.names[place]}{_at(np.unravel_index(at, e.shape) if e.shape else ())}"
    if not terms:
        return f"no output that {p.problem.cotangent} looks at depends on {target}, so the entry is 0"
    shown = " + ".join(
        f"∂y{_at(np.unravel_index(i, shape) if shape else ())}/∂{target} · {p.problem.cotangent} = {s:.4g}·{c:.4g}"
        for i, _, s, c in terms[:3]
    )
    return shown + (f" + {len(terms) - 3} more" if len(terms) > 3 else "")


def _at(index: Any) -> str:
    return f"[{','.join(str(int(i)) for i in index)}]" if len(index) else ""


def compact(a: Any) -> str:
    """An array in one line."""
    if a is None:
        return "None"
    text = np.array2string(np.asarray(a) + 0.0, precision=4, threshold=24, edgeitems=2, max_line_width=10_000)
    text = " ".join(text.split()).replace("[ ", "[").replace(". ", " ").replace(".]", "]")
    shape = "×".join(map(str, np.shape(a)))
    return (f"{text}" if np.ndim(a) <= 1 else f"{text} ({shape})")[:300]
