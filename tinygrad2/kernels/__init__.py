"""Plain array functions, which everything else stands on: convolution, pooling, and where arrays live.

Nothing here knows of gradients. Each function takes NumPy or CuPy arrays and chooses the fastest path that gives the
values `reference.py` defines.
"""

from tinygrad2.kernels.arrays import (
    Array,
    describe_gpu,
    device_of,
    freeze,
    index_add,
    to_device,
    to_numpy,
    why_no_cuda_kernels,
    why_no_gpu,
    why_no_numba,
    xp,
)
from tinygrad2.kernels.conv import conv2d, conv2d_input, conv2d_weight
from tinygrad2.kernels.geometry import Geometry
from tinygrad2.kernels.linear import masked, product
from tinygrad2.kernels.pattern import Mask, Pattern, Positions, pattern_of
from tinygrad2.kernels.pool import avg_pool2d, avg_unpool2d, pool_argmax, pool_gather, pool_scatter
from tinygrad2.kernels.summation import sum_over

__all__ = [
    "Array",
    "Geometry",
    "Mask",
    "Pattern",
    "Positions",
    "avg_pool2d",
    "avg_unpool2d",
    "conv2d",
    "conv2d_input",
    "conv2d_weight",
    "describe_gpu",
    "device_of",
    "freeze",
    "index_add",
    "masked",
    "pattern_of",
    "pool_argmax",
    "pool_gather",
    "pool_scatter",
    "product",
    "sum_over",
    "to_device",
    "to_numpy",
    "why_no_cuda_kernels",
    "why_no_gpu",
    "why_no_numba",
    "xp",
]
