"""The functions on whole arrays beside PyTorch's: (ours, PyTorch's, the shapes). The tests compare the squares."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from tinygrad2 import Tensor, ops

F = torch.nn.functional
M, X, S = (3, 4), (2, 3, 4), (2, 3, 3)
ROWS = np.array([[2, 0, 2], [1, 1, 0]])
PARTS = (1, 3)


def shifted(x: Any) -> Any:
    """A matrix that is far from singular: 3 is added to the diagonal."""
    if isinstance(x, Tensor):
        return x + Tensor(3 * np.eye(3))
    return x + 3 * torch.eye(3, dtype=torch.float64)


def joined(f: Callable[..., Any], g: Callable[..., Any], *shapes: tuple[int, ...]) -> tuple[Any, Any, Any]:
    """A function of a list of tensors."""
    return lambda *xs: f(xs), lambda *ts: g(ts), shapes


ARRAYS: dict[str, tuple[Callable[..., Any], Callable[..., Any], tuple[tuple[int, ...], ...]]] = {
    "squeeze": (lambda x: ops.squeeze(x, 1), lambda x: x.squeeze(1), ((3, 1, 4),)),
    "expand_dims": (lambda x: ops.expand_dims(x, 1), lambda x: x.unsqueeze(1), (M,)),
    "ravel": (ops.ravel, torch.ravel, (M,)),
    "moveaxis": (lambda x: ops.moveaxis(x, (0, 1), (2, 0)), lambda x: x.movedim((0, 1), (2, 0)), (X,)),
    "atleast_1d": (ops.atleast_1d, torch.atleast_1d, ((),)),
    "atleast_2d": (ops.atleast_2d, torch.atleast_2d, ((4,),)),
    "atleast_3d": (ops.atleast_3d, torch.atleast_3d, (M,)),
    "broadcast_arrays": (
        lambda a, b: ops.stack(ops.broadcast_arrays(a, b)),
        lambda a, b: torch.stack(torch.broadcast_tensors(a, b)),
        ((3, 1), (4,)),
    ),
    "take": (lambda x: ops.take(x, ROWS), lambda x: x.take(torch.tensor(ROWS)), (M,)),
    "take axis": (lambda x: ops.take(x, ROWS[0], 1), lambda x: x.index_select(1, torch.tensor(ROWS[0])), (M,)),
    "take_along_axis": (
        lambda x: ops.take_along_axis(x, ROWS, 1),
        lambda x: torch.take_along_dim(x, torch.tensor(ROWS), 1),
        ((2, 3),),
    ),
    "take_along_axis broadcast": (
        lambda x: ops.take_along_axis(x, ROWS[:1], 1),
        lambda x: torch.take_along_dim(x, torch.tensor(ROWS[:1]), 1),
        ((2, 3),),
    ),
    "flip": (lambda x: ops.flip(x, (0, 2)), lambda x: x.flip((0, 2)), (X,)),
    "fliplr": (ops.fliplr, torch.fliplr, (M,)),
    "flipud": (ops.flipud, torch.flipud, (M,)),
    "rot90": (lambda x: ops.rot90(x, 3, (1, 2)), lambda x: x.rot90(3, (1, 2)), (X,)),
    "sliding_window_view": (
        lambda x: ops.sliding_window_view(x, (2, 2), (0, 2)), lambda x: x.unfold(0, 2, 1).unfold(2, 2, 1), (X,),
    ),
    "roll": (lambda x: ops.roll(x, (1, -2), (0, 2)), lambda x: x.roll((1, -2), (0, 2)), (X,)),
    "repeat": (lambda x: ops.repeat(x, 3, 1), lambda x: x.repeat_interleave(3, 1), (X,)),
    "repeat counts": (
        lambda x: ops.repeat(x, [0, 2, 1], 0),
        lambda x: x.repeat_interleave(torch.tensor([0, 2, 1]), 0),
        (M,),
    ),
    "tile": (lambda x: ops.tile(x, (2, 1, 3)), lambda x: x.tile((2, 1, 3)), (M,)),
    **{
        f"pad {theirs}": (
            lambda x, mode=mode: ops.pad(x, ((0, 0), (0, 0), (1, 2), (3, 0)), mode),
            lambda x, mode=theirs: F.pad(x, (3, 0, 1, 2), mode=mode),
            ((2, 3, 4, 4),),
        )
        for mode, theirs in (("reflect", "reflect"), ("edge", "replicate"), ("wrap", "circular"))
    },
    "hstack": joined(ops.hstack, torch.hstack, (3, 2), (3, 4)),
    "vstack": joined(ops.vstack, torch.vstack, (4,), (3, 4)),
    "dstack": joined(ops.dstack, torch.dstack, (3, 4), (3, 4)),
    "column_stack": joined(ops.column_stack, torch.column_stack, (3,), (3, 4)),
    "split": (lambda x: ops.split(x, PARTS, 1)[1], lambda x: x.tensor_split(PARTS, 1)[1], (M,)),
    "array_split": (lambda x: ops.array_split(x, 3, 1)[0], lambda x: x.tensor_split(3, 1)[0], (M,)),
    "unstack": (lambda x: ops.unstack(x, 1)[2], lambda x: x.unbind(1)[2], (X,)),
    "tril": (lambda x: ops.tril(x, -1), lambda x: x.tril(-1), (X,)),
    "triu": (lambda x: ops.triu(x, 1), lambda x: x.triu(1), (X,)),
    "diagonal": (lambda x: ops.diagonal(x, 1, 2, 0), lambda x: x.diagonal(1, 2, 0), (X,)),
    "diag": (lambda x: ops.diag(x, -1), lambda x: x.diag(-1), ((4,),)),
    "diag matrix": (lambda x: ops.diag(x, 1), lambda x: x.diag(1), (M,)),
    "trace": (ops.trace, torch.trace, (M,)),
    "outer": (ops.outer, torch.outer, ((3,), (4,))),
    "dot": (ops.dot, torch.dot, ((4,), (4,))),
    "dot many axes": (ops.dot, lambda a, b: torch.tensordot(a, b, ([2], [1])), (X, (2, 4, 5))),
    "inner": (ops.inner, torch.inner, (X, M)),
    "vdot": (ops.vdot, torch.vdot, ((4,), (4,))),
    "tensordot": (
        lambda a, b: ops.tensordot(a, b, ([2, 0], [1, 0])),
        lambda a, b: torch.tensordot(a, b, ([2, 0], [1, 0])),
        (X, (2, 4, 5)),
    ),
    "kron": (ops.kron, torch.kron, (M, (2, 3))),
    "std": (lambda x: ops.std(x, (0, 2)), lambda x: x.std((0, 2), correction=0), (X,)),
    "std ddof": (lambda x: ops.std(x, 1, ddof=1), lambda x: x.std(1), (X,)),
    "var ddof": (lambda x: ops.var(x, 1, ddof=1), lambda x: x.var(1), (X,)),
    "ptp": (lambda x: ops.ptp(x, 1), lambda x: x.amax(1) - x.amin(1), (X,)),
    "average": (
        lambda x, w: ops.average(x, 1, w * w),
        lambda x, w: (x * w * w).sum(1) / (w * w).sum(1),
        (M, M),
    ),
    "prod": (lambda x: ops.prod(x, 1), lambda x: x.prod(1), (X,)),
    "prod all": (ops.prod, torch.prod, (M,)),
    "cumsum": (lambda x: ops.cumsum(x, 1), lambda x: x.cumsum(1), (X,)),
    "cumprod": (lambda x: ops.cumprod(x, 1), lambda x: x.cumprod(1), (X,)),
    "diff": (lambda x: ops.diff(x, 2, 1), lambda x: x.diff(2, 1), (X,)),
    "sort": (lambda x: ops.sort(x, 1), lambda x: x.sort(1).values, (X,)),
    "topk": (lambda x: ops.topk(x, 2, 1).values, lambda x: x.topk(2, 1).values, (X,)),
    "topk smallest": (
        lambda x: ops.topk(x, 3, largest=False).values,
        lambda x: x.topk(3, largest=False).values,
        (X,),
    ),
    "median": (lambda x: ops.median(x, 1), lambda x: x.median(1).values, (X,)),
    "inv": (lambda x: ops.inv(shifted(x)), lambda x: torch.linalg.inv(shifted(x)), (S,)),
    "solve": (
        lambda a, b: ops.solve(shifted(a), b),
        lambda a, b: torch.linalg.solve(shifted(a), b),
        (S, (2, 3, 2)),
    ),
    "solve vector": (
        lambda a, b: ops.solve(shifted(a), b),
        lambda a, b: torch.linalg.solve(shifted(a), b),
        ((3, 3), (3,)),
    ),
    "det": (lambda x: ops.det(shifted(x)), lambda x: torch.linalg.det(shifted(x)), (S,)),
    "slogdet": (
        lambda x: ops.slogdet(shifted(x)).logabsdet,
        lambda x: torch.linalg.slogdet(shifted(x)).logabsdet,
        (S,),
    ),
    **{
        f"matrix_power {n}": (
            lambda x, n=n: ops.matrix_power(shifted(x), n),
            lambda x, n=n: torch.linalg.matrix_power(shifted(x), n),
            (S,),
        )
        for n in (-2, 1, 3, 5)
    },
    **{
        f"einsum {formula}": (
            lambda *xs, formula=formula: ops.einsum(formula, *xs),
            lambda *ts, formula=formula: torch.einsum(formula, *ts),
            shapes,
        )
        for formula, shapes in {
            "ij,jk->ik": ((2, 3), (3, 4)),
            "ba": ((2, 3),),
            "ii->i": ((3, 3),),
            "...ij,...jk->...ik": ((2, 1, 2, 3), (3, 3, 2)),
            "nk,nk->n": ((2, 3), (2, 3)),
            "ij,jk,kl->il": ((2, 3), (3, 2), (2, 3)),
            "bhqd,bhkd->bhqk": ((2, 2, 3, 4), (2, 2, 3, 4)),
        }.items()
    },
}  # fmt: skip

# Integers and bools, of which there is no derivative.
PLACES = {"all", "any", "argmin", "argsort", "count_nonzero", "searchsorted"}
