"""Every derivative rule there is: the primitives, and what is composed of them. No other package defines a rule."""

# fmt: off
# isort: off
from tinygrad2.ops.arrange import flip, fliplr, flipud, pad, repeat, roll, rot90, tile
from tinygrad2.ops.creation import (
    arange, eye, full, full_like, linspace, ones, ones_like, zeros, zeros_like,
)
from tinygrad2.ops.cumulative import cumprod, cumsum, diff, prod
from tinygrad2.ops.einsum import einsum
from tinygrad2.ops.elementwise import (
    abs, add, astype, clip, divide, equal, exp, greater, greater_equal, leaky_relu, less, less_equal, log,
    logical_not, mask, maximum, minimum, multiply, negative, not_equal, positive, power, prelu, relu, sigmoid, sign,
    softplus, sqrt, subtract, tanh, where,
)
from tinygrad2.ops.families import matmul
from tinygrad2.ops.functional import (
    avg_pool2d, batch_norm, conv2d, conv_transpose2d, cross_entropy, dropout, linear, local_response_norm,
    max_pool2d,
)
from tinygrad2.ops.joining import array_split, column_stack, dstack, hstack, split, unstack, vstack
from tinygrad2.ops.linalg import det, inv, matrix_power, slogdet, solve
from tinygrad2.ops.matrix import diag, diagonal, dot, inner, kron, outer, tensordot, trace, tril, triu, vdot
from tinygrad2.ops.methods import install
from tinygrad2.ops.reduce import (
    all, any, argmax, argmin, average, count_nonzero, log_softmax, logsumexp, max, mean, min, norm, ptp, ratio,
    softmax, std, sum, var,
)
from tinygrad2.ops.shape import (
    atleast_1d, atleast_2d, atleast_3d, broadcast_arrays, broadcast_to, concatenate, expand_dims, gather, index,
    moveaxis, ravel, reshape, scatter_add, squeeze, stack, swapaxes, take, take_along_axis, transpose,
)
from tinygrad2.ops.sorting import argsort, median, searchsorted, sort, topk

install()

__all__ = [
    "abs", "add", "all", "any", "arange", "argmax", "argmin", "argsort", "array_split", "astype", "atleast_1d",
    "atleast_2d", "atleast_3d", "average", "avg_pool2d", "batch_norm", "broadcast_arrays", "broadcast_to", "clip",
    "column_stack", "concatenate", "conv2d", "conv_transpose2d", "count_nonzero", "cross_entropy", "cumprod",
    "cumsum", "det", "diag", "diagonal", "diff", "divide", "dot", "dropout", "dstack", "einsum", "equal", "exp",
    "expand_dims", "eye", "flip", "fliplr", "flipud", "full", "full_like", "gather", "greater", "greater_equal",
    "hstack", "index", "inner", "inv", "kron", "leaky_relu", "less", "less_equal", "linear", "linspace",
    "local_response_norm", "log", "log_softmax", "logical_not", "logsumexp", "mask", "matmul", "matrix_power",
    "max", "max_pool2d", "maximum", "mean", "median", "min", "minimum", "moveaxis", "multiply", "negative", "norm",
    "not_equal", "ones", "ones_like", "outer", "pad", "positive", "power", "prelu", "prod", "ptp", "ratio", "ravel",
    "relu", "repeat", "reshape", "roll", "rot90", "scatter_add", "searchsorted", "sigmoid", "sign", "slogdet",
    "softmax", "softplus", "solve", "sort", "split", "sqrt", "squeeze", "stack", "std", "subtract", "sum",
    "swapaxes", "take", "take_along_axis", "tanh", "tensordot", "tile", "topk", "trace", "transpose", "tril",
    "triu", "unstack", "var", "vdot", "vstack", "where", "zeros", "zeros_like",
]
# fmt: on
