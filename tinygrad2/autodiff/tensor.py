"""Tensor: an array that nobody can change any more, and the tape node that says where it came from."""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike

from tinygrad2.autodiff.errors import GradientError
from tinygrad2.autodiff.habits import ATTRIBUTES, answering, hint
from tinygrad2.autodiff.node import Node, is_recording, watched_from
from tinygrad2.kernels.arrays import Array, device_of, freeze, to_numpy

if TYPE_CHECKING:  # operators and methods are written in ops, and put on Tensor when that is imported
    from tinygrad2.ops.methods import TensorMethods
else:
    TensorMethods = object

_NO_LEAF = (
    "this tensor is a result (of {}), and only leaves get a .grad. To change a parameter write w.data = ..., not "
    "w = ...; the gradient of a result is autograd.grad(loss, t)"
)
_FLOATING = ("float32", "float64", "complex128")  # complex numbers carry no gradient: they are for the complex step


class Tensor(TensorMethods):
    """An n-dimensional array that differentiation can follow.

    data: a number, a nested list, or a NumPy or CuPy array, of any shape. It is copied: later changes to the caller's
        array can never reach the tape. nan and inf are values like others: they propagate, and nothing warns.
    dtype: the type of the entries; None keeps the one that NumPy gives the data.
    requires_grad: make it a leaf, whose `.grad` is filled by `.backward()`; the dtype must then be float32 or float64.
    name: how error messages and pictures call it.

    Raises TypeError for data that are not numbers, or for an integer leaf.

    The value of a tensor that carries a gradient can leave the tape in these ways. "Watched" means: while a transform
    (grad, vjp, jvp, ...) runs a function, for what was recorded since then, and while a backward pass is recorded:

    | way out                                            | otherwise | watched   |
    |----------------------------------------------------|-----------|-----------|
    | `t.detach()`, `tg.stop_gradient(t)`                | a constant | a constant |
    | `float(t)`, `int(t)`, `t.item()`                   | the number | TypeError |
    | `t.numpy()`, `t.data`, `tg.Tensor(t)`              | the array  | TypeError |
    | `np.asarray(t)`                                    | TypeError  | TypeError |
    | `bool(t)`, as in `if t > 0`: constant in pieces    | the bool   | the bool   |
    | `print(t)`, `f"{t:.3f}"`: text for people          | the text   | the text   |
    | `t.array`: for operations that are recorded        | the array  | the array  |

    What was computed under `no_grad`, or is constant in pieces (`t > 0`, `argmax`), has no gradient to lose: every way
    is open.

    >>> x = tg.Tensor([1.0, 2.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    Tensor([2., 4.], float64)
    >>> tg.Tensor([1, 2], np.float32)
    Tensor([1., 2.], float32)
    """

    __slots__ = ("__weakref__", "array", "grad", "name", "node", "why")

    array: Array
    node: Node | None
    name: str | None
    grad: Tensor | None
    why: str | None  # why there is no node, where somebody may ask

    def __init__(
        self,
        data: TensorLike | Array,
        dtype: DTypeLike | None = None,
        *,
        requires_grad: bool = False,
        name: str | None = None,
    ) -> None:
        if isinstance(data, Tensor):
            data._leaves_by("tg.Tensor(t)")
            array = data.array
        else:
            array = freeze(data) if hasattr(data, "dtype") else _new_array(data)
        if dtype is not None:
            array = _converted(array, dtype)
        if array.dtype.kind not in "biu" and array.dtype not in _FLOATING:
            raise TypeError(f"Tensor: expected float32 or float64, got {array.dtype}; convert with .astype(np.float32)")
        self.array = array
        self.node = None
        self.why = "tg.Tensor(t) makes a constant of a tensor" if isinstance(data, Tensor) and data.node else None
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
                if name == "grad" and self.node is not None and self.node.op is not None:
                    warnings.warn(_NO_LEAF.format(self.node.op.name), UserWarning, stacklevel=2)
                return None
            raise AttributeError(f"Tensor has no attribute {name!r}{hint(ATTRIBUTES, name)}", name=name, obj=self)

    @property
    def data(self) -> Array:
        """The array, read-only. Assign an array of the same shape, dtype and device to replace a leaf's value."""
        self._leaves_by(".data")
        return _view(self.array)

    @data.setter
    def data(self, value: Tensor | Array) -> None:
        array = value.array if isinstance(value, Tensor) else freeze(value)
        if (array.shape, array.dtype, type(array)) != (self.array.shape, self.array.dtype, type(self.array)):
            expected = f"{self.name or 'Tensor'}.data: expected shape {self.shape}, {self.dtype} on {self.device}"
            raise ValueError(f"{expected}; got shape {array.shape}, {array.dtype} on {device_of(array)}")
        if self.node is not None and self.node.op is not None:
            raise GradientError("only a leaf's data can be replaced; this tensor is the result of " + self.node.op.name)
        self.array = array

    @property
    def requires_grad(self) -> bool:
        """Whether the tape follows this tensor: it is a leaf, or was computed from one, and is no integer or bool."""
        return self.node is not None and self.array.dtype.kind in "fc"

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
        self._leaves_by(".numpy()")
        return to_numpy(_view(self.array))

    def item(self) -> float:
        """The one value as a Python number: an int or bool where the dtype is one. ValueError where there are more.

        >>> tg.Tensor([2.5]).item()
        2.5
        """
        if self.size != 1:
            raise ValueError(f"item() needs a tensor of one element, got shape {self.shape}")
        self._leaves_by("float(t), int(t) or .item()")
        value: float = self.array.item()
        return value

    @answering
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
        if self._carries_gradient():
            raise TypeError("this tensor carries a gradient, which NumPy would drop; if meant, say .detach().numpy()")
        values = to_numpy(_view(self.array))
        return np.array(values, dtype) if copy else np.asarray(values, dtype)

    def __float__(self) -> float:
        """The one value as a float."""
        return float(self.item())

    def __int__(self) -> int:
        """The one value as an int."""
        return int(self.item())

    def __bool__(self) -> bool:
        """The one value as a bool. It may steer a differentiated function: the result is then defined in pieces."""
        if self.size != 1:
            raise ValueError(
                f"the truth of {self.size} entries, shape {self.shape}, is not one bool: reduce them first"
            )
        return bool(self.array.item())

    def __setitem__(self, key: object, value: object) -> None:
        """Refused: nobody can change a Tensor."""
        raise TypeError(
            "a Tensor cannot be changed in place; make a new one: tg.where(mask, a, b), tg.concatenate, ..."
        )

    def _in_place(self, other: object) -> Any:
        """`w -= ...` is refused where it would turn a parameter into a result; elsewhere Python writes w = w - ..."""
        start = watched_from()
        if self.node is None or self.node.op is not None or (start is not None and self.node.id > start):
            return NotImplemented
        who = f"the leaf {self.name!r}" if self.name else f"a leaf of shape {self.shape}"
        raise TypeError(
            f"{who} requires a gradient and cannot be changed by -=, +=, ...: the name would stand for a result, which "
            "no longer learns. Write w.data = (w - lr * w.grad).data, or use an optimizer: nn.SGD([w], lr).step()"
        )

    __iadd__ = __isub__ = __imul__ = __itruediv__ = __ipow__ = __imatmul__ = _in_place

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
        self._leaves_by("a copy")
        if self.node is not None and self.node.op is not None:
            raise GradientError("only leaves and constants can be copied; .detach() a result first")
        t = wrap(self.array, None, self.why) if self.node is None else leaf(self.array)
        if self.name is not None:
            t.name = self.name
        return t

    def __copy__(self) -> Tensor:
        """As deepcopy: arrays are never changed, so they can be shared."""
        return self.__deepcopy__({})

    def __reduce_ex__(self, protocol: object) -> Any:
        """Refused: a tensor may hang on a tape."""
        raise TypeError(
            "a Tensor cannot be pickled, nor a network made of them: save the arrays. For a network that is "
            "nn.save(path, net.state_dict()) and net.load_state_dict(nn.load(path)); for a tensor t.detach().numpy()"
        )

    def __repr__(self) -> str:
        """The values, the dtype, and where they come from."""
        values = np.array2string(to_numpy(self.array), separator=", ", prefix="Tensor(", threshold=50)
        name = f", name={self.name!r}" if self.name else ""
        device = "" if self.device == "cpu" else f", device={self.device!r}"
        origin = self.node and (f", from {self.node.op.name}" if self.node.op else ", requires_grad=True")
        return f"Tensor({values}, {self.dtype}{name}{device}{origin or ''})"

    def __format__(self, spec: str) -> str:
        """Every entry in the given format, as in f"{t:.3f}"; any shape. Without one, as it is printed."""
        if not spec:
            return repr(self)
        values = to_numpy(self.array)
        if not self.shape:
            return format(values.item(), spec)
        return np.array2string(values, separator=", ", formatter={"all": lambda v: format(v, spec)})

    def _carries_gradient(self) -> bool:
        """Whether a gradient could pass: not through a constant, nor through what is constant in pieces."""
        node = self.node
        return node is not None and (node.op is None or any(p is not None for p in node.parents))

    def _leaves_by(self, way: str) -> None:
        """Refuse a way out of the tape where it would drop a gradient that somebody is waiting for."""
        start = watched_from()
        if start is None or self.node is None or self.node.id <= start or not is_recording():
            return
        if self._carries_gradient():
            raise TypeError(
                f"{way} inside a function that is being differentiated would drop the gradient of {self.node}. Compute "
                "with tensors instead; if a constant is meant, say t.detach() or tg.stop_gradient(t) first"
            )


# What becomes a constant Tensor by itself where a Tensor is expected: an array, a number, nested lists of numbers.
# (A str is a sequence of str without end; lists of a limited depth leave it out.)
Row: TypeAlias = Sequence[float]
Numbers: TypeAlias = Row | Sequence[Row] | Sequence[Sequence[Row]] | Sequence[Sequence[Sequence[Row]]]
TensorLike: TypeAlias = Tensor | np.ndarray[Any, Any] | np.generic | float | Numbers

_new = Tensor.__new__


def leaf(array: Array, name: str | None = None) -> Tensor:
    """A leaf around an array that nobody else can write."""
    t = wrap(array, Node(array))
    assert t.node is not None
    t.node.leaf = weakref.ref(t)
    if name is not None:
        t.name = name
    return t


def _view(array: Array) -> Array:
    """What a caller gets to see. NumPy does not let a view of a read-only array be made writeable again."""
    return array.view() if type(array) is np.ndarray else array


def _new_array(data: object) -> Array:
    array = np.array(data)
    array.setflags(write=False)
    return array


def _converted(array: Array, dtype: DTypeLike) -> Array:
    """The array in another dtype, read-only; as it is where it holds no numbers, which the caller refuses."""
    if isinstance(dtype, bool):
        raise TypeError(
            f"Tensor(data, dtype): expected a dtype such as np.float32, got {dtype}; write requires_grad={dtype}"
        )
    return freeze(array.astype(dtype)) if array.dtype.kind in "biufc" else array


def wrap(array: Array, node: Node | None, why: str | None = None) -> Tensor:
    """A Tensor around an array that nobody else can write, with its node: the constructor of the tape itself."""
    t = _new(Tensor)
    t.array = array
    t.node = node
    t.why = why
    return t
