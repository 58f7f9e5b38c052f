"""Checking derivations made by hand: of a vector-Jacobian product, a Jacobian, or a double backward."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tinygrad2.autodiff import Tensor
from tinygrad2.kernels import Array, to_numpy
from tinygrad2.verify.problem import (
    Function,
    Rule,
    Wrt,
    double_problem,
    first_order_of,
    jacobian_problem,
    partial,
    vjp_problem,
)
from tinygrad2.verify.report import Report
from tinygrad2.verify.run import run, tell_inherited
from tinygrad2.verify.space import AnySpace, Draw, Examples, Space


def check_vjp(
    f: Function,
    vjp: Rule,
    *inputs: Tensor | ArrayLike,
    axes: str | None = None,
    params: Mapping[str, Sequence[Any]] | None = None,
    sizes: Mapping[str, tuple[int, int]] | None = None,
    draws: Mapping[int, Draw] | None = None,
    valid: Callable[..., bool] | None = None,
    order: int = 1,
    wrt: Wrt = None,
    seed: int = 0,
    name: str | None = None,
) -> Report:
    """Check a vector-Jacobian product derived by hand. The report says whether it is right; if not, where and why.

    f(*inputs, **params) -> one array, in NumPy or in Tensors. vjp(g, *inputs, **params): g has the shape of f's result;
    vjp returns one cotangent per floating input, each of its input's shape (a tuple, or bare where there is one input).
    inputs: values, which are checked first, then values around them, then drawn ones of their size. Or
    axes="n c h w, o c kh kw": names of the axes of every input; their sizes are drawn, and equal names stay equal.
    wrt: the inputs to check, by name or number, where the rule does not claim all; vjp may return those alone.
    params: the values to try of f's parameters, the simplest first. sizes, draws, valid: see Space.
    order=2: a vjp written in Tensors is differentiated too. seed: of the random points. name: for the report.
    Raises ValueError and TypeError where the checker is used wrongly, or where f cannot be evaluated.

    >>> import numpy as np
    >>> from tinygrad2.verify import check_vjp
    >>> check_vjp(np.tanh, lambda g, x: g * (1 - np.tanh(x) ** 2), axes="n d").ok
    True
    >>> report = check_vjp(np.tanh, lambda g, x: -g * (1 - np.tanh(x) ** 2), np.ones(3))
    >>> report.mistakes, report.failed
    (['sign'], 'adjoint')
    """
    space = _space(inputs, axes, params, sizes, draws, valid)
    return run(partial(vjp_problem(f, vjp, space, name), wrt), seed=seed, order=order)


def check_jacobian(
    f: Function,
    jacobian: Callable[..., Any],
    *inputs: Tensor | ArrayLike,
    axes: str | None = None,
    params: Mapping[str, Sequence[Any]] | None = None,
    sizes: Mapping[str, tuple[int, int]] | None = None,
    draws: Mapping[int, Draw] | None = None,
    valid: Callable[..., bool] | None = None,
    wrt: str | int | None = None,
    seed: int = 0,
    name: str | None = None,
) -> Report:
    """Check a Jacobian derived by hand: jacobian(*inputs, **params) -> shape (y.size, x.size), or y.shape + x.shape.

    x is f's first floating input, or the one that wrt names; y its result. Everything else is as in check_vjp.

    >>> import numpy as np
    >>> from tinygrad2.verify import check_jacobian
    >>> a = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    >>> check_jacobian(lambda x: a @ x, lambda x: a, np.ones(2)).ok
    True
    >>> check_jacobian(lambda x: a @ x, lambda x: a.T, np.ones(2)).mistakes
    ['transpose']
    """
    space = _space(inputs, axes, params, sizes, draws, valid)
    return run(jacobian_problem(f, jacobian, space, name, wrt), seed=seed)


def check_double_vjp(
    f: Function,
    double_vjp: Callable[..., Any],
    *inputs: Tensor | ArrayLike,
    vjp: Rule | None = None,
    axes: str | None = None,
    params: Mapping[str, Sequence[Any]] | None = None,
    sizes: Mapping[str, tuple[int, int]] | None = None,
    draws: Mapping[int, Draw] | None = None,
    valid: Callable[..., bool] | None = None,
    wrt: Wrt = None,
    seed: int = 0,
    name: str | None = None,
) -> Report:
    """Check a double backward: double_vjp(g, u, *inputs, **params) -> one cotangent per floating input, then one for g.

    It is the vector-Jacobian product of the function (inputs, g) ↦ Jᵀg of f. u is the cotangent of that function's
    result: of the input's shape, or a tuple for several inputs.
    vjp: your own first-order rule; a mistake that was inherited from it is then told from a new one. Everything else is
    as in check_vjp.

    >>> import numpy as np
    >>> from tinygrad2.verify import check_double_vjp
    >>> check_double_vjp(lambda x: x**3, lambda g, u, x: (6 * x * g * u, 3 * x * x * u), np.ones(2)).ok
    True
    """
    space = _space(inputs, axes, params, sizes, draws, valid)
    problem = partial(double_problem(f, double_vjp, space, name), wrt)
    report = run(problem, seed=seed)
    if report.verdict != "wrong" or vjp is None:
        return report
    first = run(vjp_problem(f, vjp, space, name), seed=seed)
    tell_inherited(report, first)
    own = replace(problem, f=first_order_of(vjp), second_order=False)
    if first.verdict == "wrong" and run(own, seed=seed).ok:
        report.notes.append("your double backward is the right derivative of your own, wrong, first-order rule")
    return report


def _space(
    inputs: Sequence[Tensor | ArrayLike],
    axes: str | None,
    params: Mapping[str, Sequence[Any]] | None,
    sizes: Mapping[str, tuple[int, int]] | None,
    draws: Mapping[int, Draw] | None,
    valid: Callable[..., bool] | None,
) -> AnySpace:
    """The cases that the arguments of a check declare."""
    if (axes is None) == (not inputs):
        raise ValueError("give either example inputs, or axes such as axes='n c h w, o c kh kw'")
    if axes is not None:
        return Space(axes, params or {}, sizes or {}, draws or {}, *([valid] if valid else []))
    arrays = [as_array(x, i) for i, x in enumerate(inputs)]
    return Examples(arrays, params or {})


def as_array(x: Tensor | ArrayLike, i: int) -> Array:
    """An example input as an array; a list of numbers is one array. TypeError where it is none."""
    try:
        a = to_numpy(x.array) if isinstance(x, Tensor) else np.asarray(x)
    except ValueError as error:
        raise TypeError(f"example input {i} cannot be read as one array: {error}") from None
    if a.dtype.kind not in "fiub":
        raise TypeError(f"example input {i} must be an array of numbers, got {type(x).__name__} ({a.dtype})")
    return a
