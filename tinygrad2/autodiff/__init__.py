"""The tape, the backward pass, and the transforms built on it. This package knows no primitive by name."""

import typing as _typing

from tinygrad2.autodiff import autograd as autograd
from tinygrad2.autodiff.custom import *
from tinygrad2.autodiff.effects import stateful as stateful
from tinygrad2.autodiff.engine import algebra as algebra
from tinygrad2.autodiff.errors import *
from tinygrad2.autodiff.names import public as _public
from tinygrad2.autodiff.node import no_grad as no_grad
from tinygrad2.autodiff.primitive import *
from tinygrad2.autodiff.tensor import Tensor as Tensor
from tinygrad2.autodiff.tensor import TensorLike as TensorLike
from tinygrad2.autodiff.transforms import *

if not _typing.TYPE_CHECKING:
    __all__ = _public(globals(), "autograd")
