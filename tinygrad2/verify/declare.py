"""Declaring what is to be checked: `@derivation(of=...)` above a rule. The rule stays the function it is.

`tinygrad2 check FILE.py` and pytest collect what a file declares.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tinygrad2.verify.check import check_double_vjp, check_jacobian, check_vjp
from tinygrad2.verify.exercises import exercise
from tinygrad2.verify.gathering import gathering
from tinygrad2.verify.report import Report


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
