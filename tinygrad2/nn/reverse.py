"""The explicit reverse network: for every layer a reverse layer that shares its weights, masks, indices and geometry.

At a point x a layer is a linear map J. Its reverse layer computes Jᵀu (`vjp`) and Jv (`jvp`), since the reverse of
the reverse is the linearised forward pass. The fields of a reverse layer are what it shares. Cotangents may carry
leading axes (K, N, ...); what is shared has the axes (N, ...) and is never copied over K. This is Deep Defense (Yan et
al. 2018), section 3.3 and figure 1, made general.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import NamedTuple

from tinygrad2.autodiff import Tensor
from tinygrad2.kernels import Geometry
from tinygrad2.ops import families, gram, logical_not, mask, mean, reshape, sum
from tinygrad2.ops.elementwise import power
from tinygrad2.ops.functional import channel_window
from tinygrad2.ops.reduce import sum_squares


class Row(NamedTuple):
    """One line of a printed network: a forward layer, its output's shape, its reverse and its linearised map."""

    name: str
    layer: str
    shape: tuple[int, ...]
    reverse: str
    linearized: str
    shares: str


class ReverseLayer:
    """The transposed Jacobian of one layer at one point, as a layer: `rev(u)` is Jᵀu, and `rev.reverse()(v)` is Jv."""

    def vjp(self, u: Tensor) -> Tensor:
        """Jᵀu. u: (..., N, *out), with any leading axes; result: (..., N, *in)."""
        raise NotImplementedError(f"{type(self).__name__} must define vjp(u), its product with the transposed Jacobian")

    def jvp(self, v: Tensor) -> Tensor:
        """Jv. v: (..., N, *in), with any leading axes; result: (..., N, *out)."""
        raise NotImplementedError(f"{type(self).__name__} must define jvp(v), its product with the Jacobian")

    def squared_norms(self, u: Tensor, lead: int) -> Tensor:
        """‖Jᵀu‖² over all but the first `lead` axes of u, which is (..., N, *out)."""
        w = self.vjp(u)
        return sum_squares(w, tuple(range(lead, w.ndim)))

    def __call__(self, u: Tensor) -> Tensor:
        return self.vjp(u)

    def reverse(self) -> ReverseLayer:
        """The reverse of the reverse: the layer linearised at the point, v ↦ Jv."""
        return Linearized(self)

    @property
    def shares(self) -> str:
        """The names of what this layer shares with its forward layer."""
        return ", ".join(f.name for f in fields(self)) if is_dataclass(self) else ""

    def rows(self, name: str, layer: str, shape: tuple[int, ...]) -> Iterator[Row]:
        """The lines that this layer takes in a printed network, in forward order."""
        kind = type(self).__name__
        yield Row(name, layer, shape, kind, f"Linearized{kind.removeprefix('Reverse')}", self.shares)


class Symmetric(ReverseLayer):
    """A reverse layer whose Jacobian is symmetric, so that jvp is vjp."""

    def jvp(self, v: Tensor) -> Tensor:
        return self.vjp(v)


@dataclass(frozen=True, eq=False, repr=False)
class Linearized(ReverseLayer):
    """A reverse layer turned round."""

    of: ReverseLayer

    def vjp(self, u: Tensor) -> Tensor:
        return self.of.jvp(u)

    def jvp(self, v: Tensor) -> Tensor:
        return self.of.vjp(v)

    def reverse(self) -> ReverseLayer:
        return self.of


@dataclass(frozen=True, eq=False, repr=False)
class ReverseIdentity(Symmetric):
    """Identity ↔ itself."""

    def vjp(self, u: Tensor) -> Tensor:
        return u


@dataclass(frozen=True, eq=False, repr=False)
class ReverseLinear(ReverseLayer):
    """Linear ↔ its transpose."""

    weight: Tensor  # (O, I)

    def vjp(self, u: Tensor) -> Tensor:
        return families.linear_input(u, self.weight)

    def squared_norms(self, u: Tensor, lead: int) -> Tensor:
        return gram.squared_norms(u, self.weight, lead)

    def jvp(self, v: Tensor) -> Tensor:
        return families.linear(v, self.weight)


@dataclass(frozen=True, eq=False, repr=False)
class ReverseConv2d(ReverseLayer):
    """Conv2d ↔ transposed convolution."""

    weight: Tensor  # (O, C/groups, kh, kw)
    geometry: Geometry

    def vjp(self, u: Tensor) -> Tensor:
        return families.conv2d_input(u, self.weight, self.geometry)

    def jvp(self, v: Tensor) -> Tensor:
        return families.conv2d(v, self.weight, self.geometry)


@dataclass(frozen=True, eq=False, repr=False)
class ReverseConv2dAt(ReverseLayer):
    """Conv2d of which a pool and a ReLU let only some entries through ↔ transposed convolution of these entries."""

    weight: Tensor  # (O, C/groups, kh, kw)
    at: Tensor  # (N, O, PH, PW), positions in the OH·OW plane, -1 for an entry that the ReLU drops; or its mask
    geometry: Geometry

    def vjp(self, u: Tensor) -> Tensor:
        return families.conv2d_input_at(u, self.weight, self.at, self.geometry)

    def jvp(self, v: Tensor) -> Tensor:
        return families.conv2d_at(v, self.weight, self.at, self.geometry)


@dataclass(frozen=True, eq=False, repr=False)
class ReverseWithin(Symmetric):
    """ReLU or MaxPool2d after a Conv2d ↔ nothing: the reverse of the convolution does their work too."""

    convolution: str  # its name

    def vjp(self, u: Tensor) -> Tensor:
        return u

    def rows(self, name: str, layer: str, shape: tuple[int, ...]) -> Iterator[Row]:
        yield Row(name, layer, shape, f"in {self.convolution}", f"in {self.convolution}", "")


@dataclass(frozen=True, eq=False, repr=False)
class ReverseMask(Symmetric):
    """ReLU or Dropout ↔ the same entries let through, with the same weights."""

    mask: Tensor  # (N, ...), bool or weights

    def vjp(self, u: Tensor) -> Tensor:
        return mask(u, self.mask)


@dataclass(frozen=True, eq=False, repr=False)
class ReverseSlope(Symmetric):
    """LeakyReLU or PReLU ↔ the slope of the side that each entry is on."""

    positive: Tensor  # (N, C, ...) bool
    slope: Tensor  # broadcasts against (N, C, ...)

    def vjp(self, u: Tensor) -> Tensor:
        return mask(u, self.positive) + mask(u, logical_not(self.positive)) * self.slope


@dataclass(frozen=True, eq=False, repr=False)
class ReverseSigmoid(Symmetric):
    """Sigmoid ↔ σ' = y(1 - y) of the shared output."""

    output: Tensor

    def vjp(self, u: Tensor) -> Tensor:
        return u * (self.output * (1.0 - self.output))


@dataclass(frozen=True, eq=False, repr=False)
class ReverseTanh(Symmetric):
    """Tanh ↔ 1 - y² of the shared output."""

    output: Tensor

    def vjp(self, u: Tensor) -> Tensor:
        return u * (1.0 - self.output * self.output)


@dataclass(frozen=True, eq=False, repr=False)
class ReverseSoftmax(Symmetric):
    """Softmax over the last axis ↔ y ⊙ (u - Σ u y), symmetric."""

    output: Tensor

    def vjp(self, u: Tensor) -> Tensor:
        return self.output * (u - sum(u * self.output, -1, keepdims=True))


@dataclass(frozen=True, eq=False, repr=False)
class ReverseMaxPool2d(ReverseLayer):
    """MaxPool2d ↔ unpooling at the shared indices."""

    indices: Tensor  # (N, C, OH, OW), positions in the H·W plane
    size: tuple[int, int]

    def vjp(self, u: Tensor) -> Tensor:
        return families.pool_scatter(u, self.indices, self.size)

    def jvp(self, v: Tensor) -> Tensor:
        return families.pool_gather(v, self.indices, self.size)


@dataclass(frozen=True, eq=False, repr=False)
class ReverseAvgPool2d(ReverseLayer):
    """AvgPool2d ↔ spreading each entry evenly over its window."""

    geometry: Geometry

    def vjp(self, u: Tensor) -> Tensor:
        return families.avg_unpool(u, self.geometry)

    def jvp(self, v: Tensor) -> Tensor:
        return families.avg_pool(v, self.geometry)


@dataclass(frozen=True, eq=False, repr=False)
class ReverseGlobalAvgPool(ReverseLayer):
    """GlobalAvgPool ↔ spreading each channel's entry evenly over its plane."""

    size: tuple[int, int]

    def vjp(self, u: Tensor) -> Tensor:
        h, w = self.size
        return reshape(u * (1.0 / (h * w)), (*u.shape, 1, 1)).broadcast_to((*u.shape, h, w))

    def jvp(self, v: Tensor) -> Tensor:
        return mean(v, (-2, -1))


@dataclass(frozen=True, eq=False, repr=False)
class ReverseFlatten(ReverseLayer):
    """Flatten ↔ unflatten."""

    shape: tuple[int, ...]  # of one sample

    def vjp(self, u: Tensor) -> Tensor:
        return reshape(u, (*u.shape[:-1], *self.shape))

    def jvp(self, v: Tensor) -> Tensor:
        return reshape(v, (*v.shape[: v.ndim - len(self.shape)], math.prod(self.shape)))


@dataclass(frozen=True, eq=False, repr=False)
class ReverseScale(Symmetric):
    """Batch normalisation in eval mode ↔ one factor per channel, γ/√(running var + eps), differentiable in γ."""

    scale: Tensor  # (C,) with the trailing axes of the image

    def vjp(self, u: Tensor) -> Tensor:
        return u * self.scale


@dataclass(frozen=True, eq=False, repr=False)
class ReverseBatchNorm(Symmetric):
    """Batch normalisation in train mode ↔ its Jacobian in the shared x̂: γs(u - mean u - x̂ · mean(u x̂)).

    It removes the mean and the component along x̂ of each channel, and scales. The means run over the batch, so all
    samples are coupled. Ioffe & Szegedy 2015, section 3, solved for ∂l/∂x.
    """

    normal: Tensor  # x̂: (N, C, ...)
    inverse_std: Tensor  # s: (1, C, 1, ...)
    weight: Tensor  # γ: (C, 1, ...)

    def vjp(self, u: Tensor) -> Tensor:
        over = (-2,) if self.normal.ndim == 2 else (-4, -2, -1)
        along = mean(u * self.normal, over, keepdims=True)
        return self.weight * self.inverse_std * (u - mean(u, over, keepdims=True) - self.normal * along)


@dataclass(frozen=True, eq=False, repr=False)
class ReverseLocalResponseNorm(ReverseLayer):
    """LRN, y = x d^-β with d = k + α/n·W x² ↔ u d^-β - (2αβ/n) x ⊙ Wᵀ(u ⊙ x d^(-β-1)); W sums neighbouring channels."""

    input: Tensor  # x: (N, C, H, W)
    denominator: Tensor  # d
    size: int
    alpha: float
    beta: float

    def _terms(self) -> tuple[Tensor, Tensor, Tensor, Geometry]:
        window = channel_window(self.input.shape[-3], self.size, self.input)
        curve = self.input * power(self.denominator, -self.beta - 1) * (2 * self.alpha * self.beta / self.size)
        return power(self.denominator, -self.beta), curve, window, Geometry.of(self.input.shape[-2:], 1)

    def vjp(self, u: Tensor) -> Tensor:
        scale, curve, window, geometry = self._terms()
        return u * scale - self.input * families.conv2d_input(u * curve, window, geometry)

    def jvp(self, v: Tensor) -> Tensor:
        scale, curve, window, geometry = self._terms()
        return v * scale - curve * families.conv2d(v * self.input, window, geometry)


class Step(NamedTuple):
    """One layer inside another, at a point: its name, the layer, its output's shape, and its reverse."""

    name: str
    layer: object  # printed only
    shape: tuple[int, ...]
    reverse: ReverseLayer

    def rows(self, inside: str) -> Iterator[Row]:
        """The lines of this layer in a printed network, `inside` being the dotted name of the layer around it."""
        return self.reverse.rows(f"{inside}.{self.name}" if inside else self.name, repr(self.layer), self.shape)


@dataclass(frozen=True, eq=False, repr=False)
class ReverseSequential(ReverseLayer):
    """Sequential ↔ the reverse layers in reversed order."""

    steps: tuple[Step, ...]

    def vjp(self, u: Tensor) -> Tensor:
        for step in reversed(self.steps):
            u = step.reverse.vjp(u)
        return u

    def squared_norms(self, u: Tensor, lead: int) -> Tensor:
        steps = [*self.steps]
        while steps and isinstance(steps[0].reverse, ReverseFlatten | ReverseIdentity):
            del steps[0]  # it only rearranges the entries of x, which changes no norm
        if not steps:
            return sum_squares(u, tuple(range(lead, u.ndim)))
        first, *after = steps
        return first.reverse.squared_norms(ReverseSequential(tuple(after)).vjp(u), lead)

    def jvp(self, v: Tensor) -> Tensor:
        for step in self.steps:
            v = step.reverse.jvp(v)
        return v

    def rows(self, name: str, layer: str, shape: tuple[int, ...]) -> Iterator[Row]:
        for step in self.steps:
            yield from step.rows(name)


@dataclass(frozen=True, eq=False, repr=False)
class ReverseResidual(ReverseLayer):
    """Residual ↔ the sum of both branches' reverses."""

    body: Step
    shortcut: Step

    def vjp(self, u: Tensor) -> Tensor:
        return self.body.reverse.vjp(u) + self.shortcut.reverse.vjp(u)

    def jvp(self, v: Tensor) -> Tensor:
        return self.body.reverse.jvp(v) + self.shortcut.reverse.jvp(v)

    def rows(self, name: str, layer: str, shape: tuple[int, ...]) -> Iterator[Row]:
        yield from self.body.rows(name)
        yield from self.shortcut.rows(name)
        yield Row(name, "body + shortcut", shape, "sum of both", "sum of both", "")
