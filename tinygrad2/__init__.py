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
    abs, add, arange, argmax, astype, avg_pool2d, batch_norm, broadcast_to, clip, concatenate, conv2d, conv_transpose2d,
    cross_entropy, divide, dropout, equal, exp, eye, full, full_like, gather, greater, greater_equal, index, leaky_relu,
    less, less_equal, linear, linspace, local_response_norm, log, log_softmax, logical_not, logsumexp, matmul, max,
    max_pool2d, maximum, mean, min, minimum, multiply, negative, norm, not_equal, ones, ones_like, pad, power, prelu,
    relu, reshape, scatter_add, sigmoid, sign, softmax, softplus, sqrt, stack, subtract, sum, swapaxes, tanh, transpose,
    var, where, zeros, zeros_like,
)
from tinygrad2.verify import (
    Derivation, Exercise, GradReport, NetworkReport, Report, Uncertified, WrongDerivation,
    check_double_vjp, check_jacobian, check_vjp, derivation, exercise, exercises, gradcheck, gradgradcheck,
    verify_network, verify_primitive,
)

__all__ = [
    "Derivation", "Exercise", "GradReport", "GradientError", "NetworkReport", "NoRule", "NotConnected", "NotRecorded",
    "Report", "Tensor", "Uncertified", "WrongDerivation", "abs", "add", "arange", "argmax", "astype",
    "autodiff", "autograd", "avg_pool2d", "batch_norm", "broadcast_to", "check_double_vjp", "check_jacobian",
    "check_vjp", "checkpoint", "clip", "concatenate", "conv2d", "conv_transpose2d", "cross_entropy", "custom_vjp",
    "data", "derivation", "divide", "dropout", "equal", "exercise", "exercises", "exp", "eye", "full", "full_like",
    "gather", "grad", "gradcheck", "gradgradcheck", "greater", "greater_equal", "hessian", "hvp", "index", "jacfwd",
    "jacobian", "jacrev", "jvp", "leaky_relu", "less", "less_equal", "linear", "linearize", "linspace",
    "local_response_norm", "log", "log_softmax", "logical_not", "logsumexp", "manual_seed", "matmul", "max",
    "max_pool2d", "maximum", "mean", "min", "minimum", "multiply", "negative", "nn", "no_grad", "norm", "not_equal",
    "ones", "ones_like", "ops", "pad", "power", "prelu", "relu", "reshape", "robust", "scatter_add", "sigmoid", "sign",
    "softmax", "softplus", "sqrt", "stack", "stop_gradient", "subtract", "sum", "swapaxes", "tanh", "transpose",
    "value_and_grad", "var", "verify", "verify_network", "verify_primitive", "vjp", "where", "zeros", "zeros_like",
]
# fmt: on
