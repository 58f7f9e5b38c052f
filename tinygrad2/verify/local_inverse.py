"""What people take for the rules of a matrix's inverse, of the solution of a linear system, and of determinants.

And where people take an inverse for the rule of a product.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from tinygrad2.kernels import Array
from tinygrad2.verify.tracing import Step

Wrong = tuple[str, str, Callable[[Array], Array]]  # the mistake, what was done, and the wrong rule


def t(x: Array) -> Array:
    """The transposed matrices."""
    return np.swapaxes(x, -1, -2)


def of_inverse(step: Step, i: int) -> Iterator[Wrong]:
    """The wrong rules for argument i of inv, solve, det, logdet and of products; none for another call."""
    if step.op.name == "inv":
        yield from _of_inv(t(step.inputs[0]), t(step.out))
    if step.op.name == "solve":
        a, b = step.inputs
        if b.ndim == a.ndim - 1:
            for mistake, text, rule in _of_solve(a, b[..., None], step.out[..., None], i):
                yield mistake, text, _of_column(rule, i == 1)
        else:
            yield from _of_solve(a, b, step.out, i)
    if step.op.name in ("det", "logdet"):
        size = step.out if step.op.name == "det" else np.ones(step.out.shape)
        yield from _of_det(step.inputs[0], size[..., None, None])
    if step.op.name in ("matmul", "linear") and min(a.ndim for a in step.inputs) >= 2:
        a, b = step.inputs
        right = t(b) if step.op.name == "linear" else b
        yield from _of_product(a, right, i, step.op.name == "linear")


def _of_product(a: Array, b: Array, i: int, transposed: bool) -> Iterator[Wrong]:
    """y = a b. transposed: argument 1 is bᵀ."""
    text = "the pseudo-inverse of the other factor stands where its transpose should"
    if i == 0:
        yield "inverse", text, lambda g: g @ np.linalg.pinv(b)
    elif transposed:
        yield "inverse", text, lambda g: t(np.linalg.pinv(a) @ g)
    else:
        yield "inverse", text, lambda g: np.linalg.pinv(a) @ g


def _of_inv(a: Array, y: Array) -> Iterator[Wrong]:
    """a, y: the matrix and its inverse, both transposed."""
    right = "(right: -Yᵀ g Yᵀ, where Y is the inverse)"
    yield "missing-factor", f"the inverse on the left is missing {right}", lambda g: -g @ y
    yield "missing-factor", f"the inverse on the right is missing {right}", lambda g: -y @ g
    yield "missing-factor", f"both inverses are missing {right}", lambda g: -g
    yield "transpose", f"both inverses stand on the left of g {right}", lambda g: -y @ y @ g
    yield "transpose", f"both inverses stand on the right of g {right}", lambda g: -g @ y @ y
    yield "inverse", f"the matrix itself stands where its inverse should {right}", lambda g: -a @ g @ a
    yield "transpose", f"the inverses are not transposed {right}", lambda g: -t(y) @ g @ t(y)
    yield "transpose", f"the cotangent is transposed {right}", lambda g: -y @ t(g) @ y
    yield "elementwise", f"the inverse is treated as 1/x of every entry {right}", lambda g: -g * t(y) * t(y)


def _of_solve(a: Array, b: Array, x: Array, i: int) -> Iterator[Wrong]:
    """x = A⁻¹b: the cotangent of b is A⁻ᵀg, that of A is -A⁻ᵀg xᵀ."""
    y = np.linalg.inv(a)
    if i == 1:
        right = "(right: A⁻ᵀ g)"
        yield "inverse", f"g is multiplied by Aᵀ in place of solved with it {right}", lambda g: t(a) @ g
        yield "inverse", f"g is multiplied by A in place of solved with Aᵀ {right}", lambda g: a @ g
        yield "transpose", f"A is not transposed {right}", lambda g: y @ g
        return
    right = "(right: -A⁻ᵀ g xᵀ)"
    yield "missing-factor", f"g stands there unsolved {right}", lambda g: -g @ t(x)
    yield "transpose", f"A is not transposed {right}", lambda g: -y @ g @ t(x)
    yield "wrong-operand", f"b stands where the solution x should {right}", lambda g: -t(y) @ g @ t(b)
    yield "transpose", f"the product is transposed {right}", lambda g: -x @ t(t(y) @ g)


def _of_column(rule: Callable[[Array], Array], column: bool) -> Callable[[Array], Array]:
    """A rule for matrices of one column as a rule for vectors. column: its result is one too."""
    return lambda g: rule(g[..., None])[..., 0] if column else rule(g[..., None])


def _of_det(a: Array, size: Array) -> Iterator[Wrong]:
    y = np.linalg.inv(a)
    yield "transpose", "the inverse is not transposed", lambda g: g[..., None, None] * size * y
    yield "inverse", "the matrix stands where its inverse should", lambda g: g[..., None, None] * size * t(a)
    yield "inverse", "the transposed matrix stands where its inverse should", lambda g: g[..., None, None] * size * a
    yield "missing-factor", "the determinant is missing", lambda g: g[..., None, None] * t(y)
