"""Every derivative rule there is: the primitives, and what is composed of them. No other package defines a rule."""

# fmt: off
# isort: off
from tinygrad2.ops.arrange import flip, fliplr, flipud, pad, repeat, roll, rot90, tile
from tinygrad2.ops.activations import elu, gelu, silu, softplus
from tinygrad2.ops.attention import embedding, scaled_dot_product_attention
from tinygrad2.ops.classification import binary_cross_entropy, binary_cross_entropy_with_logits, kl_div
from tinygrad2.ops.erf import erf, erfc
from tinygrad2.ops.normalization import group_norm, layer_norm, rms_norm
from tinygrad2.ops.pooling import adaptive_avg_pool2d, adaptive_max_pool2d
from tinygrad2.ops.regression import huber_loss, l1_loss, mse_loss
from tinygrad2.ops.creation import (
    arange, eye, full, full_like, linspace, ones, ones_like, zeros, zeros_like,
)
from tinygrad2.ops.cumulative import cumprod, cumsum, diff, prod
from tinygrad2.ops.einsum import einsum
from tinygrad2.ops.analytic import (
    arccos, arccosh, arcsin, arcsinh, arctan, arctan2, arctanh, cbrt, cos, cosh, degrees, divmod, exp2, expm1, fmod,
    hypot, log10, log1p, log2, logaddexp, logaddexp2, radians, reciprocal, remainder, sin, sinh, square, tan,
)
from tinygrad2.ops.elementwise import (
    abs, add, astype, clip, divide, equal, exp, greater, greater_equal, leaky_relu, less, less_equal, log,
    logical_not, mask, maximum, minimum, multiply, negative, not_equal, positive, power, prelu, relu, sigmoid, sign,
    sqrt, subtract, tanh, where,
)
from tinygrad2.ops.families import matmul
from tinygrad2.ops.functional import (
    avg_pool2d, batch_norm, conv1d, conv2d, conv_transpose2d, cross_entropy, dropout, linear, local_response_norm,
    max_pool2d,
)
from tinygrad2.ops.joining import array_split, column_stack, dstack, hstack, split, unstack, vstack
from tinygrad2.ops.linalg import det, inv, matrix_power, slogdet, solve
from tinygrad2.ops.matrix import diag, diagonal, dot, inner, kron, outer, tensordot, trace, tril, triu, vdot
from tinygrad2.ops.logic import (
    bitwise_and, bitwise_or, bitwise_xor, ceil, floor, floor_divide, invert, isfinite, isinf, isnan, logical_and,
    logical_or, logical_xor, rint, round, signbit, trunc,
)
from tinygrad2.ops.methods import install
from tinygrad2.ops.numpy_page import numpy_table
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
    "abs", "adaptive_avg_pool2d", "adaptive_max_pool2d", "add", "all", "any", "arange", "arccos", "arccosh", "arcsin",
    "arcsinh", "arctan", "arctan2", "arctanh", "argmax", "argmin", "argsort", "array_split", "astype", "atleast_1d",
    "atleast_2d", "atleast_3d", "average", "avg_pool2d", "batch_norm", "binary_cross_entropy",
    "binary_cross_entropy_with_logits", "bitwise_and", "bitwise_or", "bitwise_xor", "broadcast_arrays",
    "broadcast_to", "cbrt", "ceil", "clip", "column_stack", "concatenate", "conv1d", "conv2d", "conv_transpose2d",
    "cos", "cosh", "count_nonzero", "cross_entropy", "cumprod", "cumsum", "degrees", "det", "diag", "diagonal",
    "diff", "divide", "divmod", "dot", "dropout", "dstack", "einsum", "elu", "embedding", "equal", "erf", "erfc",
    "exp", "exp2", "expand_dims", "expm1", "eye", "flip", "fliplr", "flipud", "floor", "floor_divide", "fmod", "full",
    "full_like", "gather", "gelu", "greater", "greater_equal", "group_norm", "hstack", "huber_loss", "hypot", "index",
    "inner", "inv", "invert", "isfinite", "isinf", "isnan", "kl_div", "kron", "l1_loss", "layer_norm", "leaky_relu",
    "less", "less_equal", "linear", "linspace", "local_response_norm", "log", "log1p", "log2", "log10", "log_softmax",
    "logaddexp", "logaddexp2", "logical_and", "logical_not", "logical_or", "logical_xor", "logsumexp", "mask",
    "matmul", "matrix_power", "max", "max_pool2d", "maximum", "mean", "median", "min", "minimum", "moveaxis",
    "mse_loss", "multiply", "negative", "norm", "not_equal", "numpy_table", "ones", "ones_like", "outer", "pad",
    "positive", "power", "prelu", "prod", "ptp", "radians", "ratio", "ravel", "reciprocal", "relu", "remainder",
    "repeat", "reshape", "rint", "rms_norm", "roll", "rot90", "round", "scaled_dot_product_attention", "scatter_add",
    "searchsorted", "sigmoid", "sign", "signbit", "silu", "sin", "sinh", "slogdet", "softmax", "softplus", "solve",
    "sort", "split", "sqrt", "square", "squeeze", "stack", "std", "subtract", "sum", "swapaxes", "take",
    "take_along_axis", "tan", "tanh", "tensordot", "tile", "topk", "trace", "transpose", "tril", "triu", "trunc",
    "unstack", "var", "vdot", "vstack", "where", "zeros", "zeros_like",
]
# fmt: on
