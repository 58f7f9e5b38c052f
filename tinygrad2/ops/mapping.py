"""A function of one sample as a function of a batch: called for each slice, with the results stacked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

from tinygrad2.autodiff import Tensor
from tinygrad2.autodiff.tree import flatten
from tinygrad2.ops.shape import as_tensor, index, position, stack

Axis = int | None


def vmap(f: Callable[..., Any], in_axes: Axis | Sequence[Axis] = 0, out_axes: int = 0) -> Callable[..., Any]:
    """The function that calls f for each slice of its arguments along an axis, and stacks the results.

    f: takes and returns tensors of any shapes, or nested tuples, lists and dicts of them.
    in_axes: the axis of all arguments, or one for each; None gives f the whole argument every time.
    out_axes: where the new axis stands in the results.

    It is a loop: N slices take the time of N calls, as a comprehension would. What f does is not limited by that, and
    derivatives of every order pass through. A function that takes the whole batch at once is faster.
    Raises ValueError where the sizes along the axes differ, or are 0.

    >>> per_sample = tg.vmap(tg.grad(lambda x: (x * x).sum()))
    >>> per_sample(tg.Tensor([[1.0, 2.0], [3.0, 4.0]]))
    Tensor([[2., 4.],
            [6., 8.]], float64)
    """

    @wraps(f)
    def run(*args: Any) -> Any:
        axes = tuple(in_axes) if isinstance(in_axes, Sequence) else (in_axes,) * len(args)
        if len(axes) != len(args):
            raise ValueError(f"vmap: in_axes names {len(axes)} axes, but there are {len(args)} arguments")
        slices = [
            _slices(arg, axis, f"vmap: argument {i}") for i, (arg, axis) in enumerate(zip(args, axes, strict=True))
        ]
        n = _common([size for size, _ in slices])
        results = [flatten(f(*[at(i) for _, at in slices])) for i in range(n)]
        _, rebuild = results[0]
        columns = zip(*[leaves for leaves, _ in results], strict=True)
        return rebuild(iter([_stacked(column, out_axes) for column in columns]))

    return run


def _slices(arg: Any, axis: Axis, who: str) -> tuple[int | None, Callable[[int], Any]]:
    """The size of the argument along the axis, and the function that gives its i-th slice; None for no axis."""
    if axis is None:
        return None, lambda i: arg
    leaves, rebuild = flatten(arg)
    tensors = [as_tensor(leaf) for leaf in leaves]
    keys = [(slice(None),) * position(axis, t.ndim, who) for t in tensors]
    sizes = [t.shape[len(key)] for t, key in zip(tensors, keys, strict=True)]
    return _common(sizes), lambda i: rebuild(iter([index(t, (*key, i)) for t, key in zip(tensors, keys, strict=True)]))


def _common(sizes: Sequence[int | None]) -> int:
    """The one size of the axes that are mapped over."""
    known = sorted({n for n in sizes if n is not None})
    if len(known) != 1 or known == [0]:
        raise ValueError(f"vmap: expected one size along all axes, at least 1; got {known or 'no axis'}")
    return known[0]


def _stacked(column: Sequence[Any], axis: int) -> Tensor:
    return stack([as_tensor(leaf) for leaf in column], axis)
