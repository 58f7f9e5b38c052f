"""The tape, the backward pass, and the transforms built on it. This package knows no primitive by name."""

# fmt: off
# isort: off
from tinygrad2.autodiff import graph as autograd
from tinygrad2.autodiff.custom import checkpoint, custom_vjp
from tinygrad2.autodiff.effects import stateful
from tinygrad2.autodiff.engine import algebra
from tinygrad2.autodiff.errors import GradientError, NoRule, NotConnected, NotRecorded
from tinygrad2.autodiff.node import no_grad
from tinygrad2.autodiff.tensor import Tensor, TensorLike
from tinygrad2.autodiff.primitive import REGISTRY, Primitive, VariadicPrimitive, zero
from tinygrad2.autodiff.transforms import (
    grad, hessian, hvp, jacfwd, jacobian, jacrev, jvp, linearize, stop_gradient, value_and_grad, vjp,
)

__all__ = [
    "REGISTRY", "GradientError", "NoRule", "NotConnected", "NotRecorded", "Primitive", "Tensor", "TensorLike",
    "VariadicPrimitive", "algebra", "autograd", "checkpoint", "custom_vjp", "grad", "hessian", "hvp", "jacfwd",
    "jacobian", "jacrev", "jvp", "linearize", "no_grad", "stateful", "stop_gradient", "value_and_grad", "vjp", "zero",
]
# fmt: on
