"""What follows from shapes and dtypes alone is found out once, not at every call."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

Function = TypeVar("Function", bound=Callable[..., Any])


def once(function: Function) -> Function:
    """`function`, whose results are kept for the last thousand arguments; a type checker still sees its signature."""
    return cast(Function, functools.lru_cache(1024)(function))
