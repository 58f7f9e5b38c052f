"""Conv2d → (ReLU →) MaxPool2d as one step of a Sequential: what the pool drops takes part in no backward pass.

Forward, the layers give what they give alone. But what is recorded is the convolution at the entries that the pool and
the ReLU let through, whose derivatives of every order are convolutions at these entries again.
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
PATTERNS: tuple[tuple[type[Layer], ...], ...] = ((Conv2d, MaxPool2d), (Conv2d, ReLU, MaxPool2d))


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
    y = add_channels(families.conv2d_at(x, conv.weight, at, geometry, known=value.array), conv.bias)
    y = y if alive is None else mask(y, alive)
    steps = [r.Step(name, conv, z.shape, r.ReverseConv2dAt(conv.weight, at, geometry))]
    for other, layer in others:
        steps.append(r.Step(other, layer, (y if layer is pool else z).shape, r.ReverseWithin(name)))
    return y, steps
