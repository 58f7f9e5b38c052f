"""A double of CuPy on NumPy arrays, for machines without a GPU: as strict as CuPy, stricter where CuPy is silent.

An array of the double never becomes a NumPy array by itself; whatever makes the host wait for the device is counted in
`counts.synchronisations`, and every copy from the host in `counts.uploads`. Names that CuPy lacks do not exist here.
What it cannot show: races, atomics, streams, CuPy's own bugs, speed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest


def names(text: str) -> list[str]:
    return text.split()


# All names below were read with dir(cupy) and dir(cupy.ndarray) from the wheel cupy-cuda13x 14.2.0; test_gpu.py
# compares them with the CuPy that is installed. Only what tinygrad2 may need is here: add a name once CuPy is seen to
# have it.
UFUNCS = names("""
    abs absolute add arccos arccosh arcsin arcsinh arctan arctan2 arctanh bitwise_and bitwise_or bitwise_xor cbrt
    ceil copysign cos cosh divide equal exp exp2 expm1 floor floor_divide fmax fmin fmod greater greater_equal hypot
    invert isfinite isinf isnan less less_equal log log10 log1p log2 logaddexp logaddexp2 logical_and logical_not
    logical_or logical_xor maximum minimum multiply negative not_equal power reciprocal remainder rint sign signbit
    sin sinh sqrt square subtract tan tanh true_divide trunc
""")
REDUCTIONS = names("all amax amin any argmax argmin count_nonzero cumprod cumsum max mean min prod std sum var")
CREATIONS = names("arange empty eye full identity linspace ones zeros")
FUNCTIONS = names("""
    argsort ascontiguousarray broadcast_to clip concatenate copy diagonal diff dot einsum empty_like expand_dims flip
    full_like isclose matmul moveaxis nan_to_num ones_like outer pad ravel repeat reshape roll searchsorted sort squeeze
    stack swapaxes take take_along_axis tensordot tile trace transpose tril triu vdot zeros_like
""")
CONSTANTS = names("bool_ complex128 dtype e float32 float64 inf int32 int64 intp nan newaxis pi uint8")
METHODS = names(
    "astype clip conj copy diagonal dot ravel repeat reshape round squeeze swapaxes take trace transpose view"
)
ATTRIBUTES = names("T dtype imag itemsize nbytes ndim real shape size strides")
BINARY = names("add sub mul truediv floordiv mod pow matmul and or xor")
COMPARISONS = names("lt le gt ge eq ne")
ABSENT = names("block errstate frompyfunc insert nditer seterr")  # in NumPy, not in CuPy

_SCALARS = (bool, int, float, complex, np.generic)
_SETTINGS = (str, bytes, type, np.dtype, slice, type(None), type(Ellipsis))
_REDUCTION_KEYWORDS = {"axis", "dtype", "out", "keepdims", "ddof"}  # CuPy has neither `initial=` nor `where=`
_SCATTER_TYPES = {np.dtype(t) for t in ("i4", "u4", "u8", "f2", "f4", "f8", "c8", "c16")}


@dataclass
class Counts:
    """What was not asynchronous work on the device."""

    synchronisations: int = 0  # device → host: the host waits
    uploads: int = 0  # host → device


counts = Counts()


@contextmanager
def counting() -> Iterator[Counts]:
    """The counts of what happens inside the block."""
    before = (counts.synchronisations, counts.uploads)
    inside = Counts()
    yield inside
    inside.synchronisations = counts.synchronisations - before[0]
    inside.uploads = counts.uploads - before[1]


def _unsupported(value: object) -> TypeError:
    return TypeError(f"Unsupported type {type(value)}")  # CuPy's own words


def _host(value: Any) -> Any:
    """What NumPy is to be given for an argument: a NumPy array among CuPy's is an error."""
    if isinstance(value, ndarray):
        return value._host
    if isinstance(value, tuple | list):
        return type(value)(_host(v) for v in value)
    if isinstance(value, _SCALARS + _SETTINGS):
        return value
    raise _unsupported(value)


def _operand(value: Any) -> Any:
    """An array of the double or a number; a list, too, is an error for an operator."""
    if isinstance(value, (ndarray, *_SCALARS)):
        return value
    raise _unsupported(value)


def _device(value: Any) -> Any:
    """A result of NumPy as CuPy gives it: scalars stay on the device, as 0-d arrays."""
    if isinstance(value, np.ndarray | np.generic):
        array = object.__new__(ndarray)
        array._host = np.asarray(value)
        return array
    if isinstance(value, tuple | list):
        return (tuple if isinstance(value, tuple) else list)(_device(v) for v in value)  # CuPy names no parts
    return value


def _compute(f: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """f on the host's copies. A GPU gives no floating-point warnings. A result written to `out` is `out` itself."""
    with np.errstate(all="ignore"):
        result = f(*_host(args), **{k: _host(v) for k, v in kwargs.items()})
    out = kwargs.get("out")
    return out if out is not None else _device(result)


def _synchronise(a: ndarray) -> np.ndarray[Any, Any]:
    counts.synchronisations += 1
    return a._host


class Flags:
    """Contiguity only: CuPy's arrays cannot be made read-only."""

    def __init__(self, flags: Any) -> None:
        self.c_contiguous, self.f_contiguous, self.owndata = flags.c_contiguous, flags.f_contiguous, flags.owndata
        self.forc, self.fnc = flags.forc, flags.fnc


class ndarray:
    """cupy.ndarray. Operators take arrays of the double, Python numbers and NumPy scalars, nothing else."""

    __slots__ = ("_host",)
    __hash__ = None  # type: ignore[assignment]
    __array_priority__ = 100
    _host: np.ndarray[Any, Any]

    def __init__(self, shape: Any, dtype: Any = float) -> None:
        self._host = np.empty(shape, dtype)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. "
            "Please use `.get()` to construct a NumPy array explicitly."
        )

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        own = cupy.__dict__.get(ufunc.__name__)
        return own(*inputs, **kwargs) if method == "__call__" and own is not None else NotImplemented

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        own = cupy.__dict__.get(func.__name__)
        return NotImplemented if own is None else own(*args, **kwargs)

    def __getitem__(self, key: Any) -> Any:
        parts = key if isinstance(key, tuple) else (key,)
        # How many entries of a mask are True decides the shape of the result.
        counts.synchronisations += sum(getattr(k, "dtype", None) == np.bool_ for k in parts)
        return _device(self._host[self._key(parts)])

    def __setitem__(self, key: Any, value: Any) -> None:
        self._host[self._key(key if isinstance(key, tuple) else (key,))] = _host(value)

    def _key(self, parts: tuple[Any, ...]) -> tuple[Any, ...]:
        """The key for NumPy. Lists and NumPy arrays are uploaded; integers out of range wrap silently, as in CuPy."""
        arrays = [asarray(k) if isinstance(k, list | np.ndarray) else k for k in parts]
        widths = [0 if k is None or k is Ellipsis else k.ndim if _is_mask(k) else 1 for k in arrays]
        result, axis = [], 0
        for k, width in zip(arrays, widths, strict=True):
            wraps = isinstance(k, ndarray) and not _is_mask(k) and self.shape[axis]
            result.append(k._host % self.shape[axis] if wraps else _host(k))
            axis += self.ndim - sum(widths) if k is Ellipsis else width
        return tuple(result)

    def __len__(self) -> int:
        return len(self._host)

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def __bool__(self) -> bool:
        return bool(_synchronise(self))

    def __int__(self) -> int:
        return int(_synchronise(self))

    def __float__(self) -> float:
        return float(_synchronise(self))

    def __complex__(self) -> complex:
        return complex(_synchronise(self))

    def __repr__(self) -> str:
        return repr(_synchronise(self))

    def __copy__(self) -> ndarray:
        return _device(self._host.copy())

    def __deepcopy__(self, memo: dict[int, Any]) -> ndarray:
        return _device(self._host.copy())

    def item(self) -> Any:
        return _synchronise(self).item()

    def tolist(self) -> Any:
        return _synchronise(self).tolist()

    def get(self) -> np.ndarray[Any, Any]:
        return _synchronise(self).copy()

    def fill(self, value: Any) -> None:
        self._host.fill(_host(value))

    @property
    def flags(self) -> Flags:
        return Flags(self._host.flags)


def _is_mask(k: object) -> bool:
    return isinstance(k, ndarray) and k._host.dtype == bool


def _operator(name: str) -> Callable[..., Any]:
    def operate(self: ndarray, *other: Any) -> Any:
        if other and getattr(other[0], "__array_ufunc__", False) is None:
            return NotImplemented  # it asks for its own reflected method
        return _compute(getattr(np.ndarray, name), self, *map(_operand, other))

    return operate


def _in_place(name: str) -> Callable[..., Any]:
    operate = _operator(name)

    def update(self: ndarray, other: Any) -> ndarray:
        operate(self, other)
        return self

    return update


def _method(name: str, keywords: set[str] | None = None) -> Callable[..., Any]:
    def call(self: ndarray, *args: Any, **kwargs: Any) -> Any:
        if keywords is not None and (unknown := kwargs.keys() - keywords):
            raise TypeError(f"{name}() got an unexpected keyword argument {min(unknown)!r}")
        return _compute(getattr(np.ndarray, name), self, *args, **kwargs)

    return call


def _attribute(name: str) -> property:
    return property(
        lambda self: _device(getattr(self._host, name)) if name in ("T", "real", "imag") else getattr(self._host, name)
    )


for _name in BINARY:
    setattr(ndarray, f"__{_name}__", _operator(f"__{_name}__"))
    setattr(ndarray, f"__r{_name}__", _operator(f"__r{_name}__"))
    if _name != "matmul":  # CuPy has no in-place matrix product
        setattr(ndarray, f"__i{_name}__", _in_place(f"__i{_name}__"))
for _name in (*COMPARISONS, "neg", "pos", "abs", "invert"):
    setattr(ndarray, f"__{_name}__", _operator(f"__{_name}__"))
for _name in METHODS:
    setattr(ndarray, _name, _method(_name))
for _name in REDUCTIONS:
    if hasattr(np.ndarray, _name):
        setattr(ndarray, _name, _method(_name, _REDUCTION_KEYWORDS))
for _name in ATTRIBUTES:
    setattr(ndarray, _name, _attribute(_name))


class ufunc:
    """cupy.ufunc: elementwise, and `at` for the scatter operations that CuPy has kernels for."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._f = getattr(np, name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return _compute(self._f, *map(_operand, args), **kwargs)

    def at(self, a: ndarray, indices: Any, b: Any) -> None:
        if self.name not in ("add", "subtract", "maximum", "minimum"):
            raise NotImplementedError(f"`{self.name}.at` is not supported yet")
        if a.dtype not in _SCATTER_TYPES:
            raise TypeError(f"scatter_{self.name} does not support {a.dtype}")
        self._f.at(a._host, a._key(indices if isinstance(indices, tuple) else (indices,)), _host(b))


def _function(name: str, keywords: set[str] | None = None, module: Any = np) -> Callable[..., Any]:
    """A function whose first argument is an array of the double, or a sequence of them (einsum's is a formula)."""

    def call(*args: Any, **kwargs: Any) -> Any:
        first = args[1 if isinstance(args[0], str) else 0]
        for a in first if isinstance(first, tuple | list) and first else [first]:
            if not isinstance(a, ndarray):
                raise _unsupported(a)
        if keywords is not None and (unknown := kwargs.keys() - keywords):
            raise TypeError(f"{name}() got an unexpected keyword argument {min(unknown)!r}")
        return _compute(getattr(module, name), *args, **kwargs)

    return call


def _creation(name: str) -> Callable[..., Any]:
    return lambda *args, **kwargs: _compute(getattr(np, name), *args, **kwargs)


def array(obj: Any, dtype: Any = None, copy: bool = True, order: str = "K", ndmin: int = 0) -> ndarray:
    """A copy on the device, of host data (an upload) or of an array that is there."""
    if not isinstance(obj, ndarray):
        counts.uploads += 1
        return _device(np.array(obj, dtype, order=order, ndmin=ndmin))
    return _device(np.array(obj._host, dtype, copy=copy or None, order=order, ndmin=ndmin))


def asarray(a: Any, dtype: Any = None) -> ndarray:
    return array(a, dtype, copy=False)


def asnumpy(a: Any) -> np.ndarray[Any, Any]:
    return a.get() if isinstance(a, ndarray) else np.asarray(a)


def where(condition: Any, x: Any, y: Any) -> Any:
    """The selection only: where(condition) alone would synchronise."""
    if not hasattr(condition, "astype"):
        raise AttributeError(f"{type(condition).__name__!r} object has no attribute 'astype'")
    return _compute(np.where, condition.astype("?"), _operand(x), _operand(y))


def array_equal(a1: ndarray, a2: ndarray, equal_nan: bool = False) -> Any:
    """A 0-d array; CuPy's search for nans looks at values on the host."""
    counts.synchronisations += equal_nan
    return _compute(np.array_equal, a1, a2, equal_nan=equal_nan) if a1.shape == a2.shape else _device(np.False_)


def get_array_module(*args: Any) -> Any:
    return cupy if any(isinstance(a, ndarray) for a in args) else np


class OpenGrid:
    def __getitem__(self, key: tuple[slice, ...]) -> list[ndarray]:
        return [_device(g) for g in np.ogrid[key]]


def _module(name: str, **names: Any) -> ModuleType:
    module = ModuleType(name)
    module.__dict__.update(names)

    def missing(attribute: str) -> Any:
        raise AttributeError(
            f"module {name!r} has no attribute {attribute!r} (a double: if CuPy has it, add it to cupy_double.py)"
        )

    module.__dict__["__getattr__"] = missing
    return module


SPECIALS: dict[str, Any] = {
    f.__name__: f for f in (array, array_equal, asarray, asnumpy, get_array_module, ndarray, ufunc, where)
} | {"ogrid": OpenGrid()}
_stride_tricks = _module(
    "cupy.lib.stride_tricks",
    **{name: _function(name, module=np.lib.stride_tricks) for name in ("as_strided", "sliding_window_view")},
)
_linalg = _module(
    "cupy.linalg", **{name: _function(name, module=np.linalg) for name in ("det", "inv", "slogdet", "solve")}
)
_lib = _module("cupy.lib", stride_tricks=_stride_tricks)
_runtime = _module("cupy.cuda.runtime", getDeviceCount=lambda: 1, getDevice=lambda: 0)
_cuda = _module("cupy.cuda", runtime=_runtime, get_current_stream=lambda: SimpleNamespace(ptr=0))
cupy = _module(
    "cupy",
    __path__=[],
    __version__="14.2.0",
    cuda=_cuda,
    lib=_lib,
    linalg=_linalg,
    **{name: ufunc(name) for name in UFUNCS},
    **{name: _function(name, _REDUCTION_KEYWORDS) for name in REDUCTIONS},
    **{name: _creation(name) for name in CREATIONS},
    **{name: _function(name) for name in FUNCTIONS},
    **{name: getattr(np, name) for name in CONSTANTS},
    **SPECIALS,
)
MODULES = {m.__name__: m for m in (cupy, _cuda, _runtime, _lib, _linalg, _stride_tricks)}


def install(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Put the double in CuPy's place until the test ends, and let tinygrad2 probe it afresh."""
    from tinygrad2.kernels import why_no_cuda_kernels, why_no_gpu

    for name, module in MODULES.items():
        monkeypatch.setitem(sys.modules, name, module)
    why_no_gpu.cache_clear()
    why_no_cuda_kernels.cache_clear()
    return cupy
