"""Every derivative rule there is: the primitives, and what is composed of them. No other package defines a rule."""

# fmt: off
# isort: off
from tinygrad2.ops.activations import elu, gelu, silu, softplus
from tinygrad2.ops.attention import embedding, scaled_dot_product_attention
from tinygrad2.ops.classification import binary_cross_entropy, binary_cross_entropy_with_logits, kl_div
from tinygrad2.ops.creation import (
    arange, eye, full, full_like, linspace, ones, ones_like, zeros, zeros_like,
)
from tinygrad2.ops.elementwise import (
    abs, add, astype, clip, divide, equal, exp, greater, greater_equal, leaky_relu, less, less_equal, log,
    logical_not, mask, maximum, minimum, multiply, negative, not_equal, positive, power, prelu, relu, sigmoid, sign,
    sqrt, subtract, tanh, where,
)
from tinygrad2.ops.erf import erf, erfc
from tinygrad2.ops.families import matmul
from tinygrad2.ops.functional import (
    avg_pool2d, batch_norm, conv1d, conv2d, conv_transpose2d, cross_entropy, dropout, linear, local_response_norm,
    max_pool2d,
)
from tinygrad2.ops.methods import install
from tinygrad2.ops.normalization import group_norm, layer_norm, rms_norm
from tinygrad2.ops.pooling import adaptive_avg_pool2d, adaptive_max_pool2d
from tinygrad2.ops.reduce import argmax, log_softmax, logsumexp, max, mean, min, norm, ratio, softmax, sum, var
from tinygrad2.ops.regression import huber_loss, l1_loss, mse_loss
from tinygrad2.ops.shape import (
    broadcast_to, concatenate, gather, index, pad, reshape, scatter_add, stack, swapaxes, transpose,
)

install()

__all__ = [
    "abs", "adaptive_avg_pool2d", "adaptive_max_pool2d", "add", "arange", "argmax", "astype", "avg_pool2d",
    "batch_norm", "binary_cross_entropy", "binary_cross_entropy_with_logits", "broadcast_to", "clip", "concatenate",
    "conv1d", "conv2d", "conv_transpose2d", "cross_entropy", "divide", "dropout", "elu", "embedding", "equal",
    "erf", "erfc", "exp", "eye", "full", "full_like", "gather", "gelu", "greater", "greater_equal", "group_norm",
    "huber_loss", "index", "kl_div", "l1_loss", "layer_norm", "leaky_relu", "less", "less_equal", "linear",
    "linspace", "local_response_norm", "log", "log_softmax", "logical_not", "logsumexp", "mask", "matmul", "max",
    "max_pool2d", "maximum", "mean", "min", "minimum", "mse_loss", "multiply", "negative", "norm", "not_equal",
    "ones", "ones_like", "pad", "positive", "power", "prelu", "ratio", "relu", "reshape", "rms_norm",
    "scaled_dot_product_attention", "scatter_add", "sigmoid", "sign", "silu", "softmax", "softplus", "sqrt",
    "stack", "subtract", "sum", "swapaxes", "tanh", "transpose", "var", "where", "zeros", "zeros_like",
]
# fmt: on
