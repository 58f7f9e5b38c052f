"""The kernels compiled for the CPU by Numba, for float32 and float64 NumPy arrays: an `Implementation`.

Convolution is in two files: `conv.py` computes all outputs, `pattern.py` only those that a pattern wants.
"""

from tinygrad2.kernels.cpu.conv import conv2d, conv2d_input, conv2d_weight
from tinygrad2.kernels.cpu.pool import avg_pool2d, avg_unpool2d, pool_argmax, pool_gather, pool_scatter
from tinygrad2.kernels.cpu.products import product
from tinygrad2.kernels.cpu.select import masked
from tinygrad2.kernels.softmax import centered, log_softmax, softmax, unmixed

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
