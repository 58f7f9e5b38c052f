"""Tensor: an array that nobody can change any more, and the tape node that says where it came from."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad2.autodiff.errors import GradientError
from tinygrad2.autodiff.node import Node
from tinygrad2.kernels.arrays import Array, device_of, freeze, to_numpy

_FLOATING = ("float32", "float64", "complex128")  # complex numbers carry no gradient: they are for the complex step


class Tensor:
    """An n-dimensional array that differentiation can follow.

    data: number, nested list, NumPy or CuPy array, of any shape. It is copied unless it is read-only already: later
        changes to the caller's array can never reach the tape.
    requires_grad: make it a leaf, whose `.grad` is filled by `.backward()`; the dtype must then be float32 or float64.
    name: how error messages and pictures call it.

    Raises TypeError for data that are not numbers, or for an integer leaf.
    """

    __slots__ = ("__weakref__", "array", "grad", "name", "node", "why")
    __array_ufunc__ = None  # NumPy arrays leave `array * tensor` to Tensor.__rmul__

    array: Array
    node: Node | None
    name: str | None
    grad: Tensor | None
    why: str | None  # why there is no node, where somebody may ask

    if TYPE_CHECKING:  # given by the floors above: the engine, and the operator table in ops
        backward: Callable[..., None]
        T: Tensor

        def _method(self, *args: Any, **kwargs: Any) -> Tensor: ...

        __neg__ = __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = _method
        __pow__ = __rpow__ = __matmul__ = __rmatmul__ = __getitem__ = __lt__ = __le__ = __gt__ = __ge__ = _method
        sum = mean = max = min = var = argmax = exp = log = sqrt = tanh = abs = clip = _method
        reshape = transpose = swapaxes = broadcast_to = astype = to = _method

    def __init__(self, data: Any, requires_grad: bool = False, name: str | None = None) -> None:
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

    def __getattr__(self, name: str) -> Any:
        # Slots that were never filled read as None: making a Tensor must cost next to nothing.
        if name in ("grad", "name"):
            return None
        raise AttributeError(f"Tensor has no attribute {name!r}")

    @property
    def data(self) -> Array:
        """The array, read-only. Assign a new array of the same shape, dtype and device to replace a leaf's value."""
        return self.array

    @data.setter
    def data(self, value: Any) -> None:
        array = freeze(value.array if isinstance(value, Tensor) else value)
        if (array.shape, array.dtype, type(array)) != (self.array.shape, self.array.dtype, type(self.array)):
            expected = f"{self.name or 'Tensor'}.data: expected shape {self.shape}, {self.dtype} on {self.device}"
            raise ValueError(f"{expected}; got shape {array.shape}, {array.dtype} on {device_of(array)}")
        if self.node is not None and self.node.op is not None:
            raise GradientError("only a leaf's data can be replaced; this tensor is the result of " + self.node.op.name)
        self.array = array

    @property
    def requires_grad(self) -> bool:
        return self.node is not None

    @property
    def shape(self) -> tuple[int, ...]:
        shape: tuple[int, ...] = self.array.shape
        return shape

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return int(self.array.size)

    @property
    def dtype(self) -> np.dtype[Any]:
        dtype: np.dtype[Any] = self.array.dtype
        return dtype

    @property
    def device(self) -> str:
        """Where the array lives: "cpu" or "cuda"."""
        return device_of(self.array)

    def numpy(self) -> np.ndarray[Any, Any]:
        """The values as a NumPy array on the host, read-only."""
        return to_numpy(self.array)

    def item(self) -> Any:
        """The one value as a Python number; ValueError where there are more."""
        if self.size != 1:
            raise ValueError(f"item() needs a tensor of one element, got shape {self.shape}")
        return self.array.item()

    def detach(self) -> Tensor:
        """The same values without history: a constant."""
        return wrap(self.array, None, f"detached from {self.name or self.node or 'a constant'}")

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        if self.node is not None:
            raise TypeError("this tensor carries a gradient, which NumPy would drop; if meant, say .detach().numpy()")
        return np.asarray(self.numpy(), dtype)

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __bool__(self) -> bool:
        return bool(self.item())

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of a 0-d tensor")
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    def __hash__(self) -> int:
        return id(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        if self.node is not None and self.node.op is not None:
            raise GradientError("only leaves and constants can be copied; .detach() a result first")
        return Tensor(self.array, self.requires_grad, self.name)

    def __repr__(self) -> str:
        values = np.array2string(self.numpy(), separator=", ", prefix="Tensor(", threshold=50)
        name = f", name={self.name!r}" if self.name else ""
        device = "" if self.device == "cpu" else f", device={self.device!r}"
        origin = self.node and (f", from {self.node.op.name}" if self.node.op else ", requires_grad=True")
        return f"Tensor({values}, {self.dtype}{name}{device}{origin or ''})"


_new = Tensor.__new__


def wrap(array: Array, node: Node | None, why: str | None = None) -> Tensor:
    """A Tensor around an array that nobody else can write, with its node: the constructor of the tape itself."""
    t = _new(Tensor)
    t.array = array
    t.node = node
    t.why = why
    return t
