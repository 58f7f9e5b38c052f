"""tinygrad2: the backward pass is a network you can read, run, differentiate again, and check."""

import typing as _typing
import warnings as _warnings

__version__ = "0.1.0"

# fmt: off
# isort: off
from tinygrad2 import autodiff, data, nn, ops, robust, verify, view
from tinygrad2.autodiff import habits as _habits
from tinygrad2.autodiff import (
    GradientError, NoRule, NotConnected, NotRecorded, Tensor, autograd, checkpoint, custom_vjp, grad, hessian, hvp,
    jacfwd, jacobian, jacrev, jvp, linearize, no_grad, stop_gradient, value_and_grad, vjp,
)
from tinygrad2.nn import manual_seed
from tinygrad2.ops import (
    abs, adaptive_avg_pool2d, adaptive_max_pool2d, add, all, any, arange, arccos, arccosh, arcsin, arcsinh, arctan,
    arctan2, arctanh, argmax, argmin, argsort, array_split, astype, atleast_1d, atleast_2d, atleast_3d, average,
    avg_pool2d, batch_norm, binary_cross_entropy, binary_cross_entropy_with_logits, bitwise_and, bitwise_or,
    bitwise_xor, broadcast_arrays, broadcast_to, cbrt, ceil, clip, column_stack, concatenate, conv1d, conv2d,
    conv_transpose2d, cos, cosh, count_nonzero, cross_entropy, cumprod, cumsum, degrees, det, diag, diagonal, diff,
    divide, divmod, dot, dropout, dstack, einsum, elu, embedding, equal, erf, erfc, exp, exp2, expand_dims, expm1,
    eye, flip, fliplr, flipud, floor, floor_divide, fmod, full, full_like, gather, gelu, greater, greater_equal,
    group_norm, hstack, huber_loss, hypot, index, inner, inv, invert, isfinite, isinf, isnan, kl_div, kron, l1_loss,
    layer_norm, leaky_relu, less, less_equal, linear, linspace, local_response_norm, log, log10, log1p, log2,
    log_softmax, logaddexp, logaddexp2, logical_and, logical_not, logical_or, logical_xor, logsumexp, matmul,
    matrix_power, max, max_pool2d, maximum, mean, median, min, minimum, moveaxis, mse_loss, multiply, negative, norm,
    not_equal, ones, ones_like, outer, pad, power, prelu, prod, ptp, radians, ravel, reciprocal, relu, remainder,
    repeat, reshape, rint, rms_norm, roll, rot90, round, scaled_dot_product_attention, scatter_add, searchsorted,
    sigmoid, sign, signbit, silu, sin, sinh, slogdet, softmax, softplus, solve, sort, split, sqrt, square, squeeze,
    stack, std, subtract, sum, swapaxes, take, take_along_axis, tan, tanh, tensordot, tile, topk, trace, transpose,
    tril, triu, trunc, unstack, var, vdot, vstack, where, zeros, zeros_like,
)
from tinygrad2.ops.mapping import vmap
from tinygrad2.verify import (
    Derivation, Exercise, GradReport, NetworkReport, Report, Uncertified, WrongDerivation,
    check_double_vjp, check_jacobian, check_vjp, derivation, exercise, exercises, gradcheck, gradgradcheck,
    verify_network, verify_primitive,
)

__all__ = [
    "Derivation", "Exercise", "GradReport", "GradientError", "NetworkReport", "NoRule", "NotConnected", "NotRecorded",
    "Report", "Tensor", "Uncertified", "WrongDerivation", "abs", "adaptive_avg_pool2d", "adaptive_max_pool2d", "add",
    "all", "any", "arange", "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctan2", "arctanh", "argmax",
    "argmin", "argsort", "array_split", "astype", "atleast_1d", "atleast_2d", "atleast_3d", "autodiff", "autograd",
    "average", "avg_pool2d", "batch_norm", "binary_cross_entropy", "binary_cross_entropy_with_logits", "bitwise_and",
    "bitwise_or", "bitwise_xor", "broadcast_arrays", "broadcast_to", "cbrt", "ceil", "check_double_vjp",
    "check_jacobian", "check_vjp", "checkpoint", "clip", "column_stack", "concatenate", "conv1d", "conv2d",
    "conv_transpose2d", "cos", "cosh", "count_nonzero", "cross_entropy", "cumprod", "cumsum", "custom_vjp", "data",
    "degrees", "derivation", "det", "diag", "diagonal", "diff", "divide", "divmod", "dot", "dropout", "dstack",
    "einsum", "elu", "embedding", "equal", "erf", "erfc", "exercise", "exercises", "exp", "exp2", "expand_dims",
    "expm1", "eye", "flip", "fliplr", "flipud", "floor", "floor_divide", "fmod", "full", "full_like", "gather",
    "gelu", "grad", "gradcheck", "gradgradcheck", "greater", "greater_equal", "group_norm", "hessian", "hstack",
    "huber_loss", "hvp", "hypot", "index", "inner", "inv", "invert", "isfinite", "isinf", "isnan", "jacfwd",
    "jacobian", "jacrev", "jvp", "kl_div", "kron", "l1_loss", "layer_norm", "leaky_relu", "less", "less_equal",
    "linear", "linearize", "linspace", "local_response_norm", "log", "log1p", "log2", "log10", "log_softmax",
    "logaddexp", "logaddexp2", "logical_and", "logical_not", "logical_or", "logical_xor", "logsumexp", "manual_seed",
    "matmul", "matrix_power", "max", "max_pool2d", "maximum", "mean", "median", "min", "minimum", "moveaxis",
    "mse_loss", "multiply", "negative", "nn", "no_grad", "norm", "not_equal", "ones", "ones_like", "ops", "outer",
    "pad", "power", "prelu", "prod", "ptp", "radians", "ravel", "reciprocal", "relu", "remainder", "repeat",
    "reshape", "rint", "rms_norm", "robust", "roll", "rot90", "round", "scaled_dot_product_attention", "scatter_add",
    "searchsorted", "sigmoid", "sign", "signbit", "silu", "sin", "sinh", "slogdet", "softmax", "softplus", "solve",
    "sort", "split", "sqrt", "square", "squeeze", "stack", "std", "stop_gradient", "subtract", "sum", "swapaxes",
    "take", "take_along_axis", "tan", "tanh", "tensordot", "tile", "topk", "trace", "transpose", "tril", "triu",
    "trunc", "unstack", "value_and_grad", "var", "vdot", "verify", "verify_network", "verify_primitive", "view", "vjp",
    "vmap", "vstack", "where", "zeros", "zeros_like",
]
# fmt: on

# nan and inf are values like others: they propagate, and no operation warns of them. NumPy would, from inside it.
_warnings.filterwarnings("ignore", category=RuntimeWarning, module=r"tinygrad2\.(autodiff|kernels|ops)\.")

_habits.answers(globals(), __all__)

if not _typing.TYPE_CHECKING:  # a type checker would take every wrong name for right

    def __getattr__(name: str) -> None:
        """The error for a name that is not here; for one of another framework it says what to write."""
        raise _habits.unknown(__name__, _habits.FUNCTIONS, name)
