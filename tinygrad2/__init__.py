"""tinygrad2: the backward pass is a network you can read, run, differentiate again, and check."""

import typing as _typing
import warnings as _warnings
from importlib import import_module as _import_module

from tinygrad2 import autodiff as autodiff
from tinygrad2 import data as data
from tinygrad2 import nn as nn
from tinygrad2 import ops as ops
from tinygrad2 import robust as robust
from tinygrad2 import verify as verify
from tinygrad2 import view as view
from tinygrad2.autodiff import Tensor as Tensor
from tinygrad2.autodiff import autograd as autograd
from tinygrad2.autodiff import habits as _habits
from tinygrad2.autodiff import no_grad as no_grad
from tinygrad2.autodiff.custom import *
from tinygrad2.autodiff.errors import *
from tinygrad2.autodiff.names import public as _public
from tinygrad2.autodiff.transforms import *
from tinygrad2.nn import manual_seed as manual_seed
from tinygrad2.ops.mapping import vmap as vmap
from tinygrad2.ops.public import *
from tinygrad2.verify import *

__version__ = "0.1.0"

# nan and inf are values like others: they propagate, and no operation warns of them. NumPy would, from inside it.
_warnings.filterwarnings("ignore", category=RuntimeWarning, module=r"tinygrad2\.(autodiff|kernels|ops)\.")

if _typing.TYPE_CHECKING:
    from tinygrad2 import experiments as experiments  # it is imported when it is first used: it takes a while
else:
    __all__ = _public(globals(), "autodiff", "autograd", "data", "nn", "ops", "robust", "verify", "view")
    _habits.answers(globals(), __all__)

    # A type checker would take every wrong name for right.
    def __getattr__(name: str) -> _typing.Any:
        """The experiments, when they are first asked for; otherwise an error that says what to write."""
        if name == "experiments":
            return _import_module("tinygrad2.experiments")
        raise _habits.unknown(__name__, _habits.FUNCTIONS, name)
