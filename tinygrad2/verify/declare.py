"""Declaring what is to be checked: `@derivation(of=...)` above a rule. The rule stays the function that it is.

`tinygrad2 check FILE.py` and pytest both collect what a module declares with `derivations`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from tinygrad2.verify.book import exercise
from tinygrad2.verify.check import check_double_vjp, check_jacobian, check_vjp
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
    >>> my_relu.check().name
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

    @property
    def line(self) -> int | None:
        """The line of the file at which the rule begins; None for a rule that Python code does not define."""
        code = getattr(inspect.unwrap(self.rule), "__code__", None)
        return code.co_firstlineno if code else None

    @property
    def where(self) -> str | None:
        """File and line of the rule, such as "rules.py:7"; the file relative to the working folder, if it is there."""
        if self.line is None:
            return None
        path = Path(inspect.unwrap(self.rule).__code__.co_filename)
        inside = path.resolve().is_relative_to(Path.cwd())
        return f"{path.resolve().relative_to(Path.cwd()) if inside else path.name}:{self.line}"

    def check(self, **over: Any) -> Report:
        """Check the rule and return the report, titled by the rule, its file and its line.

        `seed` and `order` may be given; they win over the options.
        """
        options = {**self.options, **over}
        if isinstance(self.of, str):
            report = exercise(self.of).check(self.rule, **options)
            report.name = self.label + report.name.removeprefix(self.of)  # ", order 2" stays
        else:
            inputs = options.pop("inputs", ())
            if self.kind != "vjp":
                options.pop("order", None)
            report = CHECKS[self.kind](self.of, self.rule, *inputs, name=self.name, **options)
        report.where = self.where
        return report


def derivation(
    rule: Callable[..., Any] | None = None,
    /,
    *,
    of: str | Callable[..., Any] | None = None,
    kind: str = "vjp",
    **options: Any,
) -> Callable[[Callable[..., Any]], Derivation]:
    """Declare the function below as a derivation, to be checked by `tinygrad2 check` and by pytest.

    of: the name of an exercise, or the forward function. kind: "vjp", "jacobian" or "double" (for a forward function).
    options: as for check_vjp (inputs=(x, w), axes=, params=, sizes=, draws=, valid=, order=), or as for Exercise.check.
    Raises ValueError for another kind and for an exercise that there is not, TypeError where `of` is missing or neither
    a name nor a function, and for unknown options.

    >>> import numpy as np
    >>> from tinygrad2.verify import derivation
    >>> @derivation(of=np.tanh, axes="n d")
    ... def my_tanh(g, x):
    ...     return g * (1 - np.tanh(x) ** 2)
    >>> my_tanh.check().ok
    True
    """
    if rule is not None or of is None:
        name = getattr(rule, "__name__", "the function below")
        raise TypeError(
            f'@derivation must say what {name} is a derivation of: write @derivation(of="relu") with the name of an '
            "exercise (tg.exercises() lists them), or @derivation(of=f, inputs=(x,)) with the forward function f"
        )
    if kind not in CHECKS:
        raise ValueError(f'derivation: kind must be "vjp", "jacobian" or "double", got {kind!r}')
    if not isinstance(of, str) and not callable(of):
        raise TypeError(f"derivation: of= takes the name of an exercise or a function, got {type(of).__name__}")
    _refuse_unknown(options, exercise(of).check if isinstance(of, str) else CHECKS[kind])

    def declare(rule: Callable[..., Any]) -> Derivation:
        return Derivation(rule, of, getattr(rule, "__name__", str(of)), kind, options)

    return declare


def _refuse_unknown(options: Mapping[str, Any], check: Callable[..., Report]) -> None:
    """TypeError where an option is none of the check's, with the nearest."""
    parameters = inspect.signature(check).parameters.values()
    known = [p.name for p in parameters if p.name == "inputs" or (p.default is not p.empty and p.name != "name")]
    for name in options:
        if name not in known:
            close = get_close_matches(name, known, 1)
            hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}"
            raise TypeError(f"derivation: unknown option {name!r}; {hint}")


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
