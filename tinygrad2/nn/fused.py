"""Conv2d → ReLU, → MaxPool2d or → both as one step of a Sequential: what they drop takes part in no backward pass.

Forward, the layers give what they give alone. But the reverse of the convolution, and with a pool what is recorded too,
is the convolution at the entries that are let through; its derivatives of every order are such convolutions again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tinygrad2.autodiff import Tensor
from tinygrad2.nn import reverse as r
from tinygrad2.nn.layer import Layer, located
from tinygrad2.nn.layers import Conv2d, MaxPool2d, ReLU
from tinygrad2.ops import families, mask, positive
from tinygrad2.ops.functional import add_channels

Named = tuple[str, Layer]
PATTERNS: tuple[tuple[type[Layer], ...], ...] = ((Conv2d, MaxPool2d), (Conv2d, ReLU, MaxPool2d), (Conv2d, ReLU))


def groups(layers: Sequence[Named]) -> Iterator[Sequence[Named]]:
    """The layers in order, those of one of PATTERNS together. A subclass may do something else, so it stays alone."""
    start = 0
    while start < len(layers):
        kinds = tuple(type(layer) for _, layer in layers[start : start + 3])
        size = next((len(p) for p in PATTERNS if kinds[: len(p)] == p), 1)
        yield layers[start : start + size]
        start += size


def apply(group: Sequence[Named], x: Tensor) -> tuple[Tensor, list[r.Step]]:
    """The output of one of PATTERNS and the steps of its layers. The convolution's does the work of all."""
    return (_pooled if isinstance(group[-1][1], MaxPool2d) else _rectified)(group, x)


def _rectified(group: Sequence[Named], x: Tensor) -> tuple[Tensor, list[r.Step]]:
    (name, conv), (relu_name, relu) = group
    with located(name, conv):
        z, conv_reverse = conv.apply(x)
    with located(relu_name, relu):
        y, relu_reverse = relu.apply(z)
    assert isinstance(conv_reverse, r.ReverseConv2d) and isinstance(relu_reverse, r.ReverseMask)
    reverse = r.ReverseConv2dAt(conv_reverse.weight, relu_reverse.mask, conv_reverse.geometry)
    return y, [r.Step(name, conv, z.shape, reverse), r.Step(relu_name, relu, y.shape, r.ReverseWithin(name))]


def _pooled(group: Sequence[Named], x: Tensor) -> tuple[Tensor, list[r.Step]]:
    (name, conv), *others = group
    pool_name, pool = others[-1]
    assert isinstance(conv, Conv2d) and isinstance(pool, MaxPool2d)
    with located(name, conv):
        geometry = conv.geometry(x)
        z = families.conv2d(x, conv.weight, geometry)
    with located(pool_name, pool):
        window = pool.geometry(z)
        # A channel's bias moves all its entries alike, and ReLU keeps their order: neither moves the maximum.
        at = families.pool_argmax(z, window)
        value = families.pool_gather(z, at, window.input)
    alive = positive(add_channels(value, conv.bias)) if len(group) == 3 else None
    if alive is not None:
        at, value = families.let_through(at, alive), mask(value, alive)
    y = add_channels(families.conv2d_at.record(value.array, x, conv.weight, at, geometry), conv.bias)
    y = y if alive is None else mask(y, alive)
    steps = [r.Step(name, conv, z.shape, r.ReverseConv2dAt(conv.weight, at, geometry))]
    for other, layer in others:
        steps.append(r.Step(other, layer, (y if layer is pool else z).shape, r.ReverseWithin(name)))
    return y, steps
