"""Which NumPy function is which operation: the tables that make `np.exp(t)` and `np.sum(t)` work on Tensors.

An operation is called with NumPy's arguments: the tensors by position, the others by their names. Where NumPy's
arguments have other names than ours, a function of a line or two stands between.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygrad2.autodiff import Tensor, TensorLike
from tinygrad2.ops import (
    analytic,
    arrange,
    creation,
    cumulative,
    elementwise,
    families,
    joining,
    linalg,
    logic,
    matrix,
    norms,
    reduce,
    sorting,
)
from tinygrad2.ops import shape as shapes
from tinygrad2.ops.einsum import einsum

Operation = Callable[..., Any]

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

# np.add.reduce(x) and np.add.accumulate(x).
REDUCTIONS: dict[np.ufunc, Operation] = {
    np.add: reduce.sum,
    np.logical_and: reduce.all,
    np.logical_or: reduce.any,
    np.maximum: reduce.max,
    np.minimum: reduce.min,
    np.multiply: cumulative.prod,
}
ACCUMULATIONS: dict[np.ufunc, Operation] = {
    np.add: cumulative.cumsum,
    np.multiply: cumulative.cumprod,
}


def _clip(a: TensorLike, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None) -> Tensor:
    return elementwise.clip(a, min if a_min is None else a_min, max if a_max is None else a_max)


def _concatenate(arrays: Sequence[TensorLike], axis: int | None = 0) -> Tensor:
    if axis is None:
        return joining.hstack([shapes.ravel(shapes.as_tensor(a)) for a in arrays])
    return shapes.concatenate(arrays, axis)


def _einsum(*operands: Any, optimize: Any = False) -> Tensor:
    return einsum(*operands)


def _each(f: Operation) -> Operation:
    """f of one tensor, or of each of several, as np.atleast_1d takes them."""
    return lambda *arys: f(arys[0]) if len(arys) == 1 else tuple(map(f, arys))


def _norm(x: Tensor, ord: float | str | None = None, axis: Any = None, keepdims: bool = False) -> Tensor:
    matrices = (x.ndim if axis is None else np.size(axis)) == 2
    if ord is None or ord == "fro" or (ord == 2 and not matrices):
        return norms.norm(x, axis=axis, keepdims=keepdims)
    size = elementwise.abs(x)
    if matrices or isinstance(ord, str) or ord <= 0:
        raise TypeError(f"np.linalg.norm: only ord=None, and for vectors 1, np.inf and p > 0, have a rule; got {ord!r}")
    if ord == 1:
        return reduce.sum(size, axis, keepdims)
    if ord == np.inf:
        return reduce.max(size, axis, keepdims)
    # The largest entry is divided out, so that no power overflows; where it is 0, the norm and its derivatives are 0.
    largest = reduce.max(size, axis, keepdims=True).detach()
    parts = elementwise.divide(size, elementwise.where(largest > 0.0, largest, 1.0))
    total = reduce.sum(elementwise.power(parts, ord), axis, keepdims=True)
    root = elementwise.power(elementwise.where(largest > 0.0, total, 1.0), 1.0 / ord)
    y = elementwise.multiply(largest, root)
    return y if keepdims else shapes.squeeze(y, axis)


def _where(condition: TensorLike, x: TensorLike | None = None, y: TensorLike | None = None) -> Any:
    if x is None or y is None:
        return np.nonzero(shapes.as_tensor(condition).array)
    return elementwise.where(condition, x, y)


FUNCTIONS: dict[Operation, Operation] = {
    np.all: reduce.all,
    np.amax: reduce.max,
    np.amin: reduce.min,
    np.any: reduce.any,
    np.argmax: reduce.argmax,
    np.argmin: reduce.argmin,
    np.argsort: sorting.argsort,
    np.around: logic.round,
    np.array_split: joining.array_split,
    np.atleast_1d: _each(shapes.atleast_1d),
    np.atleast_2d: _each(shapes.atleast_2d),
    np.atleast_3d: _each(shapes.atleast_3d),
    np.average: reduce.average,
    np.broadcast_arrays: shapes.broadcast_arrays,
    np.broadcast_to: shapes.broadcast_to,
    np.clip: _clip,
    np.column_stack: joining.column_stack,
    np.concatenate: _concatenate,
    np.copy: elementwise.identity,
    np.count_nonzero: reduce.count_nonzero,
    np.cumprod: cumulative.cumprod,
    np.cumsum: cumulative.cumsum,
    np.diag: matrix.diag,
    np.diagonal: matrix.diagonal,
    np.diff: cumulative.diff,
    np.dot: matrix.dot,
    np.dstack: joining.dstack,
    np.einsum: _einsum,
    np.empty_like: creation.zeros_like,
    np.expand_dims: shapes.expand_dims,
    np.fix: logic.trunc,
    np.flip: arrange.flip,
    np.fliplr: arrange.fliplr,
    np.flipud: arrange.flipud,
    np.full_like: creation.full_like,
    np.hstack: joining.hstack,
    np.inner: matrix.inner,
    np.kron: matrix.kron,
    np.linalg.det: linalg.det,
    np.linalg.inv: linalg.inv,
    np.linalg.matrix_power: linalg.matrix_power,
    np.linalg.norm: _norm,
    np.linalg.slogdet: linalg.slogdet,
    np.linalg.solve: linalg.solve,
    np.max: reduce.max,
    np.mean: reduce.mean,
    np.median: sorting.median,
    np.min: reduce.min,
    np.moveaxis: shapes.moveaxis,
    np.ndim: lambda a: a.ndim,
    np.ones_like: creation.ones_like,
    np.outer: matrix.outer,
    np.pad: arrange.pad,
    np.prod: cumulative.prod,
    np.ptp: reduce.ptp,
    np.ravel: shapes.ravel,
    np.repeat: arrange.repeat,
    np.reshape: lambda a, shape: shapes.reshape(a, shape),
    np.roll: arrange.roll,
    np.lib.stride_tricks.sliding_window_view: arrange.sliding_window_view,
    np.rot90: arrange.rot90,
    np.round: logic.round,
    np.searchsorted: sorting.searchsorted,
    np.shape: lambda a: a.shape,
    np.size: lambda a: a.size,
    np.sort: sorting.sort,
    np.split: joining.split,
    np.squeeze: shapes.squeeze,
    np.stack: shapes.stack,
    np.std: norms.std,
    np.sum: reduce.sum,
    np.swapaxes: lambda a, axis1, axis2: shapes.swapaxes(a, axis1, axis2),
    np.take: shapes.take,
    np.take_along_axis: shapes.take_along_axis,
    np.tensordot: matrix.tensordot,
    np.tile: arrange.tile,
    np.trace: matrix.trace,
    np.transpose: lambda a, axes=None: shapes.transpose(a, *(axes or ())),
    np.tril: matrix.tril,
    np.triu: matrix.triu,
    np.var: reduce.var,
    np.vdot: matrix.vdot,
    np.vstack: joining.vstack,
    np.where: _where,
    np.zeros_like: creation.zeros_like,
}
# Their results are piecewise constant, or tell no more than the shape: the derivative is 0.
CONSTANT: frozenset[Operation] = frozenset(
    {
        np.all, np.any, np.argmax, np.argmin, np.argsort, np.around, np.count_nonzero, np.empty_like, np.fix,
        np.full_like, np.ndim, np.ones_like, np.round, np.searchsorted, np.shape, np.size, np.zeros_like,
    }
)  # fmt: skip

# How many of the first arguments are tensors, where it is not one.
TENSORS: dict[Operation, int] = {
    **dict.fromkeys((np.dot, np.inner, np.kron, np.linalg.solve, np.outer, np.searchsorted, np.tensordot, np.vdot), 2),
    np.where: 3,
}

# Their results are no Tensors, and say nothing that could be differentiated.
PLAIN: frozenset[Operation] = frozenset(
    {
        np.allclose, np.argwhere, np.array2string, np.array_equal, np.array_equiv, np.array_repr, np.array_str,
        np.bincount, np.can_cast, np.common_type, np.digitize, np.flatnonzero, np.isclose, np.iscomplexobj,
        np.isrealobj, np.may_share_memory, np.min_scalar_type, np.nonzero, np.result_type, np.shares_memory,
    }
)  # fmt: skip

# They write into an argument; and what to write for them.
IN_PLACE: dict[Operation, str] = {
    np.copyto: "np.where(condition, new, x)",
    np.fill_diagonal: "np.where(np.eye(n, dtype=bool), value, x)",
    np.place: "np.where(condition, new, x)",
    np.put: "tg.scatter_add(values, indices, size)",
    np.put_along_axis: "tg.scatter_add(values, indices, size, axis)",
    np.putmask: "np.where(condition, new, x)",
}

# What a recorded function cannot do, and what to write for it.
REFUSED = {
    "out": "a Tensor never changes, so there is nothing to write into; write y = {name}(...)",
    "where": "choose among the results: np.where(condition, {name}(...), other)",
    "dtype": "convert with x.astype(np.float64) before or after",
    "initial": "join it to the result, as in np.maximum({name}(...), initial)",
}
OTHERWISE = "leave it out, or compute without a gradient: {name}(x.detach().numpy(), ...)"

# Arguments that say how to compute, not what: they change nothing here.
HARMLESS = frozenset({"kind", "stable", "copy", "subok", "overwrite_input"})
