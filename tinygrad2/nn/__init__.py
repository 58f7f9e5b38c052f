"""Layers, each with its reverse layer; containers, initial values, optimizers, models, and files of parameters."""

import typing as _typing

from tinygrad2.autodiff import habits as _habits
from tinygrad2.autodiff.names import public as _public
from tinygrad2.nn import init as init
from tinygrad2.nn import models as models
from tinygrad2.nn import reverse as reverse
from tinygrad2.nn import schedules as schedules
from tinygrad2.nn.activations import *
from tinygrad2.nn.attention import *
from tinygrad2.nn.containers import *
from tinygrad2.nn.convolution import *
from tinygrad2.nn.init import manual_seed as manual_seed
from tinygrad2.nn.io import *
from tinygrad2.nn.layer import *
from tinygrad2.nn.layers import *
from tinygrad2.nn.normalization import *
from tinygrad2.nn.optim import *
from tinygrad2.nn.pooling import *
from tinygrad2.nn.reverse import ReverseLayer as ReverseLayer
from tinygrad2.nn.rng import *
from tinygrad2.nn.summary import *
from tinygrad2.nn.trace import *

if not _typing.TYPE_CHECKING:
    __all__ = _public(globals(), "init", "models", "reverse", "schedules")
    _habits.answers(globals(), __all__)

    # A type checker would take every wrong name for right.
    def __getattr__(name: str) -> None:
        """The error for a name that is not here; for one of another framework it says what to write."""
        raise _habits.unknown(__name__, _habits.LAYERS, name)
