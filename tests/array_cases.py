"""The functions on whole arrays, written once for tinygrad2 and for NumPy: `f(m, *arrays)` with m either of them.

The tests take values from NumPy, derivatives from arithmetic, and the same rows on the double of CuPy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

_rng = np.random.default_rng(11)


def normal(*shape: int) -> Array:
    return _rng.standard_normal(shape)


def distinct(*shape: int) -> Array:
    """Odd multiples of 1/16 in random order: no two are equal, none is near 0."""
    n = int(np.prod(shape))
    return ((2 * _rng.permutation(n) + 1 - 2 * (n // 2)) / 16).reshape(shape)


def regular(*shape: int) -> Array:
    """Square matrices that are far from singular, of either sign of the determinant."""
    x = _rng.uniform(-0.5, 0.5, shape) + 2 * np.eye(shape[-1])
    x[..., 0, :] *= np.where(np.arange(x[..., 0, 0].size).reshape(x.shape[:-2] or ()) % 2, -1.0, 1.0)[..., None]
    return x


def _numpy() -> SimpleNamespace:
    """NumPy's functions under the names that tinygrad2 gives them; some of them are not NumPy's."""

    def topk(x: Array, k: int, axis: int = -1, largest: bool = True) -> Any:
        order = np.argsort(-x if largest else x, axis, kind="stable")
        at = np.take(order, np.arange(k), axis)
        return SimpleNamespace(values=np.take_along_axis(x, at, axis), indices=at)

    names = {**vars(np), **{name: getattr(np.linalg, name) for name in ("inv", "solve", "det", "slogdet")}}
    own = {
        "topk": topk,
        "matrix_power": np.linalg.matrix_power,
        "sliding_window_view": np.lib.stride_tricks.sliding_window_view,
        "unstack": lambda x, axis=0: tuple(np.moveaxis(x, axis, 0)),
    }
    return SimpleNamespace(**{**names, **own})


NUMPY = _numpy()

X, A, B, V, S = normal(2, 3, 4), normal(3, 4), normal(4, 2), normal(4), regular(2, 3, 3)
D = distinct(2, 3, 4)
ZEROS = np.array([[2.0, 0.0, 3.0], [0.0, -1.5, 0.0], [1.0, 2.0, -0.5], [0.0, 0.0, 0.0]])
AT = np.array([[0, 2, 1, 1]])
WIDTHS = ((1, 2), (0, 3))

CASES: dict[str, tuple[Callable[..., Any], Sequence[Array]]] = {
    # shape
    "squeeze": (lambda m, x: m.squeeze(x[:, None, :1]), (X,)),
    "squeeze, one axis": (lambda m, x: m.squeeze(x[:, :, None, :1], axis=-2), (X,)),
    "expand_dims": (lambda m, x: m.expand_dims(x, (0, -1)), (A,)),
    "ravel": (lambda m, x: m.ravel(x), (X,)),
    "moveaxis": (lambda m, x: m.moveaxis(x, (0, 2), (1, 0)), (X,)),
    "atleast_1d": (lambda m, x: m.atleast_1d(x[0]), (V,)),
    "atleast_2d": (lambda m, x: m.atleast_2d(x), (V,)),
    "atleast_3d": (lambda m, x: m.atleast_3d(x), (V,)),
    "atleast_3d, matrix": (lambda m, x: m.atleast_3d(x), (A,)),
    "broadcast_arrays": (lambda m, a, b: m.broadcast_arrays(a, b[:, None])[1] * 2.0, (V, A[:, 0])),
    "take": (lambda m, x: m.take(x, np.array([[1, 0], [1, -1]]), 1), (X,)),
    "take, all entries": (lambda m, x: m.take(x, [3, 3, 5]), (A,)),
    "take_along_axis": (lambda m, x: m.take_along_axis(x, AT, 0), (A,)),
    "take_along_axis, broadcast": (lambda m, x: m.take_along_axis(x, np.array([[1, 2]]), 1), (A,)),
    "take_along_axis, all entries": (lambda m, x: m.take_along_axis(x, np.array([1, 1]), None), (A,)),
    # another order, or several times
    "flip": (lambda m, x: m.flip(x, (0, -1)), (X,)),
    "flip, all axes": (lambda m, x: m.flip(x), (X,)),
    "fliplr": (lambda m, x: m.fliplr(x), (X,)),
    "flipud": (lambda m, x: m.flipud(x), (X,)),
    **{f"rot90, {k} times": (lambda m, x, k=k: m.rot90(x, k, (2, 0)), (X,)) for k in (-1, 0, 1, 2)},
    "roll": (lambda m, x: m.roll(x, (1, -2), (0, 2)), (X,)),
    "roll, all entries": (lambda m, x: m.roll(x, 5), (A,)),
    "sliding_window_view": (lambda m, x: m.sliding_window_view(x, (2, 3), (0, 2)), (X,)),
    "sliding_window_view, all axes": (lambda m, x: m.sliding_window_view(x, (2, 2)), (A,)),
    "repeat": (lambda m, x: m.repeat(x, 2, 1), (X,)),
    "repeat, counts": (lambda m, x: m.repeat(x, [0, 2, 1], 0), (A,)),
    "repeat, all entries": (lambda m, x: m.repeat(x, 3), (A,)),
    "tile": (lambda m, x: m.tile(x, (2, 1, 2)), (A,)),
    "tile, a number": (lambda m, x: m.tile(x, 2), (X,)),
    "pad, one width": (lambda m, x: m.pad(x, 1), (A,)),
    **{
        f"pad, {mode}": (lambda m, x, mode=mode: m.pad(x, WIDTHS, mode), (A,))
        for mode in ("constant", "edge", "reflect", "symmetric", "wrap")
    },
    "pad, wide": (lambda m, x: m.pad(x, (7, 9), "reflect"), (V,)),
    # joints and parts
    "hstack": (lambda m, a, b: m.hstack([a, b]), (V, A[0])),
    "hstack, matrices": (lambda m, a, b: m.hstack((a, b[:3])), (A, B)),
    "vstack": (lambda m, a, b: m.vstack([a, b]), (V, A)),
    "dstack": (lambda m, a, b: m.dstack([a, b]), (A, A + 1)),
    "column_stack": (lambda m, a, b: m.column_stack([a, b]), (V, B)),
    "split": (lambda m, x: m.hstack([p * p for p in m.split(x, 2, 1)]), (A,)),
    "split, places": (lambda m, x: m.split(x, [1, 3], -1)[1], (A,)),
    "array_split": (lambda m, x: m.hstack([p[:1] for p in m.array_split(x, 2)]), (A,)),
    "unstack": (lambda m, x: m.unstack(x, 1)[2] * m.unstack(x, 1)[0], (X,)),
    # matrices
    "tril": (lambda m, x: m.tril(x, 1), (X,)),
    "triu": (lambda m, x: m.triu(x, -1), (X,)),
    **{f"diagonal, {k}": (lambda m, x, k=k: m.diagonal(x, k, 2, 0), (X,)) for k in (-3, -1, 0, 1, 5)},
    **{f"diag, vector, {k}": (lambda m, x, k=k: m.diag(x, k), (V,)) for k in (-2, 0, 1)},
    "diag, matrix": (lambda m, x: m.diag(x, -1), (A,)),
    "trace": (lambda m, x: m.trace(x, 1, 0, 2), (X,)),
    "outer": (lambda m, a, b: m.outer(a, b), (A, V)),
    "dot": (lambda m, a, b: m.dot(a, b), (X, B)),
    "dot, three axes": (lambda m, a, b: m.dot(a, b), (A, normal(2, 4, 2))),
    "dot, vectors": (lambda m, a, b: m.dot(a, b), (V, A[1])),
    "dot, a number": (lambda m, a, b: m.dot(a[0], b), (V, A)),
    "inner": (lambda m, a, b: m.inner(a, b), (X, A)),
    "vdot": (lambda m, a, b: m.vdot(a, b), (A, B.reshape(2, 4).repeat(6).reshape(4, 12)[:, :3])),
    "tensordot": (lambda m, a, b: m.tensordot(a, b, ([2, 1], [1, 0])), (X, A)),
    "tensordot, outer": (lambda m, a, b: m.tensordot(a, b, 0), (V, B)),
    "tensordot, two": (lambda m, a, b: m.tensordot(a, b), (X, normal(3, 4, 2))),
    "kron": (lambda m, a, b: m.kron(a, b), (A[:2, :2], B)),
    "kron, a vector": (lambda m, a, b: m.kron(a, b), (A[:2, :2], V)),
    # reductions
    "std": (lambda m, x: m.std(x, (0, 2)), (X,)),
    "std, ddof": (lambda m, x: m.std(x, axis=1, ddof=1, keepdims=True), (X,)),
    "var, ddof": (lambda m, x: m.var(x, axis=(0, 1), ddof=2), (X,)),
    "ptp": (lambda m, x: m.ptp(x, 1), (D,)),
    "average": (lambda m, x: m.average(x, 1), (X,)),
    "average, weights": (lambda m, x, w: m.average(x, weights=w * w), (A, A + 3)),
    "average, along an axis": (lambda m, x, w: m.average(x, axis=-1, weights=w * w), (X, V)),
    "prod": (lambda m, x: m.prod(x, (0, 2), keepdims=True), (X,)),
    "prod, zeros": (lambda m, x: m.prod(x, 1), (ZEROS,)),
    "prod, all": (lambda m, x: m.prod(x), (V,)),
    "cumsum": (lambda m, x: m.cumsum(x, 1), (X,)),
    "cumsum, all": (lambda m, x: m.cumsum(x), (A,)),
    "cumprod": (lambda m, x: m.cumprod(x, 1), (X,)),
    "cumprod, zeros": (lambda m, x: m.cumprod(x, -1), (ZEROS,)),
    "cumprod, all": (lambda m, x: m.cumprod(x), (A[:2],)),
    "diff": (lambda m, x: m.diff(x, 2), (X,)),
    "diff, axis": (lambda m, x: m.diff(x, axis=0), (X,)),
    # order
    "sort": (lambda m, x: m.sort(x, 1), (D,)),
    "sort, all": (lambda m, x: m.sort(x, None), (D,)),
    "topk": (lambda m, x: m.topk(x, 2, 1).values, (D,)),
    "topk, smallest": (lambda m, x: m.topk(x, 3, largest=False).values, (D,)),
    "median": (lambda m, x: m.median(x, (0, 2)), (D,)),
    "median, odd": (lambda m, x: m.median(x, 1, keepdims=True), (D,)),
    # linear algebra
    "inv": (lambda m, x: m.inv(x), (S,)),
    "solve": (lambda m, a, b: m.solve(a, b), (S, normal(2, 3, 2))),
    "solve, a vector": (lambda m, a, b: m.solve(a, b), (S, normal(3))),
    "solve, broadcast": (lambda m, a, b: m.solve(a, b), (S[0], normal(2, 3, 1))),
    "det": (lambda m, x: m.det(x), (S,)),
    "slogdet": (lambda m, x: m.slogdet(x).logabsdet, (S,)),
    **{f"matrix_power, {n}": (lambda m, x, n=n: m.matrix_power(x, n), (S,)) for n in (-2, 1, 3, 4, 7)},
    # Einstein's summation
    **{
        f"einsum, {formula}": (lambda m, *xs, formula=formula: m.einsum(formula, *xs), [normal(*s) for s in shapes])
        for formula, shapes in {
            "ij,jk->ik": ((2, 3), (3, 4)),
            "ij,jk": ((2, 3), (3, 4)),
            "ba": ((2, 3),),
            "ii": ((3, 3),),
            "ii->i": ((3, 3),),
            "iij->j": ((2, 2, 3),),
            "iii": ((2, 2, 2),),
            "ij->": ((2, 3),),
            "nk,nk->n": ((2, 3), (2, 3)),
            "i,j->ij": ((2,), (3,)),
            "bij,bjk->bik": ((2, 2, 3), (2, 3, 2)),
            "...ij,...jk->...ik": ((2, 1, 2, 3), (3, 3, 2)),
            "...i,...i": ((2, 3), (3,)),
            "...ii->...i": ((2, 3, 3),),
            "i...->...": ((2, 3),),
            "ij,jk,kl->il": ((2, 3), (3, 2), (2, 3)),
            "ij,kl,ik->jl": ((2, 3), (2, 2), (2, 2)),
            "i,i,i->": ((3,), (3,), (3,)),
            "ij,k->i": ((2, 3), (2,)),
            "ij,ij->ij": ((2, 3), (1, 3)),
            ",ij->ji": ((), (2, 3)),
            "ij,j->ij": ((2, 3), (3,)),
            "iij,jkk->ik": ((2, 2, 3), (3, 2, 2)),
        }.items()
    },
}  # fmt: skip

# Integers, bools or places come out of these: there is no derivative.
PLACES: dict[str, tuple[Callable[..., Any], Sequence[Array]]] = {
    "any": (lambda m, x: m.any(x > 0.5, (0, 2)), (X,)),
    "all": (lambda m, x: m.all(x > -0.5, -1, keepdims=True), (X,)),
    "count_nonzero": (lambda m, x: m.count_nonzero(x, 1), (ZEROS,)),
    "argmax, keepdims": (lambda m, x: m.argmax(x, 1, keepdims=True), (D,)),
    "argmin": (lambda m, x: m.argmin(x, 1), (D,)),
    "argmin, all": (lambda m, x: m.argmin(x), (D,)),
    "argsort": (lambda m, x: m.argsort(x, 1), (D,)),
    "argsort, all": (lambda m, x: m.argsort(x, None), (D,)),
    "topk, places": (lambda m, x: m.topk(x, 2, 0).indices, (D,)),
    "searchsorted": (lambda m, x, v: m.searchsorted(x, v, "right"), (np.arange(3.0), np.array([[1.0], [0.5], [7.0]]))),
    "slogdet, sign": (lambda m, x: m.slogdet(x).sign, (S,)),
}
