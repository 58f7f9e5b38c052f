"""Initial values. Every function takes its generator explicitly; `default_rng` serves layers that were given none.

`rng`: a NumPy generator or a seed (None: the shared generator). `dtype`: float32 or float64. `shape` is that of a
weight: (O, I) of a Linear or (O, C/groups, kh, kw) of a Conv2d.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from tinygrad2.autodiff import Tensor

_default = np.random.default_rng(0)

Rng = np.random.Generator | int | None


def manual_seed(seed: int) -> None:
    """Restart the generator that layers without `rng=` draw from. It starts with seed 0, so a script repeats itself.

    >>> nn.manual_seed(3)
    >>> first = nn.Linear(2, 1)
    >>> nn.manual_seed(3)
    >>> bool((nn.Linear(2, 1).weight == first.weight).numpy().all())
    True
    """
    global _default
    _default = np.random.default_rng(seed)


def default_rng(rng: Rng) -> np.random.Generator:
    """The generator given, one seeded with the int given, or the shared one.

    >>> nn.init.default_rng(7).random() == nn.init.default_rng(7).random()
    True
    """
    return _default if rng is None else np.random.default_rng(rng)


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """Inputs and outputs that one unit sees. shape: (O, I) or (O, C/groups, kh, kw).

    >>> nn.init.fans((6, 3, 5, 5))
    (75, 150)
    """
    window = math.prod(shape[2:])
    return shape[1] * window, shape[0] * window


def parameter(values: ArrayLike, dtype: DTypeLike) -> Tensor:
    """A leaf that training changes.

    >>> nn.init.parameter([1, 2], np.float32).requires_grad
    True
    """
    return Tensor(np.asarray(values).astype(dtype), requires_grad=True)


def uniform(shape: tuple[int, ...], bound: float, rng: Rng = None, dtype: DTypeLike = np.float32) -> Tensor:
    """Uniform in [-bound, bound).

    >>> bool((abs(nn.init.uniform((100,), 0.5, rng=0).numpy()) <= 0.5).all())
    True
    """
    return parameter(default_rng(rng).uniform(-bound, bound, shape), dtype)


def fan_in_uniform(shape: tuple[int, ...], rng: Rng = None, dtype: DTypeLike = np.float32) -> Tensor:
    """Uniform in ±1/√fan_in: what PyTorch's Linear and Conv2d start from. The variance is 1/(3 fan_in).

    >>> bool((abs(nn.init.fan_in_uniform((5, 100), rng=0).numpy()) <= 0.1).all())
    True
    """
    return uniform(shape, 1 / math.sqrt(max(1, fans(shape)[0])), rng, dtype)


def kaiming_normal(shape: tuple[int, ...], rng: Rng = None, dtype: DTypeLike = np.float32) -> Tensor:
    """Normal with variance 2/fan_in, which keeps the variance through ReLU layers. He et al. 2015, equation 10.

    >>> round(float(nn.init.kaiming_normal((1000, 50), rng=0).numpy().std()), 2)  # √(2/50)
    0.2
    """
    return parameter(default_rng(rng).normal(0, math.sqrt(2 / max(1, fans(shape)[0])), shape), dtype)


def xavier_uniform(shape: tuple[int, ...], rng: Rng = None, dtype: DTypeLike = np.float32) -> Tensor:
    """Uniform in ±√(6/(fan_in + fan_out)). Glorot & Bengio 2010, equation 16.

    >>> bool((abs(nn.init.xavier_uniform((300, 300), rng=0).numpy()) <= 0.1).all())
    True
    """
    return uniform(shape, math.sqrt(6 / max(1, sum(fans(shape)))), rng, dtype)


def orthonormal(shape: tuple[int, ...], rng: Rng = None, dtype: DTypeLike = np.float32) -> Tensor:
    """Rows that are orthonormal, uniformly among all such matrices. shape: (O, I) with O ≤ I. Saxe et al. 2014.

    Raises ValueError for O > I.

    >>> w = nn.init.orthonormal((2, 3), rng=0, dtype=np.float64).numpy()
    >>> np.allclose(w @ w.T, np.eye(2))
    True
    """
    o, i = shape
    if o > i:
        raise ValueError(f"{o} vectors of {i} numbers cannot be orthonormal")
    q, r = np.linalg.qr(default_rng(rng).normal(size=(i, o)))
    return parameter((q * np.copysign(1.0, np.diag(r))).T, dtype)
