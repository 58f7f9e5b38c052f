"""The explicit reverse network: for every layer a reverse layer that shares its weights, masks, indices and geometry.

At a point x a layer is a linear map, its Jacobian J. Its reverse layer computes Jᵀu (`vjp`) and Jv (`jvp`), since the
reverse of the reverse is the linearised forward pass. The fields of a reverse layer are what it shares. Cotangents may
carry leading axes (K, N, ...); what is shared has the axes (N, ...) and is never copied over K. This is Deep Defense
(Yan et al. 2018), section 3.3 and figure 1, made general.

A comment beside a formula says why it is the transposed Jacobian: the matrix with ⟨u, Jv⟩ = ⟨Jᵀu, v⟩ for all u and v.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from tinygrad2.autodiff import Tensor
from tinygrad2.kernels import Geometry
from tinygrad2.ops import families, gram, logical_not, mask, mean, reshape, sum
from tinygrad2.ops.elementwise import power
from tinygrad2.ops.reduce import sum_squares

if TYPE_CHECKING:
    from tinygrad2.nn.layer import Layer

Shape = tuple[int, ...]


class Row(NamedTuple):
    """One line of a printed network: a forward layer, its output's shape, its reverse and its linearised map."""

    name: str
    layer: str
    shape: Shape
    reverse: str
    linearized: str
    shares: str


class ReverseLayer:
    """The transposed Jacobian of one layer at one point, as a layer: `rev(u)` is Jᵀu, and `rev.reverse()(v)` is Jv.

    A reverse layer of your own defines `vjp` and `jvp`. Three class attributes say how a network may treat it. They are
    False unless you set them:

    in_blocks: it is costly, so where its many cotangents need much memory, they come a few at a time.
    rearranges: Jᵀu has the entries of u, at most in another order, so that it changes no norm.
    constant: J is the same for every sample, so that one cotangent serves the whole batch.

    >>> rev = nn.reverse.ReverseTanh(output=tg.Tensor([[0.0, 0.5]]))
    >>> rev(tg.Tensor([[1.0, 2.0]])).numpy().tolist()  # u (1 - y²)
    [[1.0, 1.5]]
    >>> rev
    ReverseTanh(output)
    """

    in_blocks: ClassVar[bool] = False
    rearranges: ClassVar[bool] = False
    constant: ClassVar[bool] = False

    def vjp(self, u: Tensor) -> Tensor:
        """Jᵀu. u: (..., N, *out), with any leading axes; result: (..., N, *in)."""
        raise NotImplementedError(f"{type(self).__name__} must define vjp(u), its product with the transposed Jacobian")

    def jvp(self, v: Tensor) -> Tensor:
        """Jv. v: (..., N, *in), with any leading axes; result: (..., N, *out)."""
        raise NotImplementedError(f"{type(self).__name__} must define jvp(v), its product with the Jacobian")

    def squared_norms(self, u: Tensor, lead: int) -> Tensor:
        """‖Jᵀu‖² over all but the first `lead` axes. u: (..., N, *out); result: the first `lead` axes of u."""
        w = self.vjp(u)
        return sum_squares(w, tuple(range(lead, w.ndim)))

    def __call__(self, u: Tensor) -> Tensor:
        return self.vjp(u)

    def reverse(self) -> ReverseLayer:
        """The reverse of the reverse: the layer linearised at the point, v ↦ Jv."""
        return Linearized(self)

    @property
    def shares(self) -> str:
        """The names of what this layer shares with its forward layer, such as "weight, geometry"."""
        return ", ".join(f.name for f in fields(self)) if is_dataclass(self) else ""

    def rows(self, name: str, layer: str, shape: Shape) -> Iterator[Row]:
        """The lines that this layer takes in a printed network, in forward order. shape: of the layer's output."""
        kind = type(self).__name__
        yield Row(name, layer, shape, kind, f"Linearized{kind.removeprefix('Reverse')}", self.shares)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.shares})"


class Symmetric(ReverseLayer):
    """A reverse layer whose Jacobian is symmetric, J = Jᵀ, so that `jvp` is `vjp`."""

    def jvp(self, v: Tensor) -> Tensor:
        return self.vjp(v)


@dataclass(frozen=True, eq=False, repr=False)
class Linearized(ReverseLayer):
    """A reverse layer turned round: its `vjp` is the other's `jvp`, since (Jᵀ)ᵀ = J."""

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

    rearranges = True
    constant = True

    def vjp(self, u: Tensor) -> Tensor:
        return u


@dataclass(frozen=True, eq=False, repr=False)
class ReverseLinear(ReverseLayer):
    """Linear ↔ its transpose. u: (..., N, O); result: (..., N, I).

    >>> nn.reverse.ReverseLinear(weight=tg.Tensor([[1.0, 2.0, 3.0]])).vjp(tg.Tensor([[10.0]])).numpy().tolist()
    [[10.0, 20.0, 30.0]]
    """

    constant = True

    weight: Tensor  # (O, I)

    # y = W x + b has the Jacobian W. A sample is a row here, so that Wᵀu is written u W, and W v is written v Wᵀ.
    def vjp(self, u: Tensor) -> Tensor:
        return families.linear_input(u, self.weight)

    def squared_norms(self, u: Tensor, lead: int) -> Tensor:
        return gram.squared_norms(u, self.weight, lead)

    def jvp(self, v: Tensor) -> Tensor:
        return families.linear(v, self.weight)


@dataclass(frozen=True, eq=False, repr=False)
class ReverseConv2d(ReverseLayer):
    """Conv2d ↔ transposed convolution. u: (..., N, O, OH, OW); result: (..., N, C, H, W)."""

    in_blocks = True
    constant = True

    weight: Tensor  # (O, C/groups, kh, kw)
    geometry: Geometry

    # The convolution is linear in x, and `conv2d_input` is its adjoint: ⟨conv2d(v, w), u⟩ = ⟨v, conv2d_input(u, w)⟩.
    def vjp(self, u: Tensor) -> Tensor:
        return families.conv2d_input(u, self.weight, self.geometry)

    def jvp(self, v: Tensor) -> Tensor:
        return families.conv2d(v, self.weight, self.geometry)


@dataclass(frozen=True, eq=False, repr=False)
class ReverseConv2dAt(ReverseLayer):
    """Conv2d of which a pool and a ReLU let only some entries through ↔ transposed convolution of these entries.

    u: (..., N, O, PH, PW), a number for each entry that the pool may let through; result: (..., N, C, H, W).
    """

    in_blocks = True

    weight: Tensor  # (O, C/groups, kh, kw)
    at: Tensor  # (N, O, PH, PW), positions in the OH·OW plane, -1 for an entry that the ReLU drops; or its mask
    geometry: Geometry

    # Let C be the convolution, and P pick the entries: P has one 1 in each row, or none. J = P C and Jᵀu = Cᵀ(Pᵀu):
    # Pᵀ puts each number where it came from and zeros elsewhere, and the zeros need no work.
    def vjp(self, u: Tensor) -> Tensor:
        return families.conv2d_input_at(u, self.weight, self.at, self.geometry)

    def jvp(self, v: Tensor) -> Tensor:
        return families.conv2d_at(v, self.weight, self.at, self.geometry)


@dataclass(frozen=True, eq=False, repr=False)
class ReverseMask(Symmetric):
    """ReLU or Dropout ↔ the same entries let through, with the same weights.

    >>> nn.reverse.ReverseMask(mask=tg.Tensor([[True, False]])).vjp(tg.Tensor([[5.0, 7.0]])).numpy().tolist()
    [[5.0, 0.0]]
    """

    mask: Tensor  # (N, ...), bool or weights

    # y_i = m_i x_i, where m does not change with x: J is the diagonal matrix of m.
    def vjp(self, u: Tensor) -> Tensor:
        return mask(u, self.mask)


@dataclass(frozen=True, eq=False, repr=False)
class ReverseSlope(Symmetric):
    """LeakyReLU or PReLU ↔ the slope of the side that each entry is on."""

    positive: Tensor  # (N, C, ...) bool
    slope: Tensor  # broadcasts against (N, C, ...)

    # J is diagonal: 1 where x > 0, and the slope elsewhere.
    def vjp(self, u: Tensor) -> Tensor:
        return mask(u, self.positive) + mask(u, logical_not(self.positive)) * self.slope


@dataclass(frozen=True, eq=False, repr=False)
class ReverseSigmoid(Symmetric):
    """Sigmoid ↔ u σ'(x), where σ' = y(1 - y) of the shared output y."""

    output: Tensor

    # y = 1/(1 + e⁻ˣ), so y' = e⁻ˣ/(1 + e⁻ˣ)² = y · e⁻ˣ/(1 + e⁻ˣ) = y(1 - y).
    def vjp(self, u: Tensor) -> Tensor:
        return u * (self.output * (1.0 - self.output))


@dataclass(frozen=True, eq=False, repr=False)
class ReverseTanh(Symmetric):
    """Tanh ↔ u (1 - y²), of the shared output y."""

    output: Tensor

    # y = sinh x/cosh x, so y' = (cosh² x - sinh² x)/cosh² x = 1 - y².
    def vjp(self, u: Tensor) -> Tensor:
        return u * (1.0 - self.output * self.output)


@dataclass(frozen=True, eq=False, repr=False)
class ReverseSoftmax(Symmetric):
    """Softmax over the last axis ↔ y ⊙ (u - Σ u y), of the shared output y. u: (..., N, ..., C)."""

    output: Tensor

    # ∂y_i/∂x_j = y_i (δ_ij - y_j), so J = diag(y) - y yᵀ, which is symmetric, and J u = y ⊙ u - y (yᵀu).
    def vjp(self, u: Tensor) -> Tensor:
        return self.output * (u - sum(u * self.output, -1, keepdims=True))


@dataclass(frozen=True, eq=False, repr=False)
class ReverseMaxPool2d(ReverseLayer):
    """MaxPool2d ↔ unpooling at the shared indices. u: (..., N, C, OH, OW); result: (..., N, C, H, W)."""

    indices: Tensor  # (N, C, OH, OW), positions in the H·W plane
    size: tuple[int, int]  # H, W

    # y_o = x_i with i = indices_o: row o of J has its only 1 at i. So Jᵀ adds u_o to entry i, and all others stay 0.
    def vjp(self, u: Tensor) -> Tensor:
        return families.pool_scatter(u, self.indices, self.size)

    def jvp(self, v: Tensor) -> Tensor:
        return families.pool_gather(v, self.indices, self.size)


@dataclass(frozen=True, eq=False, repr=False)
class ReverseAvgPool2d(ReverseLayer):
    """AvgPool2d ↔ spreading each entry evenly over its window. u: (..., N, C, OH, OW); result: (..., N, C, H, W)."""

    constant = True

    geometry: Geometry

    # Row o of J holds 1/(kh·kw) at each pixel of window o. So Jᵀ gives each pixel u_o/(kh·kw) from each of its windows.
    def vjp(self, u: Tensor) -> Tensor:
        return families.avg_unpool(u, self.geometry)

    def jvp(self, v: Tensor) -> Tensor:
        return families.avg_pool(v, self.geometry)


@dataclass(frozen=True, eq=False, repr=False)
class ReverseGlobalAvgPool(ReverseLayer):
    """GlobalAvgPool ↔ spreading each channel's entry evenly over its plane. u: (..., N, C); result: (..., N, C, H, W).

    >>> nn.reverse.ReverseGlobalAvgPool(size=(1, 2)).vjp(tg.Tensor([[6.0]])).numpy().tolist()
    [[[[3.0, 3.0]]]]
    """

    constant = True

    size: tuple[int, int]  # H, W

    # The row of J for a channel holds 1/(H·W) at each of its pixels, and so does the column of Jᵀ.
    def vjp(self, u: Tensor) -> Tensor:
        h, w = self.size
        return reshape(u * (1.0 / (h * w)), (*u.shape, 1, 1)).broadcast_to((*u.shape, h, w))

    def jvp(self, v: Tensor) -> Tensor:
        return mean(v, (-2, -1))


@dataclass(frozen=True, eq=False, repr=False)
class ReverseFlatten(ReverseLayer):
    """Flatten ↔ unflatten. u: (..., N, D); result: (..., N, *shape)."""

    rearranges = True
    constant = True

    shape: Shape  # of one sample

    # J only renames the entries: it is a permutation matrix, and the transpose of a permutation is its inverse.
    def vjp(self, u: Tensor) -> Tensor:
        return reshape(u, (*u.shape[:-1], *self.shape))

    def jvp(self, v: Tensor) -> Tensor:
        return reshape(v, (*v.shape[: v.ndim - len(self.shape)], math.prod(self.shape)))


@dataclass(frozen=True, eq=False, repr=False)
class ReverseScale(Symmetric):
    """Batch normalisation in eval mode ↔ one factor per channel, γ/√(running var + eps), differentiable in γ."""

    constant = True

    scale: Tensor  # (C,) with the trailing axes of the image

    # The running statistics do not change with x: J is the diagonal matrix of the factors.
    def vjp(self, u: Tensor) -> Tensor:
        return u * self.scale


@dataclass(frozen=True, eq=False, repr=False)
class ReverseBatchNorm(Symmetric):
    """Batch normalisation in train mode ↔ its Jacobian in the shared x̂: γs(u - mean u - x̂ · mean(u x̂)).

    It removes the mean and the component along x̂ of each channel, and scales. The means run over the batch, so all
    samples are coupled. Ioffe & Szegedy 2015, section 3, solved for ∂l/∂x. u: (..., N, C) or (..., N, C, H, W).
    """

    normal: Tensor  # x̂: (N, C, ...)
    inverse_std: Tensor  # s: (1, C, 1, ...)
    weight: Tensor  # γ: (C, 1, ...)

    # x̂ = (x - μ) s with s = (var + eps)^(-1/2). For a tangent v: dμ = mean v, ds = -s³ mean((x - μ) v) = -s² mean(x̂ v),
    # so dx̂ = s (v - mean v) + (x - μ) ds = s (v - mean v - x̂ mean(x̂ v)), and γ is a factor. With m entries in a mean,
    # J = γ s (I - 1 1ᵀ/m - x̂ x̂ᵀ/m) for a channel: all three matrices are symmetric, and so is J.
    def vjp(self, u: Tensor) -> Tensor:
        over = (-2,) if self.normal.ndim == 2 else (-4, -2, -1)
        along = mean(u * self.normal, over, keepdims=True)
        return self.weight * self.inverse_std * (u - mean(u, over, keepdims=True) - self.normal * along)


@dataclass(frozen=True, eq=False, repr=False)
class ReverseLocalResponseNorm(ReverseLayer):
    """LocalResponseNorm, y = x d^-β with d = k + α/n·W x², ↔ u d^-β - (2αβ/n) x ⊙ Wᵀ(u ⊙ x d^(-β-1)).

    W sums over n neighbouring channels. u: (..., N, C, H, W).
    """

    input: Tensor  # x: (N, C, H, W)
    denominator: Tensor  # d: (N, C, H, W)
    window: Tensor  # W, as 1×1 filters: (C, C, 1, 1)
    geometry: Geometry  # of these filters
    beta: float
    factor: float  # 2αβ/n

    # dy_i = d_i^-β v_i - β x_i d_i^(-β-1) dd_i, and dd_i = (2α/n) Σ_j W_ij x_j v_j. With c = (2αβ/n) x d^(-β-1), the
    # curve, J = diag(d^-β) - diag(c) W diag(x), so Jᵀ = diag(d^-β) - diag(x) Wᵀ diag(c).
    def _diagonals(self) -> tuple[Tensor, Tensor]:
        scale = power(self.denominator, -self.beta)
        curve = self.input * power(self.denominator, -self.beta - 1) * self.factor
        return scale, curve

    def vjp(self, u: Tensor) -> Tensor:
        scale, curve = self._diagonals()
        return u * scale - self.input * families.conv2d_input(u * curve, self.window, self.geometry)

    def jvp(self, v: Tensor) -> Tensor:
        scale, curve = self._diagonals()
        return v * scale - curve * families.conv2d(v * self.input, self.window, self.geometry)


class Place(NamedTuple):
    """A layer inside another: its name there, the layer, and the shape of its output."""

    name: str
    layer: Layer
    shape: Shape


class Step(NamedTuple):
    """A layer inside another at a point, with its reverse, which may do the work of the layers right after it too."""

    name: str
    layer: Layer
    shape: Shape  # of its output
    reverse: ReverseLayer
    after: tuple[Place, ...] = ()  # the layers after it whose work `reverse` does too

    @property
    def size(self) -> int:
        """How many numbers one cotangent has that `reverse` takes, for all samples together."""
        *_, last = (self, *self.after)
        return math.prod(last.shape)

    def rows(self, inside: str) -> Iterator[Row]:
        """The lines of these layers in a printed network. inside: the dotted name of the layer around them."""
        prefix = f"{inside}." if inside else ""
        yield from self.reverse.rows(prefix + self.name, self.layer.brief(), self.shape)
        for name, layer, shape in self.after:
            yield Row(prefix + name, layer.brief(), shape, f"in {self.name}", f"in {self.name}", "")


@dataclass(frozen=True, eq=False, repr=False)
class ReverseSequential(ReverseLayer):
    """Sequential ↔ the reverse layers in reversed order."""

    steps: tuple[Step, ...]

    # J = J_n ... J_2 J_1, so Jᵀ = J_1ᵀ J_2ᵀ ... J_nᵀ: the last layer's comes first.
    def vjp(self, u: Tensor) -> Tensor:
        for step in reversed(self.steps):
            u = step.reverse.vjp(u)
        return u

    def squared_norms(self, u: Tensor, lead: int) -> Tensor:
        # The first layers may only rearrange the entries of x, which changes no norm: they are left out.
        first = next((i for i, step in enumerate(self.steps) if not step.reverse.rearranges), None)
        if first is None:
            return sum_squares(u, tuple(range(lead, u.ndim)))
        u = ReverseSequential(self.steps[first + 1 :]).vjp(u)
        return self.steps[first].reverse.squared_norms(u, lead)

    def jvp(self, v: Tensor) -> Tensor:
        for step in self.steps:
            v = step.reverse.jvp(v)
        return v

    def rows(self, name: str, layer: str, shape: Shape) -> Iterator[Row]:
        for step in self.steps:
            yield from step.rows(name)


@dataclass(frozen=True, eq=False, repr=False)
class ReverseResidual(ReverseLayer):
    """Residual ↔ the sum of both branches' reverses."""

    body: Step
    shortcut: Step

    # J = J_body + J_shortcut, and the transpose of a sum is the sum of the transposes.
    def vjp(self, u: Tensor) -> Tensor:
        return self.body.reverse.vjp(u) + self.shortcut.reverse.vjp(u)

    def jvp(self, v: Tensor) -> Tensor:
        return self.body.reverse.jvp(v) + self.shortcut.reverse.jvp(v)

    def rows(self, name: str, layer: str, shape: Shape) -> Iterator[Row]:
        yield from self.body.rows(name)
        yield from self.shortcut.rows(name)
        yield Row(name, "body + shortcut", shape, "sum of both", "sum of both", "")
