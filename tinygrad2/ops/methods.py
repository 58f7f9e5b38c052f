"""Operators and methods of Tensor, written out; each is the function of ops that does the work.

Tensor stands in autodiff, below this package. For a type checker and an editor it inherits from TensorMethods; when it
runs, `install` puts these functions on Tensor itself, so that `x + y` takes no detour.
"""

# A method's self is annotated as what it always is, a Tensor, which is a subclass here: mypy calls that "misc".
# mypy: disable-error-code="misc"

from __future__ import annotations

from collections.abc import Sequence
from types import FunctionType, NoneType
from typing import Any

from numpy.typing import DTypeLike

from tinygrad2.autodiff import Tensor, TensorLike, algebra
from tinygrad2.autodiff.habits import answering
from tinygrad2.ops import arrange, cumulative, elementwise, logic, matrix, norms, numpy_protocol, reduce, sorting
from tinygrad2.ops import shape as shapes
from tinygrad2.ops.analytic import remainder
from tinygrad2.ops.elementwise import (
    add,
    divide,
    equal,
    greater,
    greater_equal,
    less,
    less_equal,
    multiply,
    negative,
    not_equal,
    power,
    subtract,
)
from tinygrad2.ops.families import matmul
from tinygrad2.ops.logic import bitwise_and, bitwise_or, bitwise_xor, floor_divide
from tinygrad2.ops.shape import Axis

# Python tries the other operand's own method where ours returns NotImplemented: these are no numbers.
STRANGE = (str, dict, set, NoneType)


class TensorMethods:
    """What Tensor takes from ops: operators and methods, for any shapes that the functions behind them take."""

    def __add__(self: Tensor, other: TensorLike) -> Tensor:
        """The sum self + other. Any shapes that broadcast."""
        return add(self, other) if type(other) is Tensor or not isinstance(other, STRANGE) else NotImplemented

    def __radd__(self: Tensor, other: TensorLike) -> Tensor:
        """The sum other + self. Any shapes that broadcast."""
        return add(other, self) if not isinstance(other, STRANGE) else NotImplemented

    def __sub__(self: Tensor, other: TensorLike) -> Tensor:
        """The difference self - other. Any shapes that broadcast."""
        return subtract(self, other) if type(other) is Tensor or not isinstance(other, STRANGE) else NotImplemented

    def __rsub__(self: Tensor, other: TensorLike) -> Tensor:
        """The difference other - self. Any shapes that broadcast."""
        return subtract(other, self) if not isinstance(other, STRANGE) else NotImplemented

    def __mul__(self: Tensor, other: TensorLike) -> Tensor:
        """The product of the entries self * other. Any shapes that broadcast."""
        return multiply(self, other) if type(other) is Tensor or not isinstance(other, STRANGE) else NotImplemented

    def __rmul__(self: Tensor, other: TensorLike) -> Tensor:
        """The product of the entries other * self. Any shapes that broadcast."""
        return multiply(other, self) if not isinstance(other, STRANGE) else NotImplemented

    def __truediv__(self: Tensor, other: TensorLike) -> Tensor:
        """The quotient self / other. Any shapes that broadcast."""
        return divide(self, other) if type(other) is Tensor or not isinstance(other, STRANGE) else NotImplemented

    def __rtruediv__(self: Tensor, other: TensorLike) -> Tensor:
        """The quotient other / self. Any shapes that broadcast."""
        return divide(other, self) if not isinstance(other, STRANGE) else NotImplemented

    def __pow__(self: Tensor, other: TensorLike) -> Tensor:
        """The power self ** other. Any shapes that broadcast."""
        return power(self, other) if type(other) is Tensor or not isinstance(other, STRANGE) else NotImplemented

    def __rpow__(self: Tensor, other: TensorLike) -> Tensor:
        """The power other ** self. Any shapes that broadcast."""
        return power(other, self) if not isinstance(other, STRANGE) else NotImplemented

    def __matmul__(self: Tensor, other: TensorLike) -> Tensor:
        """The matrix product self @ other. Shapes (..., n, k) and (..., k, m), or (k,)."""
        return matmul(self, other) if type(other) is Tensor or not isinstance(other, STRANGE) else NotImplemented

    def __rmatmul__(self: Tensor, other: TensorLike) -> Tensor:
        """The matrix product other @ self. Shapes (..., n, k) and (..., k, m), or (k,)."""
        return matmul(other, self) if not isinstance(other, STRANGE) else NotImplemented

    def __mod__(self: Tensor, other: TensorLike) -> Tensor:
        """The remainder self % other, of the divisor's sign. Any shapes that broadcast."""
        return remainder(self, other) if type(other) is Tensor or not isinstance(other, STRANGE) else NotImplemented

    def __rmod__(self: Tensor, other: TensorLike) -> Tensor:
        """The remainder other % self, of the divisor's sign. Any shapes that broadcast."""
        return remainder(other, self) if not isinstance(other, STRANGE) else NotImplemented

    def __floordiv__(self: Tensor, other: TensorLike) -> Tensor:
        """The quotient self // other, rounded down. Any shapes that broadcast."""
        return floor_divide(self, other) if type(other) is Tensor or not isinstance(other, STRANGE) else NotImplemented

    def __rfloordiv__(self: Tensor, other: TensorLike) -> Tensor:
        """The quotient other // self, rounded down. Any shapes that broadcast."""
        return floor_divide(other, self) if not isinstance(other, STRANGE) else NotImplemented

    def __and__(self: Tensor, other: TensorLike) -> Tensor:
        """self & other: both, for bools; bit by bit for integers. Any shapes that broadcast."""
        return bitwise_and(self, other) if type(other) is Tensor or not isinstance(other, STRANGE) else NotImplemented

    def __rand__(self: Tensor, other: TensorLike) -> Tensor:
        """other & self: both, for bools; bit by bit for integers. Any shapes that broadcast."""
        return bitwise_and(other, self) if not isinstance(other, STRANGE) else NotImplemented

    def __or__(self: Tensor, other: TensorLike) -> Tensor:
        """self | other: one or both, for bools; bit by bit for integers. Any shapes that broadcast."""
        return bitwise_or(self, other) if type(other) is Tensor or not isinstance(other, STRANGE) else NotImplemented

    def __ror__(self: Tensor, other: TensorLike) -> Tensor:
        """other | self: one or both, for bools; bit by bit for integers. Any shapes that broadcast."""
        return bitwise_or(other, self) if not isinstance(other, STRANGE) else NotImplemented

    def __xor__(self: Tensor, other: TensorLike) -> Tensor:
        """self ^ other: just one of both, for bools; bit by bit for integers. Any shapes that broadcast."""
        return bitwise_xor(self, other) if type(other) is Tensor or not isinstance(other, STRANGE) else NotImplemented

    def __rxor__(self: Tensor, other: TensorLike) -> Tensor:
        """other ^ self: just one of both, for bools; bit by bit for integers. Any shapes that broadcast."""
        return bitwise_xor(other, self) if not isinstance(other, STRANGE) else NotImplemented

    def __lt__(self: Tensor, other: TensorLike) -> Tensor:
        """Where self < other, as bools. Any shapes that broadcast."""
        return less(self, other) if type(other) is Tensor or not isinstance(other, STRANGE) else NotImplemented

    def __le__(self: Tensor, other: TensorLike) -> Tensor:
        """Where self ≤ other, as bools. Any shapes that broadcast."""
        return less_equal(self, other) if type(other) is Tensor or not isinstance(other, STRANGE) else NotImplemented

    def __gt__(self: Tensor, other: TensorLike) -> Tensor:
        """Where self > other, as bools. Any shapes that broadcast."""
        return greater(self, other) if type(other) is Tensor or not isinstance(other, STRANGE) else NotImplemented

    def __ge__(self: Tensor, other: TensorLike) -> Tensor:
        """Where self ≥ other, as bools. Any shapes that broadcast."""
        return greater_equal(self, other) if type(other) is Tensor or not isinstance(other, STRANGE) else NotImplemented

    def __eq__(self: Tensor, other: TensorLike) -> Tensor:  # type: ignore[override]
        """Where self = other, as bools. Any shapes that broadcast."""
        return equal(self, other) if type(other) is Tensor or not isinstance(other, STRANGE) else NotImplemented

    def __ne__(self: Tensor, other: TensorLike) -> Tensor:  # type: ignore[override]
        """Where self ≠ other, as bools. Any shapes that broadcast."""
        return not_equal(self, other) if type(other) is Tensor or not isinstance(other, STRANGE) else NotImplemented

    def __neg__(self: Tensor) -> Tensor:
        """-self. Any shape."""
        return negative(self)

    def __pos__(self: Tensor) -> Tensor:
        """+self: self. Any shape."""
        return self

    def __abs__(self: Tensor) -> Tensor:
        """|self|; the derivative at 0 is 0. Any shape."""
        return elementwise.abs(self)

    def __invert__(self: Tensor) -> Tensor:
        """~self: False for True, or each bit turned for integers. Any shape."""
        return logic.invert(self)

    def __getitem__(self: Tensor, key: Any) -> Tensor:
        """self[key] for every kind of NumPy key. Any shape. An entry taken twice gets the sum of both cotangents."""
        return shapes.index(self, key)

    __array_ufunc__ = numpy_protocol.array_ufunc
    __array_function__ = numpy_protocol.array_function

    def exp(self: Tensor) -> Tensor:
        """The exponential function of each entry. Any shape."""
        return elementwise.exp(self)

    def log(self: Tensor) -> Tensor:
        """The natural logarithm of each entry, which must be positive. Any shape."""
        return elementwise.log(self)

    def sqrt(self: Tensor) -> Tensor:
        """The square root of each entry. Any shape."""
        return elementwise.sqrt(self)

    def tanh(self: Tensor) -> Tensor:
        """The hyperbolic tangent of each entry. Any shape."""
        return elementwise.tanh(self)

    def abs(self: Tensor) -> Tensor:
        """The absolute value of each entry; its derivative at 0 is 0. Any shape."""
        return elementwise.abs(self)

    def clip(self: Tensor, min: TensorLike | None = None, max: TensorLike | None = None) -> Tensor:
        """Each entry limited to [min, max]; None for no limit. Any shapes that broadcast."""
        return elementwise.clip(self, min, max)

    def round(self: Tensor, decimals: int = 0) -> Tensor:
        """Each entry with so many decimals. Any shape."""
        return logic.round(self, decimals)

    def sum(self: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """The sum over the axes. Any shape, e.g. (N, K): axis 1 gives (N,), or (N, 1) with keepdims."""
        return reduce.sum(self, axis, keepdims)

    def mean(self: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """The mean over the axes. Any shape, e.g. (N, K): axis 1 gives (N,), or (N, 1) with keepdims."""
        return reduce.mean(self, axis, keepdims)

    def prod(self: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """The product over the axes. Any shape, e.g. (N, K): axis 1 gives (N,), or (N, 1) with keepdims."""
        return cumulative.prod(self, axis, keepdims)

    def cumsum(self: Tensor, axis: int | None = None) -> Tensor:
        """The sum of all entries up to each one along the axis. Any shape; (self.size,) without an axis."""
        return cumulative.cumsum(self, axis)

    def cumprod(self: Tensor, axis: int | None = None) -> Tensor:
        """The product of all entries up to each one along the axis. Any shape; (self.size,) without an axis."""
        return cumulative.cumprod(self, axis)

    def var(self: Tensor, axis: Axis = None, keepdims: bool = False, ddof: int = 0) -> Tensor:
        """The variance over the axes, divided by their size less ddof. Any shape, e.g. (N, K): axis 1 gives (N,)."""
        return reduce.var(self, axis, keepdims, ddof)

    def std(self: Tensor, axis: Axis = None, keepdims: bool = False, ddof: int = 0) -> Tensor:
        """The standard deviation, the root of the variance. Any shape, e.g. (N, K): axis 1 gives (N,)."""
        return norms.std(self, axis, keepdims, ddof)

    def max(self: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """The largest entry over the axes. Any shape, e.g. (N, K): axis 1 gives (N,). Ties share the cotangent."""
        return reduce.max(self, axis, keepdims)

    def min(self: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """The smallest entry over the axes. Any shape, e.g. (N, K): axis 1 gives (N,). Ties share the cotangent."""
        return reduce.min(self, axis, keepdims)

    def argmax(self: Tensor, axis: int | None = None, keepdims: bool = False) -> Tensor:
        """The position of the first maximum, as integers. Any shape, e.g. (N, K): axis 1 gives (N,)."""
        return reduce.argmax(self, axis, keepdims)

    def argmin(self: Tensor, axis: int | None = None, keepdims: bool = False) -> Tensor:
        """The position of the first minimum, as integers. Any shape, e.g. (N, K): axis 1 gives (N,)."""
        return reduce.argmin(self, axis, keepdims)

    def argsort(self: Tensor, axis: int | None = -1) -> Tensor:
        """The positions of the entries along the axis in rising order, as integers. Any shape."""
        return sorting.argsort(self, axis)

    def any(self: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """Whether any entry over the axes is True, or not 0, as bools. Any shape, e.g. (N, K): axis 1 gives (N,)."""
        return reduce.any(self, axis, keepdims)

    def all(self: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """Whether all entries over the axes are True, or not 0, as bools. Any shape, e.g. (N, K): axis 1 gives (N,)."""
        return reduce.all(self, axis, keepdims)

    def reshape(self: Tensor, *shape: int | Sequence[int]) -> Tensor:
        """The same entries in another shape; one size may be -1. Any shape."""
        return shapes.reshape(self, *shape)

    def transpose(self: Tensor, *axes: int | Sequence[int]) -> Tensor:
        """The axes in another order, reversed where none are given. Any shape."""
        return shapes.transpose(self, *axes)

    @property
    def T(self: Tensor) -> Tensor:
        """The axes in reverse order. Any shape, e.g. (N, K) gives (K, N)."""
        return shapes.transpose(self)

    @property
    def mT(self: Tensor) -> Tensor:
        """The last two axes exchanged: each matrix of a stack transposed. Shape (..., M, N) gives (..., N, M)."""
        return shapes.swapaxes(self, -1, -2)

    def swapaxes(self: Tensor, a: int, b: int) -> Tensor:
        """Two axes exchanged. Any shape."""
        return shapes.swapaxes(self, a, b)

    def squeeze(self: Tensor, axis: Axis = None) -> Tensor:
        """Without axes of size 1: all of them, or those named. Any shape."""
        return shapes.squeeze(self, axis)

    def ravel(self: Tensor) -> Tensor:
        """All entries in one axis, in row-major order. Any shape."""
        return shapes.ravel(self)

    def flatten(self: Tensor) -> Tensor:
        """The same as `ravel`: no Tensor can be written to, so a copy would make no difference. Any shape."""
        return shapes.ravel(self)

    def repeat(self: Tensor, repeats: int | Sequence[int], axis: int | None = None) -> Tensor:
        """Each entry several times in a row along the axis. Any shape."""
        return arrange.repeat(self, repeats, axis)

    def take(self: Tensor, indices: TensorLike, axis: int | None = None) -> Tensor:
        """The slices at the indices along the axis. Any shape; None takes from all entries in row-major order."""
        return shapes.take(self, indices, axis)

    def dot(self: Tensor, other: TensorLike) -> Tensor:
        """The sum over self's last axis and other's second last or only one. Shapes (..., K) and (..., K, M), (K,)."""
        return matrix.dot(self, other)

    def diagonal(self: Tensor, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
        """The entries with equal positions along two axes, as a last axis. Shape (M, N), or more axes."""
        return matrix.diagonal(self, offset, axis1, axis2)

    def trace(self: Tensor, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
        """The sum of a diagonal. Shape (M, N), or more axes, which stay."""
        return matrix.trace(self, offset, axis1, axis2)

    def broadcast_to(self: Tensor, shape: int | Sequence[int]) -> Tensor:
        """Repeated to the shape, by NumPy's broadcasting rule. Any shape that broadcasts to it."""
        return shapes.broadcast_to(self, shape)

    def astype(self: Tensor, dtype: DTypeLike) -> Tensor:
        """The entries in another dtype. Any shape. Between float32 and float64 the cotangent is converted back."""
        return elementwise.astype(self, dtype)

    def to(self: Tensor, device: str) -> Tensor:
        """The tensor on the device "cpu" or "cuda". Any shape. The cotangent travels back."""
        return elementwise.to(self, device)


def install() -> None:
    """Put the methods on Tensor, and give the engine the operations that it needs."""
    for name, f in vars(TensorMethods).items():
        named = isinstance(f, FunctionType) and not name.startswith("__") and f.__code__.co_argcount > 1
        if callable(f) or isinstance(f, property):
            setattr(Tensor, name, answering(f) if named else f)
    algebra.add = add
    algebra.unbroadcast = shapes.unbroadcast
    algebra.stack = shapes.stack
    algebra.reshape = shapes.reshape
    algebra.concatenate = shapes.concatenate
    algebra.identity = elementwise.identity
    algebra.derivative_of = elementwise.derivative_of
    algebra.as_float = elementwise.as_float
