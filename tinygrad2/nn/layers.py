"""The layers that are no activation, convolution, pool or normalisation, with PyTorch's names and arguments.

`rng`: a NumPy generator or a seed for the initial values (None: the shared generator, see `nn.manual_seed`).
`dtype`: float32 or float64.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import DTypeLike

from tinygrad2.autodiff import Tensor
from tinygrad2.nn import reverse as r
from tinygrad2.nn.init import Rng, default_rng, fan_in_uniform, uniform
from tinygrad2.nn.layer import Applied, Layer
from tinygrad2.nn.sizes import check_counts
from tinygrad2.ops import functional, mask, reshape

__all__ = ["Dropout", "Flatten", "Identity", "Linear"]


class Linear(Layer):
    """x Wᵀ + b. x: (N, ..., in_features); result: (N, ..., out_features).

    weight: (out_features, in_features); bias: (out_features,). Both start uniform in ±1/√in_features, as in PyTorch.
    Raises ValueError for another number of features.

    >>> nn.Linear(5, 2, rng=0)(np.ones((3, 5), np.float32)).shape
    (3, 2)
    """

    weight: Tensor
    bias: Tensor | None

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, *, rng: Rng = None, dtype: DTypeLike = np.float32
    ) -> None:
        check_counts(in_features=in_features, out_features=out_features)
        rng = default_rng(rng)
        self.weight = fan_in_uniform((out_features, in_features), rng, dtype)
        self.bias = uniform((out_features,), in_features**-0.5, rng, dtype) if bias else None

    def apply(self, x: Tensor) -> Applied:
        if x.ndim < 2:
            raise ValueError(f"expected samples (N, ..., {self.weight.shape[1]}), got shape {x.shape}")
        return functional.linear(x, self.weight, self.bias), r.ReverseLinear(self.weight)

    def extra_repr(self) -> str:
        o, i = self.weight.shape
        return f"{i}, {o}{'' if self.bias is not None else ', bias=False'}"


class Flatten(Layer):
    """All axes of a sample in one. x: (N, ...); result: (N, D).

    >>> nn.Flatten()(np.zeros((2, 3, 4, 4))).shape
    (2, 48)
    """

    def apply(self, x: Tensor) -> Applied:
        if x.dtype.kind not in "fc":
            raise TypeError(f"expected images in float32 or float64, got {x.dtype}; convert with .astype(np.float32)")
        n, *sample = x.shape
        return reshape(x, (n, math.prod(sample))), r.ReverseFlatten(tuple(sample))


class Identity(Layer):
    """x itself: the plain shortcut of a residual block. x: (N, ...).

    >>> nn.Identity()(np.array([[7.0]])).numpy().tolist()
    [[7.0]]
    """

    def apply(self, x: Tensor) -> Applied:
        return x, r.ReverseIdentity()


class Dropout(Layer):
    """In training, drops entries with probability p and scales the others by 1/(1-p). Srivastava et al. 2014.

    x: (N, ...); p: in [0, 1), ValueError otherwise. Each call draws a fresh mask from the layer's own generator;
    `nn.rng_state` saves where that is.

    >>> drop = nn.Dropout(0.5, rng=0)
    >>> set(drop(np.ones((1, 99))).numpy().flat) == {0.0, 2.0}
    True
    >>> drop.eval()(np.ones((1, 2))).numpy().tolist()
    [[1.0, 1.0]]
    """

    p: float
    rng: np.random.Generator

    def __init__(self, p: float = 0.5, *, rng: Rng = None) -> None:
        if not 0.0 <= p < 1.0:
            raise ValueError(f"p is a probability in [0, 1), got {p}")
        self.p = p
        self.rng = default_rng(rng).spawn(1)[0]

    def apply(self, x: Tensor) -> Applied:
        if not self.training or self.p == 0:
            return x, r.ReverseIdentity()
        weights = functional.dropout_mask(x.shape, self.p, self.rng, x)
        return mask(x, weights), r.ReverseMask(weights)
