"""The explicit reverse network: for every layer a reverse layer that shares its weights, masks, indices and geometry.

At a point x a layer is a linear map, its Jacobian J. Its reverse layer computes Jᵀu (`vjp`) and Jv (`jvp`), since the
reverse of the reverse is the linearised forward pass. The fields of a reverse layer are what it shares. Cotangents may
carry leading axes (K, N, ...); what is shared has the axes (N, ...) and is never copied over K. This is Deep Defense
(Yan et al. 2018), section 3.3 and figure 1, made general.

A comment beside a formula says why it is the transposed Jacobian: the matrix with ⟨u, Jv⟩ = ⟨Jᵀu, v⟩ for all u and v.
"""

import typing as _typing

from tinygrad2.autodiff.names import public as _public
from tinygrad2.nn.reverse.activations import *
from tinygrad2.nn.reverse.attention import *
from tinygrad2.nn.reverse.base import *
from tinygrad2.nn.reverse.containers import *
from tinygrad2.nn.reverse.convolution import *
from tinygrad2.nn.reverse.linear import *
from tinygrad2.nn.reverse.normalization import *
from tinygrad2.nn.reverse.pooling import *

if not _typing.TYPE_CHECKING:
    __all__ = _public(globals())
