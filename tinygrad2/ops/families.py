"""Linear maps in closed families: every rule is another member, so a few lines give the derivatives of every order.

A trilinear form ⟨f(x, w), g⟩ = ⟨x, f_input(g, w)⟩ = ⟨w, f_weight(x, g)⟩ has three partial contractions, linear in each
argument. Convolution is one (f_input is its transpose), the fully connected layer another. g may have axes (K, N, ...).
"""

from __future__ import annotations

import math
from collections.abc import Callable

from tinygrad2 import kernels
from tinygrad2.autodiff import Primitive, Tensor, TensorLike, zero
from tinygrad2.autodiff.primitive import Rule
from tinygrad2.kernels.arrays import Array, xp
from tinygrad2.ops.shape import index, reshape, swapaxes

__all__ = ["matmul"]

ArrayFunction = Callable[..., Array]


def trilinear(
    name: str, f: ArrayFunction, f_input: ArrayFunction, f_weight: ArrayFunction, *pattern: Rule
) -> tuple[Primitive, Primitive, Primitive]:
    """The three contractions of one trilinear form as primitives, with the six rules that close the family.

    pattern: `zero` for each further tensor argument, which only says where the form is defined.
    """
    # A form T(x, w, g) = ⟨f(x, w), g⟩ is linear in each of x, w and g, and fixing two of them leaves the contractions
    #     f(x, w) by g,   f_input(g, w) by x,   f_weight(x, g) by w.
    # The derivative of a linear function is the function itself, and ⟨f(x, w), g⟩ = ⟨x, f_input(g, w)⟩ says that its
    # transpose is again one of the three: for y = f(x, w) the cotangents are x̄ = f_input(ȳ, w) and w̄ = f_weight(x, ȳ).
    # Take the number form T = x·w·g: f(x, w) = xw, x̄ = ȳw, w̄ = xȳ; for x̄ = f_input(g, w) = gw and its cotangent v,
    # ⟨v, gw⟩ = T(v, w, g): ḡ = f(v, w) = vw and w̄ = f_weight(v, g) = vg. So six rules close the family for all orders.
    parts = {"": f, "_input": f_input, "_weight": f_weight}
    y_of, x_of, w_of = (Primitive(name.format(part), fn) for part, fn in parts.items())
    y_of.defvjp(lambda g, y, x, w, *geo: x_of(g, w, *geo), lambda g, y, x, w, *geo: w_of(x, g, *geo), *pattern)
    x_of.defvjp(lambda v, y, g, w, *geo: y_of(v, w, *geo), lambda v, y, g, w, *geo: w_of(v, g, *geo), *pattern)
    w_of.defvjp(lambda v, y, x, g, *geo: x_of(g, v, *geo), lambda v, y, x, g, *geo: y_of(x, v, *geo), *pattern)
    return y_of, x_of, w_of


def _rows(a: Array) -> Array:
    """All leading axes folded into one, so that one product does the work."""
    return a if a.ndim == 2 else a.reshape(math.prod(a.shape[:-1]), a.shape[-1])


def _each_times(a: Array, b: Array) -> Array:
    """a: (..., N, O), b: (O, I) -> (..., N, I). What leads a sample's axes are cotangents, which share its masks."""
    if a.ndim == 2:
        return kernels.product(a, b)
    return kernels.product(_rows(a), b, math.prod(a.shape[:-2])).reshape(*a.shape[:-1], b.shape[1])


# x: (..., I), w: (O, I), g: (..., O).   linear: x wᵀ;   linear_input: g w;   linear_weight: gᵀ x over all leading axes.
linear, linear_input, linear_weight = trilinear(
    "linear{}",
    lambda x, w: _each_times(x, w.T),
    lambda g, w: _each_times(g, w),
    lambda x, g: kernels.product(_rows(g).T, _rows(x)),
)

# x: (..., C, H, W), w: (O, C/groups, kh, kw), g: (..., O, OH, OW), and the geometry.
conv2d, conv2d_input, conv2d_weight = trilinear("conv2d{}", kernels.conv2d, kernels.conv2d_input, kernels.conv2d_weight)

# The same, of which only the entries at: (N, O, PH, PW) are wanted: positions in the OH·OW plane, or -1 for none; or a
# mask (N, O, OH, OW). On the tape both are plain arrays, which a kernel takes as a `Pattern`.
conv2d_at, conv2d_input_at, conv2d_weight_at = trilinear(
    "conv2d{}_at",
    lambda x, w, at, geo: kernels.conv2d(x, w, geo, kernels.pattern_of(at)),
    lambda g, w, at, geo: kernels.conv2d_input(g, w, geo, kernels.pattern_of(at)),
    lambda x, g, at, geo: kernels.conv2d_weight(x, g, geo, kernels.pattern_of(at)),
    zero,
)

# Which entries of a pattern are left after a mask of the same shape.
let_through = Primitive("let_through", lambda at, m: xp(at).where(m, at, at.dtype.type(-1))).defvjp(zero, zero)

# ⟨gather(x, at), g⟩ = ⟨x, scatter(g, at)⟩. at: (N, C, OH, OW), positions in the H·W plane, shared over leading axes.
pool_argmax = Primitive("pool_argmax", kernels.pool_argmax).defvjp(zero)
pool_gather: Primitive = Primitive("pool_gather", lambda x, at, size: kernels.pool_gather(x, at)).defvjp(
    lambda g, y, x, at, size: pool_scatter(g, at, size), zero
)
pool_scatter: Primitive = Primitive("pool_scatter", kernels.pool_scatter).defvjp(
    lambda v, y, g, at, size: pool_gather(v, at, size), zero
)

# ⟨avg_pool2d(x), g⟩ = ⟨x, avg_unpool2d(g)⟩
avg_pool: Primitive = Primitive("avg_pool2d", kernels.avg_pool2d).defvjp(lambda g, y, x, geo: avg_unpool(g, geo))
avg_unpool: Primitive = Primitive("avg_unpool2d", kernels.avg_unpool2d).defvjp(lambda v, y, g, geo: avg_pool(v, geo))

# Products with batch axes: (..., n, k) @ (..., k, m); batch axes broadcast, and the engine sums them back.
_matmul: Primitive = Primitive("matmul", lambda a, b: a @ b).defvjp(
    lambda g, y, a, b: _matmul(g, swapaxes(b, -1, -2)),
    lambda g, y, a, b: _matmul(swapaxes(a, -1, -2), g),
)


def matmul(a: TensorLike, b: TensorLike) -> Tensor:
    """The matrix product a @ b. a: (..., n, k) or (k,); b: (..., k, m) or (k,); batch axes broadcast.

    >>> tg.matmul(tg.ones((2, 3)), tg.ones((3, 4))).shape
    (2, 4)
    """
    a, b = (t if isinstance(t, Tensor) else Tensor(t) for t in (a, b))
    if a.ndim == 0 or b.ndim == 0 or a.shape[-1] != b.shape[-2 if b.ndim > 1 else 0]:
        raise ValueError(
            f"matmul: shapes {a.shape} and {b.shape}: a's last axis must equal b's second last or only one"
        )
    y = _matmul(reshape(a, (1, -1)) if a.ndim == 1 else a, reshape(b, (-1, 1)) if b.ndim == 1 else b)
    y = index(y, (..., 0)) if b.ndim == 1 else y
    return index(y, (..., 0) if b.ndim == 1 else (..., 0, slice(None))) if a.ndim == 1 else y
