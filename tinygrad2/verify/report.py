"""What a check has to say: the verdict, the smallest failing case, and the mistake where it has a name."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinygrad2.verify.differences import Uncertified
from tinygrad2.verify.mistakes.hypothesis import Diagnosis
from tinygrad2.verify.point import Point
from tinygrad2.verify.truth import Measured, SecondOrder


class WrongDerivation(AssertionError):
    """Something that was checked is wrong. The message is the report. `raise_for_error` of every report raises it.

    >>> import numpy as np
    >>> from tinygrad2.verify import check_vjp
    >>> check_vjp(np.sin, lambda g, x: g, np.ones(2)).raise_for_error()  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    tinygrad2.verify.report.WrongDerivation: <lambda>   WRONG at step ...
    """


class Verdict:
    """What every report has in common: it is true in an `if` exactly when all that was checked is right.

    Printing a report shows all of it, and so do notebooks.
    """

    ok: bool
    reason: str | None = None  # why it is neither right nor wrong

    @property
    def verdict(self) -> str:
        """ "right", "wrong" or "uncertified": the last where the truth cannot be told, and `reason` says why."""
        return "right" if self.ok else "wrong" if self.reason is None else "uncertified"

    def __bool__(self) -> bool:
        return self.ok

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        """The same for notebooks, escaped: nothing in it can be markup."""
        color = {"right": "#1a7f37", "wrong": "#cf222e", "uncertified": "#9a6700"}[self.verdict]
        first, *rest = str(self).split("\n")
        body = "\n".join([f'<b style="color:{color}">{html.escape(first)}</b>', *map(html.escape, rest)])
        return f'<pre style="line-height:1.35">{body}</pre>'

    def raise_for_error(self) -> None:
        """Raise WrongDerivation where something is wrong, Uncertified where nobody can tell, with the report."""
        if not self.ok:
            raise (WrongDerivation if self.reason is None else Uncertified)(str(self))


@dataclass(repr=False)
class Report(Verdict):
    """The result of a check. It is true in an `if` exactly when the derivation is right; print it to read it all.

    verdict: "right", "wrong", or "uncertified" where the truth cannot be told; reason: why. checked: at which points.
    passed, failed: steps of the ladder. finding: what the failed step found, in words. diagnosis: what the mistake is,
    in words, or None. mistakes: its names for machines (sign, factor, transpose, ...). case: the smallest failing case,
    for `exercise.case(...)`; example: the lines that show it. failures_by_configuration: "stride=2" -> (right, all).
    ones_would_catch: whether a test with a cotangent of ones would have seen it. calls: of the rule.

    >>> from tinygrad2.verify import exercise
    >>> report = exercise("relu").check(lambda g, x: -g * (x > 0))
    >>> report.ok, report.failed, report.mistakes
    (False, 'adjoint', ['sign'])
    """

    name: str
    ok: bool
    passed: list[str] = field(default_factory=list)
    failed: str | None = None
    finding: str | None = None
    diagnosis: str | None = None
    mistakes: list[str] = field(default_factory=list)
    case: str | None = None
    example: list[str] = field(default_factory=list)
    failures_by_configuration: dict[str, tuple[int, int]] = field(default_factory=dict)
    ones_would_catch: bool | None = None
    notes: list[str] = field(default_factory=list)
    hint: str | None = None
    repairs: list[tuple[int, Diagnosis]] = field(default_factory=list, repr=False)  # with the number of the result
    exercise: str | None = None
    reason: str | None = None
    checked: str = ""
    steps: int = 0
    calls: int = 0
    seconds: float = 0.0

    def __str__(self) -> str:
        return "\n".join(line[:400] for line in self._lines())

    def as_dict(self) -> dict[str, Any]:
        """All fields as JSON can hold them, and the printed report as "text"."""
        plain = {name: value for name, value in vars(self).items() if name != "repairs"}
        table = {k: list(v) for k, v in self.failures_by_configuration.items()}
        return {**plain, "verdict": self.verdict, "failures_by_configuration": table, "text": str(self)}

    def _lines(self) -> list[str]:
        cost = f"{self.calls} calls, {self.seconds:.2f} s"
        if self.ok:
            return [
                f"{self.name}   RIGHT: all {self.steps} steps passed",
                f"  {cost}",
                *self._checked(),
                *self._notes(),
            ]
        if self.reason is not None:
            head = f"{self.name}   UNCERTIFIED: neither right nor wrong can be told   {cost}"
            return [head, f"  {self.reason}", *self._checked(), *self._notes()]
        step = f"step {len(self.passed) + 1} of {self.steps} ({self.failed})" if self.failed else "the check itself"
        lines = [f"{self.name}   WRONG at {step}   {cost}"]
        lines += [f"  passed: {', '.join(self.passed)}"] if self.passed else []
        lines += [f"  {self.finding}"] if self.finding else []
        lines += self.example
        lines += [f"Diagnosis: {self.diagnosis}"] if self.diagnosis else self._table()
        if self.ones_would_catch is not None:
            lines.append(f"Would an all-ones cotangent have caught it?  {'yes' if self.ones_would_catch else 'no'}")
        if self.hint:
            lines.append(f"Reproduce: tg.exercise({self.exercise!r}).case({self.case!r})   Next: {self.hint}")
        return lines + self._checked() + self._notes()

    def _checked(self) -> list[str]:
        return [f"  checked: {self.checked}"] if self.checked else []

    def _notes(self) -> list[str]:
        return [f"  note: {note}" for note in self.notes]

    def _table(self) -> list[str]:
        """Where no mistake has been named: in which configurations the rule is right."""
        parts = [f"{k}: {right} of {n} right" for k, (right, n) in self.failures_by_configuration.items()]
        head = "No single known mistake explains every case, so none is named."
        return [head, *([f"By configuration: {'; '.join(parts)}"] if parts else [])]


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


def describe(p: Point) -> list[str]:
    """The lines that show one failing point: the configuration, the arrays, claimed and expected, and why."""
    problem = p.problem
    got = p.claimed()
    lines = [f"Smallest failing case found: {p.case}"]
    for name, a in zip(problem.names, p.inputs, strict=False):
        lines.append(f"  {name} = {compact(a)}")
    parts = p.cotangents if isinstance(p.cotangents, tuple) else (p.cotangents,)
    lines.append(f"  {problem.cotangent} = {', '.join(map(compact, parts))}")
    for k in p.wrong():
        e = p.expected[k]
        mine = "nothing (the rule breaks)" if got is None else compact(got[k])
        lines.append(f"  your {problem.result(k)} = {mine}   expected = {compact(e)}")
    if why := _why(p):
        lines.append(f"  Why: {why}")
    return lines


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
