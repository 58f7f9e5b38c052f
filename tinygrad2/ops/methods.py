"""Operators and methods of Tensor: a table from Python's and NumPy's names to the functions of this room."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tinygrad2.autodiff import Tensor, algebra
from tinygrad2.ops import elementwise as e
from tinygrad2.ops import families, reduce, shape


def _flip(f: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return lambda self, other: f(other, self)


_STRANGE = (str, dict, set, type(None))


def _operand(f: Callable[..., Tensor]) -> Callable[..., Any]:
    """Let Python try the other operand's method where ours is no number, array or Tensor."""
    return lambda self, other: (
        f(self, other) if type(other) is Tensor or not isinstance(other, _STRANGE) else NotImplemented
    )


# fmt: off
BINARY: dict[str, Callable[..., Tensor]] = {
    "add": e.add, "sub": e.subtract, "mul": e.multiply, "truediv": e.divide, "pow": e.power, "matmul": families.matmul,
}
COMPARISON = {
    "lt": e.less, "le": e.less_equal, "gt": e.greater, "ge": e.greater_equal, "eq": e.equal, "ne": e.not_equal,
}
# fmt: on
METHODS: dict[str, Callable[..., Tensor]] = {
    **{"__neg__": e.negative, "__abs__": e.abs, "__invert__": e.logical_not, "__getitem__": shape.index},
    **{f.__name__: f for f in (shape.reshape, shape.transpose, shape.swapaxes, shape.broadcast_to)},
    **{f.__name__: f for f in (e.astype, e.to, e.clip)},
    **{f.__name__: f for f in (reduce.sum, reduce.mean, reduce.max, reduce.min, reduce.var, reduce.argmax)},
    **{f.name: f for f in (e.exp, e.log, e.sqrt, e.tanh, e.abs)},
}


def _method(f: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A plain function, which binds `self`; a primitive object would not."""
    return lambda self, *args, **kwargs: f(self, *args, **kwargs)


def install() -> None:
    """Fill in what Tensor and the engine take from this room."""
    for name, f in BINARY.items():
        setattr(Tensor, f"__{name}__", _operand(f))
        setattr(Tensor, f"__r{name}__", _operand(_flip(f)))
    for name, f in COMPARISON.items():
        setattr(Tensor, f"__{name}__", _operand(f))
    for name, f in METHODS.items():
        setattr(Tensor, name, _method(f))
    Tensor.T = property(shape.transpose)  # type: ignore[assignment]
    algebra.add = e.add
    algebra.unbroadcast = shape.unbroadcast
    algebra.stack = shape.stack
    algebra.reshape = shape.reshape
    algebra.concatenate = shape.concatenate
    algebra.identity = e.identity
    algebra.derivative_of = e.derivative_of
