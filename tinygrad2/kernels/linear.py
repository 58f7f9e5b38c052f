"""The product of two matrices, on the path that suits where they live."""

from __future__ import annotations

from tinygrad2.kernels.backend import Array
from tinygrad2.kernels.paths import product_path


def product(a: Array, b: Array) -> Array:
    """a: (M, K), b: (K, N) -> (M, N)."""
    return product_path(a, b).product(a, b)
