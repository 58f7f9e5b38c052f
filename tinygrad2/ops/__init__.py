"""Every derivative rule there is: the primitives, and what is composed of them. No other package defines a rule."""

# fmt: off
# isort: off
from tinygrad2.ops.creation import (
    arange, eye, full, full_like, linspace, ones, ones_like, zeros, zeros_like,
)
from tinygrad2.ops.analytic import (
    arccos, arccosh, arcsin, arcsinh, arctan, arctan2, arctanh, cbrt, cos, cosh, degrees, divmod, exp2, expm1, fmod,
    hypot, log10, log1p, log2, logaddexp, logaddexp2, radians, reciprocal, remainder, sin, sinh, square, tan,
)
from tinygrad2.ops.elementwise import (
    abs, add, astype, clip, divide, equal, exp, greater, greater_equal, leaky_relu, less, less_equal, log,
    logical_not, mask, maximum, minimum, multiply, negative, not_equal, positive, power, prelu, relu, sigmoid, sign,
    softplus, sqrt, subtract, tanh, where,
)
from tinygrad2.ops.families import matmul
from tinygrad2.ops.functional import (
    avg_pool2d, batch_norm, conv2d, conv_transpose2d, dropout, linear, local_response_norm,
    max_pool2d,
)
from tinygrad2.ops.logic import (
    bitwise_and, bitwise_or, bitwise_xor, ceil, floor, floor_divide, invert, isfinite, isinf, isnan, logical_and,
    logical_or, logical_xor, rint, round, signbit, trunc,
)
from tinygrad2.ops.losses import cross_entropy
from tinygrad2.ops.methods import install
from tinygrad2.ops.norms import norm
from tinygrad2.ops.reduce import argmax, max, mean, min, ratio, sum, var
from tinygrad2.ops.shape import (
    broadcast_to, concatenate, gather, index, pad, reshape, scatter_add, stack, swapaxes, transpose,
)
from tinygrad2.ops.softmax import log_softmax, logsumexp, softmax

install()

__all__ = [
    "abs", "add", "arange", "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctan2", "arctanh", "argmax",
    "astype", "avg_pool2d", "batch_norm", "bitwise_and", "bitwise_or", "bitwise_xor", "broadcast_to", "cbrt", "ceil",
    "clip", "concatenate", "conv2d", "conv_transpose2d", "cos", "cosh", "cross_entropy", "degrees", "divide", "divmod",
    "dropout", "equal", "exp", "exp2", "expm1", "eye", "floor", "floor_divide", "fmod", "full", "full_like", "gather",
    "greater", "greater_equal", "hypot", "index", "invert", "isfinite", "isinf", "isnan", "leaky_relu", "less",
    "less_equal", "linear", "linspace", "local_response_norm", "log", "log1p", "log2", "log10", "log_softmax",
    "logaddexp", "logaddexp2", "logical_and", "logical_not", "logical_or", "logical_xor", "logsumexp", "mask", "matmul",
    "max", "max_pool2d", "maximum", "mean", "min", "minimum", "multiply", "negative", "norm", "not_equal", "ones",
    "ones_like", "pad", "positive", "power", "prelu", "radians", "ratio", "reciprocal", "relu", "remainder", "reshape",
    "rint", "round", "scatter_add", "sigmoid", "sign", "signbit", "sin", "sinh", "softmax", "softplus", "sqrt",
    "square", "stack", "subtract", "sum", "swapaxes", "tan", "tanh", "transpose", "trunc", "var", "where", "zeros",
    "zeros_like",
]
# fmt: on
