"""NumPy's functions on Tensors: `np.exp(t)`, `np.sum(t, axis=0)` and `array * t` are recorded like our own operations.

NumPy asks an argument that is no array of its own what a function means for it: `Tensor.__array_ufunc__` for the
elementwise functions (ufuncs), `Tensor.__array_function__` for all others. Both look it up in `numpy_functions`.

- A function in the table is our operation, so it has derivatives of every order.
- A function whose result has no derivative, such as `np.allclose`, is NumPy's own on the values.
- Every other function is NumPy's own too, where no argument has a history. Where one has, it is an error that names
  the function: NumPy would drop the gradient.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from tinygrad2.autodiff import Tensor
from tinygrad2.ops import elementwise, shape
from tinygrad2.ops.numpy_functions import (
    ACCUMULATIONS,
    FUNCTIONS,
    HARMLESS,
    IN_PLACE,
    OTHERWISE,
    PLAIN,
    REDUCTIONS,
    REFUSED,
    TENSORS,
    UFUNCS,
    Operation,
)


def array_ufunc(self: Tensor, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
    """What NumPy calls for an elementwise function of a Tensor: np.exp(t), array * t, np.add.reduce(t). Any shapes."""
    operation = UFUNCS.get(ufunc)
    if operation is not None and method == "__call__" and not kwargs:
        if len(inputs) == 1 and self.array.dtype.kind in "biu" and _makes_floats(ufunc, self):
            return operation(elementwise.as_float(self, np.float64))
        return operation(*inputs)
    name = f"np.{ufunc.__name__}"
    if method != "__call__":
        return _method(name, ufunc, method, inputs, kwargs)
    if isinstance(kwargs.get("out", (None,))[0], np.ndarray) and len(inputs) == 2:
        raise TypeError(f"{name}: an array that is written into, as in a += t, drops the gradient; write a = a + t")
    if operation is None:
        return _numpys(ufunc, name, inputs, kwargs)
    _refuse(name, kwargs)
    return operation(*inputs)


def _makes_floats(ufunc: np.ufunc, x: Tensor) -> bool:
    """Whether the function of one argument makes floats of x's integers, as np.sqrt does and np.negative does not."""
    return ufunc.resolve_dtypes((x.dtype, None))[-1].kind == "f"


def _method(name: str, ufunc: np.ufunc, method: str, inputs: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """np.add.reduce(x, axis=0), np.add.accumulate(x, axis=0) and np.multiply.outer(a, b)."""
    name = f"{name}.{method}"
    if method in ("at", "reduceat"):
        raise TypeError(f"{name} is not recorded; write tg.scatter_add(values, indices, size), which adds up")
    if method == "outer" and ufunc in UFUNCS:
        _refuse(name, kwargs)
        a, b = (t if isinstance(t, Tensor) else Tensor(t) for t in inputs)
        return UFUNCS[ufunc](shape.reshape(a, (*a.shape, *(1,) * b.ndim)), b)
    operation = {"reduce": REDUCTIONS, "accumulate": ACCUMULATIONS}.get(method, {}).get(ufunc)
    if operation is None:
        return _numpys(getattr(ufunc, method), name, inputs, kwargs)
    taken: dict[str, Any] = {"axis": 0, "keepdims": False} if method == "reduce" else {"axis": 0}
    given = dict(zip(("axis", "dtype", "out", "keepdims"), inputs[1:], strict=False)) | kwargs
    _refuse(name, {word: value for word, value in given.items() if word not in taken})
    return operation(inputs[0], **{word: given.get(word, default) for word, default in taken.items()})


def array_function(
    self: Tensor, function: Operation, types: Iterable[type], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Any:
    """What NumPy calls for any other function of a Tensor: np.sum(t), np.where(m, t, u). Any shapes."""
    covered = COVERED.get(function)
    if covered is not None:
        return covered(*args, **kwargs)
    name = name_of(function)
    if function in IN_PLACE:
        raise TypeError(f"{name} writes into its argument, but a Tensor never changes; write x = {IN_PLACE[function]}")
    return _numpys(function, name, args, kwargs, function in PLAIN)


def _numpys(function: Operation, name: str, args: Any, kwargs: Any, plain: bool = False) -> Any:
    """NumPy's own function on the values. `plain`: its result has no derivative that could be dropped."""
    tensors: list[Tensor] = []
    args = _values(args, tensors)
    kwargs = _values(kwargs, tensors)
    if not plain and any(t.node is not None for t in tensors):
        raise TypeError(f"{name} has no rule for a Tensor that carries a gradient; {_nearest(name)}")
    return function(*args, **kwargs)


def _values(value: Any, tensors: list[Tensor]) -> Any:
    """The value with arrays for Tensors, which are collected; in tuples, lists and dicts too."""
    if isinstance(value, Tensor):
        tensors.append(value)
        return value.array
    if isinstance(value, dict):
        return {k: _values(v, tensors) for k, v in value.items()}
    return type(value)([_values(v, tensors) for v in value]) if type(value) in (tuple, list) else value


def _refuse(name: str, arguments: Mapping[str, Any]) -> None:
    """TypeError for an argument that a recorded operation cannot have; None, or where=True, says nothing."""
    for word, value in arguments.items():
        if value is not None and value is not True and value is not np._NoValue and word not in HARMLESS:
            cure = REFUSED.get(word, OTHERWISE).format(name=name)
            raise TypeError(f"{name}: {word}= is not possible with a Tensor; {cure}")


def name_of(function: Operation) -> str:
    """How a user writes it: np.sum, np.linalg.inv."""
    if isinstance(function, np.ufunc):
        return f"np.{function.__name__}"
    module = getattr(function, "__module__", "numpy").replace("numpy", "np", 1)
    return f"{module}.{getattr(function, '__name__', function)}"


def _nearest(name: str) -> str:
    """What to write instead: the covered function whose name is most like this one, or no gradient."""
    known = [*map(name_of, UFUNCS), *map(name_of, FUNCTIONS)]
    near = difflib.get_close_matches(name, known, 1, 0.7)
    other = f"the nearest that has one is {near[0]}; " if near else ""
    return f"{other}if the gradient is not needed, write x.detach() for x"


class Covered:
    """Our operation behind a NumPy function, called with NumPy's arguments.

    The first arguments are tensors and are matched by position; the others are matched by their names.
    """

    def __init__(self, function: Operation, operation: Operation) -> None:
        self.name = name_of(function)
        self.operation = operation
        self.tensors = TENSORS.get(function, 1)
        ours = inspect.signature(operation)
        try:
            self.signature = inspect.signature(function)
        except ValueError:  # an older NumPy does not say what its functions take
            self.signature = ours
        theirs = list(self.signature.parameters)
        self.same = [p.kind for p in ours.parameters.values()][:1] == [inspect.Parameter.VAR_POSITIONAL]
        words = list(ours.parameters)
        free = any(p.kind is p.VAR_KEYWORD for p in self.signature.parameters.values())
        self.shared = frozenset(words[self.tensors :]) & frozenset(words if free else theirs)
        self.prefix = self.tensors
        while self.prefix < min(len(words), len(theirs)) and words[self.prefix] == theirs[self.prefix]:
            self.prefix += 1

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The operation of the arguments, of any shapes that it takes; TypeError for one that it cannot have."""
        n = self.tensors
        as_ours = n <= len(args) <= self.prefix and kwargs.keys() <= self.shared
        if as_ours and (type(args[0]) is Tensor if n == 1 else all(type(t) is Tensor for t in args[:n])):
            return self.operation(*args, **kwargs)
        return self._matched(args, kwargs)

    def _matched(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """The same for arguments in any order that NumPy takes, and for arrays beside the Tensors."""
        if self.same:
            _refuse(self.name, {word: value for word, value in kwargs.items() if word not in self.shared})
            return self.operation(*args, **{word: value for word, value in kwargs.items() if word in self.shared})
        bound = self.signature.bind(*args, **kwargs)
        parameters = list(self.signature.parameters.values())
        given = dict(bound.arguments)
        for p in parameters:
            if p.kind is p.VAR_KEYWORD:
                given |= given.pop(p.name, {})
        first = [_tensor(given.pop(p.name)) for p in parameters[: self.tensors] if p.name in given]
        defaults = {p.name: p.default for p in parameters}
        extra = {word: value for word, value in given.items() if word not in self.shared}
        _refuse(self.name, {w: v for w, v in extra.items() if not (isinstance(v, str) and v == defaults.get(w))})
        return self.operation(*first, **{word: value for word, value in given.items() if word in self.shared})


def _tensor(value: Any) -> Any:
    """An array as a constant Tensor; a number takes its dtype from the Tensor beside it, a list its own way."""
    return Tensor(value) if isinstance(value, np.ndarray) else value


COVERED = {function: Covered(function, operation) for function, operation in FUNCTIONS.items()}
