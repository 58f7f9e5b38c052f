"""The convolution family: one trilinear form and its three partial contractions, on the fastest path that fits.

    <conv2d(x, w), g>  =  <x, conv2d_input(g, w)>  =  <w, conv2d_weight(x, g)>

x: (..., C, H, W); w: (O, C/groups, kh, kw); g: (..., O, OH, OW), with any number of leading axes. Cross-correlation, as
in all deep-learning frameworks. Results are new, contiguous, and of the dtype of the arguments.

With a pattern at: (N..., O, PH, PW) only these entries of each output plane are wanted, and g: (..., N..., O, PH, PW)
holds them: int32 positions in OH*OW, -1 for an entry that is dropped (0 in the result, ignored in g); a position may
occur twice. Axes of x and g before N... share the pattern without a copy. A max-pool that follows makes it. A ReLU
makes the simpler one, a mask (N..., O, OH, OW) of bools: where it is False, the result is 0 and g is ignored.
"""

from __future__ import annotations

import math

import numpy as np

from tinygrad2.kernels.arrays import Array, xp
from tinygrad2.kernels.geometry import Geometry, check_conv
from tinygrad2.kernels.paths import convolution_path, follows
from tinygrad2.kernels.select import masked


def _images(a: Array) -> Array:
    """(..., C, H, W) -> (N, C, H, W); the size is spelt out since -1 is ambiguous for empty arrays."""
    return a.reshape(math.prod(a.shape[:-3]), *a.shape[-3:])


def _check(geo: Geometry, at: Array | None, **arrays: Array) -> None:
    """Errors unless the arrays, two of x, w and g, fit the geometry, the pattern and each other."""
    if at is None:
        check_conv(geo, **{name: a.shape for name, a in arrays.items()})
    else:
        _check_pattern(geo, at, arrays)
    _check_dtypes(**arrays)


def _check_dtypes(**arrays: Array) -> None:
    """TypeError for mixed precision; complex with real is let through, for complex-step differentiation."""
    (first, a), (second, b) = arrays.items()
    if xp(a) is not xp(b):
        raise TypeError(f"convolution: {first} and {second} are on different devices; move one with .to(...)")
    if a.dtype != b.dtype and "c" not in (a.dtype.kind, b.dtype.kind):
        raise TypeError(f"convolution: {first} is {a.dtype} but {second} is {b.dtype}; convert one of them")


def _check_pattern(geo: Geometry, at: Array, arrays: dict[str, Array]) -> None:
    check_conv(geo, **{k: (*a.shape[:-2], *geo.output) if k == "g" else a.shape for k, a in arrays.items()})
    name, a = next((name, a) for name, a in arrays.items() if name != "w")
    if xp(at) is not xp(a):
        raise TypeError(f"convolution: {name} and at are on different devices; move one with .to(...)")
    if at.dtype not in (np.int32, np.bool_) or at.ndim < 3:
        raise TypeError(
            "convolution: at must hold int32 positions (..., O, PH, PW), or bools (..., O, OH, OW); "
            f"got {at.dtype}, {at.shape}"
        )
    images, lead = at.shape[:-3], a.ndim - at.ndim
    if lead < 0 or a.shape[lead:-3] != images:
        raise ValueError(
            f"convolution: {name} of shape {a.shape} does not match at of shape {at.shape}: the axes before its last "
            f"three must end with {images}"
        )
    outputs = arrays["w"].shape[0] if "w" in arrays else arrays["g"].shape[-3]
    plane = geo.output if at.dtype == np.bool_ else at.shape[-2:]
    expected = (outputs, *(arrays["g"].shape[-2:] if "g" in arrays else plane))
    if at.shape[-3:] != expected:
        raise ValueError(f"convolution: the last three axes of at {at.shape} must be {expected}")
    pixels = math.prod(geo.output)
    # Not on a GPU: looking at the values would stop the host until the device has caught up.
    if isinstance(at, np.ndarray) and at.size and at.dtype != np.bool_ and (at.min() < -1 or at.max() >= pixels):
        raise IndexError(
            f"convolution: at holds {at.min()} ... {at.max()}, but positions in {geo.output} are 0 ... {pixels - 1}, "
            "and -1 where an entry is dropped"
        )


def _is_mask(at: Array | None) -> bool:
    return at is not None and at.dtype == np.bool_


def _positions(at: Array) -> Array:
    """A mask (..., OH, OW) as positions in OH*OW, or -1."""
    plane = xp(at).arange(math.prod(at.shape[-2:]), dtype=np.int32).reshape(at.shape[-2:])
    return xp(at).where(at, plane, np.int32(-1))


def conv2d(x: Array, w: Array, geo: Geometry, at: Array | None = None) -> Array:
    """x: (..., C, H, W), w: (O, C/groups, kh, kw) -> (..., O, OH, OW), or the entries at of it, (..., O, PH, PW)."""
    _check(geo, at, x=x, w=w)
    x_, at_ = _images(x), None if at is None else _images(at)
    if _is_mask(at):
        if not follows(geo, w.shape[1], len(x_), at_, x, w):
            return masked(conv2d(x, w, geo), at, spare=True)
        at_ = _positions(at_)
    y = convolution_path(geo, w.shape[1], len(x_), at_, x, w).conv2d(x_, w, geo, at_)
    return y.reshape(*x.shape[:-3], *y.shape[1:])


def conv2d_input(g: Array, w: Array, geo: Geometry, at: Array | None = None) -> Array:
    """g: (..., O, OH, OW) or, at the entries, (..., O, PH, PW); w: (O, C/groups, kh, kw) -> (..., C, H, W).

    The transposed convolution.
    """
    _check(geo, at, g=g, w=w)
    g_, at_ = _images(g), None if at is None else _images(at)
    if _is_mask(at):
        if not follows(geo, w.shape[1], len(g_), at_, g, w):
            return conv2d_input(masked(g, at), w, geo)
        at_ = _positions(at_)
    x = convolution_path(geo, w.shape[1], len(g_), at_, g, w).conv2d_input(g_, w, geo, at_)
    return x.reshape(*g.shape[:-3], *x.shape[1:])


def conv2d_weight(x: Array, g: Array, geo: Geometry, at: Array | None = None) -> Array:
    """x: (..., C, H, W), g: (..., O, OH, OW) or, at the entries, (..., O, PH, PW) -> (O, C/groups, kh, kw).

    Summed over the shared leading axes.
    """
    _check(geo, at, x=x, g=g)
    if _is_mask(at):  # which lets through about a half: too much for filter gradients to gain by following it
        return conv2d_weight(x, masked(g, at), geo)
    x_, at_ = _images(x), None if at is None else _images(at)
    module = convolution_path(geo, x.shape[-3] // geo.groups, len(x_), at_, x, g)
    return module.conv2d_weight(x_, _images(g), geo, at_)
