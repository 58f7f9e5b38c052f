"""What a ReLU or a max-pool after a convolution drops takes part in no backward pass.

A mask after a convolution: both reverse layers become one, the convolution at the entries that are let through. That is
a rewrite of the steps of a reverse Sequential; forward, nothing changes.

A pool after a convolution: the forward pass changes too. It chooses the entries before it adds the bias, and the tape
records the convolution at these entries alone. Derivatives of every order are such convolutions again.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinygrad2.autodiff import Tensor
from tinygrad2.nn.activations import ReLU
from tinygrad2.nn.convolution import Conv2d
from tinygrad2.nn.layer import Layer, located
from tinygrad2.nn.pooling import MaxPool2d
from tinygrad2.nn.reverse import Place, ReverseConv2d, ReverseConv2dAt, ReverseMask, ReverseMaxPool2d, Step
from tinygrad2.ops import families, mask, positive
from tinygrad2.ops.functional import add_channels

Named = tuple[str, Layer]


def rewrite(steps: Sequence[Step]) -> tuple[Step, ...]:
    """The steps, but a convolution and a mask of its output as one step. A mask of numbers, as dropout's, stays."""
    rewritten: list[Step] = []
    for step in steps:
        conv = rewritten[-1].reverse if rewritten else None
        relu = step.reverse
        # A subclass may do something else, so it stays alone.
        if type(conv) is ReverseConv2d and type(relu) is ReverseMask and _fits(relu.mask, rewritten[-1].shape):
            name, layer, shape, *_ = rewritten.pop()
            place = Place(step.name, step.layer, step.shape)
            step = Step(name, layer, shape, ReverseConv2dAt(conv.weight, relu.mask, conv.geometry), (place,))
        rewritten.append(step)
    return tuple(rewritten)


def _fits(mask: Tensor, shape: tuple[int, ...]) -> bool:
    return mask.dtype == np.bool_ and mask.shape == shape


def groups(layers: Sequence[Named]) -> list[Sequence[Named]]:
    """The layers in order; a convolution together with the pool, or the ReLU and the pool, that follow it."""
    # The kind of a layer whose `apply` was replaced is unknown, and a subclass may do something else.
    kinds = [None if "apply" in vars(layer) or _has_border(layer) else type(layer) for _, layer in layers]
    found: list[Sequence[Named]] = []
    start = 0
    while start < len(layers):
        if kinds[start : start + 2] == [Conv2d, MaxPool2d]:
            end = start + 2
        elif kinds[start : start + 3] == [Conv2d, ReLU, MaxPool2d]:
            end = start + 3
        else:
            end = start + 1
        found.append(layers[start:end])
        start = end
    return found


def _has_border(layer: Layer) -> bool:
    """Whether it is a convolution whose padding are copies of entries: the kernels know only zeros."""
    return isinstance(layer, Conv2d) and layer.padding_mode != "zeros"


def pooled(group: Sequence[Named], x: Tensor) -> tuple[Tensor, Step]:
    """The output of Conv2d → MaxPool2d or of Conv2d → ReLU → MaxPool2d, and the step for all of them."""
    (name, conv), *between, (pool_name, pool) = group
    assert isinstance(conv, Conv2d) and isinstance(pool, MaxPool2d)
    z, whole = located(name, conv, conv.convolve, x)
    # A channel's bias moves all its entries alike, and ReLU keeps their order: neither moves the maximum.
    value, chosen = located(pool_name, pool, pool.apply, z)
    assert isinstance(whole, ReverseConv2d) and isinstance(chosen, ReverseMaxPool2d)
    at = chosen.indices
    alive = positive(add_channels(value, conv.bias)) if between else None
    if alive is not None:
        at = families.let_through(at, alive)
        value = mask(value, alive)
    y = add_channels(families.conv2d_at.record(value.array, x, conv.weight, at, whole.geometry), conv.bias)
    if alive is not None:
        y = mask(y, alive)
    after = [Place(relu_name, relu, z.shape) for relu_name, relu in between]
    after.append(Place(pool_name, pool, y.shape))
    return y, Step(name, conv, z.shape, ReverseConv2dAt(conv.weight, at, whole.geometry), tuple(after))
