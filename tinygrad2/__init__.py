"""tinygrad2: the backward pass is a network you can read, run, differentiate again, and check."""

import warnings as _warnings
from typing import TYPE_CHECKING as _TYPE_CHECKING

__version__ = "0.1.0"

# fmt: off
# isort: off
from tinygrad2 import autodiff, data, nn, ops, robust, verify
from tinygrad2.autodiff import habits as _habits
from tinygrad2.autodiff import (
    GradientError, NoRule, NotConnected, NotRecorded, Tensor, autograd, checkpoint, custom_vjp, grad, hessian, hvp,
    jacfwd, jacobian, jacrev, jvp, linearize, no_grad, stop_gradient, value_and_grad, vjp,
)
from tinygrad2.nn import manual_seed
from tinygrad2.ops import (
    abs, add, arange, arccos, arccosh, arcsin, arcsinh, arctan, arctan2, arctanh, argmax, astype, avg_pool2d,
    batch_norm, bitwise_and, bitwise_or, bitwise_xor, broadcast_to, cbrt, ceil, clip, concatenate, conv2d,
    conv_transpose2d, cos, cosh, cross_entropy, degrees, divide, divmod, dropout, equal, exp, exp2, expm1, eye, floor,
    floor_divide, fmod, full, full_like, gather, greater, greater_equal, hypot, index, invert, isfinite, isinf, isnan,
    leaky_relu, less, less_equal, linear, linspace, local_response_norm, log, log10, log1p, log2, log_softmax,
    logaddexp, logaddexp2, logical_and, logical_not, logical_or, logical_xor, logsumexp, matmul, max, max_pool2d,
    maximum, mean, min, minimum, multiply, negative, norm, not_equal, ones, ones_like, pad, power, prelu, radians,
    reciprocal, relu, remainder, reshape, rint, round, scatter_add, sigmoid, sign, signbit, sin, sinh, softmax,
    softplus, sqrt, square, stack, subtract, sum, swapaxes, tan, tanh, transpose, trunc, var, where, zeros, zeros_like,
)
from tinygrad2.verify import (
    Derivation, Exercise, GradReport, NetworkReport, Report, Uncertified, WrongDerivation,
    check_double_vjp, check_jacobian, check_vjp, derivation, exercise, exercises, gradcheck, gradgradcheck,
    verify_network, verify_primitive,
)

__all__ = [
    "Derivation", "Exercise", "GradReport", "GradientError", "NetworkReport", "NoRule", "NotConnected", "NotRecorded",
    "Report", "Tensor", "Uncertified", "WrongDerivation", "abs", "add", "arange", "arccos", "arccosh", "arcsin",
    "arcsinh", "arctan", "arctan2", "arctanh", "argmax", "astype", "autodiff", "autograd", "avg_pool2d", "batch_norm",
    "bitwise_and", "bitwise_or", "bitwise_xor", "broadcast_to", "cbrt", "ceil", "check_double_vjp", "check_jacobian",
    "check_vjp", "checkpoint", "clip", "concatenate", "conv2d", "conv_transpose2d", "cos", "cosh", "cross_entropy",
    "custom_vjp", "data", "degrees", "derivation", "divide", "divmod", "dropout", "equal", "exercise", "exercises",
    "exp", "exp2", "expm1", "eye", "floor", "floor_divide", "fmod", "full", "full_like", "gather", "grad", "gradcheck",
    "gradgradcheck", "greater", "greater_equal", "hessian", "hvp", "hypot", "index", "invert", "isfinite", "isinf",
    "isnan", "jacfwd", "jacobian", "jacrev", "jvp", "leaky_relu", "less", "less_equal", "linear", "linearize",
    "linspace", "local_response_norm", "log", "log1p", "log2", "log10", "log_softmax", "logaddexp", "logaddexp2",
    "logical_and", "logical_not", "logical_or", "logical_xor", "logsumexp", "manual_seed", "matmul", "max",
    "max_pool2d", "maximum", "mean", "min", "minimum", "multiply", "negative", "nn", "no_grad", "norm", "not_equal",
    "ones", "ones_like", "ops", "pad", "power", "prelu", "radians", "reciprocal", "relu", "remainder", "reshape",
    "rint", "robust", "round", "scatter_add", "sigmoid", "sign", "signbit", "sin", "sinh", "softmax", "softplus",
    "sqrt", "square", "stack", "stop_gradient", "subtract", "sum", "swapaxes", "tan", "tanh", "transpose", "trunc",
    "value_and_grad", "var", "verify", "verify_network", "verify_primitive", "vjp", "where", "zeros", "zeros_like",
]
# fmt: on

# nan and inf are values like others: they propagate, and no operation warns of them. NumPy would, from inside it.
_warnings.filterwarnings("ignore", category=RuntimeWarning, module=r"tinygrad2\.(autodiff|kernels|ops)\.")

_habits.answers(globals(), __all__)

if not _TYPE_CHECKING:  # a type checker would take every wrong name for right

    def __getattr__(name: str) -> None:
        """The error for a name that is not here; for one of another framework it says what to write."""
        raise _habits.unknown(__name__, _habits.FUNCTIONS, name)
