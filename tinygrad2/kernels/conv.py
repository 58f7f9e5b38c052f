"""The convolution family: one trilinear form and its three partial contractions.

    <conv2d(x, w), g>  =  <x, conv2d_input(g, w)>  =  <w, conv2d_weight(x, g)>

x: (..., C, H, W); w: (O, C/groups, kh, kw); g: (..., O, OH, OW), with any number of leading axes. Cross-correlation, as
in all deep-learning frameworks. Results are new, contiguous, and of the dtype of the arguments.

With a pattern only some entries of each output plane are wanted, and g: (..., N..., O, PH, PW) holds these: see
`pattern.py`. The axes of x and g before N... share the pattern without a copy.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad2.kernels import choose
from tinygrad2.kernels.arrays import Array, images, xp
from tinygrad2.kernels.geometry import Geometry, Shape, check_conv
from tinygrad2.kernels.once import once
from tinygrad2.kernels.pattern import Pattern, Positions, check_positions


def conv2d(x: Array, w: Array, geo: Geometry, pattern: Pattern | None = None) -> Array:
    """x: (..., C, H, W), w: (O, C/groups, kh, kw) -> (..., O, OH, OW), or what the pattern wants, (..., O, PH, PW)."""
    _check(geo, "x", type(x), x.dtype, x.shape, "w", type(w), w.dtype, w.shape)
    wanted = None if pattern is None else _wanted(pattern, geo, "x", x, w.shape[0])
    x_ = images(x)
    y = choose.convolution(geo, w.shape[1], len(x_), wanted, x, w).conv2d(x_, w, geo, wanted)
    return y if x_ is x else y.reshape(*x.shape[:-3], *y.shape[1:])


def conv2d_input(g: Array, w: Array, geo: Geometry, pattern: Pattern | None = None) -> Array:
    """g: (..., O, OH, OW) or, of what the pattern wants, (..., O, PH, PW); w: (O, C/groups, kh, kw) -> (..., C, H, W).

    The transposed convolution.
    """
    shape = g.shape if pattern is None else (*g.shape[:-2], *geo.output)
    _check(geo, "g", type(g), g.dtype, shape, "w", type(w), w.dtype, w.shape)
    wanted = None if pattern is None else _wanted(pattern, geo, "g", g, w.shape[0], g.shape[-2:])
    g_ = images(g)
    x = choose.convolution(geo, w.shape[1], len(g_), wanted, g, w).conv2d_input(g_, w, geo, wanted)
    return x if g_ is g else x.reshape(*g.shape[:-3], *x.shape[1:])


def conv2d_weight(x: Array, g: Array, geo: Geometry, pattern: Pattern | None = None) -> Array:
    """x: (..., C, H, W); g: (..., O, OH, OW) or, of what the pattern wants, (..., O, PH, PW) -> (O, C/groups, kh, kw).

    Summed over the shared leading axes.
    """
    shape = g.shape if pattern is None else (*g.shape[:-2], *geo.output)
    _check(geo, "x", type(x), x.dtype, x.shape, "g", type(g), g.dtype, shape)
    wanted = None if pattern is None else _wanted(pattern, geo, "x", x, g.shape[-3], g.shape[-2:])
    x_ = images(x)
    chosen = choose.filters(geo, x.shape[-3] // geo.groups, len(x_), wanted, x, g)
    return chosen.conv2d_weight(x_, images(g), geo, wanted)


@once
def _check(
    geo: Geometry,
    name_a: str,
    kind_a: type,
    dtype_a: np.dtype[Any],
    shape_a: Shape,
    name_b: str,
    kind_b: type,
    dtype_b: np.dtype[Any],
    shape_b: Shape,
) -> None:
    """Errors unless two of x, w and g fit the geometry and each other; looked at once for the same arguments."""
    check_conv(geo, **{name_a: shape_a, name_b: shape_b})
    if issubclass(kind_a, np.ndarray) is not issubclass(kind_b, np.ndarray):
        raise TypeError(f"convolution: {name_a} and {name_b} are on different devices; move one with .to(...)")
    if dtype_a != dtype_b and "c" not in (dtype_a.kind, dtype_b.kind):  # complex: for complex-step differentiation
        raise TypeError(f"convolution: {name_a} is {dtype_a} but {name_b} is {dtype_b}; convert one of them")


def _wanted(pattern: Pattern, geo: Geometry, name: str, a: Array, outputs: int, plane: Shape | None = None) -> Pattern:
    """The pattern with one axis of images; errors unless it fits a, the outputs, and the plane of g if there is one."""
    at = pattern.at
    if xp(at) is not xp(a):
        raise TypeError(f"convolution: {name} and at are on different devices; move one with .to(...)")
    lead = a.ndim - at.ndim
    if lead < 0 or a.shape[lead:-3] != at.shape[:-3]:
        raise ValueError(
            f"convolution: {name} of shape {a.shape} does not match at of shape {at.shape}: the axes before its last "
            f"three must end with {at.shape[:-3]}"
        )
    for rows, columns in (pattern.plane(geo), plane or pattern.plane(geo)):
        if at.shape[-3:] != (outputs, rows, columns):
            raise ValueError(f"convolution: the last three axes of at {at.shape} must be {(outputs, rows, columns)}")
    if isinstance(pattern, Positions):
        check_positions(pattern, geo)
    return pattern.images()
