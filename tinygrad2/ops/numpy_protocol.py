"""NumPy's functions on Tensors: `np.exp(t)`, `np.sum(t, axis=0)` and `array * t` are recorded like our own operations.

NumPy asks an argument that is no array of its own what a function means for it: `Tensor.__array_ufunc__` for the
elementwise functions (ufuncs), `Tensor.__array_function__` for all others. Both look the function up in a table.

- A function in a table is our operation, so it has derivatives of every order.
- A function that has no derivative, such as `np.allclose`, is NumPy's own on the values.
- Every other function is NumPy's own too, where no argument has a history. Where one has, it is an error that names
  the function: NumPy would drop the gradient.
"""

from __future__ import annotations

import difflib
import inspect
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from tinygrad2.autodiff import Tensor
from tinygrad2.ops import analytic, elementwise, families, logic, reduce, shape

Operation = Callable[..., Any]

# What a recorded function cannot do, and what to write for it.
REFUSED = {
    "out": "a Tensor never changes, so there is nothing to write into: use the result, y = {name}(...)",
    "where": "choose among the results instead: np.where(condition, {name}(...), other)",
    "dtype": "convert before or after: x.astype(np.float64)",
    "initial": "add it to the result: np.maximum({name}(...), initial), or what the function is",
}
OTHERWISE = "leave it out, or compute with NumPy alone: {name}(x.detach().numpy(), ...)"

UFUNCS: dict[np.ufunc, Operation] = {
    np.absolute: elementwise.abs,
    np.add: elementwise.add,
    np.arccos: analytic.arccos,
    np.arccosh: analytic.arccosh,
    np.arcsin: analytic.arcsin,
    np.arcsinh: analytic.arcsinh,
    np.arctan: analytic.arctan,
    np.arctan2: analytic.arctan2,
    np.arctanh: analytic.arctanh,
    np.bitwise_and: logic.bitwise_and,
    np.bitwise_or: logic.bitwise_or,
    np.bitwise_xor: logic.bitwise_xor,
    np.cbrt: analytic.cbrt,
    np.ceil: logic.ceil,
    np.conjugate: elementwise.identity,
    np.cos: analytic.cos,
    np.cosh: analytic.cosh,
    np.deg2rad: analytic.radians,
    np.degrees: analytic.degrees,
    np.divide: elementwise.divide,
    np.divmod: analytic.divmod,
    np.equal: elementwise.equal,
    np.exp: elementwise.exp,
    np.exp2: analytic.exp2,
    np.expm1: analytic.expm1,
    np.fabs: elementwise.abs,
    np.float_power: elementwise.power,
    np.floor: logic.floor,
    np.floor_divide: logic.floor_divide,
    np.fmod: analytic.fmod,
    np.greater: elementwise.greater,
    np.greater_equal: elementwise.greater_equal,
    np.hypot: analytic.hypot,
    np.invert: logic.invert,
    np.isfinite: logic.isfinite,
    np.isinf: logic.isinf,
    np.isnan: logic.isnan,
    np.less: elementwise.less,
    np.less_equal: elementwise.less_equal,
    np.log: elementwise.log,
    np.log10: analytic.log10,
    np.log1p: analytic.log1p,
    np.log2: analytic.log2,
    np.logaddexp: analytic.logaddexp,
    np.logaddexp2: analytic.logaddexp2,
    np.logical_and: logic.logical_and,
    np.logical_not: elementwise.logical_not,
    np.logical_or: logic.logical_or,
    np.logical_xor: logic.logical_xor,
    np.matmul: families.matmul,
    np.maximum: elementwise.maximum,
    np.minimum: elementwise.minimum,
    np.multiply: elementwise.multiply,
    np.negative: elementwise.negative,
    np.not_equal: elementwise.not_equal,
    np.positive: elementwise.identity,
    np.power: elementwise.power,
    np.rad2deg: analytic.degrees,
    np.radians: analytic.radians,
    np.reciprocal: analytic.reciprocal,
    np.remainder: analytic.remainder,
    np.rint: logic.rint,
    np.sign: elementwise.sign,
    np.signbit: logic.signbit,
    np.sin: analytic.sin,
    np.sinh: analytic.sinh,
    np.sqrt: elementwise.sqrt,
    np.square: analytic.square,
    np.subtract: elementwise.subtract,
    np.tan: analytic.tan,
    np.tanh: elementwise.tanh,
    np.trunc: logic.trunc,
}
REDUCTIONS: dict[np.ufunc, Operation] = {
    np.add: reduce.sum,
    np.maximum: reduce.max,
    np.minimum: reduce.min,
}
ACCUMULATIONS: dict[np.ufunc, Operation] = {}

FUNCTIONS: dict[Operation, Operation] = {}

# Their results are no Tensors, and say nothing that could be differentiated.
PLAIN: set[Operation] = {
    np.allclose,
    np.argsort,
    np.array_equal,
    np.array_equiv,
    np.can_cast,
    np.isclose,
    np.may_share_memory,
    np.min_scalar_type,
    np.result_type,
    np.shares_memory,
}

# They write into an argument.
IN_PLACE: dict[Operation, str] = {
    np.copyto: "np.where(condition, new, x)",
    np.fill_diagonal: "np.where(np.eye(n, dtype=bool), value, x)",
    np.place: "np.where(condition, new, x)",
    np.put: "tg.scatter_add(values, indices, size)",
    np.put_along_axis: "tg.scatter_add(values, indices, size, axis)",
    np.putmask: "np.where(condition, new, x)",
}


def array_ufunc(self: Tensor, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
    """What NumPy calls for an elementwise function of a Tensor: np.exp(t), array * t, np.add.reduce(t). Any shapes."""
    operation = UFUNCS.get(ufunc)
    if operation is not None and method == "__call__" and not kwargs and self.array.dtype.kind in "fc":
        return operation(*inputs)
    name = f"np.{ufunc.__name__}"
    if method in ("at", "reduceat"):
        raise TypeError(f"{name}.{method} is not recorded; write tg.scatter_add(values, indices, size) for a sum")
    if kwargs.get("out", (None,))[0] is not None and isinstance(kwargs["out"][0], np.ndarray) and len(inputs) == 2:
        cure = "an array cannot take part in differentiation from then on; write a = a + t for a += t"
        raise TypeError(f"{name}: writing the result into an array, as in a += t, would drop the gradient: {cure}")
    if method != "__call__":
        return _method(name, ufunc, method, inputs, kwargs)
    _refuse(name, kwargs, {})
    if operation is None or not _floating(inputs):
        return _numpys(ufunc, name, inputs, {}, operation is not None)
    return operation(*inputs)


def _method(name: str, ufunc: np.ufunc, method: str, inputs: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """np.add.reduce(x, axis=0), np.add.accumulate(x, axis=0) and np.multiply.outer(a, b)."""
    if method == "outer" and ufunc in UFUNCS:
        _refuse(f"{name}.outer", kwargs, {})
        a, b = (t if isinstance(t, Tensor) else Tensor(t) for t in inputs)
        return UFUNCS[ufunc](shape.reshape(a, (*a.shape, *(1,) * b.ndim)), b)
    table = {"reduce": REDUCTIONS, "accumulate": ACCUMULATIONS}.get(method, {})
    if ufunc not in table:
        return _numpys(getattr(ufunc, method), f"{name}.{method}", inputs, kwargs, False)
    defaults = {"axis": 0, "keepdims": False} if method == "reduce" else {"axis": 0}
    given = dict(zip(("axis", "dtype", "out", "keepdims"), inputs[1:], strict=False)) | kwargs
    _refuse(f"{name}.{method}", given, defaults)
    return table[ufunc](inputs[0], **(defaults | {k: v for k, v in given.items() if k in defaults}))


def array_function(
    self: Tensor, function: Operation, types: Iterable[type], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Any:
    """What NumPy calls for any other function of a Tensor: np.sum(t), np.where(m, t, u). Any shapes."""
    operation = FUNCTIONS.get(function)
    if operation is not None:
        return operation(*args, **kwargs)
    name = _name(function)
    if function in IN_PLACE:
        raise TypeError(f"{name} writes into its argument, but a Tensor never changes; write x = {IN_PLACE[function]}")
    return _numpys(function, name, args, kwargs, function in PLAIN)


def _numpys(function: Operation, name: str, args: Any, kwargs: Any, harmless: bool) -> Any:
    """NumPy's own function on the values. `harmless`: where it has no derivative that could be dropped."""
    tensors: list[Tensor] = []
    args = _values(args, tensors)
    kwargs = _values(kwargs, tensors)
    if not harmless and any(t.node is not None for t in tensors):
        near = nearest(name)
        cure = "if the gradient is not needed, pass x.detach()"
        raise TypeError(f"{name} has no rule for a Tensor that carries a gradient; {near}{cure}")
    return function(*args, **kwargs)


def _values(value: Any, tensors: list[Tensor]) -> Any:
    """The value with arrays for Tensors, which are collected; in tuples, lists and dicts too."""
    if isinstance(value, Tensor):
        tensors.append(value)
        return value.array
    if isinstance(value, dict):
        return {k: _values(v, tensors) for k, v in value.items()}
    return type(value)([_values(v, tensors) for v in value]) if type(value) in (tuple, list) else value


def _floating(inputs: Iterable[Any]) -> bool:
    """Whether a float is among the inputs: integers and bools alone are NumPy's business."""
    return any(np.result_type(getattr(t, "array", t)).kind in "fc" for t in inputs)


def _refuse(name: str, kwargs: Mapping[str, Any], taken: Mapping[str, Any]) -> None:
    """TypeError for an argument that a recorded operation cannot have."""
    for word, value in kwargs.items():
        if word not in taken and value is not None and value is not np._NoValue and value is not True:
            cure = REFUSED.get(word, OTHERWISE).format(name=name)
            raise TypeError(f"{name}: {word}= is not possible with a Tensor; {cure}")


def _name(function: Operation) -> str:
    """How a user writes it: np.sum, np.linalg.inv."""
    module = getattr(function, "__module__", "numpy").replace("numpy", "np", 1)
    return f"{module}.{getattr(function, '__name__', function)}"


def nearest(name: str) -> str:
    """The covered function whose name is most like this one, as the beginning of a piece of advice."""
    known = [f"np.{u.__name__}" for u in UFUNCS] + [_name(f) for f in FUNCTIONS]
    near = difflib.get_close_matches(name, known, 1, 0.7)
    return f"the nearest that has one is {near[0]}; " if near else ""


class Covered:
    """Our operation behind a NumPy function, called with NumPy's arguments.

    tensors: how many of the first arguments are tensors. They are matched by position, the others by their names.
    """

    def __init__(self, function: Operation, operation: Operation, tensors: int = 1) -> None:
        self.function = function
        self.operation = operation
        self.tensors = tensors
        ours = list(inspect.signature(operation).parameters)
        try:
            self.signature = inspect.signature(function)
        except ValueError:  # written in C; an older NumPy does not say what it takes
            self.signature = inspect.signature(operation)
        theirs = list(self.signature.parameters)
        self.first = theirs[:tensors]
        self.shared = frozenset(ours[tensors:]) & frozenset(theirs)
        prefix = tensors
        while prefix < min(len(ours), len(theirs)) and ours[prefix] == theirs[prefix]:
            prefix += 1
        self.prefix = prefix

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The operation of the arguments, of any shapes that it takes; TypeError for one that it cannot have."""
        tensors = self.tensors
        ready = tensors == 1 or all(type(t) is Tensor for t in args[:tensors])
        if ready and tensors <= len(args) <= self.prefix and (not kwargs or kwargs.keys() <= self.shared):
            return self.operation(*args, **kwargs)
        bound = self.signature.bind(*args, **kwargs).arguments
        first = [_lifted(bound.pop(word)) for word in self.first]
        given = {}
        for word, value in bound.items():
            default = self.signature.parameters[word].default
            if value is not default or word in self.shared:
                given[word] = value
        _refuse(_name(self.function), given, dict.fromkeys(self.shared))
        return self.operation(*first, **{k: v for k, v in given.items() if k in self.shared})


def _lifted(value: Any) -> Any:
    """Arrays as constant Tensors; a list of Tensors, or a number, as it is."""
    return Tensor(value) if isinstance(value, np.ndarray) else value


def cover(function: Operation, operation: Operation, tensors: int = 1) -> None:
    """Enter an operation, of any shapes, into the table as the meaning of a NumPy function."""
    FUNCTIONS[function] = Covered(function, operation, tensors)


def _where(condition: Any, x: Any, y: Any) -> Tensor:
    return elementwise.where(condition, x, y)


cover(np.sum, reduce.sum)
cover(np.mean, reduce.mean)
cover(np.max, reduce.max)
cover(np.min, reduce.min)
cover(np.argmax, reduce.argmax)
cover(np.swapaxes, lambda a, axis1, axis2: shape.swapaxes(a, axis1, axis2))
cover(np.reshape, lambda a, shape_: shape.reshape(a, shape_))
cover(np.transpose, lambda a, axes=None: shape.transpose(a, *(axes or ())))
cover(np.broadcast_to, shape.broadcast_to)
cover(np.concatenate, shape.concatenate)
cover(np.stack, shape.stack)
cover(np.where, _where, 3)
cover(np.clip, elementwise.clip)
cover(np.ndim, lambda a: a.ndim)
cover(np.shape, lambda a: a.shape)
cover(np.size, lambda a, axis=None: a.size if axis is None else math.prod(np.atleast_1d(a.shape)[np.atleast_1d(axis)]))
