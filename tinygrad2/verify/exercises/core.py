"""An exercise: a forward function in NumPy, where it must hold, three hints, and a solution to compare with afterwards.

The solution never decides anything: the checker measures the forward function. It is what `ex.solution` shows, and the
function that order 2 differentiates.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Any, NamedTuple

import numpy as np

from tinygrad2.kernels import Array
from tinygrad2.verify.check import jacobian_problem, run, turned
from tinygrad2.verify.problem import Point, Problem, Tally, Terms, make_point
from tinygrad2.verify.report import Report
from tinygrad2.verify.space import Space, WithCotangent

REGISTRY: dict[str, Exercise] = {}


class Worked(NamedTuple):
    """One case worked out: what goes in, and what must come out."""

    inputs: dict[str, Array]
    params: dict[str, Any]
    g: Any
    expected: dict[str, Array]


@dataclass(frozen=True)
class Exercise:
    """name: such as "conv2d.dw". f(*inputs, **params): the forward function. wrt: the inputs to derive by.

    solution: a right rule, of the form that `check` takes: vjp(g, *inputs, **params); for kind "jacobian" J(*inputs),
    for kind "double" double_vjp(g, u, *inputs, **params).
    """

    name: str
    task: str
    f: Callable[..., Any]
    space: Space
    wrt: tuple[str, ...]
    solution: Callable[..., Any]
    hints: tuple[str, str, str]
    kind: str = "vjp"
    first: Callable[..., Any] | None = None  # of kind "double": the right first-order rule
    terms: Terms | None = None
    saved: Callable[..., Mapping[str, Array]] | None = None
    remarks: Mapping[str, str] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """What f calls its inputs."""
        return list(inspect.signature(self.f).parameters)[: len(self.space.inputs_axes)]

    def check(
        self, rule: Callable[..., Any], order: int = 1, seed: int = 0, vjp: Callable[..., Any] | None = None
    ) -> Report:
        """Check a rule for this exercise; the report never raises.

        order=2: the rule is a double backward, (g, u, *inputs, **params) -> a cotangent per floating input, then for g.
        vjp: with order=2 your first-order rule, so that a mistake inherited from it can be told.
        """
        report = run(
            self.problem(rule, order), seed=seed, exercise=None if order == 2 and self.kind == "vjp" else self.name
        )
        if vjp is not None and not report.ok and (order == 2 or self.kind == "double"):
            first = run(self._first_order(vjp), seed=seed)
            if first.ok:
                report.notes.append("your first-order rule is right: the mistake was made in differentiating it")
            else:
                report.diagnosis = f"The mistake is of first order: {first.diagnosis or first.finding}"
                report.mistakes = first.mistakes
        return report

    def problem(self, rule: Callable[..., Any], order: int = 1) -> Problem:
        """The rule as a problem of the one form that the ladder knows."""
        if order not in (1, 2):
            raise ValueError(f"order must be 1 or 2, got {order}")
        if self.kind == "jacobian":
            if order == 2:
                raise ValueError(f"{self.name}: a Jacobian is checked in first order only")
            problem = replace(jacobian_problem(self.f, rule, self.space, self.name), names=self.names)
            return replace(problem, terms=self.terms, saved=self.saved, remarks=self.remarks)
        if self.kind == "double" or order == 2:
            return self._double(rule)
        return self._first_order(rule)

    def _first_order(self, rule: Callable[..., Any]) -> Problem:
        wrt = tuple(self.names.index(name) for name in self.wrt)
        extras = {} if self.kind == "double" else {"terms": self.terms, "saved": self.saved, "remarks": self.remarks}
        return Problem(self.name, self.f, rule, self.space, self.names, wrt, **extras)  # type: ignore[arg-type]

    def _double(self, rule: Callable[..., Any]) -> Problem:
        """The double backward as the rule of (inputs, g) ↦ the right first-order rule."""
        first = self.first if self.first is not None else self.solution
        names = [*self.names, "g"]
        inputs = self.space.inputs(self.space.draw(np.random.default_rng(0)))
        wrt = tuple(i for i, a in enumerate(inputs) if a.dtype.kind == "f")
        extras = {"terms": self.terms, "saved": self.saved, "remarks": self.remarks} if self.kind == "double" else {}
        return Problem(
            self.name if self.kind == "double" else f"{self.name}, order 2",
            lambda *a, **p: first(a[-1], *a[:-1], **p),
            turned(rule),
            WithCotangent(self.space, self.f),
            names,
            (*wrt, len(inputs)),
            cotangent="u",
            double=True,
            **extras,  # type: ignore[arg-type]
        )

    def hint(self, n: int = 1) -> str:
        """The n-th of three hints, each says more."""
        if n not in (1, 2, 3):
            raise ValueError(f"{self.name} has hints 1, 2 and 3, got {n}")
        return self.hints[n - 1]

    def case(self, text: str) -> Worked:
        """A case of a report, with what must come out: `ex.case("n=1, c=1, ..., seed=0")`."""
        problem = self.problem(self.solution)
        point: Point = make_point(problem, problem.space.parse(text), Tally())
        expected = {problem.result(k): e for k, e in enumerate(point.expected)}
        return Worked(
            dict(zip(problem.names, point.inputs, strict=False)), point.case.params, point.cotangents, expected
        )

    def __repr__(self) -> str:
        signature = {"vjp": "(g, ", "double": "(g, u, ", "jacobian": "("}[self.kind]
        arguments = ", ".join([*self.names, *self.space.params])
        results = ["J"] if self.kind == "jacobian" else [f"d{name}" for name in self.wrt]
        results += ["dg"] if self.kind == "double" else []
        write = f"write rule{signature}{arguments}) -> {', '.join(results)}, then ex.check(rule)"
        return f"exercise {self.name!r}: {self.task}\n  {write}"


def total(terms: Mapping[str, Array]) -> Any:
    """The right answer: the sum of its terms, without those whose right weight is 0."""
    return sum(t for name, t in terms.items() if not name.startswith("~"))


def register(*exercises: Exercise) -> None:
    """Make exercises known by their names."""
    REGISTRY.update({ex.name: ex for ex in exercises})


def exercise(name: str) -> Exercise:
    """An exercise by name; an unknown name is an error that suggests the nearest."""
    if name not in REGISTRY:
        close = get_close_matches(name, REGISTRY, 3)
        hint = f"did you mean {' or '.join(map(repr, close))}?" if close else f"known: {', '.join(REGISTRY)}"
        raise ValueError(f"unknown exercise {name!r}; {hint}")
    return REGISTRY[name]


def exercises() -> list[str]:
    """The names of all exercises."""
    return list(REGISTRY)


def parts(whole: Exercise, tasks: Mapping[str, tuple[str, tuple[str, str, str]]]) -> list[Exercise]:
    """One exercise per result of an exercise with several: "conv2d" gives "conv2d.dw"."""
    made = []
    for name, (task, hints) in tasks.items():
        i = whole.wrt.index(name)
        terms = whole.terms
        made.append(
            replace(
                whole,
                name=f"{whole.name}.d{name}",
                task=task,
                wrt=(name,),
                hints=hints,
                solution=lambda g, *inputs, i=i, **params: whole.solution(g, *inputs, **params)[i],
                terms=terms and (lambda g, *inputs, i=i, terms=terms, **params: [terms(g, *inputs, **params)[i]]),
            )
        )
    return made
