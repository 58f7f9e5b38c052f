"""The explicit reverse network: for every layer a reverse layer that shares its weights, masks, indices and geometry.

At a point x a layer is a linear map, its Jacobian J. Its reverse layer computes Jᵀu (`vjp`) and Jv (`jvp`), since the
reverse of the reverse is the linearised forward pass. The fields of a reverse layer are what it shares. Cotangents may
carry leading axes (K, N, ...); what is shared has the axes (N, ...) and is never copied over K. This is Deep Defense
(Yan et al. 2018), section 3.3 and figure 1, made general.

A comment beside a formula says why it is the transposed Jacobian: the matrix with ⟨u, Jv⟩ = ⟨Jᵀu, v⟩ for all u and v.
"""

from __future__ import annotations

from tinygrad2.nn.reverse.activations import (
    ReverseELU,
    ReverseGELU,
    ReverseMask,
    ReverseSigmoid,
    ReverseSiLU,
    ReverseSlope,
    ReverseSoftmax,
    ReverseSoftplus,
    ReverseTanh,
)
from tinygrad2.nn.reverse.attention import ReverseAttention, ReverseEmbedding, ReverseMultiheadAttention
from tinygrad2.nn.reverse.base import Linearized, ReverseLayer, Row, Shape, Symmetric
from tinygrad2.nn.reverse.containers import (
    Place,
    ReverseConcatenate,
    ReverseResidual,
    ReverseSequential,
    ReverseSum,
    Step,
)
from tinygrad2.nn.reverse.convolution import (
    ReverseBorderedConv2d,
    ReverseConv1d,
    ReverseConv2d,
    ReverseConv2dAt,
    ReverseConvTranspose2d,
)
from tinygrad2.nn.reverse.linear import ReverseFlatten, ReverseIdentity, ReverseLinear
from tinygrad2.nn.reverse.normalization import (
    ReverseBatchNorm,
    ReverseGroupNorm,
    ReverseLayerNorm,
    ReverseLocalResponseNorm,
    ReverseRMSNorm,
    ReverseScale,
)
from tinygrad2.nn.reverse.pooling import (
    ReverseAdaptiveAvgPool2d,
    ReverseAvgPool2d,
    ReverseGlobalAvgPool,
    ReverseMaxPool2d,
)

__all__ = [
    "Linearized",
    "Place",
    "ReverseAdaptiveAvgPool2d",
    "ReverseAttention",
    "ReverseAvgPool2d",
    "ReverseBatchNorm",
    "ReverseBorderedConv2d",
    "ReverseConcatenate",
    "ReverseConv1d",
    "ReverseConv2d",
    "ReverseConv2dAt",
    "ReverseConvTranspose2d",
    "ReverseELU",
    "ReverseEmbedding",
    "ReverseFlatten",
    "ReverseGELU",
    "ReverseGlobalAvgPool",
    "ReverseGroupNorm",
    "ReverseIdentity",
    "ReverseLayer",
    "ReverseLayerNorm",
    "ReverseLinear",
    "ReverseLocalResponseNorm",
    "ReverseMask",
    "ReverseMaxPool2d",
    "ReverseMultiheadAttention",
    "ReverseRMSNorm",
    "ReverseResidual",
    "ReverseScale",
    "ReverseSequential",
    "ReverseSiLU",
    "ReverseSigmoid",
    "ReverseSlope",
    "ReverseSoftmax",
    "ReverseSoftplus",
    "ReverseSum",
    "ReverseTanh",
    "Row",
    "Shape",
    "Step",
    "Symmetric",
]
