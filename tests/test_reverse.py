"""The reverse network is the backward pass: every layer's reverse is its transposed Jacobian, to every order."""

from __future__ import annotations

import gc
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from nn_cases import (
    CASES,
    EXACT,
    Gate,
    assert_close,
    gradients,
    grid,
    leaf,
    make,
    networks,
    normal,
    one_hot,
    retrace,
    reverse_layers,
    slope,
)
from strategies import entries

import tinygrad2 as tg
from tinygrad2 import kernels, nn
from tinygrad2.autodiff.node import Node
from tinygrad2.nn import reverse, tape
from tinygrad2.nn import trace as trace_module

each_layer = pytest.mark.parametrize("name", CASES)


def test_every_layer_and_every_reverse_layer_has_a_case() -> None:
    public = {name for name in nn.__all__ if isinstance(c := getattr(nn, name), type) and issubclass(c, nn.Layer)}
    assert {name.split()[0] for name in CASES} == public - {"Embedding"}  # whose input are integers
    defined = [*vars(reverse).values(), *vars(tape).values()]
    concrete = {c for c in defined if isinstance(c, type) and issubclass(c, nn.ReverseLayer)}
    reached = {type(part) for name in CASES for part in reverse_layers(traced(name)[0].reverse().layer)}
    abstract = {nn.ReverseLayer, reverse.Symmetric, reverse.Linearized}
    assert reached == concrete - abstract - {reverse.ReverseEmbedding}


def traced(name: str, dtype: type = np.float64) -> tuple[nn.Trace, tg.Tensor, nn.Layer]:
    layer, values = make(name, dtype)
    x = leaf(values)
    return retrace(layer)(x), x, layer


@each_layer
def test_the_reverse_layer_is_the_tapes_vjp(name: str) -> None:
    trace, x, _ = traced(name)
    (u,) = normal(1, trace.output.shape)
    assert_close(trace.reverse()(u), gradients(trace.output, [x], tg.Tensor(u))[0])


@each_layer
def test_leading_axes_are_separate_cotangents(name: str) -> None:
    trace, x, _ = traced(name)
    rev = trace.reverse()
    (u,) = normal(2, (2, 3, *trace.output.shape))
    together = rev(u)
    assert together.shape == (2, 3, *x.shape)
    for i, j in np.ndindex(2, 3):
        assert_close(together[i, j], rev(u[i, j]))


@each_layer
def test_the_reverse_of_the_reverse_is_the_linearised_forward_pass(name: str) -> None:
    trace, x, _ = traced(name)
    u, v, many = normal(3, trace.output.shape, x.shape, (2, *x.shape))
    forward = trace.reverse().reverse()
    again = retrace(make(name)[0])
    _, jv = tg.jvp(lambda x: again(x).output, [x.detach()], [tg.Tensor(v)])
    assert_close(forward(v), jv)
    assert_close(forward(many)[1], forward(many[1]))
    assert_close(forward.reverse()(u), trace.reverse()(u), rtol=0)


@each_layer
def test_the_reverse_layer_is_the_adjoint(name: str) -> None:
    """⟨u, Jv⟩ = ⟨Jᵀu, v⟩."""
    trace, x, _ = traced(name)
    u, v = normal(4, trace.output.shape, x.shape)
    rev = trace.reverse()
    assert_close(np.vdot(u, rev.reverse()(v).numpy()), np.vdot(rev(u).numpy(), v))


@each_layer
def test_first_derivatives_are_limits_of_differences(name: str) -> None:
    """∇⟨u, layer(x)⟩ by x and by every parameter."""
    layer, values = make(name)
    trace, x = retrace(layer), leaf(values)
    at = [x, *layer.parameters()]
    u, *directions = normal(5, trace(x).output.shape, *(t.shape for t in at))

    def f() -> tg.Tensor:
        return (trace(x).output * u).sum()

    for t, g, d in zip(at, gradients(f(), at), directions, strict=True):
        assert_close(np.vdot(g.numpy(), d), slope(lambda: f().item(), t, d), 1e-8, f"by {t.shape}")


@each_layer
def test_second_derivatives_through_the_reverse_layer(name: str) -> None:
    """∇⟨rev(u), v⟩ by x, u and every parameter: as the tape's own double backward, and as differences."""
    layer, values = make(name)
    trace, x = retrace(layer), leaf(values)
    n = trace(x).output.shape
    (u_values, v) = normal(6, n, x.shape)
    u = leaf(u_values)
    at = [x, u, *layer.parameters()]

    def through_the_reverse_layer() -> tg.Tensor:
        return (trace(x).reverse()(u) * v).sum()

    def through_the_tape() -> tg.Tensor:
        return (gradients(trace(x).output, [x], u, create_graph=True)[0] * v).sum()

    reversed_, taped = (gradients(f(), at) for f in (through_the_reverse_layer, through_the_tape))
    for t, g, h, d in zip(at, reversed_, taped, normal(7, *(t.shape for t in at)), strict=True):
        assert_close(g, h, 1e-10, f"by {t.shape}")
        expected = slope(lambda: through_the_reverse_layer().item(), t, d)
        assert_close(np.vdot(g.numpy(), d), expected, 1e-7, f"by {t.shape}")


@each_layer
def test_the_jacobian_is_k_separate_passes(name: str) -> None:
    trace, x, _ = traced(name)
    rev, j = trace.reverse(), trace.jacobian()
    k = math.prod(trace.output.shape[1:])
    assert j.shape == (k, *x.shape)
    for i in range(k):
        assert_close(j[i], rev(one_hot(i, trace.output.shape)))


@each_layer
def test_float32_stays_float32_to_the_second_order(name: str) -> None:
    trace, x, layer = traced(name, np.float32)
    u = leaf(normal(8, trace.output.shape, dtype=np.float32)[0])
    rev, jacobian = trace.reverse()(u), trace.jacobian()
    at = [x, u, *layer.parameters()]
    first = gradients((trace.output * u).sum(), at)
    second = gradients((rev * rev).sum() + (jacobian * jacobian).sum(), at)
    forward = trace.reverse().reverse()(np.ones(x.shape, np.float32))
    dtypes = {
        t.dtype.name for t in (trace.output, rev, jacobian, forward, *first, *second, *layer.state_dict().values())
    }
    assert dtypes == {"float32"}


@each_layer
def test_inputs_and_parameters_are_not_touched(name: str) -> None:
    layer, values = make(name)
    before, parameters = values.copy(), {n: p.numpy().copy() for n, p in layer.named_parameters()}
    trace = layer.trace(values)
    u = normal(9, trace.output.shape)[0]
    u_before, rev = u.copy(), trace.reverse()(u)
    values += 1  # the caller may reuse both arrays: the trace keeps what it saw
    u += 1
    np.testing.assert_array_equal(values, before + 1)
    np.testing.assert_array_equal(rev.numpy(), trace.reverse()(u_before).numpy())
    np.testing.assert_array_equal(trace.input.numpy(), before)
    for n, p in layer.named_parameters():
        np.testing.assert_array_equal(p.numpy(), parameters[n])


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("seed", range(5))
def test_on_integers_in_float32_everything_is_exact(name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    layer, values = make(name, np.float32)
    for p in layer.parameters():
        p.data = entries(rng, p.shape, np.float32)
    x = leaf(4 * entries(rng, values.shape, np.float32))
    trace = layer.trace(x)
    u, v = (4 * entries(rng, shape, np.float32) for shape in (trace.output.shape, x.shape))
    rev = trace.reverse()
    np.testing.assert_array_equal(rev(u).numpy(), gradients(trace.output, [x], tg.Tensor(u))[0].numpy())
    assert np.vdot(u, rev.reverse()(v).numpy()) == np.vdot(rev(u).numpy(), v)


@pytest.mark.parametrize("name", [name for name in CASES if "train" not in name or "Dropout" in name])
def test_an_empty_batch_gives_empty_results(name: str) -> None:
    layer, values = make(name)
    trace, out = layer.trace(values[:0]), layer(values).shape[1:]
    assert trace.output.shape == (0, *out)
    assert trace.reverse()(np.zeros((0, *out))).shape == (0, *values.shape[1:])
    assert trace.jacobian().shape == (math.prod(out), 0, *values.shape[1:])


def test_the_reverse_of_an_embedding_is_that_of_a_linear_layer_on_one_hot_rows() -> None:
    tokens = np.array([[1, 2, 2], [0, 4, 1]])
    layer = nn.Embedding(5, 4, rng=0, dtype=np.float64)
    rest = [nn.Linear(4, 3, rng=1, dtype=np.float64), nn.Tanh(), nn.Flatten(), nn.Linear(9, 2, rng=2, dtype=np.float64)]
    net = nn.Sequential(embedding=layer, rest=nn.Sequential(*rest))
    code = leaf(np.eye(5)[tokens])
    linear = net["rest"](tg.matmul(code, layer.weight))
    trace = net.trace(tokens)
    assert_close(trace.output, linear)
    u, v = normal(0, linear.shape, code.shape)
    assert_close(trace.reverse()(u), gradients(linear, [code], tg.Tensor(u))[0])
    assert_close(trace.jacobian(), np.stack([trace.reverse()(one_hot(k, linear.shape)).numpy() for k in range(2)]))
    reverse_layer = layer.trace(tokens).reverse().layer
    w = normal(1, (2, 3, 4))[0]
    jv = reverse_layer.jvp(tg.Tensor(v))
    assert_close(np.vdot(w, jv.numpy()), np.vdot(reverse_layer.vjp(tg.Tensor(w)).numpy(), v))
    linearised = trace.reverse().reverse()
    assert_close(np.vdot(u, linearised(v).numpy()), np.vdot(trace.reverse()(u).numpy(), v))
    assert linearised(np.stack([v, v])).shape == (2, *linear.shape)
    with pytest.raises(ValueError, match=r"the tangent must have shape \(2, 3, 5\).*got \(2, 3\)"):
        linearised(tokens.astype(float))
    at = net.parameters()
    for ours, tapes in zip(
        gradients((trace.jacobian() ** 2).sum(), at),
        gradients((tape_jacobian(nn.Trace(net, code, linear, trace.reverse().layer), code) ** 2).sum(), at),
        strict=True,
    ):
        assert_close(ours, tapes)


def test_branches_of_embeddings_are_linearised_by_one_code() -> None:
    tokens = np.array([[1, 2], [0, 4]])
    for kind in (nn.Sum, nn.Concatenate):
        rev = kind(*(nn.Embedding(5, 3, rng=i, dtype=np.float64) for i in range(2))).trace(tokens).reverse()
        u, v = normal(0, rev._output.shape, (2, 2, 5))
        assert_close(np.vdot(u, rev.reverse()(v).numpy()), np.vdot(rev(u).numpy(), v))


def test_a_forward_of_integers_says_how_to_get_a_reverse() -> None:
    class Words(nn.Layer):
        def __init__(self) -> None:
            self.embedding = nn.Embedding(5, 3, rng=0)

        def forward(self, x: tg.Tensor) -> tg.Tensor:
            return self.embedding(x).sum(1)

    trace = Words().trace(np.array([[1, 2]]))
    for reverse_network in (trace.reverse(), trace.reverse().reverse()):
        with pytest.raises(TypeError, match=r"the layer.s input is int64.*first layer of an nn\.Sequential"):
            reverse_network(np.ones((1, 3) if reverse_network._given[0] == "cotangent" else (1, 2), np.float32))


# --- Random networks --------------------------------------------------------------------------------------------------

few = settings(max_examples=60)


def tape_jacobian(trace: nn.Trace, x: tg.Tensor) -> tg.Tensor:
    """(K, N, *in), from K backward passes of the tape."""
    n = trace.output.shape
    rows = [gradients(trace.output, [x], tg.Tensor(one_hot(k, n)), create_graph=True)[0] for k in range(n[1])]
    return tg.stack(rows, 0)


@few
@given(networks())
def test_in_random_networks_the_reverse_network_is_the_tapes_vjp(drawn: tuple[nn.Layer, np.ndarray]) -> None:
    net, x = drawn[0], leaf(drawn[1])
    trace = net.trace(x)
    rev, (u, v) = trace.reverse(), normal(1, trace.output.shape, x.shape)
    assert_close(rev(u), gradients(trace.output, [x], tg.Tensor(u))[0], 1e-9)
    assert_close(trace.jacobian(), tape_jacobian(trace, x), 1e-9)
    assert_close(np.vdot(u, rev.reverse()(v).numpy()), np.vdot(rev(u).numpy(), v), 1e-9)


@pytest.mark.parametrize("pools", [[], [nn.MaxPool2d(2)]], ids=["ReLU", "ReLU and pool"])
def test_large_cotangents_go_through_convolutions_in_blocks(pools: list[nn.Layer]) -> None:
    """All K together through the last layers, few at a time where they are large; the results are the same."""
    first, second = nn.Conv2d(1, 4, 3, rng=0, dtype=np.float64), nn.Conv2d(4, 5, 3, rng=1, dtype=np.float64)
    size = 5 * (4 - 2 * len(pools)) ** 2
    head = [nn.Flatten(), nn.Linear(size, 7, rng=2, dtype=np.float64)]
    net = nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), *pools, *head)
    x = np.random.default_rng(0).standard_normal((3, 1, 8, 8))

    def results() -> list[tg.Tensor]:
        trace = net.trace(x)
        j, norms, total = trace.jacobian(), trace.jacobian_norms(), trace.jacobian_norms(lead=0)
        loss = tg.norm(j) + (norms * norms).sum() + total
        return [j, norms, total, *gradients(loss, [*net.parameters()])]

    def rows(kernel: str) -> list[int]:
        """How many cotangents of three images the kernel met at once."""
        met: list[int] = []
        with pytest.MonkeyPatch.context() as patch:
            original = getattr(kernels, kernel)
            patch.setattr(kernels, kernel, lambda g, *rest: met.append(math.prod(g.shape[:-3])) or original(g, *rest))
            net.trace(x).jacobian()
        return met

    whole = results()
    assert rows("conv2d_input") == [7 * 3, 7 * 3]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trace_module, "BLOCK_BYTES", 2 * 3 * 4 * 6 * 6 * 8)  # two cotangents of the first convolution
        assert rows("conv2d_input") == [3, 3, 6, 6, 6, 6, 6, 6]
        for one, other in zip(results(), whole, strict=True):
            assert_close(one, other, 1e-12)


class Scaled(nn.Layer):
    """2x, a layer of one's own, whose reverse notes how many cotangents it gets and how many samples they have."""

    def __init__(self, seen: list[tuple[int, ...]], **says: bool) -> None:
        def vjp(rev: nn.ReverseLayer, u: tg.Tensor) -> tg.Tensor:
            seen.append(u.shape[:2])
            return u * 2.0

        self.reverse = type("ReverseScaled", (reverse.Symmetric,), {"vjp": vjp, **says})

    def apply(self, x: tg.Tensor) -> nn.layer.Applied:
        return x * 2.0, self.reverse()


@pytest.mark.parametrize(
    ("says", "seen"),
    [({}, [(6, 4)]), ({"in_blocks": True}, [(2, 4)] * 3), ({"constant": True}, [(6, 1)])],
    ids=["nothing", "in_blocks", "constant"],
)
def test_a_layer_of_ones_own_is_treated_as_its_reverse_says(says: dict[str, bool], seen: list[tuple[int, ...]]) -> None:
    met: list[tuple[int, ...]] = []
    net = nn.Sequential(nn.Tanh(), Scaled(met, **says))
    trace = net.trace(normal(0, (4, 6))[0])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trace_module, "BLOCK_BYTES", 2 * 4 * 6 * 8)  # two cotangents of all samples
        j = trace.jacobian()
    assert met == seen
    for k in range(6):
        assert_close(j[k], trace.reverse()(one_hot(k, (4, 6))), rtol=0)


@each_layer
def test_what_a_reverse_layer_says_of_itself_is_true(name: str) -> None:
    layer, values = make(name)
    net = nn.Sequential(first=nn.Identity(), last=layer)
    trace = retrace(net)(values)
    last = retrace(layer)(values).reverse().layer
    (u,) = normal(1, trace.output.shape)
    if last.rearranges:
        np.testing.assert_array_equal(np.sort(last(tg.Tensor(u)).numpy(), None), np.sort(u, None))
    if last.constant:
        j = trace.jacobian()
        for k in range(len(j)):
            assert_close(j[k], trace.reverse()(one_hot(k, trace.output.shape)))


@pytest.mark.parametrize("says", [{}, {"rearranges": True}], ids=["nothing", "rearranges"])
def test_norms_leave_out_a_first_layer_that_says_that_it_rearranges(says: dict[str, bool]) -> None:
    met: list[tuple[int, ...]] = []
    nn.Sequential(Scaled(met, **says), nn.Linear(6, 3, dtype=np.float64)).trace(np.ones((4, 6))).jacobian_norms()
    assert met == ([] if says else [(3, 4)])


class Doubled(nn.Conv2d):
    """A convolution that is not the one it is made from."""

    def apply(self, x: tg.Tensor) -> nn.layer.Applied:
        y, rev = super().apply(x)
        return y * 2.0, reverse.ReverseSequential(
            (reverse.Step("conv", self, y.shape, rev), reverse.Step("twice", self, y.shape, Scaled([]).reverse()))
        )


@pytest.mark.parametrize("after", [[nn.ReLU()], [nn.MaxPool2d(2)], [nn.ReLU(), nn.MaxPool2d(2)], [nn.Dropout(0.5)]])
@pytest.mark.parametrize("conv", [nn.Conv2d, Doubled])
def test_only_what_a_relu_or_a_pool_drops_after_a_plain_convolution_is_left_out(conv: Any, after: list) -> None:
    net = nn.Sequential(conv(1, 2, 3, rng=0, dtype=np.float64), *after)
    x = leaf(normal(0, (3, 1, 6, 6))[0])
    trace = net.trace(x)
    (u,) = normal(1, trace.output.shape)
    assert_close(trace.reverse()(u), gradients(trace.output, [x], tg.Tensor(u))[0])
    left_out = conv is nn.Conv2d and not isinstance(after[0], nn.Dropout)
    assert ("ReverseConv2dAt" in str(trace.reverse())) == left_out


@few
@given(networks())
def test_double_backprop_of_the_jacobians_norm_is_the_tapes(drawn: tuple[nn.Layer, np.ndarray]) -> None:
    """∇‖J‖_F by x and all parameters: through the reverse network, and through K recorded backward passes."""
    net, x = drawn[0], leaf(drawn[1])
    trace = net.trace(x)
    at = [x, *net.parameters()]
    for ours, tapes in zip(
        gradients(tg.norm(trace.jacobian()), at), gradients(tg.norm(tape_jacobian(trace, x)), at), strict=True
    ):
        assert_close(ours, tapes, 1e-8)


@few
@given(networks())
def test_the_norms_alone_are_those_of_the_jacobian_and_so_are_their_gradients(
    drawn: tuple[nn.Layer, np.ndarray],
) -> None:
    net, x = drawn[0], leaf(drawn[1])
    trace = net.trace(x)
    j, (u,) = trace.jacobian(), normal(4, (2, *trace.output.shape))
    rows, jtu = (t * t for t in (j, trace.reverse()(u)))
    samples = tuple(range(2, j.ndim))
    at, ways = (
        [x, *net.parameters()],
        (
            (trace.jacobian_norms(), rows.sum(samples)),
            (trace.jacobian_norms(lead=0), rows.sum()),
            (trace.reverse().squared_norms(u), jtu.sum(samples)),
        ),
    )
    for shorter, longer in ways:
        assert_close(shorter, longer, 1e-9)
        (weights,) = normal(5, shorter.shape)
        for a, b in zip(*(gradients((way * weights).sum(), at) for way in (shorter, longer)), strict=True):
            assert_close(a, b, 1e-8)


@pytest.mark.parametrize("front", [[], [nn.Flatten()], [nn.Identity(), nn.Flatten()]])
def test_a_wide_first_layer_never_multiplies_the_cotangents_by_its_weights(front: list[nn.Layer]) -> None:
    """All K·N cotangents meet the Gram matrix (8×8) instead of W (8×90), also in the backward pass."""
    net = nn.Sequential(*front, nn.Linear(90, 8, rng=0), nn.ReLU(), nn.Linear(8, 10, rng=1))
    trace, rows = net.trace(np.random.default_rng(0).normal(size=(40, 90)).astype(np.float32)), []
    with pytest.MonkeyPatch.context() as patch:
        product = kernels.product
        patch.setattr(kernels, "product", lambda a, b, *rest: rows.append((len(a), *b.shape)) or product(a, b, *rest))
        norm2 = trace.jacobian_norms(lead=0)
        norm2.backward()
    assert (400, 8, 8) in rows
    assert not [size for size in rows if size[0] >= 400 and 90 in size[1:]]
    np.testing.assert_allclose(norm2.item(), (trace.jacobian().numpy() ** 2).sum(), rtol=1e-5)


@few
@given(networks())
def test_the_hessian_is_symmetric(drawn: tuple[nn.Layer, np.ndarray]) -> None:
    """⟨u, Hv⟩ = ⟨v, Hu⟩ for f(x) = ½‖net(x)‖², whose gradient is rev(z) at z = net(x)."""
    net, x = drawn[0], leaf(drawn[1])
    trace = net.trace(x)
    gradient = trace.reverse()(trace.output)
    u, v = normal(2, x.shape, x.shape)
    hu, hv = (gradients((gradient * d).sum(), [x])[0].numpy() for d in (u, v))
    assert_close(np.vdot(u, hv), np.vdot(v, hu), 1e-8)


def test_the_exact_jacobian_is_jacrevs_block_diagonal() -> None:
    net = nn.Sequential(nn.Linear(4, 5, dtype=np.float64), nn.Tanh(), nn.Linear(5, 3, dtype=np.float64))
    x = normal(3, (6, 4))[0]
    full = tg.jacrev(net)(tg.Tensor(x)).numpy()  # (N, K, N, D)
    assert_close(net.trace(x).jacobian(), np.einsum("nknd->knd", full))


def test_in_train_mode_batch_norm_couples_the_samples() -> None:
    """Row k of the Jacobian is then the gradient of the sum of output k over the batch."""
    net, values = make("BatchNorm1d train")
    full = tg.jacrev(net)(tg.Tensor(values)).numpy()
    assert np.abs(full[0, :, 1]).max() > 1e-3
    assert_close(net.trace(values).jacobian(), full.sum(0), 1e-9)


# --- Print ------------------------------------------------------------------------------------------------------------

LENET = """\
forward ↓                                                 output      reverse ↑        shares
x                                                         2×1×28×28   Jᵀu
conv1      Conv2d(1, 20, 5×5)                             2×20×24×24  ReverseConv2dAt  weight, at, geometry
pool1      MaxPool2d(kernel_size=2, stride=2, padding=0)  2×20×12×12  in conv1
conv2      Conv2d(20, 50, 5×5)                            2×50×8×8    ReverseConv2dAt  weight, at, geometry
pool2      MaxPool2d(kernel_size=2, stride=2, padding=0)  2×50×4×4    in conv2
flatten    Flatten()                                      2×800       ReverseFlatten   shape
fc1        Linear(800, 500)                               2×500       ReverseLinear    weight
relu1      ReLU()                                         2×500       ReverseMask      mask
fc2        Linear(500, 10)                                2×10        ReverseLinear    weight
z                                                         2×10        u"""


def test_lenets_reverse_network_prints_as_the_papers_figure() -> None:
    assert str(nn.models.lenet().trace(np.zeros((2, 1, 28, 28), np.float32)).reverse()) == LENET


NESTED = """\
forward ↓                                      output   linearised ↓         shares
x                                              4×2×3×3  v
stem             Conv2d(2, 2, 1×1)             4×2×3×3  LinearizedConv2d     weight, geometry
block.body.bn    BatchNorm2d(2)                4×2×3×3  LinearizedBatchNorm  normal, inverse_std, weight
block.body.relu  ReLU()                        4×2×3×3  LinearizedMask       mask
block.body.conv  Conv2d(2, 2, 3×3, padding=1)  4×2×3×3  LinearizedConv2d     weight, geometry
block.shortcut   Identity()                    4×2×3×3  LinearizedIdentity
block            body + shortcut               4×2×3×3  sum of both
z                                              4×2×3×3  J v"""


def test_the_linearised_network_prints_dotted_names_and_linear_maps() -> None:
    body = nn.Sequential(bn=nn.BatchNorm2d(2), relu=nn.ReLU(), conv=nn.Conv2d(2, 2, 3, padding=1))
    net = nn.Sequential(stem=nn.Conv2d(2, 2, 1), block=nn.Residual(body))
    rev = net.trace(grid(np.random.default_rng(0), (4, 2, 3, 3)).astype(np.float32)).reverse()
    assert str(rev.reverse()) == NESTED
    assert str(rev.reverse().reverse()) == str(rev)


@given(networks())
@settings(max_examples=20)
def test_every_layer_is_printed_with_its_output_shape_and_what_it_shares(drawn: tuple[nn.Layer, np.ndarray]) -> None:
    net, x = drawn
    trace = net.trace(x)
    lines = {line.split()[0]: line for line in str(trace.reverse()).splitlines()}
    # A layer written as `forward` takes one line with all that is inside it.
    inside = tuple(f"{name}." for name, layer in net.named_layers() if isinstance(layer, Gate))
    shown = [(name, layer) for name, layer in net.named_layers() if not name.startswith(inside)]
    whole = {name: layer for name, layer in shown if not isinstance(layer, nn.Sequential)}
    assert set(whole) <= set(lines)
    assert f"{x.shape[0]}×{trace.output.shape[1]}" in lines["head"] and lines["head"].endswith("weight")
    for name, layer in whole.items():
        assert layer.brief() in lines[name] or isinstance(layer, nn.Residual | nn.Concatenate)


# --- Errors -----------------------------------------------------------------------------------------------------------


def test_a_cotangent_of_another_shape_or_dtype_is_an_error_that_says_what_fits() -> None:
    trace = nn.Sequential(nn.Linear(3, 2), nn.ReLU()).trace(np.ones((4, 3), np.float32))
    rev = trace.reverse()
    with pytest.raises(
        ValueError, match=r"the cotangent must have shape \(4, 2\), or that with leading .* got \(4, 3\)"
    ):
        rev(np.ones((4, 3), np.float32))
    with pytest.raises(ValueError, match=r"the tangent must have shape \(4, 3\)"):
        rev.reverse()(np.ones(2, np.float32))
    with pytest.raises(TypeError, match="the cotangent must be float32, as the network is; got float64"):
        rev(np.ones((4, 2)))
    assert rev([[1, 0]] * 4).dtype == np.float32  # plain lists have no dtype to keep


def test_a_layer_without_its_two_methods_says_which() -> None:
    class Half(nn.ReverseLayer):
        pass

    with pytest.raises(NotImplementedError, match=r"Half must define vjp\(u\)"):
        Half()(tg.Tensor(1.0))
    with pytest.raises(NotImplementedError, match=r"Half must define jvp\(v\)"):
        Half().reverse()(tg.Tensor(1.0))
    with pytest.raises(NotImplementedError, match=r"Layer must define forward\(x\) -> output, or apply\(x\)"):
        nn.Layer()(1.0)


# --- Memory -----------------------------------------------------------------------------------------------------------


def test_a_trace_with_its_jacobian_and_double_backward_is_freed_by_counting_alone() -> None:
    kinds = (tg.Tensor, Node, nn.Trace, nn.ReverseLayer, nn.ReverseNetwork, np.ndarray)
    nets = [make(name) for name in CASES]
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        for net, values in nets:
            trace = net.trace(leaf(values))
            loss = tg.norm(trace.jacobian()) + (trace.reverse()(trace.output) * 1.0).sum()
            loss.backward(create_graph=True)
            str(trace.reverse())
            net.zero_grad()
        del net, values, trace, loss, nets
        gc.collect()
        assert [type(o) for o in gc.garbage if isinstance(o, kinds)] == []
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
