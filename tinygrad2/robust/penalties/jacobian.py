"""Penalties on the whole Jacobian J_kd = ∂z_k/∂x_d, exact: all K rows in one reverse pass, on the tape.

The entry-wise l1 norm is that of l1-norm double backpropagation (equation 3), the Frobenius norm that of Jacobian
regularisation (Jakubovitz & Giryes 2018, equations 5 and 6).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tinygrad2.autodiff import Tensor
from tinygrad2.nn import Sequential, Softmax, Trace
from tinygrad2.ops import abs, mean, sum
from tinygrad2.ops.reduce import root
from tinygrad2.robust.penalties.reduction import ENTRIES, classes, flat, pick

# Softmax is a layer of its own here: the rows of its Jacobian are the cotangents of the logits.
OUTPUTS: dict[str, Callable[[Trace], Tensor]] = {
    "logits": lambda trace: trace.jacobian(),
    "softmax": lambda trace: trace.reverse()(Softmax().trace(trace.output).jacobian()),
}

# Their squared norms, without J where the net begins with a wide Linear: (K, N), or with lead=0 the sum.
NORMS: dict[str, Callable[[Trace, int], Tensor]] = {
    "logits": lambda trace, lead: trace.jacobian_norms(lead),
    "softmax": lambda trace, lead: trace.reverse().squared_norms(Softmax().trace(trace.output).jacobian(), lead),
}

# Which axes of the squared norms (K, N) are needed, and the penalty that they make for a batch of n.
FROBENIUS: dict[str, tuple[int, Callable[[Tensor, int], Tensor]]] = {
    "root": (0, lambda squares, n: root(squares)),
    "mean": (2, lambda squares, n: mean(root(sum(squares, 0)))),
    "squares": (0, lambda squares, n: squares * (1.0 / n)),
}


def jacobian_l1(trace: Trace, *, on: str = "logits", mode: str = "corrected") -> Tensor:
    """‖J‖₁,₁ = Σ_k Σ_d |∂z_k/∂x_d|, the size of all K input gradients. l1-norm double backpropagation, equation 3.

    trace: of a net with logits (N, K); result: a scalar
    on: of "logits" z or of "softmax"(z)
    mode: "corrected" is the mean over the K·D entries and the batch; "printed" the sum over the entries, mean over the
        batch, which at the paper's λ prevents all learning. Beside a mean CE, λ_corrected = K·D·λ_printed.

    >>> robust.jacobian_l1(nn.Flatten().trace(np.array([[2.0, 1.0]]))).item()  # the Jacobian is the identity
    0.5
    """
    classes(trace)
    return pick(ENTRIES, mode, "mode")(abs(flat(trace, pick(OUTPUTS, on, "output")(trace))))


def jacobian_l1_cheap(trace: Trace, *, mode: str = "corrected") -> Tensor:
    """Σ_d |Σ_k ∂z_k/∂x_d|, a lower bound of ‖J‖₁,₁ for one cotangent of ones. The same paper, footnote 1.

    trace: of a net with logits (N, K); result: a scalar
    mode: "corrected" is the mean over the D entries and the batch, "printed" the sum over the entries, mean over the
        batch: λ_corrected = D·λ_printed.

    There is no form on softmax, whose outputs sum to 1: it would be 0 everywhere. Raises ValueError for such a network.

    >>> robust.jacobian_l1_cheap(nn.Flatten().trace(np.array([[2.0, 1.0]]))).item()  # the Jacobian is the identity
    1.0
    """
    n, k = classes(trace)
    if isinstance(last_layer(trace.net), Softmax):
        raise ValueError("Σ_k of a softmax is 1, so that this penalty is 0 everywhere: give it a network of logits")
    ones = np.ones((n, k), trace.output.dtype)
    return pick(ENTRIES, mode, "mode")(abs(flat(trace, trace.reverse()(ones))))


def jacobian_frobenius(trace: Trace, *, on: str = "logits", reduction: str = "root") -> Tensor:
    """‖J‖_F, one root over the whole batch, beside a sum of CE. Jacobian regularisation, equation 6.

    trace: of a net with logits (N, K); result: a scalar
    on: of "logits" z or of "softmax"(z)
    reduction: "root" is √(Σ_i ‖J_i‖_F²); "mean" is the mean over the batch of ‖J_i‖_F; "squares" that of ‖J_i‖_F².
        Beside a mean CE the paper's λ is λ_root = λ/N, and the effective one thus depends on N. root = √(N·squares), so
        at one point the same gradient comes from λ_squares = λ_root·N / (2·root); mean ≤ root/√N, with equality for
        equal ‖J_i‖.

    >>> round(robust.jacobian_frobenius(nn.Flatten().trace(np.array([[2.0, 1.0]]))).item(), 3)  # J is the identity
    1.414
    """
    classes(trace)
    lead, of = pick(FROBENIUS, reduction, "reduction")
    return of(pick(NORMS, on, "output")(trace, lead), len(trace.output))


def last_layer(net: object) -> object:
    """The last layer of nested Sequentials."""
    while isinstance(net, Sequential) and len(net):
        net = net[-1]
    return net
