"""Hypothesis strategies shared by the tests: structure and a seed are drawn, arrays are filled from the seed.

Geometry is built from the output size up, so no draw is ever thrown away.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

from tinygrad2.kernels import Geometry

LEADS = ((), (0,), (1,), (3,), (2, 2), (3, 0))
SEEDS = st.integers(0, 2**32 - 1)


@st.composite
def _axis(draw: st.DrawFn, pooling: bool) -> tuple[int, int, int, int, int, int]:
    """(input, kernel, stride, dilation, before, after) of one axis; with `pooling` every window sees the input."""
    kernel, stride, output = draw(st.integers(1, 4)), draw(st.integers(1, 3)), draw(st.integers(1, 4))
    dilation, remainder = draw(st.integers(1, 3)), draw(st.integers(0, stride - 1))
    span = dilation * (kernel - 1) + 1
    padded = (output - 1) * stride + span + remainder
    # A dilated window cannot step over an input of at least `dilation` pixels.
    most = padded - (dilation if pooling and kernel > 1 else 1)
    before = draw(st.integers(0, min(3, most, span - 1 if pooling else 3)))
    after = draw(st.integers(0, min(3, most - before, span - 1 + remainder if pooling else 3)))
    return padded - before - after, kernel, stride, dilation, before, after


@st.composite
def geometries(draw: st.DrawFn, groups: bool = True, pooling: bool = False) -> Geometry:
    """Small geometries with every feature: stride and its remainder, uneven padding, dilation, groups."""
    (h, kh, sh, dh, top, bottom), (w, kw, sw, dw, left, right) = draw(_axis(pooling)), draw(_axis(pooling))
    count = draw(st.integers(1, 3)) if groups and not pooling else 1
    return Geometry.of((h, w), (kh, kw), (sh, sw), ((top, bottom), (left, right)), (dh, dw), count)


@dataclass(frozen=True)
class Convolution:
    """The shapes of one convolution problem and the seed of its entries."""

    geo: Geometry
    lead: tuple[int, ...]
    inputs: int
    outputs: int
    seed: int

    @property
    def shapes(self) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
        """Of x, w and g."""
        geo = self.geo
        return (
            (*self.lead, self.inputs, *geo.input),
            (self.outputs, self.inputs // geo.groups, *geo.kernel),
            (*self.lead, self.outputs, *geo.output),
        )

    def arrays(self, dtype: Any, integers: bool = True) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """x, w, g: small integers (sums are exact in every dtype) or normal variates; some are not contiguous."""
        rng = np.random.default_rng(self.seed)
        return tuple(scattered(rng, entries(rng, shape, dtype, integers)) for shape in self.shapes)  # type: ignore


@st.composite
def convolutions(draw: st.DrawFn) -> Convolution:
    """Convolution problems with any number of leading axes, empty ones too."""
    geo = draw(geometries())
    inputs, outputs = (geo.groups * draw(st.integers(1, 3)) for _ in range(2))
    return Convolution(geo, draw(st.sampled_from(LEADS)), inputs, outputs, draw(SEEDS))


def entries(rng: np.random.Generator, shape: tuple[int, ...], dtype: Any, integers: bool = True) -> np.ndarray:
    """Integers from -4 to 4, or normal variates, as `dtype`."""
    return (rng.integers(-4, 5, shape) if integers else rng.standard_normal(shape)).astype(dtype)


def scattered(rng: np.random.Generator, a: np.ndarray) -> np.ndarray:
    """`a` with the same entries, laid out in memory at random: contiguous, transposed, reversed or with gaps."""
    layout = rng.integers(4)
    if layout == 1:
        return np.asfortranarray(a)
    if layout == 2:
        return a[..., ::-1].copy()[..., ::-1]
    if layout == 3:
        wide = np.zeros((*a.shape[:-1], 2 * a.shape[-1]), a.dtype)
        wide[..., ::2] = a
        return wide[..., ::2]
    return a


def permutation(rng: np.random.Generator, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Distinct entries on a grid, so that no window has ties."""
    return rng.permutation(math.prod(shape)).reshape(shape).astype(dtype)
