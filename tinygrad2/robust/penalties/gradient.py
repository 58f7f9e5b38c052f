"""Penalties on one cotangent: input gradients of the cross-entropy (double backpropagation) and of the logit margin.

Drucker & LeCun 1992; Ross & Doshi-Velez 2018; logit-gradient regularisation (Yu et al. 2018), equation 3.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tinygrad2.autodiff import Tensor, grad
from tinygrad2.nn import Trace
from tinygrad2.ops import abs, cross_entropy, sum
from tinygrad2.ops.losses import REDUCTIONS, check_labels
from tinygrad2.ops.reduce import root
from tinygrad2.robust.penalties.reduction import classes, flat, pick
from tinygrad2.robust.types import Labels

# The factor of Σ_i ‖∇CE_i‖² for a batch of n.
FACTORS: dict[str, Callable[[int], float]] = {
    "mean": lambda n: 1.0 / n,
    "sum": lambda n: 1.0,
    "drucker-lecun": lambda n: 1.0 / (2 * n),
    "ross": lambda n: 1.0 / (2 * n * n),
}


def input_gradient(trace: Trace, labels: Labels, *, reduction: str = "mean") -> Tensor:
    """‖∂CE_i/∂x_i‖₂², the squared l2 norm of each sample's own cross-entropy gradient, over the batch of N.

    trace: of a net with logits (N, K); labels: (N,); result: a scalar
    reduction: "mean" over the batch; "sum" is Jacobian regularisation's equation 7, beside a sum of CE;
        "drucker-lecun" is ½ of the mean; "ross" is ½ Σ_i ‖∂(mean CE)/∂x_i‖², which N divides twice.
        λ_mean = λ_drucker-lecun / 2 = λ_ross / (2N) = N·λ_sum.

    Sources: Drucker & LeCun 1992; Ross & Doshi-Velez 2018.

    >>> trace = nn.Flatten().trace(np.array([[2.0, 1.0]]))  # the gradient is p - e_t = (-0.269, 0.269)
    >>> round(robust.input_gradient(trace, [0]).item(), 3)
    0.145
    """
    factor = pick(FACTORS, reduction, "reduction")(trace.output.shape[0])
    return trace.reverse().squared_norms(_loss_cotangents(trace, labels), 0) * factor


def input_gradient_l1(trace: Trace, labels: Labels, *, reduction: str = "mean") -> Tensor:
    """‖∂CE_i/∂x_i‖₁: to first order, ε times this is what FGSM adds to the loss. Goodfellow et al. 2015, section 5.

    trace: of a net with logits (N, K); labels: (N,); result: a scalar
    reduction: "mean", "sum" or "none" (N,) of the samples. λ_mean = N·λ_sum.

    >>> trace = nn.Flatten().trace(np.array([[2.0, 1.0]]))  # the gradient is p - e_t = (-0.269, 0.269)
    >>> round(robust.input_gradient_l1(trace, [0]).item(), 3)
    0.538
    """
    g = flat(trace, trace.reverse()(_loss_cotangents(trace, labels)))
    return pick(REDUCTIONS, reduction, "reduction")(sum(abs(g), 1))


def logit_margin(trace: Trace, labels: Labels, *, squared: bool = True, reduction: str = "mean") -> Tensor:
    """‖∇ₓ[max_{j≠t} z_j - z_t]‖₂², one cotangent e_j* - e_t, j* a constant. Logit-gradient regularisation, equation 3.

    trace: of a net with logits (N, K); labels: (N,); result: a scalar
    squared: the paper leaves its norm open; the squared l2 norm is that of its figure 2, `squared=False` has the root
    reduction: "mean", "sum" or "none" (N,) of the samples. λ_mean = N·λ_sum.

    >>> robust.logit_margin(nn.Flatten().trace(np.array([[2.0, 1.0]])), [0]).item()  # the gradient is (-1, 1)
    2.0
    """
    t = check_labels(labels, *classes(trace))
    one_hot = np.eye(trace.output.shape[1], dtype=trace.output.dtype)
    rival = np.where(one_hot[t] > 0, -np.inf, trace.output.detach().numpy()).argmax(1)
    squares = trace.reverse().squared_norms(one_hot[rival] - one_hot[t])
    return pick(REDUCTIONS, reduction, "reduction")(squares if squared else root(squares))


def _loss_cotangents(trace: Trace, labels: Labels) -> Tensor:
    """∂CE_i/∂z_i = softmax(z_i) - e_t, on the tape, so that J_iᵀ of it is ∂CE_i/∂x_i. Result: (N, K)."""
    u: Tensor = grad(lambda z: cross_entropy(z, labels, reduction="sum"))(trace.output)
    return u
