"""Declaring what is to be checked: `@derivation(of=...)` above a rule. The rule stays the function it is.

`tinygrad2 check FILE.py` and pytest collect what a file declares; direct calls such as check_vjp(...) count too. While
a file is being gathered, each runs only in the process that is to run it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from tinygrad2.verify.report import Report

gathering: ContextVar[Gathering | None] = ContextVar("gathering", default=None)


@dataclass
class Gathering:
    """The derivations met while a file is run: their names, and the report of the one that is wanted."""

    wanted: int | None = None
    seed: int | None = None
    order: int | None = None
    names: list[str] = field(default_factory=list)
    later: Derivation | None = None
    report: Report | None = None

    def meet(self, name: str) -> bool:
        """Note a derivation; True if it is the one to run."""
        self.names.append(name)
        return len(self.names) - 1 == self.wanted

    def options(self, options: dict[str, Any]) -> dict[str, Any]:
        """The options of a check, with those of the command line over them."""
        over = {"seed": self.seed, "order": self.order}
        return {**options, **{k: v for k, v in over.items() if v is not None}}


def declared(check: Callable[..., Report]) -> Callable[..., Report]:
    """A check that, while a file is gathered, runs only if it is the wanted one."""

    @functools.wraps(check)
    def run(subject: Any, rule: Any, *args: Any, **options: Any) -> Report:
        g = gathering.get()
        if g is None:
            return check(subject, rule, *args, **options)
        own = getattr(subject, "name", None) or options.get("name") or getattr(rule, "__name__", str(rule))
        if not g.meet(str(own)):
            return Report(str(own), True, notes=["not run in this process"])
        token = gathering.set(None)
        try:
            options = g.options(options)
            if check.__name__ not in ("check_vjp", "check"):
                options.pop("order", None)
            g.report = check(subject, rule, *args, **options)
        finally:
            gathering.reset(token)
        return g.report

    return run


@dataclass
class Derivation:
    """A rule with what it is a derivation of; callable as the rule itself."""

    rule: Callable[..., Any]
    of: Any
    name: str
    kind: str
    options: dict[str, Any]

    def __post_init__(self) -> None:
        functools.update_wrapper(self, self.rule)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.rule(*args, **kwargs)

    def check(self, **over: Any) -> Report:
        """Check the rule; `seed` and `order` may be given."""
        from tinygrad2.verify.check import check_double_vjp, check_jacobian, check_vjp
        from tinygrad2.verify.exercises import exercise

        options = {**self.options, **over}
        if isinstance(self.of, str):
            return exercise(self.of).check(self.rule, **options)
        inputs = options.pop("inputs", ())
        if self.kind != "vjp":
            options.pop("order", None)
        checks = {"vjp": check_vjp, "jacobian": check_jacobian, "double": check_double_vjp}
        return checks[self.kind](self.of, self.rule, *inputs, name=self.name, **options)


def derivation(*, of: Any, kind: str = "vjp", **options: Any) -> Callable[[Callable[..., Any]], Derivation]:
    """Declare the function below as a derivation, to be checked by `tinygrad2 check` and by pytest.

    of: the name of an exercise, or the forward function. kind: "vjp", "jacobian" or "double" (for a forward function).
    options: as for check_vjp (inputs=(x, w), axes=, params=, sizes=, draws=, valid=, order=), or as for Exercise.check.
    """
    if kind not in ("vjp", "jacobian", "double"):
        raise ValueError(f'derivation: kind must be "vjp", "jacobian" or "double", got {kind!r}')
    if not isinstance(of, str) and not callable(of):
        raise TypeError(f"derivation: of= takes the name of an exercise or a function, got {type(of).__name__}")

    def declare(rule: Callable[..., Any]) -> Derivation:
        name = getattr(rule, "__name__", str(of))
        made = Derivation(rule, of, name, kind, options)
        g = gathering.get()
        if g is not None and g.meet(f"{name} ({of})" if isinstance(of, str) and of != name else name):
            g.later = made
        return made

    return declare
