"""What an exercise is: a statement, a forward function in NumPy, a solution, three hints, and where it must hold.

The solution never decides anything: the checker measures the forward function. The solution is there to be read
afterwards (`print(ex.solution)`), and it is the function that order 2 differentiates.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import Any, Literal, NamedTuple

from tinygrad2.kernels import Array
from tinygrad2.verify.book.source import Readable, source_of
from tinygrad2.verify.point import Tally, make_point
from tinygrad2.verify.problem import Problem, Terms, double_problem, first_order_of, jacobian_problem, vjp_problem
from tinygrad2.verify.report import Report
from tinygrad2.verify.run import run, tell_inherited
from tinygrad2.verify.space import Space

Difficulty = Literal["easy", "medium", "hard"]

ARGUMENTS = {"vjp": "(g, ", "double": "(g, u, ", "jacobian": "("}  # of a rule, before the inputs


class Worked(NamedTuple):
    """One case worked out: the inputs, the parameters and the cotangent g that go in, and what must come out.

    inputs: input name -> array. expected: result name, such as "dw" -> array of the input's shape.
    """

    inputs: dict[str, Array]
    params: dict[str, Any]
    g: Any
    expected: dict[str, Array]


@dataclass(frozen=True)
class Exercise:
    """A derivation to be made by hand. `exercise("conv2d.dw")` opens one; `check` says whether yours is right.

    statement: what y is, with every constant. forward(*inputs, **params): the same in NumPy. wrt: the inputs to derive
    by. difficulty: "easy", "medium" or "hard".
    space: the shapes and parameters for which a rule must hold. kind: "vjp", "jacobian" or "double".
    solution: a right rule, of the form that `check` takes: vjp(g, *inputs, **params); for kind "jacobian" J(*inputs);
    for kind "double" double_vjp(g, u, *inputs, **params), and `first` is then the right first-order rule. It prints as
    its source.
    terms, saved, remarks, operations: what helps to name a mistake, see Problem.

    >>> import numpy as np
    >>> from tinygrad2.verify import exercise
    >>> ex = exercise("tanh")
    >>> ex.check(lambda g, x: g * (1 - np.tanh(x))).mistakes
    ['missing-factor']
    >>> ex.hint(1)
    'Write the derivative with y alone.'
    """

    name: str
    statement: str
    _: KW_ONLY
    forward: Callable[..., Any]
    solution: Callable[..., Any]
    hints: tuple[str, str, str]
    wrt: tuple[str, ...]
    space: Space
    difficulty: Difficulty
    kind: str = "vjp"
    first: Callable[..., Any] | None = None
    terms: Terms | None = None
    saved: Callable[..., Mapping[str, Array]] | None = None
    remarks: Mapping[str, str] = field(default_factory=dict)
    operations: Callable[..., Any] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.solution, Readable):
            object.__setattr__(self, "solution", Readable(self.solution))

    @property
    def names(self) -> list[str]:
        """What the forward function calls its inputs."""
        return list(inspect.signature(self.forward).parameters)[: len(self.space.inputs_axes)]

    @property
    def results(self) -> list[str]:
        """What a rule returns: ["dx", "dw"], or ["J"]."""
        if self.kind == "jacobian":
            return ["J"]
        return [f"d{name}" for name in [*self.wrt, *(["g"] if self.kind == "double" else [])]]

    @property
    def order(self) -> str:
        """The orders that `check` takes: "1, 2"; "1" for a Jacobian; "2" for a double backward."""
        return {"vjp": "1, 2", "jacobian": "1", "double": "2"}[self.kind]

    @property
    def task(self) -> str:
        """The statement, and what to derive."""
        *most, last = self.results
        wanted = f"{', '.join(most)} and {last}" if most else last
        given = {"vjp": " from g", "double": " from g and u", "jacobian": f" = ∂y/∂{self.wrt[0]}"}[self.kind]
        return f"{self.statement} Derive {wanted}{given}."

    def part(
        self, name: str, solution: Callable[..., Any], hints: tuple[str, str, str], difficulty: Difficulty | None = None
    ) -> Exercise:
        """The exercise of one result alone: CONV2D.part("w", conv2d_dw, ...) is the exercise "conv2d.dw"."""
        i = self.wrt.index(name)
        terms = self.terms
        return replace(
            self,
            name=f"{self.name}.d{name}",
            solution=solution,
            hints=hints,
            wrt=(name,),
            difficulty=difficulty or self.difficulty,
            terms=terms and (lambda g, *inputs, **params: [terms(g, *inputs, **params)[i]]),
        )

    def check(
        self, rule: Callable[..., Any], order: int = 1, seed: int = 0, vjp: Callable[..., Any] | None = None
    ) -> Report:
        """Check a rule for this exercise. Whatever the rule does, the report says it; nothing is raised.

        order=2: the rule is a double backward, (g, u, *inputs, **params) -> a cotangent per floating input, then for g.
        seed: of the random points. vjp: with order=2 your first-order rule; a mistake that was inherited from it is
        then told from a new one. ValueError for another order, and for order=2 of a Jacobian.
        """
        double = order == 2 and self.kind == "vjp"
        report = run(self.problem(rule, order), seed=seed, exercise=None if double else self.name)
        report.hints = self.hints if report.hint else ()
        if vjp is not None and not report.ok and (double or self.kind == "double"):
            tell_inherited(report, run(self._first_order(vjp), seed=seed))
        return report

    def problem(self, rule: Callable[..., Any], order: int = 1) -> Problem:
        """The rule as a problem of the one form that the ladder knows. ValueError for an order that there is not."""
        if order not in (1, 2):
            raise ValueError(f"order must be 1 or 2, got {order}")
        if self.kind == "jacobian":
            if order == 2:
                raise ValueError(f"{self.name}: a Jacobian is checked in first order only")
            problem = jacobian_problem(self.forward, rule, self.space, self.name)
        elif self.kind == "double":
            problem = self._double(rule, self.name)
        elif order == 2:
            return self._double(rule, f"{self.name}, order 2")
        else:
            problem = self._first_order(rule)
        return replace(problem, terms=self.terms, saved=self.saved, remarks=self.remarks)

    def _first_order(self, rule: Callable[..., Any]) -> Problem:
        wrt = tuple(self.names.index(name) for name in self.wrt)
        return replace(vjp_problem(self.forward, rule, self.space, self.name), wrt=wrt, operations=self.operations)

    def _double(self, rule: Callable[..., Any], name: str) -> Problem:
        """The double backward as the rule of (inputs, g) ↦ the right first-order rule."""
        first = self.first if self.first is not None else self.solution
        problem = double_problem(self.forward, rule, self.space, name)
        return replace(problem, f=first_order_of(first), second_order=False)

    def hint(self, n: int = 1) -> str:
        """The n-th of three hints; each says more than the one before. ValueError where there is no such hint."""
        if n not in (1, 2, 3):
            raise ValueError(f"{self.name} has hints 1, 2 and 3, got {n}")
        return self.hints[n - 1]

    def solution_source(self) -> str:
        """The source of the solution, with the helpers that it calls; it runs after `import numpy as np`."""
        return source_of(self.solution)

    def forward_source(self) -> str:
        """The source of the forward function, with the helpers that it calls; it runs after `import numpy as np`."""
        return source_of(self.forward)

    def case(self, text: str) -> Worked:
        """A case of a report, with what must come out. ValueError where a part of the text is unknown or missing.

        >>> from tinygrad2.verify import exercise
        >>> worked = exercise("relu").case("n=1, d=2, seed=3")
        >>> worked.inputs["x"].shape, worked.expected["dx"].shape
        ((1, 2), (1, 2))
        """
        problem = self.problem(self.solution)
        point = make_point(problem, problem.space.parse(text), Tally())
        expected = {problem.result(k): e for k, e in enumerate(point.expected)}
        inputs = dict(zip(problem.names, point.inputs, strict=False))
        return Worked(inputs, point.case.params, point.cotangents, expected)

    def __repr__(self) -> str:
        arguments = ", ".join([*self.names, *self.space.params])
        write = f"write rule{ARGUMENTS[self.kind]}{arguments}) -> {', '.join(self.results)}, then ex.check(rule)"
        return f"exercise {self.name!r}: {self.task}\n  {write}"
