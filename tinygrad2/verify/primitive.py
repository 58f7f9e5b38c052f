"""A primitive and its rules, in both orders, against its plain array function."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tinygrad2.autodiff import Primitive, Tensor, autograd
from tinygrad2.kernels import Array
from tinygrad2.verify.check import check_vjp
from tinygrad2.verify.gradcheck import GradReport, gradgradcheck
from tinygrad2.verify.problem import Function
from tinygrad2.verify.report import Report
from tinygrad2.verify.run import SECOND

MOVES = 4  # points tried where the first lies on a kink


def verify_primitive(primitive: Primitive, *inputs: ArrayLike, constants: Sequence[Any] = (), seed: int = 0) -> Report:
    """Check the rules of a primitive, in both orders, against its plain array function.

    inputs: example arrays, one per tensor argument; they fix the shapes. constants: the arguments that follow them.
    Returns a Report, as check_vjp does, with the same errors.

    >>> import numpy as np
    >>> from tinygrad2 import ops
    >>> from tinygrad2.verify import verify_primitive
    >>> verify_primitive(ops.tanh, np.ones((2, 3))).ok
    True
    """

    def rule(g: Array, *xs: Array) -> tuple[Array, ...]:
        leaves = [Tensor(a, requires_grad=np.asarray(a).dtype.kind == "f") for a in xs]
        wanted = [t for t in leaves if t.requires_grad]
        y = primitive(*leaves, *constants)
        if not y.requires_grad:
            return tuple(np.zeros(t.shape, t.dtype) for t in wanted)
        grads = autograd.grad(y, wanted, Tensor(np.asarray(g, y.dtype)), allow_unused=True)
        pairs = zip(wanted, grads, strict=True)
        return tuple(np.zeros(t.shape, t.dtype) if c is None else c.numpy() for t, c in pairs)

    report = check_vjp(lambda *xs: primitive.fn(*xs, *constants), rule, *inputs, seed=seed, name=primitive.name)
    if not report.ok:
        return report
    second = _away_from_kinks(lambda *xs: primitive(*xs, *constants), inputs, seed)
    report.steps += 1
    if second.ok:
        report.passed.append(SECOND)
        return report
    report.ok = False
    if second.reason is not None:
        report.reason = f"order 2: {second.reason}"
        return report
    report.failed = SECOND
    report.finding = f"the rules are right, but their own derivative is not. {second.lines[0]}"
    report.mistakes = ["second-order"]
    report.diagnosis = "The first order is right, the second is not: a rule detaches, or hides a value in a constant."
    return report


def _away_from_kinks(f: Function, inputs: Sequence[ArrayLike], seed: int) -> GradReport:
    """gradgradcheck at the inputs, or a little beside them where they lie on a kink."""
    rng = np.random.default_rng(seed)
    moved = [np.asarray(a) for a in inputs]
    for _ in range(MOVES):
        report = gradgradcheck(f, *moved, seed=seed)
        if report.verdict != "uncertified":
            return report
        moved = [a + 0.01 * rng.standard_normal(a.shape) if a.dtype.kind == "f" else a for a in moved]
    return report
