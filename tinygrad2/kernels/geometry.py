"""The shape of a sliding window: one frozen record shared by convolution, its two adjoints, and pooling.

Output pixel `o` of an axis looks at the input pixels `o*stride - before + k*dilation` for k = 0 ... kernel-1. Input
*and* output size are kept: with a stride several input sizes give one output size, and the adjoints need to know which.
A geometry is validated when it is made, and made once for the same arguments.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, TypeAlias

from tinygrad2.kernels.once import once

Pair: TypeAlias = tuple[int, int]
Shape: TypeAlias = tuple[int, ...]
RowPadding: TypeAlias = int | Literal["same", "valid"] | Sequence[int]
Padding: TypeAlias = RowPadding | Sequence[Sequence[int]]


def _pair(name: str, value: object) -> Pair:
    """`value` or `(value, value)` as two ints: rows, columns."""
    values = tuple(value) if isinstance(value, Sequence) else (value, value)
    try:
        rows, columns = map(operator.index, values)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be an integer or a pair of integers (rows, columns), got {value!r}") from None
    return rows, columns


def _same(size: int, span: int, stride: int) -> Pair:
    """TensorFlow's SAME: output = ceil(size / stride); the odd pixel goes after (bottom, right)."""
    total = max((-(-size // stride) - 1) * stride + span - size, 0)
    return total // 2, total - total // 2


def _padding(value: object, size: Pair, span: Pair, stride: Pair) -> tuple[Pair, Pair]:
    if value == "same":
        return _same(size[0], span[0], stride[0]), _same(size[1], span[1], stride[1])
    if value == "valid":
        return (0, 0), (0, 0)
    if isinstance(value, str):
        raise ValueError(f"padding {value!r} is unknown: expected 'same', 'valid', an integer, a pair, or two pairs")
    if isinstance(value, Sequence) and any(isinstance(v, Sequence) for v in value):
        if len(value) != 2:
            raise ValueError(f"padding must be ((top, bottom), (left, right)), got {value!r}")
        return _pair("padding (top, bottom)", value[0]), _pair("padding (left, right)", value[1])
    rows, columns = _pair("padding", value)
    return (rows, rows), (columns, columns)


def _round_up(size: int, span: int, stride: int, padding: Pair) -> Pair:
    """Caffe's and PyTorch's ceil mode, as padding: cover the remainder, unless the last window misses the input."""
    before, after = padding
    remainder = (size + before + after - span) % stride
    steps = (size + before + after - span) // stride + 1
    return (before, after + stride - remainder) if remainder and steps * stride < size + before else padding


@dataclass(frozen=True)
class Geometry:
    """Sliding window over an image; build it with `Geometry.of`. All pairs are (rows, columns), units are pixels."""

    kernel: Pair
    stride: Pair
    padding: tuple[Pair, Pair]  # ((top, bottom), (left, right)), of zeros
    dilation: Pair
    groups: int
    input: Pair
    output: Pair

    @staticmethod
    def of(
        input: int | Sequence[int],
        kernel: int | Sequence[int],
        stride: int | Sequence[int] = 1,
        padding: Padding = 0,
        dilation: int | Sequence[int] = 1,
        groups: int = 1,
        ceil: bool = False,
    ) -> Geometry:
        """The geometry of a `kernel` window on an `input` image; ValueError names the numbers that do not fit.

        padding: pixels, (rows, columns), ((top, bottom), (left, right)), 'valid', or TensorFlow's 'same'.
        ceil: pad bottom and right so that stride remainders are covered too (pooling in Caffe and MatConvNet).
        """
        # By their text, since 2 and 2.0 are equal and 2.0 is an error; and lists have no hash.
        arguments = repr((input, kernel, stride, padding, dilation, groups, ceil))
        known = _known.get(arguments)
        if known is None:
            known = _build(input, kernel, stride, padding, dilation, groups, ceil)
            if len(_known) >= MOST_KNOWN:
                _known.clear()
            _known[arguments] = known
        return known

    @staticmethod
    def transposed(
        output: int | Sequence[int],
        kernel: int | Sequence[int],
        stride: int | Sequence[int] = 1,
        padding: Padding = 0,
        output_padding: int | Sequence[int] = 0,
        dilation: int | Sequence[int] = 1,
        groups: int = 1,
    ) -> Geometry:
        """The geometry with this `output` and the smallest input that gives it, larger by `output_padding`.

        padding: as in `of`; 'same' makes the input `stride` times as large. ValueError names what does not fit.
        """
        n = _pair("output", output)
        k = _pair("kernel", kernel)
        s = _pair("stride", stride)
        d = _pair("dilation", dilation)
        extra = _pair("output_padding", output_padding)
        span = (d[0] * (k[0] - 1) + 1, d[1] * (k[1] - 1) + 1)
        enlarged = (n[0] * s[0], n[1] * s[1])
        p = _padding(padding, enlarged, span, s)
        if padding == "same":
            if any(extra):
                raise ValueError(f"output_padding must be 0 with padding 'same', got {extra}")
            return Geometry.of(enlarged, k, s, p, d, groups)
        if min(extra) < 0 or extra[0] >= s[0] or extra[1] >= s[1]:
            raise ValueError(f"output_padding must be at least 0 and less than the stride {s}, got {extra}")
        rows, columns = ((n[i] - 1) * s[i] + span[i] - sum(p[i]) + extra[i] for i in (0, 1))
        return Geometry.of((rows, columns), k, s, p, d, groups)

    def __post_init__(self) -> None:
        """No record that points outside its image can exist: compiled kernels trust it without looking again."""
        _check_positive(input=self.input, kernel=self.kernel, stride=self.stride, dilation=self.dilation)
        if min(*self.padding[0], *self.padding[1]) < 0:
            raise ValueError(f"padding must not be negative, got {self.padding}")
        if self.groups < 1:
            raise ValueError(f"groups must be at least 1, got {self.groups}")
        for axis, name in enumerate(("height", "width")):
            if self.span[axis] > self.padded[axis]:
                raise ValueError(
                    f"kernel {self.kernel} with dilation {self.dilation} spans {self.span[axis]} pixels, more than the "
                    f"padded input's {name} of {self.padded[axis]} (input {self.input}, padding {self.padding}); "
                    f"use a smaller kernel or more padding"
                )
        expected = _output(self.input, self.span, self.stride, self.padding)
        if self.output != expected:
            raise ValueError(f"output {self.output} does not follow from the other sizes: expected {expected}")

    @cached_property
    def span(self) -> Pair:
        """Pixels from a window's first to its last, both counted: dilation * (kernel - 1) + 1."""
        return self.dilation[0] * (self.kernel[0] - 1) + 1, self.dilation[1] * (self.kernel[1] - 1) + 1

    @cached_property
    def padded(self) -> Pair:
        """Size of the input with its padding."""
        return self.input[0] + sum(self.padding[0]), self.input[1] + sum(self.padding[1])

    @cached_property
    def is_product(self) -> bool:
        """True if the window is the whole image, seen once: then convolution is the product of two matrices."""
        return self.kernel == self.input == self.padded and self.groups == 1

    def __str__(self) -> str:
        def two(pair: Pair) -> str:
            return f"{pair[0]}x{pair[1]}"

        parts = [f"{two(self.input)} -> {two(self.output)}, kernel {two(self.kernel)}"]
        parts += [f"stride {two(self.stride)}"] if self.stride != (1, 1) else []
        parts += [f"padding {self.padding}"] if any(map(any, self.padding)) else []
        parts += [f"dilation {two(self.dilation)}"] if self.dilation != (1, 1) else []
        parts += [f"groups {self.groups}"] if self.groups != 1 else []
        return ", ".join(parts)


MOST_KNOWN = 1024
_known: dict[str, Geometry] = {}


def _build(input: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, groups: Any, ceil: bool) -> Geometry:
    """What `Geometry.of` returns, when it is asked for the first time."""
    size = _pair("input", input)
    k = _pair("kernel", kernel)
    s = _pair("stride", stride)
    d = _pair("dilation", dilation)
    _check_positive(input=size, kernel=k, stride=s, dilation=d)
    span = (d[0] * (k[0] - 1) + 1, d[1] * (k[1] - 1) + 1)
    p = _padding(padding, size, span, s)
    if ceil:
        p = _round_up(size[0], span[0], s[0], p[0]), _round_up(size[1], span[1], s[1], p[1])
    return Geometry(k, s, p, d, operator.index(groups), size, _output(size, span, s, p))


def _check_positive(**pairs: Pair) -> None:
    for name, pair in pairs.items():
        if min(pair) < 1:
            raise ValueError(f"{name} must be at least 1, got {pair}")


def _output(size: Pair, span: Pair, stride: Pair, padding: tuple[Pair, Pair]) -> Pair:
    rows, columns = ((size[i] + sum(padding[i]) - span[i]) // stride[i] + 1 for i in (0, 1))
    return rows, columns


def check_conv(geo: Geometry, *, x: Shape | None = None, w: Shape | None = None, g: Shape | None = None) -> None:
    """ValueError unless the given shapes fit one convolution; give any two of the three.

    x: (..., C, H, W), w: (O, C/groups, kh, kw), g: (..., O, OH, OW).
    """
    for name, shape, size in (("x", x, geo.input), ("w", w, geo.kernel), ("g", g, geo.output)):
        if shape is None:
            continue
        if len(shape) < 3 or (name == "w" and len(shape) != 4):
            axes = {"x": "(..., C, H, W)", "w": "(O, C/groups, kh, kw)", "g": "(..., O, OH, OW)"}[name]
            raise ValueError(f"convolution: {name} must have the axes {axes}, got shape {shape}")
        if tuple(shape[-2:]) != size:
            raise ValueError(f"convolution: {name} has shape {shape}, but its last two axes must be {size} for [{geo}]")
    inputs = x[-3] if x else None
    outputs = g[-3] if g else w[0] if w else None
    for name, channels in (("input", inputs), ("output", outputs)):
        if channels is not None and channels % geo.groups:
            raise ValueError(f"convolution: {channels} {name} channels cannot be divided into {geo.groups} groups")
    if x and w and x[-3] != w[1] * geo.groups:
        raise ValueError(
            f"convolution: x of shape {x} has {x[-3]} channels, but w of shape {w} with groups={geo.groups} "
            f"expects {w[1]}*{geo.groups} = {w[1] * geo.groups}"
        )
    if g and w and g[-3] != w[0]:
        raise ValueError(f"convolution: g of shape {g} has {g[-3]} channels, but w of shape {w} makes {w[0]}")
    if x and g and x[:-3] != g[:-3]:
        raise ValueError(f"convolution: x of shape {x} and g of shape {g} must share their leading axes")


@once
def check_pool(geo: Geometry, size: Pair, shape: Shape, name: str) -> None:
    """ValueError unless an array of `shape` can be pooled; `size` is what its last two axes must be."""
    if len(shape) < 3 or tuple(shape[-2:]) != size:
        raise ValueError(f"pooling: {name} has shape {shape}, expected (..., C, {size[0]}, {size[1]}) for [{geo}]")
    if geo.groups != 1:
        raise ValueError(f"pooling works on each channel alone: its geometry must have groups=1, got {geo.groups}")
