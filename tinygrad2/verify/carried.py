"""Complex numbers that watch over their imaginary part: was it dropped anywhere on its way through a function?

The complex step is exact only for functions that carry the imaginary part through. An array of this class runs through
f and notes every operation that does not (np.abs, .real, vdot, linalg.norm, casts), and every tie at which f changes
its branch. Where nothing is noted, the complex step is proved.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad2.kernels import Array

HOLOMORPHIC = set(
    [
        "add",
        "subtract",
        "multiply",
        "divide",
        "negative",
        "positive",
        "power",
        "float_power",
        "exp",
        "exp2",
        "log",
        "log2",
        "log10",
        "log1p",
        "expm1",
        "sqrt",
        "square",
        "reciprocal",
        "sin",
        "cos",
        "tan",
        "sinh",
        "cosh",
        "tanh",
        "arcsin",
        "arccos",
        "arctan",
        "arcsinh",
        "arccosh",
        "arctanh",
        "matmul",
    ]
)
BRANCHING = set(
    [
        "less",
        "less_equal",
        "greater",
        "greater_equal",
        "equal",
        "not_equal",
        "maximum",
        "minimum",
        "fmax",
        "fmin",
        "clip",
    ]
)
HARMLESS = set(["isfinite", "isnan", "isinf", "logical_and", "logical_or", "logical_not"])
MOVING = set(
    [
        "sum",
        "mean",
        "prod",
        "cumsum",
        "cumprod",
        "dot",
        "einsum",
        "tensordot",
        "inner",
        "outer",
        "where",
        "concatenate",
        "stack",
        "vstack",
        "hstack",
        "column_stack",
        "reshape",
        "ravel",
        "transpose",
        "swapaxes",
        "moveaxis",
        "expand_dims",
        "squeeze",
        "broadcast_to",
        "broadcast_arrays",
        "repeat",
        "tile",
        "roll",
        "flip",
        "flipud",
        "fliplr",
        "rot90",
        "pad",
        "take",
        "take_along_axis",
        "diag",
        "diagonal",
        "trace",
        "tril",
        "triu",
        "kron",
        "cross",
        "zeros_like",
        "ones_like",
        "empty_like",
        "full_like",
        "copy",
        "split",
        "array_split",
        "atleast_1d",
        "atleast_2d",
        "atleast_3d",
        "shape",
        "ndim",
        "size",
        "max",
        "min",
        "amax",
        "amin",
        "diff",
        "average",
        "copyto",
        "clip",
        "inv",
        "solve",
        "det",
        "matrix_power",
    ]
)


class Carried(np.ndarray[Any, Any]):
    """A complex array that notes in `noted` what would lose its imaginary part."""

    noted: set[str]

    def __array_finalize__(self, other: Any) -> None:
        self.noted = getattr(other, "noted", set())

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        name = ufunc.__name__
        plain = [_plain(a) for a in inputs]
        if name in BRANCHING:
            if _tie(plain, method, kwargs):
                self.noted.add("a tie")
        elif name not in HOLOMORPHIC | HARMLESS:
            self.noted.add(name)
        if "out" in kwargs:
            kwargs["out"] = tuple(_plain(a) for a in kwargs["out"])
        return self._again(getattr(ufunc, method)(*plain, **kwargs))

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if func.__name__ not in MOVING:
            self.noted.add(func.__name__)
        return self._again(super().__array_function__(func, (Carried,), args, kwargs))

    def _again(self, result: Any) -> Any:
        """The result as an array of this class, where it is complex."""
        if isinstance(result, tuple | list):
            return type(result)(self._again(r) for r in result)
        if isinstance(result, np.ndarray | np.generic) and result.dtype.kind == "c":
            made = np.asarray(result).view(Carried)
            made.noted = self.noted
            return made
        return result

    def __getitem__(self, index: Any) -> Any:
        return self._again(np.ndarray.__getitem__(self, index))

    def __iter__(self) -> Any:
        return (self[i] for i in range(len(self)))

    @property  # type: ignore[misc]
    def real(self) -> Array:
        """Noted: the real part alone."""
        self.noted.add("real")
        return _plain(self).real

    @property  # type: ignore[misc]
    def imag(self) -> Array:
        """Noted: the imaginary part alone."""
        self.noted.add("imag")
        return _plain(self).imag

    def astype(self, dtype: Any, *args: Any, **kwargs: Any) -> Any:
        """Noted where the new dtype is another one."""
        if np.dtype(dtype) != self.dtype:
            self.noted.add("astype")
        return self._again(np.ndarray.astype(self, dtype, *args, **kwargs))


def _noting(name: str) -> Callable[..., Any]:
    method = getattr(np.ndarray, name)

    def run(self: Carried, *args: Any, **kwargs: Any) -> Any:
        self.noted.add(name)
        return self._again(method(_plain(self), *args, **kwargs))

    return run


for _name in [
    "conj",
    "conjugate",
    "round",
    "argmax",
    "argmin",
    "argsort",
    "sort",
    "partition",
    "argpartition",
    "searchsorted",
    "tolist",
    "item",
    "tobytes",
    "view",
    "nonzero",
    "var",
    "std",
    "__complex__",
    "__float__",
    "__int__",
]:
    setattr(Carried, _name, _noting(_name))


def carried(a: Array, noted: set[str]) -> Carried:
    """The complex array as one that notes into `noted`."""
    made = np.ndarray.view(a, Carried)
    made.noted = noted
    return made


def _plain(a: Any) -> Any:
    return np.ndarray.view(a, np.ndarray) if isinstance(a, Carried) else a


def _tie(operands: list[Any], method: str, kwargs: dict[str, Any]) -> bool:
    """True if two numbers that are compared are equal, so that f changes its branch at this very point."""
    if method == "__call__":
        first, *others = (np.real(o) for o in operands)
        return any(bool(np.any(first == other)) for other in others)
    if method != "reduce":
        return True
    axis = kwargs.get("axis", 0)
    a = np.real(operands[0])
    top = getattr(a, "max" if a.size else "sum")(axis=axis, keepdims=True)
    low = a.min(axis=axis, keepdims=True) if a.size else top
    return bool(np.any(np.sum(a == top, axis=axis) > 1) or np.any(np.sum(a == low, axis=axis) > 1))
