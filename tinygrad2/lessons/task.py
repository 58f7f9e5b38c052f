"""Exercises that are not derivations: a function is tried on cases, and judged by what must hold of its results."""

from __future__ import annotations

import functools
import html
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, repr=False)
class TaskReport:
    """Whether an answer is right; if not, the case that shows it, and the sentence about it."""

    name: str
    ok: bool
    tried: int
    case: str = ""
    sentence: str = ""

    def __repr__(self) -> str:
        if self.ok:
            return f"{self.name}   RIGHT: {self.tried} cases passed"
        return f"{self.name}   WRONG\n  {self.case}\n{self.sentence}"

    def __bool__(self) -> bool:
        return self.ok

    def _repr_html_(self) -> str:
        """The report for notebooks."""
        colour, word = ("#1a7f37", "✓ right") if self.ok else ("#b42318", "✗ wrong")
        said = f"{self.tried} cases passed" if self.ok else html.escape(self.sentence)
        case = f"<pre>{html.escape(self.case)}</pre>" if self.case else ""
        style = f"border-left: 4px solid {colour}; padding: 0.4em 1em"
        head = f"<b>{html.escape(self.name)}</b> <b style='color: {colour}'>{word}</b>"
        return f"<div style='{style}'>{head}{case}<p style='margin: 0.3em 0'>{said}</p></div>"


@dataclass
class Task:
    """A function to write. `task` makes it. It can be called as the function itself.

    rule: the function. cases: the arguments to try. holds: sentence -> predicate of (result, *arguments); the first
    predicate that is false gives the sentence.
    """

    rule: Callable[..., Any]
    name: str
    cases: Sequence[tuple[Any, ...]]
    holds: Mapping[str, Callable[..., Any]]

    def __post_init__(self) -> None:
        functools.update_wrapper(self, self.rule)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.rule(*args, **kwargs)

    def check(self) -> TaskReport:
        """Try all cases. Whatever the function does, the report says it; nothing is raised."""
        for case in self.cases:
            shown = f"{self.name}({', '.join(map(_text, case))})"
            try:
                result = self.rule(*case)
            except Exception as error:
                return TaskReport(self.name, False, 0, shown, f"It breaks: {type(error).__name__}: {error}")
            for sentence, predicate in self.holds.items():
                if not _holds(predicate, result, case):
                    return TaskReport(self.name, False, 0, f"{shown} gives {_text(result)}", sentence)
        return TaskReport(self.name, True, len(self.cases))


def task(
    *, cases: Sequence[tuple[Any, ...]], holds: Mapping[str, Callable[..., Any]]
) -> Callable[[Callable[..., Any]], Task]:
    """Declare the function below as an exercise. cases: the arguments to try. holds: see Task.

    >>> from tinygrad2.lessons import task
    >>> @task(cases=[(4.0,), (9.0,)], holds={"The square of the result is x.": lambda y, x: abs(y * y - x) < 1e-9})
    ... def root(x):
    ...     return x / 2
    >>> print(root.check())
    root   WRONG
      root(9.0) gives 4.5
    The square of the result is x.
    """

    def declare(rule: Callable[..., Any]) -> Task:
        return Task(rule, rule.__name__, cases, holds)

    return declare


def _holds(predicate: Callable[..., Any], result: Any, case: tuple[Any, ...]) -> bool:
    """Whether the predicate is true. A result to which it cannot be applied does not have the property."""
    try:
        return bool(predicate(result, *case))
    except (TypeError, ValueError, IndexError, AttributeError):
        return False


def _text(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return np.array2string(value, precision=4, separator=", ", threshold=20).replace("\n", "")
    return getattr(value, "__name__", None) or repr(value)
