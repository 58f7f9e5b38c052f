"""tinygrad2: the backward pass is a network you can read, run, differentiate again, and check."""

__version__ = "0.1.0"

# fmt: off
# isort: off
from tinygrad2 import autodiff, data, nn, ops, robust, verify
from tinygrad2.autodiff import (
    GradientError, NoRule, NotConnected, NotRecorded, Tensor, autograd, checkpoint, custom_vjp, grad, hessian, hvp,
    jacfwd, jacobian, jacrev, jvp, linearize, no_grad, stop_gradient, value_and_grad, vjp,
)
from tinygrad2.nn import manual_seed
from tinygrad2.ops import (
    abs, add, all, any, arange, argmax, argmin, argsort, array_split, astype, atleast_1d, atleast_2d, atleast_3d,
    average, avg_pool2d, batch_norm, broadcast_arrays, broadcast_to, clip, column_stack, concatenate, conv2d,
    conv_transpose2d, count_nonzero, cross_entropy, cumprod, cumsum, det, diag, diagonal, diff, divide, dot,
    dropout, dstack, einsum, equal, exp, expand_dims, eye, flip, fliplr, flipud, full, full_like, gather, greater,
    greater_equal, hstack, index, inner, inv, kron, leaky_relu, less, less_equal, linear, linspace,
    local_response_norm, log, log_softmax, logical_not, logsumexp, matmul, matrix_power, max, max_pool2d, maximum,
    mean, median, min, minimum, moveaxis, multiply, negative, norm, not_equal, ones, ones_like, outer, pad, power,
    prelu, prod, ptp, ravel, relu, repeat, reshape, roll, rot90, scatter_add, searchsorted, sigmoid, sign, slogdet,
    softmax, softplus, solve, sort, split, sqrt, squeeze, stack, std, subtract, sum, swapaxes, take,
    take_along_axis, tanh, tensordot, tile, topk, trace, transpose, tril, triu, unstack, var, vdot, vstack, where,
    zeros, zeros_like,
)
from tinygrad2.verify import (
    Derivation, Exercise, GradReport, NetworkReport, Report, Uncertified, WrongDerivation,
    check_double_vjp, check_jacobian, check_vjp, derivation, exercise, exercises, gradcheck, gradgradcheck,
    verify_network, verify_primitive,
)

__all__ = [
    "Derivation", "Exercise", "GradReport", "GradientError", "NetworkReport", "NoRule", "NotConnected",
    "NotRecorded", "Report", "Tensor", "Uncertified", "WrongDerivation", "abs", "add", "all", "any", "arange",
    "argmax", "argmin", "argsort", "array_split", "astype", "atleast_1d", "atleast_2d", "atleast_3d", "autodiff",
    "autograd", "average", "avg_pool2d", "batch_norm", "broadcast_arrays", "broadcast_to", "check_double_vjp",
    "check_jacobian", "check_vjp", "checkpoint", "clip", "column_stack", "concatenate", "conv2d",
    "conv_transpose2d", "count_nonzero", "cross_entropy", "cumprod", "cumsum", "custom_vjp", "data", "derivation",
    "det", "diag", "diagonal", "diff", "divide", "dot", "dropout", "dstack", "einsum", "equal", "exercise",
    "exercises", "exp", "expand_dims", "eye", "flip", "fliplr", "flipud", "full", "full_like", "gather", "grad",
    "gradcheck", "gradgradcheck", "greater", "greater_equal", "hessian", "hstack", "hvp", "index", "inner", "inv",
    "jacfwd", "jacobian", "jacrev", "jvp", "kron", "leaky_relu", "less", "less_equal", "linear", "linearize",
    "linspace", "local_response_norm", "log", "log_softmax", "logical_not", "logsumexp", "manual_seed", "matmul",
    "matrix_power", "max", "max_pool2d", "maximum", "mean", "median", "min", "minimum", "moveaxis", "multiply",
    "negative", "nn", "no_grad", "norm", "not_equal", "ones", "ones_like", "ops", "outer", "pad", "power", "prelu",
    "prod", "ptp", "ravel", "relu", "repeat", "reshape", "robust", "roll", "rot90", "scatter_add", "searchsorted",
    "sigmoid", "sign", "slogdet", "softmax", "softplus", "solve", "sort", "split", "sqrt", "squeeze", "stack",
    "std", "stop_gradient", "subtract", "sum", "swapaxes", "take", "take_along_axis", "tanh", "tensordot", "tile",
    "topk", "trace", "transpose", "tril", "triu", "unstack", "value_and_grad", "var", "vdot", "verify",
    "verify_network", "verify_primitive", "vjp", "vstack", "where", "zeros", "zeros_like",
]
# fmt: on
