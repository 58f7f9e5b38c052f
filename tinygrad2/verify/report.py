"""What a check has to say: the verdict, the smallest failing case, and the mistake where it has a name."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tinygrad2.verify import page
from tinygrad2.verify.counterexample import Counterexample
from tinygrad2.verify.differences import Uncertified
from tinygrad2.verify.mistakes.hypothesis import Diagnosis


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

    def __bool__(self) -> bool:
        return self.ok

    def __repr__(self) -> str:
        return str(self)

    @property
    def verdict(self) -> page.Word:
        """The verdict in one word: "right", "wrong", or "uncertified" where it cannot be told; `reason` says why."""
        return "right" if self.ok else "wrong" if self.reason is None else "uncertified"

    def _repr_html_(self) -> str:
        """The same for notebooks, escaped: nothing in it can be markup."""
        title, _, rest = str(self).partition("\n")
        return page.card(self.verdict, title, page.preformatted(rest) if rest else "")

    def raise_for_error(self) -> None:
        """Raise WrongDerivation where something is wrong, Uncertified where that cannot be told, with the report."""
        if not self.ok:
            raise (WrongDerivation if self.reason is None else Uncertified)(str(self))


@dataclass(repr=False)
class Report(Verdict):
    """The result of a check. It is true in an `if` exactly when the derivation is right; print it to read it all.

    verdict: "right", "wrong", or "uncertified" where the truth cannot be told; reason: why. checked: at which points.
    passed, failed: steps of the ladder. finding: what the failed step found, in words. diagnosis: what the mistake is,
    in words, or None. mistakes: its names for machines (sign, factor, transpose, ...). case: the smallest failing case,
    for `exercise.case(...)`; counterexample: its arrays, and what was returned; example: the lines that show it.
    failures_by_configuration: "stride=2" -> (right, all). ones_would_catch: whether a test with a cotangent of ones
    would have seen it. calls: of the rule. where: file and line of the rule, where it was declared in a file.

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
    counterexample: Counterexample | None = None
    failures_by_configuration: dict[str, tuple[int, int]] = field(default_factory=dict)
    ones_would_catch: bool | None = None
    notes: list[str] = field(default_factory=list)
    hint: str | None = None
    repairs: list[tuple[int, Diagnosis]] = field(default_factory=list, repr=False)  # with the number of the result
    exercise: str | None = None
    where: str | None = None
    reason: str | None = None
    checked: str = ""
    steps: int = 0
    calls: int = 0
    seconds: float = 0.0

    def __str__(self) -> str:
        return "\n".join(line[:400] for line in self._lines())

    @property
    def title(self) -> str:
        """The name, with file and line where they are known: "my_dw (conv2d.dw), rules.py:7"."""
        return f"{self.name}, {self.where}" if self.where else self.name

    @property
    def example(self) -> list[str]:
        """The lines that show the smallest failing case."""
        return self.counterexample.lines() if self.counterexample else []

    @property
    def reproduce(self) -> str | None:
        """The call that gives the smallest failing case again, with what must come out; None outside of exercises."""
        known = self.exercise and self.case
        return f"tg.exercise({self.exercise!r}).case({self.case!r})" if known else None

    def _repr_html_(self) -> str:
        """The report as a page for notebooks; it needs nothing from outside, and nothing in it can be markup."""
        return page.report(self)

    def as_dict(self) -> dict[str, Any]:
        """All fields as JSON can hold them, and the printed report as "text"."""
        plain = {name: value for name, value in vars(self).items() if name != "repairs"}
        table = {k: list(v) for k, v in self.failures_by_configuration.items()}
        shown = self.counterexample and self.counterexample.as_dict()
        also = {"verdict": self.verdict, "example": self.example, "text": str(self)}
        return {**plain, "failures_by_configuration": table, "counterexample": shown, **also}

    def _lines(self) -> list[str]:
        cost = f"{self.calls} calls, {self.seconds:.2f} s"
        if self.ok:
            head = f"{self.title}   RIGHT: all {self.steps} steps passed"
            return [head, f"  {cost}", *self._checked(), *self._notes()]
        if self.reason is not None:
            head = f"{self.title}   UNCERTIFIED: neither right nor wrong can be told   {cost}"
            return [head, f"  {self.reason}", *self._checked(), *self._notes()]
        step = f"step {len(self.passed) + 1} of {self.steps} ({self.failed})" if self.failed else "the check itself"
        lines = [f"{self.title}   WRONG at {step}   {cost}"]
        lines += [f"  passed: {', '.join(self.passed)}"] if self.passed else []
        lines += [f"  {self.finding}"] if self.finding else []
        lines += self.example
        lines += [f"Diagnosis: {self.diagnosis}"] if self.diagnosis else self._table()
        if self.ones_would_catch is not None:
            lines.append(f"Would an all-ones cotangent have caught it?  {'yes' if self.ones_would_catch else 'no'}")
        if self.reproduce:
            lines.append(f"Reproduce: {self.reproduce}   Next: {self.hint}")
        return lines + self._checked() + self._notes()

    def _checked(self) -> list[str]:
        return [f"  checked: {self.checked}"] if self.checked else []

    def _notes(self) -> list[str]:
        return [f"  note: {note}" for note in self.notes]

    def _table(self) -> list[str]:
        """Where no mistake has been named: in which configurations the rule is right."""
        if self.failed == "signature":
            return []
        parts = [f"{k}: {right} of {n} right" for k, (right, n) in self.failures_by_configuration.items()]
        head = "No single known mistake explains every case, so none is named."
        return [head, *([f"By configuration: {'; '.join(parts)}"] if parts else [])]
