"""Every derivative rule there is: the primitives, and what is composed of them. No other package defines a rule."""

import typing as _typing

from tinygrad2.autodiff.names import public as _public
from tinygrad2.ops.elementwise import mask as mask
from tinygrad2.ops.elementwise import positive as positive
from tinygrad2.ops.methods import install as _install
from tinygrad2.ops.numpy_page import numpy_table as numpy_table
from tinygrad2.ops.public import *
from tinygrad2.ops.reduce import ratio as ratio

_install()

if not _typing.TYPE_CHECKING:
    __all__ = _public(globals())
