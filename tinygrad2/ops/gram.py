"""‖a W‖² of many rows a through the Gram matrix: ‖a W‖² = a (W Wᵀ) aᵀ, where W Wᵀ is computed once for all rows.

For the input gradients of a wide first layer W: (O, I) the work for each row falls from O·I to O·O multiplications, and
in the backward pass from 2·O·I to O·O, since the product a (W Wᵀ) is the gradient too.
"""

from __future__ import annotations

import math

from tinygrad2 import kernels
from tinygrad2.autodiff import Primitive, Tensor
from tinygrad2.autodiff.node import is_recording
from tinygrad2.ops.elementwise import add, multiply
from tinygrad2.ops.families import linear, linear_input, linear_weight
from tinygrad2.ops.reduce import sum_squares
from tinygrad2.ops.shape import reshape, swapaxes

gram = Primitive("gram", lambda w: kernels.product(w, w.T)).defvjp(
    lambda g, y, w: linear_input(add(g, swapaxes(g, 0, 1)), w)
)

# Σ a ⊙ (a G) over the axes, kept; G is symmetric, and a G, the third argument, is known. The rule of `gram` takes only
# the symmetric part of the cotangent of G, so each rule may use that G is symmetric.
_quadratic = Primitive("quadratic", lambda a, gram, product, axes: (a * product).sum(axes, keepdims=True)).defvjp(
    lambda g, y, a, gram, product, axes: multiply(multiply(g, 2.0), linear.record(product, a, gram)),
    lambda g, y, a, gram, product, axes: _weighted(g, a),
)


def _weighted(g: Tensor, a: Tensor) -> Tensor:
    """Σ g aᵀa over the rows. With one g for all of them BLAS needs only half of the symmetric product aᵀa."""
    return multiply(reshape(g, ()), linear_weight(a, a)) if g.size == 1 else linear_weight(a, multiply(g, a))


def squared_norms(a: Tensor, w: Tensor, lead: int) -> Tensor:
    """‖a W‖² over all but `lead` axes, by the way that takes fewer multiplications. a: (..., O); w: (O, I).

    Result: the first `lead` axes of a.
    """
    axes = tuple(range(lead, a.ndim))
    recorded = is_recording() and (a.requires_grad or w.requires_grad)
    if not _gram_pays(recorded, math.prod(a.shape[:-1]), *w.shape):
        return sum_squares(linear_input(a, w), axes)
    g = gram(w)
    return reshape(_quadratic(a, g, linear(a.detach(), g.detach()).array, axes), a.shape[:lead])


def _gram_pays(recorded: bool, rows: int, o: int, i: int) -> bool:
    """Whether it takes fewer multiplications; the Gram matrix is half a product. recorded: with the backward pass."""
    if recorded:
        return 2 * rows * o * o + 3 * o * o * i // 2 < 3 * rows * o * i
    return rows * o * o + o * o * i // 2 < rows * o * i
