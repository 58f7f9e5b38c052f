"""The product of two matrices, on the path that suits where they live."""

from __future__ import annotations

import importlib

from tinygrad2.kernels.arrays import Array
from tinygrad2.kernels.paths import compiled, path


def product(a: Array, b: Array, sharing: int = 1) -> Array:
    """a: (M, K), b: (K, N) -> (M, N).

    sharing: a hint, for speed only: a is so many blocks of rows, one below the other, that are likely 0 at the same
    places, as cotangents are after a ReLU. What is 0 in all of them may be skipped, whatever stands in b there.
    """
    if compiled(a, b):
        return importlib.import_module("tinygrad2.kernels.cpu_product").product(a, b, sharing)
    return path(a, b).product(a, b)
