"""Every derivative rule there is: the primitives, and what is composed of them. No other package defines a rule."""

# fmt: off
# isort: off
from tinygrad2.ops.creation import (
    arange, eye, full, full_like, linspace, ones, ones_like, zeros, zeros_like,
)
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
from tinygrad2.ops.methods import install
from tinygrad2.ops.reduce import argmax, log_softmax, logsumexp, max, mean, min, norm, ratio, softmax, sum, var
from tinygrad2.ops.shape import (
    broadcast_to, concatenate, gather, index, pad, reshape, scatter_add, stack, swapaxes, transpose,
)

install()

__all__ = [
    "abs", "add", "arange", "argmax", "astype", "avg_pool2d", "batch_norm", "broadcast_to", "clip", "concatenate",
    "conv2d", "conv_transpose2d", "cross_entropy", "divide", "dropout", "equal", "exp", "eye", "full", "full_like",
    "gather", "greater", "greater_equal", "index", "leaky_relu", "less", "less_equal", "linear", "linspace",
    "local_response_norm", "log", "log_softmax", "logical_not", "logsumexp", "mask", "matmul", "max", "max_pool2d",
    "maximum", "mean", "min", "minimum", "multiply", "negative", "norm", "not_equal", "ones", "ones_like", "pad",
    "positive", "power", "prelu", "ratio", "relu", "reshape", "scatter_add", "sigmoid", "sign", "softmax", "softplus",
    "sqrt", "stack", "subtract", "sum", "swapaxes", "tanh", "transpose", "var", "where", "zeros", "zeros_like",
]
# fmt: on
