"""Declaring what is to be checked: `@derivation(of=...)` above a rule. The rule stays the function that it is.

`tinygrad2 check FILE.py` and pytest both collect what a module declares with `derivations`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tinygrad2.verify.check import check_double_vjp, check_jacobian, check_vjp
from tinygrad2.verify.exercises import exercise
from tinygrad2.verify.report import Report

CHECKS: dict[str, Callable[..., Report]] = {
    "vjp": check_vjp,
    "jacobian": check_jacobian,
    "double": check_double_vjp,
}


@dataclass
class Derivation:
    """A rule, and what it is a derivation of. It can be called as the rule itself. `derivation` makes it.

    of: the name of an exercise, or the forward function. kind: "vjp", "jacobian" or "double".
    options: what `check` passes on to the checking function.

    >>> import numpy as np
    >>> from tinygrad2.verify import derivation
    >>> @derivation(of="relu")
    ... def my_relu(g, x):
    ...     return g * (x > 0)
    >>> my_relu.label
    'my_relu (relu)'
    >>> my_relu(np.ones(2), np.array([-1.0, 1.0]))
    array([0., 1.])
    >>> my_relu.check().ok
    True
    """

    rule: Callable[..., Any]
    of: str | Callable[..., Any]
    name: str
    kind: str
    options: dict[str, Any]

    def __post_init__(self) -> None:
        functools.update_wrapper(self, self.rule)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.rule(*args, **kwargs)

    @property
    def label(self) -> str:
        """The name of the rule, and of its exercise where it has one: "my_dw (conv2d.dw)"."""
        return f"{self.name} ({self.of})" if isinstance(self.of, str) and self.of != self.name else self.name

    def check(self, **over: Any) -> Report:
        """Check the rule and return the report. `seed` and `order` may be given; they win over the options.

        Raises ValueError for an unknown exercise.
        """
        options = {**self.options, **over}
        if isinstance(self.of, str):
            return exercise(self.of).check(self.rule, **options)
        inputs = options.pop("inputs", ())
        if self.kind != "vjp":
            options.pop("order", None)
        return CHECKS[self.kind](self.of, self.rule, *inputs, name=self.name, **options)


def derivation(
    *, of: str | Callable[..., Any], kind: str = "vjp", **options: Any
) -> Callable[[Callable[..., Any]], Derivation]:
    """Declare the function below as a derivation, to be checked by `tinygrad2 check` and by pytest.

    of: the name of an exercise, or the forward function. kind: "vjp", "jacobian" or "double" (for a forward function).
    options: as for check_vjp (inputs=(x, w), axes=, params=, sizes=, draws=, valid=, order=), or as for Exercise.check.
    Raises ValueError for another kind, TypeError where `of` is neither a name nor a function.

    >>> import numpy as np
    >>> from tinygrad2.verify import derivation
    >>> @derivation(of=np.tanh, axes="n d")
    ... def my_tanh(g, x):
    ...     return g * (1 - np.tanh(x) ** 2)
    >>> my_tanh.check().ok
    True
    """
    if kind not in CHECKS:
        raise ValueError(f'derivation: kind must be "vjp", "jacobian" or "double", got {kind!r}')
    if not isinstance(of, str) and not callable(of):
        raise TypeError(f"derivation: of= takes the name of an exercise or a function, got {type(of).__name__}")

    def declare(rule: Callable[..., Any]) -> Derivation:
        return Derivation(rule, of, getattr(rule, "__name__", str(of)), kind, options)

    return declare


def derivations(namespace: Mapping[str, object]) -> list[Derivation]:
    """The derivations among the names of a module (`vars(module)`), each once, in their order.

    >>> from tinygrad2.verify import derivation
    >>> @derivation(of="relu")
    ... def mine(g, x):
    ...     return g
    >>> [found.label for found in derivations({"mine": mine, "again": mine, "other": 3})]
    ['mine (relu)']
    """
    found = {id(value): value for value in namespace.values() if isinstance(value, Derivation)}
    return list(found.values())
