"""The kernels compiled for NVIDIA GPUs by Numba, for float32 and float64 CuPy arrays: an `Implementation`.

`source.py` holds the kernels, `launch.py` starts them; the other files say what is computed with them.
"""

from tinygrad2.kernels.arrays import Array
from tinygrad2.kernels.cuda.conv import conv2d, conv2d_input, conv2d_weight
from tinygrad2.kernels.cuda.pool import avg_pool2d, avg_unpool2d, pool_argmax, pool_gather, pool_scatter
from tinygrad2.kernels.cuda.select import masked
from tinygrad2.kernels.cuda.softmax import centered, log_softmax, softmax, unmixed

__all__ = [
    "avg_pool2d",
    "avg_unpool2d",
    "centered",
    "conv2d",
    "conv2d_input",
    "conv2d_weight",
    "log_softmax",
    "masked",
    "pool_argmax",
    "pool_gather",
    "pool_scatter",
    "product",
    "softmax",
    "unmixed",
]


def product(a: Array, b: Array, sharing: int = 1) -> Array:
    """a: (M, K), b: (K, N) -> (M, N), by cuBLAS, which reads transposed matrices where they are."""
    return a.dot(b)
