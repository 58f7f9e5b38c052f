"""The explicit reverse network: for every layer a reverse layer that shares its weights, masks, indices and geometry.

At a point x a layer is a linear map, its Jacobian J. Its reverse layer computes Jᵀu (`vjp`) and Jv (`jvp`), since the
reverse of the reverse is the linearised forward pass. The fields of a reverse layer are what it shares. Cotangents may
carry leading axes (K, N, ...); what is shared has the axes (N, ...) and is never copied over K. This is Deep Defense
(Yan et al. 2018), section 3.3 and figure 1, made general.

A comment beside a formula says why it is the transposed Jacobian: the matrix with ⟨u, Jv⟩ = ⟨Jᵀu, v⟩ for all u and v.
"""

from __future__ import annotations

from tinygrad2.nn.reverse.activations import ReverseMask, ReverseSigmoid, ReverseSlope, ReverseSoftmax, ReverseTanh
from tinygrad2.nn.reverse.base import Linearized, ReverseLayer, Row, Shape, Symmetric
from tinygrad2.nn.reverse.containers import Place, ReverseResidual, ReverseSequential, Step
from tinygrad2.nn.reverse.convolution import ReverseConv2d, ReverseConv2dAt
from tinygrad2.nn.reverse.linear import ReverseFlatten, ReverseIdentity, ReverseLinear
from tinygrad2.nn.reverse.normalization import ReverseBatchNorm, ReverseLocalResponseNorm, ReverseScale
from tinygrad2.nn.reverse.pooling import ReverseAvgPool2d, ReverseGlobalAvgPool, ReverseMaxPool2d

__all__ = [
    "Linearized",
    "Place",
    "ReverseAvgPool2d",
    "ReverseBatchNorm",
    "ReverseConv2d",
    "ReverseConv2dAt",
    "ReverseFlatten",
    "ReverseGlobalAvgPool",
    "ReverseIdentity",
    "ReverseLayer",
    "ReverseLinear",
    "ReverseLocalResponseNorm",
    "ReverseMask",
    "ReverseMaxPool2d",
    "ReverseResidual",
    "ReverseScale",
    "ReverseSequential",
    "ReverseSigmoid",
    "ReverseSlope",
    "ReverseSoftmax",
    "ReverseTanh",
    "Row",
    "Shape",
    "Step",
    "Symmetric",
]
