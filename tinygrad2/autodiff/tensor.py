"""Tensor: an array that nobody can change any more, and the tape node that says where it came from."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike

from tinygrad2.autodiff.errors import GradientError
from tinygrad2.autodiff.node import Node
from tinygrad2.kernels.arrays import Array, device_of, freeze, to_numpy

if TYPE_CHECKING:  # operators and methods are written in ops, and put on Tensor when that is imported
    from tinygrad2.ops.methods import TensorMethods
else:
    TensorMethods = object

_FLOATING = ("float32", "float64", "complex128")  # complex numbers carry no gradient: they are for the complex step


class Tensor(TensorMethods):
    """An n-dimensional array that differentiation can follow.

    data: a number, a nested list, or a NumPy or CuPy array, of any shape. It is copied unless it is read-only already:
        later changes to the caller's array can never reach the tape.
    requires_grad: make it a leaf, whose `.grad` is filled by `.backward()`; the dtype must then be float32 or float64.
    name: how error messages and pictures call it.

    Raises TypeError for data that are not numbers, or for an integer leaf.

    >>> x = tg.Tensor([1.0, 2.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    Tensor([2., 4.], float64)
    """

    __slots__ = ("__weakref__", "array", "grad", "name", "node", "why")

    array: Array
    node: Node | None
    name: str | None
    grad: Tensor | None
    why: str | None  # why there is no node, where somebody may ask

    def __init__(self, data: TensorLike | Array, requires_grad: bool = False, name: str | None = None) -> None:
        if isinstance(data, Tensor):
            data = data.array
        array = freeze(data if hasattr(data, "dtype") else np.asarray(data))
        if array.dtype.kind not in "biu" and array.dtype not in _FLOATING:
            raise TypeError(f"Tensor: expected float32 or float64, got {array.dtype}; convert with .astype(np.float32)")
        self.array = array
        self.node = None
        self.why = None
        if name is not None:
            self.name = name
        if requires_grad:
            if array.dtype.kind != "f":
                who = f"Tensor {name!r}" if name else "Tensor"
                cure = "write 1.0 for 1, or convert with .astype(np.float32)"
                raise TypeError(f"{who}: only float32 and float64 carry gradients, got {array.dtype}; {cure}")
            self.node = Node(array)
            self.node.leaf = weakref.ref(self)

    if not TYPE_CHECKING:  # a type checker would take every wrong name for right

        def __getattr__(self, name: str) -> None:
            """None for `grad` and `name` where they were never set: making a Tensor must cost next to nothing."""
            if name in ("grad", "name"):
                return None
            raise AttributeError(f"Tensor has no attribute {name!r}")

    @property
    def data(self) -> Array:
        """The array, read-only. Assign an array of the same shape, dtype and device to replace a leaf's value."""
        return self.array

    @data.setter
    def data(self, value: Tensor | Array) -> None:
        array = freeze(value.array if isinstance(value, Tensor) else value)
        if (array.shape, array.dtype, type(array)) != (self.array.shape, self.array.dtype, type(self.array)):
            expected = f"{self.name or 'Tensor'}.data: expected shape {self.shape}, {self.dtype} on {self.device}"
            raise ValueError(f"{expected}; got shape {array.shape}, {array.dtype} on {device_of(array)}")
        if self.node is not None and self.node.op is not None:
            raise GradientError("only a leaf's data can be replaced; this tensor is the result of " + self.node.op.name)
        self.array = array

    @property
    def requires_grad(self) -> bool:
        """Whether the tape follows this tensor: it is a leaf, or was computed from one."""
        return self.node is not None

    @property
    def shape(self) -> tuple[int, ...]:
        """The size of each axis, e.g. (N, C, H, W); () for a single number."""
        shape: tuple[int, ...] = self.array.shape
        return shape

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return int(self.array.ndim)

    @property
    def size(self) -> int:
        """The number of entries."""
        return int(self.array.size)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the entries: float32 or float64 where there can be a gradient."""
        dtype: np.dtype[Any] = self.array.dtype
        return dtype

    @property
    def device(self) -> str:
        """Where the array lives: "cpu" or "cuda"."""
        return device_of(self.array)

    def numpy(self) -> np.ndarray[Any, Any]:
        """The values as a NumPy array in main memory, read-only. Any shape.

        >>> tg.Tensor([1.0, 2.0]).numpy()
        array([1., 2.])
        """
        return to_numpy(self.array)

    def item(self) -> float:
        """The one value as a Python number: an int or bool where the dtype is one. ValueError where there are more.

        >>> tg.Tensor([2.5]).item()
        2.5
        """
        if self.size != 1:
            raise ValueError(f"item() needs a tensor of one element, got shape {self.shape}")
        value: float = self.array.item()
        return value

    def backward(self, grad: TensorLike | None = None, create_graph: bool = False) -> None:
        """Add to `.grad` of every leaf that this tensor depends on. The graph stays and can be used again.

        grad: the cotangent, of this tensor's shape; it may be left out for a scalar, where it is 1.
        create_graph: record the backward pass too, so that the gradients can be differentiated.
        Raises NotRecorded where this tensor has no history.

        >>> x = tg.Tensor(3.0, requires_grad=True)
        >>> (x * x).backward()
        >>> x.grad
        Tensor(6., float64)
        """
        from tinygrad2.autodiff.engine import backward  # here, because the engine stands on this class

        backward(self, grad, create_graph)

    def detach(self) -> Tensor:
        """The same values without history: a constant. Any shape."""
        return wrap(self.array, None, f"detached from {self.name or self.node or 'a constant'}")

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        """The values for NumPy, any shape. Raises TypeError for a tensor whose gradient NumPy would drop."""
        if self.node is not None:
            raise TypeError("this tensor carries a gradient, which NumPy would drop; if meant, say .detach().numpy()")
        return np.asarray(self.numpy(), dtype)

    def __float__(self) -> float:
        """The one value as a float."""
        return float(self.item())

    def __int__(self) -> int:
        """The one value as an int."""
        return int(self.item())

    def __bool__(self) -> bool:
        """The one value as a bool."""
        return bool(self.item())

    def __len__(self) -> int:
        """The size of the first axis."""
        if not self.shape:
            raise TypeError("len() of a 0-d tensor")
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        """The entries along the first axis: self[0], self[1], ...; shape (N, ...) gives N of shape (...)."""
        return (self[i] for i in range(len(self)))

    def __hash__(self) -> int:
        """By identity: == compares entries."""
        return id(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        """A leaf or constant of its own with the same values, any shape."""
        if self.node is not None and self.node.op is not None:
            raise GradientError("only leaves and constants can be copied; .detach() a result first")
        return Tensor(self.array, self.requires_grad, self.name)

    def __repr__(self) -> str:
        """The values, the dtype, and where they come from."""
        values = np.array2string(self.numpy(), separator=", ", prefix="Tensor(", threshold=50)
        name = f", name={self.name!r}" if self.name else ""
        device = "" if self.device == "cpu" else f", device={self.device!r}"
        origin = self.node and (f", from {self.node.op.name}" if self.node.op else ", requires_grad=True")
        return f"Tensor({values}, {self.dtype}{name}{device}{origin or ''})"


# What becomes a constant Tensor by itself where a Tensor is expected: an array, a number, nested lists of numbers.
# (A str is a sequence of str without end; lists of a limited depth leave it out.)
Row: TypeAlias = Sequence[float]
Numbers: TypeAlias = Row | Sequence[Row] | Sequence[Sequence[Row]] | Sequence[Sequence[Sequence[Row]]]
TensorLike: TypeAlias = Tensor | np.ndarray[Any, Any] | np.generic | float | Numbers

_new = Tensor.__new__


def wrap(array: Array, node: Node | None, why: str | None = None) -> Tensor:
    """A Tensor around an array that nobody else can write, with its node: the constructor of the tape itself."""
    t = _new(Tensor)
    t.array = array
    t.node = node
    t.why = why
    return t
