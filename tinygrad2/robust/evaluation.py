"""How attacks and metrics ask a network: in evaluation mode, with images and logits that are checked.

In training mode a network draws dropout masks, uses the statistics of the batch and moves its running ones. So
everything here that judges a network puts it into evaluation mode, and puts the modes of all its layers back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, TypeVar, cast

import numpy as np

from tinygrad2.autodiff import Tensor, no_grad
from tinygrad2.data import check_images
from tinygrad2.nn import Layer, Sequential
from tinygrad2.ops import concatenate, reshape, zeros_like
from tinygrad2.ops.losses import check_labels
from tinygrad2.robust.types import Box, Flags, Images, Integers, Labels

F = TypeVar("F", bound=Callable[..., Any])


@contextmanager
def evaluating(net: Layer) -> Iterator[Layer]:
    """The net in evaluation mode; afterwards every layer is in the mode that it was in."""
    modes = [(layer, layer.training) for _, layer in net.named_layers()]
    try:
        yield net.eval()
    finally:
        for layer, mode in modes:
            layer.training = mode


def evaluated(f: F) -> F:
    """The function f(net, ...), which meets its network in evaluation mode.

    NumPy's warnings of overflow are off inside: what overflows is found by the checks for finite numbers instead.
    """

    @wraps(f)
    def run(net: Layer, *args: Any, **options: Any) -> Any:
        with evaluating(net), np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            return f(net, *args, **options)

    return cast(F, run)


class TwoLogits(Layer):
    """One output z as two logits (0, z): class 1 where z > 0. x: (N, 1) or (N,); result: (N, 2).

    The softmax of (0, z) is (1 - σ(z), σ(z)), so z must be the number that the sigmoid is given, not its result.
    """

    def forward(self, x: Tensor) -> Tensor:
        if x.shape not in ((x.shape[0],), (x.shape[0], 1)):
            raise ValueError(f"two logits are made of one output, (N, 1) or (N,); got shape {x.shape}")
        z = reshape(x, (-1, 1))
        return concatenate([zeros_like(z), z], 1)


def two_logits(net: Layer) -> Sequential:
    """A network of one output z, as one of the two logits (0, z) that attacks and metrics take; weights are shared.

    net: its output is (N, 1) or (N,), the logit of class 1; the result's is (N, 2), and class 1 wins where z > 0

    >>> net = nn.Linear(2, 1, bias=False, dtype=np.float64)
    >>> net.load_state_dict({"weight": np.array([[1.0, -1.0]])})
    >>> robust.fgsm(robust.two_logits(net), np.array([[2.0, 1.0]]), [1], 0.6).success
    array([ True])
    """
    return Sequential(net, TwoLogits())


def inside(net: Layer) -> Layer:
    """The network of one output that `two_logits` was given; any other network is its own."""
    if isinstance(net, Sequential) and len(net) == 2 and isinstance(net[1], TwoLogits):
        return net[0]
    return net


def accept(net: Layer, x: Images, box: Box | None = None) -> Tensor:
    """The batch as a constant Tensor on the net's device; raises TypeError or ValueError for what a net cannot take."""
    x = x.detach() if isinstance(x, Tensor) else Tensor(x)
    if box is not None and not box[0] < box[1]:
        raise ValueError(f"the box is the range (lowest, highest) of the pixels, got {box}")
    check_images(x.numpy(), box=box)
    first = next(iter(net.parameters()), None)
    if first is not None and first.dtype != x.dtype:
        raise TypeError(f"the images are {x.dtype}, the network {first.dtype}; convert one: x.astype(np.{first.dtype})")
    return x if first is None else x.to(first.device)


def argmax(z: Tensor) -> Integers:
    """The predicted classes on the host. z: (N, K), K ≥ 2; result: (N,)."""
    if z.ndim != 2 or z.shape[1] < 2:
        binary = "; a network of one output gets two logits by robust.two_logits(net)" if z.size == z.shape[0] else ""
        raise ValueError(f"the network must give logits (N, K) for K ≥ 2 classes; got shape {z.shape}{binary}")
    classes: Integers = z.detach().numpy().argmax(1)
    return classes


def finite(x: Tensor) -> Flags:
    """Which samples are finite in every entry, on the host. x: (N, ...); result: (N,)."""
    good: Flags = np.isfinite(x.detach().numpy()).reshape(x.shape[0], -1).all(1)
    return good


def check_logits(net: Layer, z: Tensor) -> Integers:
    """The predicted classes (N,). Raises ValueError that names what is not finite. z: the net's logits (N, K)."""
    classes = argmax(z)
    bad = np.flatnonzero(~finite(z))
    if bad.size:
        broken = [name for name, t in net.named_tensors() if t.dtype.kind == "f" and not np.isfinite(t.numpy()).all()]
        reason = f"{', '.join(broken)} in it is not finite" if broken else "its numbers overflow"
        raise ValueError(
            f"the network's logits are not finite for image {bad[0]} ({bad.size} such of {len(classes)}): "
            f"{z.detach().numpy()[bad[0]]}; {reason}, the image itself is"
        )
    return classes


@evaluated
def classify(net: Layer, x: Images) -> tuple[Tensor, Integers]:
    """The logits (N, K) and the predicted classes (N,), in evaluation mode. x: (N, ...)."""
    with no_grad():
        logits = net(accept(net, x))
    return logits, check_logits(net, logits)


def correct(net: Layer, x: Images, labels: Labels) -> Flags:
    """Which samples the net classifies as labelled, on the host. x: (N, ...); labels, result: (N,)."""
    logits, classes = classify(net, x)
    right: Flags = classes == check_labels(labels, *logits.shape)
    return right
