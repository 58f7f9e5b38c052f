"""The rule of an operation as it is written in the source: the one lambda of the table, and where it stands."""

from __future__ import annotations

import ast
import linecache
from functools import lru_cache
from pathlib import Path
from types import CodeType, FunctionType
from typing import NamedTuple

from tinygrad2.autodiff import Primitive, VariadicPrimitive

_PACKAGE = Path(__file__).parents[1]


class RuleText(NamedTuple):
    """A rule. text: its source; at: file and line; where: what the names mean that it takes from around it."""

    text: str
    at: str
    where: str


def rule_of(op: Primitive, argument: int) -> RuleText | None:
    """The rule by one argument of a primitive; None where its source cannot be read."""
    rules = op.rules
    rule = rules[0] if isinstance(op, VariadicPrimitive) else rules[argument] if argument < len(rules) else None
    if not isinstance(rule, FunctionType):
        return None
    code = rule.__code__
    text = _text(code)
    if text is None:
        return None
    return RuleText(text, f"{short(code.co_filename)}:{code.co_firstlineno}", _where(rule))


def short(file: str) -> str:
    """A file's name: inside this package from the package on, elsewhere without its folders."""
    path = Path(file)
    try:
        return path.relative_to(_PACKAGE).as_posix()
    except ValueError:
        return path.name


def _where(rule: FunctionType) -> str:
    """Which primitives the rule's own names stand for, as "x_of is linear_input"."""
    cells = zip(rule.__code__.co_freevars, rule.__closure__ or (), strict=True)
    found = {}
    for name, cell in cells:
        held = cell.cell_contents
        if isinstance(held, Primitive) and held.name != name:
            found[name] = held.name
    return ", ".join(f"{name} is {primitive}" for name, primitive in found.items())


@lru_cache(maxsize=1024)
def _text(code: CodeType) -> str | None:
    """The source of a lambda or of a function, on its own: a table of rules has several on a line."""
    lines = linecache.getlines(code.co_filename)
    try:
        tree = _tree(code.co_filename, "".join(lines))
    except SyntaxError:
        return None
    body = [(line, column) for line, _, column, _ in code.co_positions() if line is not None and column is not None]
    first = min((p for p in body if p[0] >= code.co_firstlineno and p != (code.co_firstlineno, 0)), default=None)
    for node in ast.walk(tree):
        if isinstance(node, ast.Lambda) and node.lineno == code.co_firstlineno and code.co_name == "<lambda>":
            start, end = (node.body.lineno, node.body.col_offset), (node.body.end_lineno, node.body.end_col_offset)
            if first is None or start <= first < end:
                return _joined(ast.get_source_segment("".join(lines), node))
        if isinstance(node, ast.FunctionDef) and node.name == code.co_name and node.lineno <= code.co_firstlineno:
            inside = node.lineno == code.co_firstlineno or any(
                d.lineno == code.co_firstlineno for d in node.decorator_list
            )
            if inside:
                return ast.get_source_segment("".join(lines), node)
    return None


@lru_cache(maxsize=64)
def _tree(file: str, text: str) -> ast.AST:
    return ast.parse(text)


def _joined(text: str | None) -> str | None:
    """A lambda over several lines as one."""
    return None if text is None else " ".join(line.strip() for line in text.splitlines())
