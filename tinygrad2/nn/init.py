"""Initial values. Every function takes its generator explicitly; `default_rng` serves layers that were given none."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad2.autodiff import Tensor

_default = np.random.default_rng(0)

Rng = np.random.Generator | int | None


def manual_seed(seed: int) -> None:
    """Restart the generator that layers without `rng=` draw from. It starts with seed 0, so a script repeats itself."""
    global _default
    _default = np.random.default_rng(seed)


def default_rng(rng: Rng) -> np.random.Generator:
    """The generator given, one seeded with the int given, or the shared one."""
    return _default if rng is None else np.random.default_rng(rng)


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """Inputs and outputs that one unit sees. shape: (O, I) or (O, C/groups, kh, kw)."""
    window = math.prod(shape[2:])
    return shape[1] * window, shape[0] * window


def parameter(values: Any, dtype: Any) -> Tensor:
    """A leaf that training changes."""
    return Tensor(np.asarray(values).astype(dtype), requires_grad=True)


def uniform(shape: tuple[int, ...], bound: float, rng: Rng = None, dtype: Any = np.float32) -> Tensor:
    """Uniform in [-bound, bound]."""
    return parameter(default_rng(rng).uniform(-bound, bound, shape), dtype)


def fan_in_uniform(shape: tuple[int, ...], rng: Rng = None, dtype: Any = np.float32) -> Tensor:
    """Uniform in ±1/√fan_in: what PyTorch's Linear and Conv2d start from."""
    return uniform(shape, 1 / math.sqrt(max(1, fans(shape)[0])), rng, dtype)


def kaiming_normal(shape: tuple[int, ...], rng: Rng = None, dtype: Any = np.float32) -> Tensor:
    """Normal with variance 2/fan_in, which keeps the variance through ReLU layers. He et al. 2015, equation 10."""
    return parameter(default_rng(rng).normal(0, math.sqrt(2 / max(1, fans(shape)[0])), shape), dtype)


def xavier_uniform(shape: tuple[int, ...], rng: Rng = None, dtype: Any = np.float32) -> Tensor:
    """Uniform in ±√(6/(fan_in + fan_out)). Glorot & Bengio 2010, equation 16."""
    return uniform(shape, math.sqrt(6 / max(1, sum(fans(shape)))), rng, dtype)


def orthonormal(shape: tuple[int, ...], rng: Rng = None, dtype: Any = np.float32) -> Tensor:
    """Rows that are orthonormal, uniformly among all such matrices. shape: (O, I) with O ≤ I. Saxe et al. 2014."""
    o, i = shape
    if o > i:
        raise ValueError(f"{o} vectors of {i} numbers cannot be orthonormal")
    q, r = np.linalg.qr(default_rng(rng).normal(size=(i, o)))
    return parameter((q * np.copysign(1.0, np.diag(r))).T, dtype)
