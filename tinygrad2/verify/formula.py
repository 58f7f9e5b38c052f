"""Formulas as text, such as "einsum('nchw,nohw->oc', x, g)": evaluated by walking their syntax tree, never by eval.

Only the names of the inputs and the functions of the table exist; there is no attribute, import, loop or assignment,
and sizes are bounded before anything is computed.
"""

from __future__ import annotations

import ast
import math
import operator
import warnings
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import numpy as np

TEXT, NODES, DEPTH, ENTRIES, NDIM = 2000, 400, 60, 200_000, 12


class FormulaError(ValueError):
    """The formula is not one that can be evaluated here. The message says which part, and what is allowed."""


def as_rule(text: str, names: Sequence[str], with_cotangent: bool = True) -> Callable[..., Any]:
    """A formula as a rule (g, *inputs) -> result; without a cotangent as a function of the inputs alone."""
    tree = parse(text)
    own = ["g", *names] if with_cotangent else list(names)

    def formula(*args: Any, **params: Any) -> Any:
        return evaluate(tree, {**dict(zip(own, args, strict=False)), **params})

    formula.__name__ = text if len(text) <= 40 else text[:37] + "..."
    return formula


def parse(text: str) -> ast.expr:
    """The syntax tree of a formula, checked for size. Raises FormulaError."""
    if not isinstance(text, str) or len(text) > TEXT:
        raise FormulaError(f"a formula is a text of at most {TEXT} characters")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # the formula is not Python code that anybody will keep
            tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise FormulaError(f"the formula {_short(text)} is not an expression: {error}") from None
    if sum(1 for _ in ast.walk(tree)) > NODES or _depth(tree) > DEPTH:
        raise FormulaError(f"the formula {_short(text)} is too long: at most {NODES} parts, nested {DEPTH} deep")
    return tree


def evaluate(tree: ast.expr, values: Mapping[str, Any]) -> Any:
    """The value of a parsed formula. Raises FormulaError where a part is not allowed, does not fit, or is too large."""
    try:
        with np.errstate(all="ignore"):
            return _bounded(_value(tree, values))
    except FormulaError:
        raise
    except (ValueError, TypeError, IndexError, ArithmeticError, AttributeError, MemoryError, RecursionError) as error:
        raise FormulaError(f"in {_short(ast.unparse(tree))}: {type(error).__name__}: {error}") from None


def _value(node: ast.AST, values: Mapping[str, Any]) -> Any:
    visit = NODE_TYPES.get(type(node))
    if visit is None:
        raise FormulaError(f"{type(node).__name__} is not allowed in a formula ({_short(ast.unparse(node))})")
    return visit(node, values)


def _constant(node: ast.Constant, values: Mapping[str, Any]) -> Any:
    if isinstance(node.value, bool | str) or node.value is None or node.value is Ellipsis:
        return node.value
    if isinstance(node.value, int) and abs(node.value) <= 10**6:
        return node.value
    if isinstance(node.value, int | float):
        return float(node.value)
    raise FormulaError(f"{node.value!r} is not a real number")


def _name(node: ast.Name, values: Mapping[str, Any]) -> Any:
    if node.id in values:
        return values[node.id]
    if node.id in CONSTANTS:
        return CONSTANTS[node.id]
    known = [*values, *FUNCTIONS, *CONSTANTS]
    close = get_close_matches(node.id, known, 1)
    hint = f" (did you mean {close[0]}?)" if close else f"; known: {', '.join([*values, *sorted(FUNCTIONS)])}"
    raise FormulaError(f"unknown name {_short(node.id)}{hint}")


def _binary(node: ast.BinOp, values: Mapping[str, Any]) -> Any:
    a, b = _number(_value(node.left, values)), _number(_value(node.right, values))
    if isinstance(node.op, ast.MatMult):
        return _matmul(a, b)
    if type(node.op) not in BINARY:
        raise FormulaError(f"the operator {type(node.op).__name__} is not allowed in a formula")
    _limit(np.broadcast_shapes(np.shape(a), np.shape(b)))
    return BINARY[type(node.op)](a, b)


def _unary(node: ast.UnaryOp, values: Mapping[str, Any]) -> Any:
    if not isinstance(node.op, ast.USub | ast.UAdd):
        raise FormulaError("only + and - may stand before a value")
    value = _value(node.operand, values)
    if isinstance(value, str | bool) or value is None:
        raise FormulaError("a number or an array must follow the sign")
    return -value if isinstance(node.op, ast.USub) else value


def _comparison(node: ast.Compare, values: Mapping[str, Any]) -> Any:
    if len(node.ops) != 1 or type(node.ops[0]) not in COMPARE:
        raise FormulaError("compare two values with <, <=, >, >=, == or !=")
    a, b = _number(_value(node.left, values)), _number(_value(node.comparators[0], values))
    _limit(np.broadcast_shapes(np.shape(a), np.shape(b)))
    return COMPARE[type(node.ops[0])](a, b)


def _call(node: ast.Call, values: Mapping[str, Any]) -> Any:
    """A function of the table, f(x); as np.f(x) or, where an array comes first, as x.f(...)."""
    target, first = node.func, []
    if isinstance(target, ast.Attribute):
        if not (isinstance(target.value, ast.Name) and target.value.id == "np" and "np" not in values):
            first = [_value(target.value, values)]
        name = target.attr
    elif isinstance(target, ast.Name):
        name = target.id
    else:
        raise FormulaError("only the functions of the table can be called")
    if name not in FUNCTIONS:
        close = get_close_matches(name, FUNCTIONS, 1)
        hint = f" (did you mean {close[0]}?)" if close else ""
        raise FormulaError(f"unknown function {_short(name)}{hint}; known: {', '.join(sorted(FUNCTIONS))}")
    keywords = {str(k.arg): _value(k.value, values) for k in node.keywords}
    if not keywords.keys() <= {"axis", "keepdims", "axes"}:
        raise FormulaError(f"{name}: only axis, axes and keepdims can be given by name")
    return _bounded(FUNCTIONS[name](*first, *[_value(a, values) for a in node.args], **keywords))


def _attribute(node: ast.Attribute, values: Mapping[str, Any]) -> Any:
    a = _value(node.value, values)
    if node.attr not in ATTRIBUTES or not isinstance(a, np.ndarray):
        raise FormulaError(f"of an array only .{' and .'.join(ATTRIBUTES)} can be asked for, not .{_short(node.attr)}")
    return ATTRIBUTES[node.attr](a)


def _subscript(node: ast.Subscript, values: Mapping[str, Any]) -> Any:
    a = _value(node.value, values)
    if not isinstance(a, np.ndarray | tuple):
        raise FormulaError("only arrays can be indexed")
    result = a[_value(node.slice, values)]
    return _bounded(result)


def _slice(node: ast.Slice, values: Mapping[str, Any]) -> Any:
    return slice(
        *[
            None if part is None else operator.index(_value(part, values))
            for part in (node.lower, node.upper, node.step)
        ]
    )


def _sequence(node: ast.Tuple | ast.List, values: Mapping[str, Any]) -> Any:
    return tuple(_value(e, values) for e in node.elts)


NODE_TYPES: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Constant: _constant,
    ast.Name: _name,
    ast.BinOp: _binary,
    ast.UnaryOp: _unary,
    ast.Compare: _comparison,
    ast.Call: _call,
    ast.Attribute: _attribute,
    ast.Subscript: _subscript,
    ast.Slice: _slice,
    ast.Tuple: _sequence,
    ast.List: _sequence,
}
BINARY: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: np.true_divide,
    ast.Pow: lambda a, b: np.power(_float(a), b),
}
COMPARE: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: np.equal,
    ast.NotEq: np.not_equal,
}
CONSTANTS = {"pi": math.pi, "e": math.e, "None": None}
ATTRIBUTES: dict[str, Callable[[Any], Any]] = {"T": lambda a: a.T, "shape": lambda a: a.shape, "size": lambda a: a.size}


def _einsum(subscripts: Any, *operands: Any) -> Any:
    """numpy.einsum of at most four operands, after bounding the size of the whole index space."""
    if not isinstance(subscripts, str) or not 1 <= len(operands) <= 4:
        raise FormulaError("einsum takes a text such as 'ij,jk->ik' and one to four arrays")
    inputs = subscripts.replace(" ", "").split("->")[0].split(",")
    if "." in subscripts or len(inputs) != len(operands):
        raise FormulaError(
            f"einsum {_short(subscripts)}: {len(inputs)} groups of indices, {len(operands)} arrays; no '...'"
        )
    sizes: dict[str, int] = {}
    for letters, a in zip(inputs, operands, strict=True):
        if len(letters) != np.ndim(a):
            raise FormulaError(
                f"einsum: the indices {letters!r} are for {len(letters)} axes, the array has {np.ndim(a)}"
            )
        sizes |= {c: max(n, sizes.get(c, 0)) for c, n in zip(letters, np.shape(a), strict=True)}
    _limit(tuple(sizes.values()), 100 * ENTRIES)
    return np.einsum(subscripts, *operands)


def _matmul(a: Any, b: Any) -> Any:
    """a @ b, after bounding the result and the work."""
    a, b = np.asarray(_number(a)), np.asarray(_number(b))
    columns = b.shape[-1] if b.ndim > 1 else 1
    _limit((*np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), a.shape[-2] if a.ndim > 1 else 1, columns))
    _limit((a.size, columns), 100 * ENTRIES)
    _limit((b.size, a.shape[-2] if a.ndim > 1 else 1), 100 * ENTRIES)
    return a @ b


def _diag(a: Any) -> Any:
    _limit((np.size(a),) * 2)
    return np.diag(_number(a))


def _outer(a: Any, b: Any) -> Any:
    _limit((np.size(a), np.size(b)))
    return np.outer(a, b)


def _elementwise(f: Callable[..., Any], count: int = 1) -> Callable[..., Any]:
    def run(*args: Any) -> Any:
        if len(args) != count:
            raise FormulaError(f"{f.__name__} takes {count} argument{'s' * (count > 1)}, got {len(args)}")
        numbers = [_number(a) for a in args]
        _limit(np.broadcast_shapes(*map(np.shape, numbers)))
        return f(*numbers)

    return run


def _reduction(f: Callable[..., Any]) -> Callable[..., Any]:
    def run(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
        return f(_number(a), axis=axis, keepdims=bool(keepdims))

    return run


def _reshape(a: Any, *shape: Any) -> Any:
    return np.reshape(_number(a), shape[0] if len(shape) == 1 else shape)


def _transpose(a: Any, *axes: Any) -> Any:
    given = axes[0] if len(axes) == 1 and isinstance(axes[0], tuple) else axes
    return np.transpose(_number(a), given or None)


def _broadcast_to(a: Any, shape: Any) -> Any:
    shape = shape if isinstance(shape, tuple) else (shape,)
    _limit(shape)
    return np.broadcast_to(_number(a), shape)


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{
        f.__name__: _elementwise(f)
        for f in (np.exp, np.log, np.sqrt, np.tanh, np.sign, np.sin, np.cos, np.square, np.abs)
    },
    **{"abs": _elementwise(np.abs), "sigmoid": _elementwise(_sigmoid)},
    **{f.__name__: _elementwise(f, 2) for f in (np.maximum, np.minimum, np.power)},
    **{f.__name__: _reduction(f) for f in (np.sum, np.mean, np.max, np.min, np.var, np.std)},
    "where": _elementwise(np.where, 3),
    "einsum": _einsum,
    "outer": _outer,
    "dot": _matmul,
    "matmul": _matmul,
    "trace": lambda a: np.trace(_number(a)),
    "diag": _diag,
    "norm": lambda a, axis=None, keepdims=False: np.sqrt(
        np.sum(np.square(_number(a)), axis=axis, keepdims=bool(keepdims))
    ),
    "flip": lambda a, axis=None: np.flip(_number(a), axis),
    "reshape": _reshape,
    "transpose": _transpose,
    "swapaxes": lambda a, i, j: np.swapaxes(_number(a), i, j),
    "expand_dims": lambda a, axis: np.expand_dims(_number(a), axis),
    "squeeze": lambda a, axis=None: np.squeeze(_number(a), axis),
    "broadcast_to": _broadcast_to,
    "zeros_like": lambda a: np.zeros_like(_number(a)),
    "ones_like": lambda a: np.ones_like(_number(a)),
}


def _number(value: Any) -> Any:
    """A number or an array: the only operands there are."""
    if isinstance(value, bool | str | tuple) or value is None or value is Ellipsis or isinstance(value, slice):
        raise FormulaError(f"a number or an array was expected, got {type(value).__name__}")
    return float(value) if isinstance(value, int) else value


def _float(a: Any) -> Any:
    """Integers as floats, lest a power overflow or a negative one fail; float32 stays float32."""
    return (
        a
        if isinstance(a, np.ndarray) and a.dtype.kind == "f"
        else np.asarray(a, np.float64)
        if np.ndim(a)
        else float(a)
    )


def _limit(shape: Sequence[int], most: int = ENTRIES) -> None:
    if len(shape) > NDIM or math.prod(int(n) for n in shape) > most:
        raise FormulaError(f"a result of shape {tuple(shape)} would be too large")


def _bounded(value: Any) -> Any:
    _limit(np.shape(value) if isinstance(value, np.ndarray) else ())
    return value


def _depth(tree: ast.AST) -> int:
    level, depth = [tree], 0
    while level and depth <= DEPTH:
        level, depth = [child for node in level for child in ast.iter_child_nodes(node)], depth + 1
    return depth


def _short(text: Any) -> str:
    return repr(str(text)[:60])
