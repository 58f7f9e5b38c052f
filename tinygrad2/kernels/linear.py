"""What needs no geometry: the product of two matrices, and of an array with a mask."""

from __future__ import annotations

from tinygrad2.kernels.arrays import Array
from tinygrad2.kernels.choose import implementation


def product(a: Array, b: Array, sharing: int = 1) -> Array:
    """a: (M, K), b: (K, N) -> (M, N).

    sharing: a hint, for speed only: a is so many blocks of rows, one below the other, that are likely 0 at the same
    places, as cotangents are after a ReLU. What is 0 in all of them may be skipped, whatever stands in b there.
    """
    return implementation(type(a), a.dtype, b.dtype).product(a, b, sharing)


def masked(g: Array, m: Array) -> Array:
    """g where the mask passes it, times its weight; 0 where it is 0, even if g is infinite or nan there.

    g: (..., *m.shape), or any shape that broadcasts; m: bool, or a weight for each entry.
    """
    return implementation(type(g), g.dtype).masked(g, m)
