"""The user's statements: from a running frame to the statement it is in, and the source of a function."""

from __future__ import annotations

import ast
import inspect
import linecache
from collections.abc import Callable
from functools import lru_cache
from types import FrameType
from typing import Any, NamedTuple


class Statement(NamedTuple):
    """A statement of a file. first, last: its lines, counted from 1."""

    file: str
    function: str
    first: int
    last: int


class Source(NamedTuple):
    """The source of a function. first: the number of its first line in the file."""

    file: str
    first: int
    lines: list[str]


def statement_at(frame: FrameType) -> Statement:
    """The innermost statement that a frame is running."""
    code = frame.f_code
    line = frame.f_lineno
    first, last = _ranges(code.co_filename).get(line, (line, line))
    return Statement(code.co_filename, code.co_name, first, last)


@lru_cache(maxsize=256)
def _ranges(file: str) -> dict[int, tuple[int, int]]:
    """For every line of a file the first and last line of the innermost simple statement on it."""
    try:
        tree = ast.parse("".join(linecache.getlines(file)))
    except (SyntaxError, ValueError):
        return {}
    found: dict[int, tuple[int, int]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt) and not hasattr(node, "body") and node.end_lineno is not None:
            for line in range(node.lineno, node.end_lineno + 1):
                found[line] = (node.lineno, node.end_lineno)
    return found


def source_of(f: Callable[..., Any]) -> Source | None:
    """The source of a function or a layer's class; None where there is none, as for code that was typed in."""
    f = inspect.unwrap(f)
    f = getattr(f, "func", f)
    if not (inspect.isfunction(f) or inspect.ismethod(f)):
        return None
    try:
        lines, first = inspect.getsourcelines(f)
    except (OSError, TypeError):
        return None
    file = inspect.getsourcefile(f) or "<unknown>"
    plain = (
        inspect.cleandoc("\n" + "".join(lines)).splitlines() if lines[0][:1].isspace() else [s.rstrip() for s in lines]
    )
    return Source(file, max(first, 1), plain)
