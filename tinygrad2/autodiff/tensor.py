"""Tensor: an array that nobody can change any more, and the tape node that says where it came from."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad2.autodiff.errors import GradientError
from tinygrad2.autodiff.node import Node
from tinygrad2.kernels.backend import Array, device_of, freeze, to_numpy

_ACCEPTED = frozenset("fcbiu")


class Tensor:
    """An n-dimensional array that differentiation can follow.

    data: number, nested list, NumPy or CuPy array, of any shape. It is copied unless it is read-only already: later changes to the
        caller's array can never reach the tape.
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
        __add__: Callable[..., Tensor]
        __radd__: Callable[..., Tensor]
        __sub__: Callable[..., Tensor]
        __rsub__: Callable[..., Tensor]
        __mul__: Callable[..., Tensor]
        __rmul__: Callable[..., Tensor]
        __truediv__: Callable[..., Tensor]
        __rtruediv__: Callable[..., Tensor]
        __pow__: Callable[..., Tensor]
        __neg__: Callable[..., Tensor]
        __matmul__: Callable[..., Tensor]
        __getitem__: Callable[..., Tensor]
        sum: Callable[..., Tensor]
        mean: Callable[..., Tensor]
        max: Callable[..., Tensor]
        sqrt: Callable[..., Tensor]
        exp: Callable[..., Tensor]
        log: Callable[..., Tensor]
        reshape: Callable[..., Tensor]
        transpose: Callable[..., Tensor]
        astype: Callable[..., Tensor]
        to: Callable[..., Tensor]
        T: Tensor

    def __init__(self, data: Any, requires_grad: bool = False, name: str | None = None) -> None:
        if isinstance(data, Tensor):
            data = data.array
        array = freeze(data if hasattr(data, "dtype") else np.asarray(data))
        if array.dtype.kind not in _ACCEPTED or array.dtype in (np.float16, np.complex64):
            raise TypeError(f"Tensor: expected float32 or float64 numbers, got dtype {array.dtype}; convert with .astype(np.float32)")
        self.array = array
        self.node = None
        if name is not None:
            self.name = name
        if requires_grad:
            if array.dtype.kind != "f":
                raise TypeError(
                    f"Tensor{f' {name!r}' if name else ''}: only float32 and float64 carry gradients, got {array.dtype}; "
                    "write 1.0 for 1, or convert with .astype(np.float32)"
                )
            self.node = Node(array)
            self.node.leaf = weakref.ref(self)

    def __getattr__(self, name: str) -> Any:
        # Slots that were never filled read as None: making a Tensor must cost next to nothing.
        if name in ("grad", "name", "why"):
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
            raise ValueError(
                f"{self.name or 'Tensor'}.data: expected shape {self.shape}, {self.dtype} on {self.device}; "
                f"got shape {array.shape}, {array.dtype} on {device_of(array)}"
            )
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
        """"cpu" or "cuda"."""
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
        constant = wrap(self.array, None)
        constant.why = f"detached from {self.name or self.node or 'a constant'}"
        return constant

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        if self.node is not None:
            raise TypeError("this tensor carries a gradient, which NumPy would drop: say .detach().numpy() where that is meant")
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
        history = "" if self.node is None else ", requires_grad=True" if self.node.op is None else f", from {self.node.op.name}"
        device = "" if self.device == "cpu" else f", device={self.device!r}"
        return f"Tensor({values}, {self.dtype}{f', name={self.name!r}' if self.name else ''}{device}{history})"


_new = Tensor.__new__


def wrap(array: Array, node: Node | None) -> Tensor:
    """A Tensor around an array that nobody else can write, with its node: the constructor of the tape itself."""
    t = _new(Tensor)
    t.array = array
    t.node = node
    return t
