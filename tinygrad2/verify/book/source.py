"""Solutions that can be read: printing one shows its source, and the source of the helpers that it calls."""

from __future__ import annotations

import dis
import functools
import inspect
from collections.abc import Callable
from types import FunctionType
from typing import Any

HOME = __name__.rpartition(".")[0]  # the package of the exercises: only its helpers are shown


class Readable:
    """A function that prints as its source. It is called like the function itself.

    >>> from tinygrad2.verify import exercise
    >>> print(exercise("tanh").solution)
    def tanh_vjp(g: Array, x: Array) -> Array:
        \"\"\"The slope of y is 1 - y². g, x: (n, d).\"\"\"
        y = np.tanh(x)
        return g * (1 - y**2)
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        functools.update_wrapper(self, function)
        self.function = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return source_of(self.function)


def source_of(function: Callable[..., Any]) -> str:
    """The source of a function, after the source of each function of the exercises that it calls.

    The text needs `import numpy as np` and nothing else, so that it can be pasted and run.
    """
    found: dict[FunctionType, None] = {}
    _collect(inspect.unwrap(function), found)
    return "\n\n".join(inspect.getsource(f).rstrip() for f in found)


def _collect(function: Any, found: dict[FunctionType, None]) -> None:
    """Add the function to what was found, helpers first."""
    if function in found:
        return
    for step in dis.get_instructions(function):
        helper = function.__globals__.get(step.argval) if step.opname == "LOAD_GLOBAL" else None
        if isinstance(helper, FunctionType) and helper.__module__.startswith(HOME):
            _collect(helper, found)
    found[function] = None
