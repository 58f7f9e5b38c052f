"""One table of layers to test, random networks made of them, and the few tools that the tests of nn share.

Inputs lie on a grid of distinct values away from 0, so that no difference quotient crosses a kink or a tie.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numerics import richardson
from strategies import SEEDS, permutation

import tinygrad2 as tg
from tinygrad2 import nn
from tinygrad2.nn import reverse

Shape = tuple[int, ...]
IMAGES = (3, 4, 5, 4)


class Gate(nn.Layer):
    """x σ(W₂ tanh(W₁x + b)): written as `forward`, with layers in a list, an operation, and a parameter of its own."""

    def __init__(self, features: int, dtype: Any, *between: nn.Layer) -> None:
        self.first = [nn.Linear(features, 4, dtype=dtype), *between, nn.Tanh()]
        self.last = nn.Linear(4, features, bias=False, dtype=dtype)
        self.scale = tg.Tensor(np.ones(features, dtype), requires_grad=True)

    def forward(self, x: tg.Tensor) -> tg.Tensor:
        y = x
        for layer in self.first:
            y = layer(y)
        return x * tg.sigmoid(self.last(y)) * self.scale


# "class, and what is special": (how it is made, the shape of its input). "train" and "eval" say in which mode it is.
CASES: dict[str, tuple[Callable[[Any], nn.Layer], Shape]] = {
    "Linear": (lambda d: nn.Linear(5, 4, dtype=d), (3, 5)),
    "Linear without bias": (lambda d: nn.Linear(5, 4, bias=False, dtype=d), (3, 5)),
    "Linear on rows": (lambda d: nn.Linear(5, 2, dtype=d), (2, 3, 5)),
    "Conv2d": (lambda d: nn.Conv2d(4, 3, 3, dtype=d), IMAGES),
    "Conv2d with a remainder": (lambda d: nn.Conv2d(4, 2, (3, 2), 2, (1, 0), dtype=d), IMAGES),
    "Conv2d dilated in groups": (lambda d: nn.Conv2d(4, 6, 2, 1, "same", 2, 2, dtype=d), IMAGES),
    "Conv2d without bias": (lambda d: nn.Conv2d(4, 2, 2, bias=False, dtype=d), IMAGES),
    "ReLU": (lambda d: nn.ReLU(), (3, 7)),
    "LeakyReLU": (lambda d: nn.LeakyReLU(0.2), (3, 7)),
    "PReLU": (lambda d: nn.PReLU(dtype=d), IMAGES),
    "PReLU per channel": (lambda d: nn.PReLU(4, dtype=d), IMAGES),
    "PReLU per feature": (lambda d: nn.PReLU(7, dtype=d), (3, 7)),
    "Sigmoid": (lambda d: nn.Sigmoid(), (3, 7)),
    "Tanh": (lambda d: nn.Tanh(), (3, 7)),
    "Softmax": (lambda d: nn.Softmax(), (3, 7)),
    "Softmax of rows": (lambda d: nn.Softmax(), (2, 3, 4)),
    "MaxPool2d": (lambda d: nn.MaxPool2d(2), IMAGES),
    "MaxPool2d overlapping": (lambda d: nn.MaxPool2d(3, (2, 1), 1), IMAGES),
    "AvgPool2d": (lambda d: nn.AvgPool2d(2), IMAGES),
    "AvgPool2d overlapping": (lambda d: nn.AvgPool2d((3, 2), 1, 1), IMAGES),
    "GlobalAvgPool": (lambda d: nn.GlobalAvgPool(), IMAGES),
    "Flatten": (lambda d: nn.Flatten(), IMAGES),
    "Identity": (lambda d: nn.Identity(), IMAGES),
    "Dropout train": (lambda d: nn.Dropout(0.4, rng=3), IMAGES),
    "Dropout eval": (lambda d: nn.Dropout(0.4, rng=3), IMAGES),
    "BatchNorm1d train": (lambda d: nn.BatchNorm1d(5, dtype=d), (4, 5)),
    "BatchNorm1d eval": (lambda d: nn.BatchNorm1d(5, dtype=d), (4, 5)),
    "BatchNorm2d train": (lambda d: nn.BatchNorm2d(4, dtype=d), IMAGES),
    "BatchNorm2d eval": (lambda d: nn.BatchNorm2d(4, dtype=d), IMAGES),
    "LocalResponseNorm": (lambda d: nn.LocalResponseNorm(3, 0.5, 0.75, 2.0), IMAGES),
    "LocalResponseNorm even": (lambda d: nn.LocalResponseNorm(2, 0.5, 0.6, 1.0), IMAGES),
    "GELU": (lambda d: nn.GELU(), (3, 7)),
    "GELU with tanh": (lambda d: nn.GELU("tanh"), (3, 7)),
    "SiLU": (lambda d: nn.SiLU(), (3, 7)),
    "ELU": (lambda d: nn.ELU(0.7), (3, 7)),
    "Softplus": (lambda d: nn.Softplus(2.0), (3, 7)),
    "Conv1d": (lambda d: nn.Conv1d(4, 3, 3, dtype=d), (3, 4, 6)),
    "Conv1d strided in groups": (lambda d: nn.Conv1d(4, 6, 2, 2, (1, 2), 2, 2, dtype=d), (3, 4, 7)),
    "Conv1d reflect": (lambda d: nn.Conv1d(4, 3, 3, padding=2, padding_mode="reflect", dtype=d), (3, 4, 6)),
    "Conv1d circular": (lambda d: nn.Conv1d(4, 3, 3, 2, 1, padding_mode="circular", dtype=d), (3, 4, 6)),
    "Conv1d same, without bias": (lambda d: nn.Conv1d(4, 2, 2, padding="same", bias=False, dtype=d), (3, 4, 6)),
    **{
        f"Conv2d {mode}": (
            lambda d, mode=mode: nn.Conv2d(4, 2, 3, 2, (2, 1), bias=False, padding_mode=mode, dtype=d),
            IMAGES,
        )
        for mode in ("reflect", "replicate", "circular")
    },
    "ConvTranspose2d": (lambda d: nn.ConvTranspose2d(4, 3, 3, dtype=d), (3, 4, 3, 2)),
    "ConvTranspose2d with more rows": (
        lambda d: nn.ConvTranspose2d(4, 6, 2, 2, 1, 1, 2, dilation=2, dtype=d),
        (3, 4, 3, 2),
    ),
    "ConvTranspose2d same, without bias": (
        lambda d: nn.ConvTranspose2d(4, 2, 3, 2, "same", bias=False, dtype=d),
        (3, 4, 3, 2),
    ),
    "MaxPool2d dilated, ceil": (lambda d: nn.MaxPool2d(2, 2, 1, 2, ceil_mode=True), IMAGES),
    "AdaptiveAvgPool2d": (lambda d: nn.AdaptiveAvgPool2d((3, 2)), IMAGES),
    "AdaptiveAvgPool2d larger": (lambda d: nn.AdaptiveAvgPool2d(6), (2, 3, 4, 5)),
    "AdaptiveMaxPool2d": (lambda d: nn.AdaptiveMaxPool2d((3, 2)), IMAGES),
    "BatchNorm1d of sequences, train": (lambda d: nn.BatchNorm1d(4, dtype=d), (3, 4, 5)),
    "BatchNorm1d of sequences, eval": (lambda d: nn.BatchNorm1d(4, dtype=d), (3, 4, 5)),
    "BatchNorm1d plain, train": (lambda d: nn.BatchNorm1d(5, affine=False, dtype=d), (4, 5)),
    "BatchNorm2d plain, eval": (lambda d: nn.BatchNorm2d(4, affine=False, dtype=d), IMAGES),
    "BatchNorm2d without statistics, as in train": (
        lambda d: nn.BatchNorm2d(4, track_running_stats=False, dtype=d).eval(),
        IMAGES,
    ),
    "LayerNorm": (lambda d: nn.LayerNorm(5, dtype=d), (3, 5)),
    "LayerNorm of planes": (lambda d: nn.LayerNorm((4, 5), bias=False, dtype=d), (3, 2, 4, 5)),
    "LayerNorm plain": (lambda d: nn.LayerNorm(5, 0.1, elementwise_affine=False), (3, 2, 5)),
    "GroupNorm": (lambda d: nn.GroupNorm(2, 4, dtype=d), IMAGES),
    "GroupNorm of vectors": (lambda d: nn.GroupNorm(2, 6, dtype=d), (3, 6)),
    "GroupNorm plain": (lambda d: nn.GroupNorm(1, 4, affine=False), (3, 4, 3)),
    "RMSNorm": (lambda d: nn.RMSNorm(5, dtype=d), (3, 2, 5)),
    "RMSNorm plain": (lambda d: nn.RMSNorm((2, 5), 0.1, elementwise_affine=False), (3, 2, 5)),
    "MultiheadAttention": (lambda d: nn.MultiheadAttention(6, 2, dtype=d), (2, 4, 6)),
    "MultiheadAttention causal, without bias": (
        lambda d: nn.MultiheadAttention(4, 1, bias=False, is_causal=True, dtype=d),
        (2, 3, 4),
    ),
    "MultiheadAttention with dropout, train": (lambda d: nn.MultiheadAttention(6, 3, 0.3, rng=1, dtype=d), (2, 4, 6)),
    "Sum": (
        lambda d: nn.Sum(
            nn.Linear(5, 4, dtype=d), nn.Sequential(nn.Tanh(), nn.Linear(5, 4, dtype=d)), nn.Linear(5, 4, dtype=d)
        ),
        (3, 5),
    ),
    "Concatenate": (
        lambda d: nn.Concatenate(left=nn.Conv2d(4, 2, 3, padding=1, dtype=d), same=nn.Identity(), act=nn.Tanh()),
        IMAGES,
    ),
    "Concatenate rows": (
        lambda d: nn.Concatenate(nn.Linear(5, 3, dtype=d), nn.Sequential(nn.Linear(5, 4, dtype=d), nn.SiLU()), axis=-1),
        (3, 2, 5),
    ),
    "Sequential": (lambda d: nn.Sequential(nn.Linear(5, 6, dtype=d), nn.Tanh(), nn.Linear(6, 3, dtype=d)), (3, 5)),
    "Sequential of convolution and pool": (
        lambda d: nn.Sequential(conv=nn.Conv2d(4, 3, 2, padding=1, dtype=d), pool=nn.MaxPool2d(3, 2, 1)),
        IMAGES,
    ),
    "Sequential of convolution and ReLU": (
        lambda d: nn.Sequential(nn.Conv2d(4, 6, 2, groups=2, dtype=d), nn.ReLU()),
        IMAGES,
    ),
    "Sequential of convolution, ReLU and pool": (
        lambda d: nn.Sequential(nn.Conv2d(4, 6, 2, groups=2, dtype=d), nn.ReLU(), nn.MaxPool2d(2, 1)),
        IMAGES,
    ),
    "Sequential of nothing": (lambda d: nn.Sequential(), (3, 5)),
    "Residual": (lambda d: nn.Residual(nn.Sequential(nn.Linear(5, 5, dtype=d), nn.Sigmoid())), (3, 5)),
    "Residual with shortcut": (lambda d: nn.Residual(nn.Tanh(), nn.Linear(5, 5, dtype=d)), (3, 5)),
    "Layer written as forward": (lambda d: Gate(5, d), (3, 5)),
    "Layer written as forward with dropout, batch norm, train": (
        lambda d: Gate(5, d, nn.Dropout(0.4, rng=3), nn.BatchNorm1d(4, dtype=d)),
        (4, 5),
    ),
    "Layer written as forward in a Sequential": (
        lambda d: nn.Sequential(nn.Linear(5, 3, dtype=d), Gate(3, d), nn.Tanh(), Gate(3, d), nn.Linear(3, 2, dtype=d)),
        (3, 5),
    ),
}

# The shape of one input of every model, and the options that make it small where it is large.
MODELS: dict[str, tuple[Shape, dict[str, Any]]] = {
    **dict.fromkeys(
        ["mlp", "lenet", "tf_tutorial", "model_a", "model_b", "model_c", "mosca_cnn"],
        ((1, 28, 28), {}),
    ),
    "mosca_dnn": ((1, 28, 28), {"hidden": (50, 40, 30, 20, 10)}),
    **dict.fromkeys(["convnet", "nin", "all_conv", "cifar_3conv", "cifar_8conv"], ((3, 32, 32), {})),
    "speech_cnn": ((1, 98, 40), {}),
    "alexnet": ((3, 227, 227), {"width": 1 / 16}),
    "resnet18": ((3, 64, 64), {"width": 1 / 8}),
}

# Layers that are linear up to declared constants: on small integers every sum is exact, in float32 too.
EXACT = [name for name in CASES if name.split()[0] in {"Linear", "Conv2d", "ReLU", "MaxPool2d", "Flatten", "Identity"}]
EXACT += ["AvgPool2d"]  # windows of four


def make(name: str, dtype: Any = np.float64) -> tuple[nn.Layer, np.ndarray]:
    """The layer of one case, its parameters and statistics at random, and an input."""
    build, shape = CASES[name]
    layer = build(dtype).train("eval" not in name)
    randomize(layer, np.random.default_rng(5))
    return layer, grid(np.random.default_rng(6), shape).astype(dtype)


def randomize(net: nn.Layer, rng: np.random.Generator) -> None:
    """Values that are neither 0 nor 1, which would hide mistakes; slopes and variances stay positive."""
    for name, t in net.named_tensors():
        positive = name.endswith("running_var")
        t.data = (rng.uniform(0.5, 1.5, t.shape) if positive else rng.uniform(-1, 1, t.shape)).astype(t.dtype)


def grid(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    """Distinct values in (-2, 2), symmetric around 0 and never 0, in random places."""
    n = math.prod(shape) or 1
    n += n % 2
    odd = 2 * permutation(rng, (n,), np.float64) - (n - 1)
    return (2 * odd / n)[: math.prod(shape)].reshape(shape)


def leaf(values: np.ndarray) -> tg.Tensor:
    return tg.Tensor(values, requires_grad=True)


def normal(seed: int, *shapes: Shape, dtype: Any = np.float64) -> list[np.ndarray]:
    """Independent normal variates, one array per shape."""
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


def retrace(net: nn.Layer) -> Callable[[Any], nn.Trace]:
    """x ↦ net.trace(x), which draws the same dropout masks at every call."""
    state = nn.rng_state(net)

    def trace(x: Any) -> nn.Trace:
        nn.set_rng_state(net, state)
        return net.trace(x)

    return trace


def gradients(y: tg.Tensor, xs: Sequence[tg.Tensor], g: Any = None, create_graph: bool = False) -> list[tg.Tensor]:
    """dy/dx for every x; zeros where y does not depend on it, as the cases ask by every parameter."""
    if y.node is None:
        return [tg.Tensor(np.zeros(x.shape, x.dtype)) for x in xs]
    found = tg.autograd.grad(y, xs, g, create_graph=create_graph, allow_unused=True)
    return [tg.Tensor(np.zeros(x.shape, x.dtype)) if c is None else c for x, c in zip(xs, found, strict=True)]


def one_hot(k: int, shape: Shape, dtype: Any = np.float64) -> np.ndarray:
    """The cotangent that picks output k of every sample. shape: (N, *out)."""
    u = np.zeros((shape[0], math.prod(shape[1:])), dtype)
    u[:, k] = 1
    return u.reshape(shape)


def assert_close(actual: Any, expected: Any, rtol: float = 1e-11, what: str = "") -> None:
    """Equal up to rtol of the largest entry."""
    a, b = (t.numpy() if isinstance(t, tg.Tensor) else np.asarray(t) for t in (actual, expected))
    scale = max(float(np.abs(b).max(initial=0)), 1e-3)
    np.testing.assert_allclose(a, b, rtol=0, atol=rtol * scale, err_msg=what)


def slope(f: Callable[[], float], t: tg.Tensor, direction: np.ndarray) -> float:
    """d/dε f with t + ε·direction in place of t, from differences that are certified not to cross a kink."""
    base = t.array

    def at(point: Sequence[np.ndarray]) -> float:
        t.data = base + point[0] * direction
        return f()

    try:
        return richardson(at, [np.zeros(())], 0).item()
    finally:
        t.data = base


def reverse_layers(layer: nn.ReverseLayer) -> list[nn.ReverseLayer]:
    """A reverse layer and all those inside it."""
    inside = [s.reverse for s in getattr(layer, "steps", ())]
    if isinstance(layer, reverse.ReverseResidual):
        inside = [layer.body.reverse, layer.shortcut.reverse]
    if isinstance(layer, reverse.ReverseSum | reverse.ReverseConcatenate):
        inside = [step.reverse for step in layer.branches]
    if isinstance(layer, reverse.ReverseMultiheadAttention):
        inside = [layer.attention]
    return [layer, *(part for branch in inside for part in reverse_layers(branch))]


# --- Random networks: a layer is drawn for the shape of a sample, and the shape of its output goes on. ----------------

D = np.float64
Made = Callable[[Shape], nn.Layer]

ANYWHERE: list[Made] = [
    lambda s: nn.ReLU(),
    lambda s: nn.LeakyReLU(0.3),
    lambda s: nn.PReLU(s[0], dtype=D),
    lambda s: nn.Sigmoid(),
    lambda s: nn.Tanh(),
    lambda s: nn.Softmax(),
    lambda s: nn.Dropout(0.3, rng=7),
    lambda s: nn.Identity(),
    lambda s: nn.GELU(),
    lambda s: nn.SiLU(),
    lambda s: nn.ELU(),
    lambda s: nn.Softplus(),
    lambda s: nn.LayerNorm(s[-1], dtype=D),
    lambda s: nn.RMSNorm(s, dtype=D),
    lambda s: nn.GroupNorm(1, s[0], dtype=D),
]
ON_VECTORS: list[Made] = [
    lambda s: nn.Linear(s[0], 4, dtype=D),
    lambda s: nn.Linear(s[0], s[0], bias=False, dtype=D),
    lambda s: nn.BatchNorm1d(s[0], dtype=D),
    lambda s: Gate(s[0], D),
    *ANYWHERE,
]
ON_IMAGES: list[Made] = [
    lambda s: nn.Conv2d(s[0], 2, (min(3, s[1]), min(2, s[2])), dtype=D),
    lambda s: nn.Conv2d(s[0], 2 * s[0], 3, 2, "same", groups=s[0], dtype=D),
    lambda s: nn.Conv2d(s[0], s[0], 2, 1, "same", 2, bias=False, dtype=D),
    lambda s: nn.MaxPool2d((min(2, s[1]), min(3, s[2])), 1),
    lambda s: nn.MaxPool2d(3, 2, 1),
    lambda s: nn.AvgPool2d(2, padding=1),
    lambda s: nn.BatchNorm2d(s[0], dtype=D),
    lambda s: nn.LocalResponseNorm(3, 0.5),
    lambda s: nn.GlobalAvgPool(),
    lambda s: nn.Flatten(),
    lambda s: nn.AdaptiveAvgPool2d((2, 3)),
    lambda s: nn.AdaptiveMaxPool2d((3, 2)),
    lambda s: nn.ConvTranspose2d(s[0], 2, 2, 2, dtype=D),
    lambda s: nn.Conv2d(s[0], 2, 3, padding=1, padding_mode="circular", dtype=D),
    *ANYWHERE,
]


def random_layer(rng: random.Random, shape: Shape, depth: int) -> nn.Layer:
    """A layer for samples of this shape; depth limits how deep containers nest."""
    if depth and rng.random() < 0.3:
        return rng.choice([random_residual, random_sequence, random_branches])(rng, shape, depth - 1)
    return rng.choice(ON_VECTORS if len(shape) == 1 else ON_IMAGES)(shape)


def random_residual(rng: random.Random, shape: Shape, depth: int) -> nn.Residual:
    """body + shortcut, where the body keeps the shape or a fully connected shortcut goes along."""
    body = random_sequence(rng, shape, depth)
    after = sample_shape(body, shape)
    if after == shape:
        return nn.Residual(body)
    shortcut = nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), math.prod(after), dtype=D))
    return nn.Residual(nn.Sequential(body, nn.Flatten()), shortcut)


def random_branches(rng: random.Random, shape: Shape, depth: int) -> nn.Layer:
    """Two sequences side by side, joined as vectors."""
    return nn.Concatenate(*[nn.Sequential(random_sequence(rng, shape, depth), nn.Flatten()) for _ in range(2)])


def random_sequence(rng: random.Random, shape: Shape, depth: int) -> nn.Sequential:
    """One to four layers that fit together."""
    parts: list[nn.Layer] = []
    for _ in range(rng.randint(1, 4)):
        parts.append(random_layer(rng, shape, depth))
        shape = sample_shape(parts[-1], shape)
    return nn.Sequential(*parts)


@st.composite
def networks(draw: st.DrawFn) -> tuple[nn.Layer, np.ndarray]:
    """A network of random layers in train or eval mode, ending in a few outputs, and a batch for it.

    Hypothesis draws the shape, the depth and a seed: it would draw layers one by one mostly from a few kinds.
    """
    shape = draw(st.sampled_from([(4,), (1, 4, 4), (2, 5, 3), (3, 4, 5)]))
    depth, training, seed = draw(st.integers(0, 2)), draw(st.booleans()), draw(SEEDS)
    body = random_sequence(random.Random(seed), shape, depth)
    head = nn.Linear(math.prod(sample_shape(body, shape)), 3, dtype=D)
    net = nn.Sequential(body=body, flatten=nn.Flatten(), head=head).train(training)
    rng = np.random.default_rng(seed)
    randomize(net, rng)
    return net, grid(rng, (4, *shape))


def sample_shape(layer: nn.Layer, shape: Shape) -> Shape:
    """The shape of one sample after the layer."""
    return layer(np.zeros((2, *shape))).shape[1:]
