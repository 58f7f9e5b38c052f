"""Faults that readers of the library found, a group of tests for each: several members of its kind, not one example.

The numbers are those of the list of faults that the project keeps; tests of the others are beside what they test.
"""

from __future__ import annotations

import asyncio
import copy
import pickle
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from decimal import Decimal, localcontext
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad2 as tg
from tinygrad2 import nn
from tinygrad2.autodiff import habits
from tinygrad2.autodiff.node import is_recording
from tinygrad2.verify import verify_network

X = np.array([1.0, 2.0, 3.0])


def leaf(values: Any = X) -> tg.Tensor:
    return tg.Tensor(values, requires_grad=True)


# 1: tangents and cotangents match by structure.
def mixed(p: Any) -> tg.Tensor:
    return p["a"] * p["b"][0] + p["b"][1] * p["a"] * p["a"]


PRIMAL = {"a": 2.0, "b": (3.0, 5.0)}
REORDERED = {"b": (10.0, 100.0), "a": 1.0}  # J v = (b0 + 2 a b1) v_a + a v_b0 + a² v_b1


def test_tangents_in_dicts_match_by_key() -> None:
    expected = (3 + 20) * 1.0 + 2 * 10 + 4 * 100
    assert tg.jvp(mixed, (PRIMAL,), (REORDERED,))[1].item() == expected
    assert tg.linearize(mixed, PRIMAL)[1](REORDERED).item() == expected
    second = tg.hvp(mixed, (PRIMAL,), (REORDERED,))
    assert [second["a"].item(), second["b"][0].item(), second["b"][1].item()] == [10 + 4 * 100 + 10, 1.0, 4.0]


@pytest.mark.parametrize(
    ("tangent", "words"),
    [
        ({"a": 1.0, "c": (1.0, 1.0)}, r"tangents\[0\]: expected a dict with the keys \['a', 'b'\], got the keys"),
        ({"a": 1.0}, "keys"),
        ({"a": 1.0, "b": (1.0,)}, r"tangents\[0\]\['b'\]: expected a tuple of 2, got 1"),
        ({"a": 1.0, "b": {"x": 1.0, "y": 1.0}}, r"\['b'\]: expected a tuple of 2, got a dict"),
        ({"a": (1.0,), "b": (1.0, 1.0)}, "shape|expected"),
        ([1.0, 2.0], "expected a dict with the keys"),
        (1.0, "expected a dict with the keys"),
    ],
)
@pytest.mark.parametrize("product", [tg.jvp, tg.hvp])
def test_another_structure_is_an_error_that_names_the_place(product: Any, tangent: Any, words: str) -> None:
    with pytest.raises((ValueError, TypeError), match=words):
        product(mixed, (PRIMAL,), (tangent,))


def test_the_number_of_tangents_is_that_of_the_primals() -> None:
    with pytest.raises(ValueError, match="tangents: expected a tuple of 2, got 1"):
        tg.jvp(lambda a, b: a * b, (1.0, 2.0), (1.0,))


# 2: what a layer does besides computing happens once.
class Counting(nn.Layer):
    """A user's layer with a state of every kind."""

    def __init__(self) -> None:
        self.calls = 0
        self.seen: list[float] = []
        self.counts = np.zeros(2)
        self.average = tg.Tensor(np.zeros(3))
        self.buffer = tg.Tensor(np.zeros(3))
        self.rng = np.random.default_rng(3)
        self.more = {"rng": [np.random.default_rng(4)]}

    def apply(self, x):
        self.calls += 1
        self.seen.append(float(x.detach().sum()))
        self.counts[0] += 1
        self.average = self.average * 0.5 + x.detach().mean(0)
        self.buffer.data = self.buffer.data + 1.0
        noise = tg.Tensor(self.rng.standard_normal(x.shape) + self.more["rng"][0].standard_normal(x.shape))
        return x * noise, nn.reverse.ReverseMask(noise)

    def state(self) -> Any:
        arrays = [self.counts.tolist(), self.average.numpy().tolist(), self.buffer.numpy().tolist()]
        return [self.calls, self.seen, *arrays, self.rng.random(), self.more["rng"][0].random()]


def stateful_nets() -> dict[str, Callable[[], nn.Layer]]:
    f64 = np.float64
    return {
        "batch norm": lambda: nn.BatchNorm1d(3, dtype=f64),
        "dropout": lambda: nn.Dropout(0.5, rng=1),
        "deep": lambda: nn.Sequential(
            nn.Linear(3, 3, rng=0, dtype=f64), nn.BatchNorm1d(3, dtype=f64), nn.Tanh(), nn.Dropout(0.4, rng=2),
            nn.Residual(nn.Sequential(nn.BatchNorm1d(3, dtype=f64), nn.Dropout(0.3, rng=5))),
        ),
        "user": Counting,
    }  # fmt: skip


def run_with(net: nn.Layer, f: Callable[[Any], tg.Tensor]) -> tuple[list[Any], list[Any]]:
    """The value, first and second derivatives through f, and the state of the net after each."""
    x = leaf(np.arange(12.0).reshape(4, 3) / 7)
    y = (f(x) ** 2).sum()
    after = [states(net)]
    (g,) = tg.autograd.grad(y, x, create_graph=True)
    after.append(states(net))
    (h,) = tg.autograd.grad((g * g).sum(), x)
    return [y.numpy(), g.numpy(), h.numpy()], [*after, states(net)]


def states(net: nn.Layer) -> Any:
    own = copy.deepcopy(net).state() if isinstance(net, Counting) else None
    return [{k: v.tolist() for k, v in net.state_dict().items()}, nn.rng_state(net), own]


@pytest.mark.parametrize("kind", stateful_nets())
@pytest.mark.parametrize("wrap", [tg.checkpoint, lambda f: tg.checkpoint(lambda x: tg.checkpoint(f)(x) * 1.0)])
def test_a_checkpoint_changes_no_state_that_the_plain_layer_does_not(kind: str, wrap: Any) -> None:
    plain = stateful_nets()[kind]()
    other = stateful_nets()[kind]()
    expected, expected_states = run_with(plain, plain)
    values, found_states = run_with(other, wrap(lambda x: other(x)))
    assert found_states == expected_states
    for a, b in zip(values, expected, strict=True):
        np.testing.assert_allclose(a, b, 1e-9, 1e-12)


def test_built_in_layers_keep_their_state_however_they_are_called() -> None:
    for kind in ("batch norm", "dropout"):
        for call in (
            lambda net: net.forward,
            lambda net: lambda x: net.apply(x)[0],
            lambda net: lambda x: net.trace(x).output,
        ):
            plain, other = stateful_nets()[kind](), stateful_nets()[kind]()
            again = tg.checkpoint(partial(call(other)))
            assert run_with(plain, plain)[1] == run_with(other, again)[1]


def test_transforms_run_a_layer_once() -> None:
    for transform in (tg.grad, tg.hessian, tg.jacobian, lambda f: lambda x: tg.hvp(f, (x,), (x,))):
        net = Counting()
        transform(lambda x, net=net: (net(x) ** 2).sum())(np.ones((2, 3)))
        assert net.calls == 1


def test_functional_dropout_draws_the_same_mask_again() -> None:
    found = []
    for wrap in (lambda f: f, tg.checkpoint):
        rng = np.random.default_rng(0)
        x = leaf(np.arange(1.0, 9.0))
        wrap(lambda x, rng=rng: (tg.dropout(x, 0.5, rng) ** 2).sum())(x).backward()
        found.append((x.grad.numpy().tolist(), rng.random()))
    assert found[0] == found[1]


# 3, 4: softmax, its logarithm, logsumexp and cross_entropy.
def exact(z: np.ndarray[Any, Any]) -> tuple[list[Decimal], Decimal]:
    """softmax and logsumexp of one row, with 80 digits."""
    with localcontext() as c:
        c.prec = 80
        logits = [Decimal(float(v)) for v in z]
        top = max(logits)
        e = [(v - top).exp() for v in logits]
        total = sum(e)
        return [v / total for v in e], top + total.ln()


def last_places(got: tg.Tensor, expected: list[Decimal]) -> float:
    """The largest error in units in the last place of float32; below the normal numbers in units of the smallest."""
    worst = 0.0
    for a, b in zip(got.numpy().ravel(), expected, strict=True):
        unit = np.spacing(max(np.abs(np.float32(b)), np.finfo(np.float32).tiny))
        worst = max(worst, abs(float((Decimal(float(a)) - b) / Decimal(float(unit)))))
    return worst


LOGITS = st.builds(
    lambda seed, k, size, gap: np.clip(
        np.float32(np.random.default_rng(seed).choice([-1, 1]) * 10**size)
        + np.float32(10**gap) * np.random.default_rng(seed).standard_normal(k).astype(np.float32), -1e6, 1e6,
    ),
    st.integers(0, 2**32), st.integers(2, 7), st.floats(-3, 6), st.floats(-3, 6),
)  # fmt: skip


@given(LOGITS, st.integers(0, 6))
def test_float32_softmax_and_its_relatives_are_right_to_four_units_in_the_last_place(
    z: np.ndarray[Any, Any], label: int
) -> None:
    t = label % z.size
    p, lse = exact(z)
    x = tg.Tensor(z)
    with localcontext() as c:
        c.prec = 80
        log_p = [Decimal(float(v)) - lse for v in z]
        against = [p[i] if i != t else -sum(p[:t] + p[t + 1 :]) for i in range(z.size)]
    assert last_places(tg.softmax(x), p) <= 4
    assert last_places(tg.log_softmax(x), log_p) <= 4
    assert last_places(tg.logsumexp(x), [lse]) <= 4
    assert last_places(tg.grad(tg.logsumexp)(x), p) <= 4
    assert last_places(tg.cross_entropy(x[None], [t]), [-log_p[t]]) <= 4
    assert last_places(tg.grad(lambda x: tg.cross_entropy(x[None], [t]))(x), against) <= 4
    assert last_places(tg.grad(lambda x: -tg.log_softmax(x)[t])(x), against) <= 4
    one = [Decimal(0) + (p[t] * -against[t] if i == t else -p[t] * p[i]) * 1 for i in range(z.size)]
    assert last_places(tg.grad(lambda x: tg.softmax(x)[t])(x), one) <= 4


@pytest.mark.parametrize("size", [0.0, 1e4, 1e6, 1e8])
def test_the_second_derivatives_do_not_depend_on_where_the_logits_are(size: float) -> None:
    gaps = np.float32([0.0, -16.0, -32.0, 8.0])
    far = tg.Tensor(np.float32(size) + gaps)
    near = tg.Tensor(gaps.astype(np.float64))
    for f in (tg.logsumexp, lambda x: tg.cross_entropy(x[None], [1]), lambda x: (tg.softmax(x) ** 2).sum(),
              lambda x: (tg.log_softmax(x) * tg.softmax(x)).sum()):  # fmt: skip
        np.testing.assert_allclose(tg.hessian(f)(far).numpy(), tg.hessian(f)(near).numpy(), 2e-5, 1e-7)


def test_a_confident_net_still_learns_in_float32() -> None:
    g = tg.grad(lambda z: tg.cross_entropy(z, [0]))(tg.Tensor(np.float32([[60.0, 0.0]])))
    np.testing.assert_allclose(g.numpy(), [[-np.exp(-60.0), np.exp(-60.0)]], 1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("rivals", [[-np.inf, -np.inf], [-np.inf, 0.0]])
def test_rivals_that_are_masked_out_get_no_gradient(rivals: list[float], smoothing: float) -> None:
    z = tg.Tensor([[1.0, *rivals], [2.0, 1.0, 0.0]])
    for f in (lambda z: tg.cross_entropy(z, [0, 1]), lambda z: tg.logsumexp(z, 1).sum(),
              lambda z: (tg.softmax(z) ** 2).sum()):  # fmt: skip
        g = tg.grad(f)(z).numpy()
        h = tg.hessian(f)(z).numpy()
        masked = np.isinf(z.numpy())
        assert np.isfinite(g).all() and not g[masked].any()
        assert np.isfinite(h).all() and not h[masked].any()
    if smoothing == 0.0 and rivals[1] != 0.0:
        assert tg.cross_entropy(z, [0, 1], reduction="none").numpy()[0] == 0.0


# 5: powers of negative numbers and of 0.
@given(seed=st.integers(0, 2**32 - 1))
def test_a_whole_exponent_in_an_array_takes_every_base(seed: int) -> None:
    rng = np.random.default_rng(seed)
    base = rng.choice([-3.0, -1.5, -1.0, 0.0, 0.5, 2.0], 8)
    exponent = rng.integers(0, 5, 8).astype(np.float64)
    for p in (exponent, tg.Tensor(exponent)):
        f = lambda x, p=p: (x**p).sum()
        np.testing.assert_allclose((tg.Tensor(base) ** p).numpy(), base**exponent)
        for order, derivative in enumerate((tg.grad(f), tg.grad(lambda x, f=f: tg.grad(f)(x).sum())), 1):
            factor = np.prod([exponent - i for i in range(order)], 0)
            power = np.where(factor == 0, 0.0, base ** np.maximum(exponent - order, 0.0))
            np.testing.assert_allclose(derivative(base).numpy(), factor * power, rtol=1e-14)


# 6: ways out of the tape.
WAYS_OUT: dict[str, Callable[[tg.Tensor], Any]] = {
    "float": lambda t: float(t[0]),
    "int": lambda t: int(t[0]),
    "complex": lambda t: complex(t[0]),
    "item": lambda t: t[0].item(),
    "numpy": lambda t: t.numpy(),
    "data": lambda t: t.data,
    "asarray": lambda t: np.asarray(t),
    "Tensor": lambda t: tg.Tensor(t),
    "an entry of an array": lambda t: np.zeros(3).__setitem__(0, t[0]),
    "a list for NumPy": lambda t: np.array([t[0], t[1]]),
}


@pytest.mark.parametrize("way", WAYS_OUT)
@pytest.mark.parametrize("of", [lambda x: x, lambda x: x * 2.0])
@pytest.mark.parametrize(
    "transform", [tg.grad, tg.value_and_grad, tg.hessian, lambda f: lambda x: tg.vjp(f, x),
                  lambda f: lambda x: tg.jvp(f, (x,), (x,)), lambda f: tg.grad(tg.checkpoint(f)),
                  lambda f: tg.grad(lambda x: tg.grad(f)(x).sum())],
)  # fmt: skip
def test_values_do_not_leave_a_function_under_a_transform_unseen(way: str, of: Any, transform: Any) -> None:
    def f(x: tg.Tensor) -> tg.Tensor:
        WAYS_OUT[way](of(x))
        return (x * x).sum()

    with pytest.raises((TypeError, ValueError)) as caught:
        transform(f)(X)
    assert "detach" in f"{caught.value} {caught.value.__cause__}"  # NumPy puts an error of its own above float's


@pytest.mark.parametrize("way", WAYS_OUT)
def test_constants_and_what_was_not_recorded_may_leave(way: str) -> None:
    def f(x: tg.Tensor) -> tg.Tensor:
        WAYS_OUT[way](x.detach())
        WAYS_OUT[way](tg.stop_gradient(x) * 2.0)
        WAYS_OUT[way](tg.Tensor(X))
        with tg.no_grad():
            WAYS_OUT[way](x * 2.0)
        return (x * x).sum()

    assert tg.grad(f)(X).numpy().tolist() == [2.0, 4.0, 6.0]


def test_control_flow_and_printing_are_allowed_under_a_transform() -> None:
    def f(x: tg.Tensor) -> tg.Tensor:
        text = f"{x.sum():.1f} {x} {x!r}"
        assert text and (x > -9.0).numpy().all() and int(tg.argmax(x)) == 2
        return (x * x).sum() if x.sum() > 0 else x.sum()

    assert tg.grad(f)(X).numpy().tolist() == [2.0, 4.0, 6.0]
    assert tg.grad(f)(X - 5.0).numpy().tolist() == [1.0, 1.0, 1.0]


def test_a_training_loop_may_print_its_loss() -> None:
    w = leaf()
    loss = (w * w).sum()
    assert float(loss) == loss.item() == loss.numpy() == loss.data == 14.0
    assert tg.Tensor(loss).node is None
    loss.backward()


def test_a_rule_that_leaves_the_tape_is_found_where_it_would_matter() -> None:
    @tg.custom_vjp
    def squared(x: tg.Tensor) -> tg.Tensor:
        return x * x

    squared.defvjp(lambda g, y, x: g * (2.0 * float(x)))
    assert tg.grad(squared)(3.0).item() == 6.0
    with pytest.raises(TypeError, match="detach"):
        tg.hessian(squared)(3.0)


# 7: no_grad.
@tg.no_grad
def bare() -> bool:
    """Says whether it is recorded."""
    return is_recording()


@tg.no_grad()
def numbers(n: int) -> Iterator[bool]:
    for _ in range(n):
        yield is_recording()


def test_no_grad_decorates_with_and_without_parentheses() -> None:
    assert not bare() and is_recording() and bare.__doc__ == "Says whether it is recorded."
    assert not tg.no_grad()(is_recording)()
    assert list(numbers(2)) == [False, False] and is_recording()
    for wrong in (True, 3, "f"):
        with pytest.raises(TypeError, match="no_grad: expected a function"):
            tg.no_grad(wrong)


def test_generators_under_no_grad_may_be_interleaved_sent_to_and_closed_anywhere() -> None:
    @tg.no_grad
    def talk() -> Any:
        heard = []
        try:
            while True:
                try:
                    heard.append((yield is_recording()))
                except KeyError:
                    heard.append("error")
        finally:
            ended.append(is_recording())
            if heard:
                return heard  # noqa: B012

    ended: list[bool] = []
    first, second = numbers(2), talk()
    assert [next(first), next(second), next(first)] == [False] * 3 and is_recording()
    assert second.send("word") is False and second.throw(KeyError()) is False and is_recording()
    thread = threading.Thread(target=second.close)
    thread.start()
    thread.join()
    assert ended == [False] and is_recording()


def test_blocks_may_end_in_any_order() -> None:
    def inside() -> Iterator[bool]:
        with tg.no_grad():
            yield is_recording()

    first, second = inside(), inside()
    next(first)
    next(second)
    first.close()
    assert not is_recording()
    second.close()
    assert is_recording()


def test_one_object_may_be_used_again_inside_itself_and_by_threads() -> None:
    off = tg.no_grad()
    with off:
        with off:
            assert not is_recording()
        assert not is_recording()
    assert is_recording()
    seen: list[bool] = []

    def work() -> None:
        for _ in range(200):
            with off:
                seen.append(is_recording())
            seen.append(not is_recording())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not any(seen) and is_recording()


def test_a_block_that_is_closed_in_another_thread_raises_nothing_there() -> None:
    def inside() -> Iterator[None]:
        with tg.no_grad():
            yield

    def work() -> None:
        try:
            generator.close()
            after.append(is_recording())
        except BaseException as error:
            after.append(error)

    def begin() -> None:
        next(generator)

    generator = inside()
    after: list[Any] = []
    for target in (begin, work):
        thread = threading.Thread(target=target)
        thread.start()
        thread.join()
    assert after == [True] and is_recording()


def test_asynchronous_functions_under_no_grad() -> None:
    @tg.no_grad
    async def wait(n: int) -> list[bool]:
        seen = []
        for _ in range(n):
            await asyncio.sleep(0)
            seen.append(is_recording())
        return seen

    @tg.no_grad()
    async def stream() -> Any:
        for _ in range(2):
            await asyncio.sleep(0)
            yield is_recording()

    async def main() -> None:
        assert await asyncio.gather(wait(2), wait(3)) == [[False] * 2, [False] * 3]
        assert [(seen, is_recording()) async for seen in stream()] == [(False, True)] * 2

    asyncio.run(main())


# 8: layers in lists, tuples and dicts.


class Blocks(nn.Layer):
    """Layers and parameters in every kind of container, and one layer named twice."""

    def __init__(self) -> None:
        self.blocks = [nn.Linear(3, 3, rng=0), nn.Linear(3, 3, rng=1)]
        self.heads = {"left": (nn.Linear(3, 2, rng=2), nn.BatchNorm1d(2)), "right": nn.Dropout(0.5, rng=3)}
        self.scales = [tg.Tensor(np.ones(2, np.float32), requires_grad=True)]
        self.again = self.blocks[0]

    def apply(self, x):
        first = self.blocks[0].apply(x)
        second = self.blocks[1].apply(first[0])
        left, norm = self.heads["left"]
        y, reverse = left.apply(second[0])
        z, scaled = norm.apply(y)
        dropped, mask = self.heads["right"].apply(z)
        steps = [*zip("abcde", (self.blocks[0], self.blocks[1], left, norm, self.heads["right"]), strict=True)]
        parts = [(first[0], first[1]), (second[0], second[1]), (y, reverse), (z, scaled), (dropped, mask)]
        made = [nn.reverse.Step(n, layer, t.shape, r) for (n, layer), (t, r) in zip(steps, parts, strict=True)]
        return dropped * 1.0, nn.reverse.ReverseSequential(tuple(made))


def test_layers_and_parameters_in_containers_are_found() -> None:
    net = Blocks()
    names = [name for name, _ in net.named_layers()]
    assert names == ["", "blocks.0", "blocks.1", "heads.left.0", "heads.left.1", "heads.right", "again"]
    parameters = [name for name, _ in net.named_parameters()]
    assert "blocks.1.weight" in parameters
    assert "heads.left.1.bias" in parameters
    assert "scales.0" in parameters
    assert len(parameters) == len({id(p) for p in net.parameters()}) == 9
    assert "(blocks.0): Linear(3, 3)" in repr(net)


def test_modes_states_devices_and_generators_reach_into_containers() -> None:
    net = Blocks().eval()
    assert not net.heads["right"].training
    assert list(nn.rng_state(net)) == ["heads.right.rng"]
    other = Blocks()
    other.blocks[0].weight.data = other.blocks[0].weight.data * 2
    net.load_state_dict(other.state_dict())
    assert np.array_equal(net.blocks[0].weight.numpy(), other.blocks[0].weight.numpy())
    old = net.scales[0]
    net.to("cpu")
    assert net.scales[0] is not old
    assert net.blocks[0].weight is net.again.weight
    assert isinstance(net.heads["left"], tuple)


def test_verify_network_checks_layers_and_parameters_in_containers() -> None:
    net = Blocks().eval()
    rows = {row.name: row for row in verify_network(net, np.ones((2, 3), np.float32)).rows}
    assert {"blocks.0", "blocks.1", "heads.left.0", "heads.left.1", "heads.right"} <= rows.keys()
    assert not any(row.wrong for row in rows.values())


def test_a_parameter_in_a_list_is_checked_with_the_layer() -> None:
    class Scaled(nn.Layer):
        def __init__(self) -> None:
            self.scales = [tg.Tensor(np.float32([2.0, 3.0]), requires_grad=True)]

        def apply(self, x):
            return x * self.scales[0], nn.reverse.ReverseScale(self.scales[0])

    assert verify_network(Scaled(), np.ones((2, 2), np.float32)).ok


# 10: transforms that are called with the wrong things.
@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda x: tg.jvp(np.sum, x, x), r"write|as in jvp\(f, \(x,\), \(v,\)\); got a bare Tensor"),
        (lambda x: tg.jvp(tg.exp, (x,), x), "tangents are a tuple"),
        (lambda x: tg.jvp(tg.exp, X, X), "got a bare ndarray"),
        (lambda x: tg.jvp(mixed, PRIMAL, PRIMAL), "got a bare dict"),
        (lambda x: tg.hvp(tg.sum, x, x), r"as in hvp\(f, \(x,\), \(v,\)\)"),
        (lambda x: tg.jacobian(tg.exp, x), r"write jacobian\(f\)\(x\)"),
        (lambda x: tg.jacfwd(tg.exp, X), r"write jacfwd\(f\)\(x\)"),
        (lambda x: tg.hessian(tg.sum, x), r"write hessian\(f\)\(x\)"),
        (lambda x: tg.grad(tg.sum, x), r"write grad\(f\)\(x\)"),
        (lambda x: tg.grad(tg.sum, [x]), r"argnums"),
        (lambda x: tg.grad(tg.sum, 1.0), r"argnums"),
        (lambda x: tg.grad(tg.sum, True), r"argnums"),
        (lambda x: tg.grad(x.sum(), x), r"tg.autograd.grad\(loss, x\)"),
        (lambda x: tg.value_and_grad(x.sum()), r"tg.autograd.grad\(loss, x\)"),
        (lambda x: tg.vjp(x.sum(), x), r"tg.autograd.grad\(loss, x\)"),
        (lambda x: tg.linearize(x, x), "expected a function"),
        (lambda x: tg.grad(None), "expected a function, got NoneType"),
        (lambda x: tg.autograd.grad(tg.sum, x), r"write tg.grad\(f\)\(x\)"),
        (lambda x: tg.checkpoint(tg.exp, x), r"write checkpoint\(f\)\(x\)"),
        (lambda x: tg.checkpoint(x), "expected a function"),
        (lambda x: tg.custom_vjp(x), "expected a function"),
    ],
)
def test_a_wrong_call_says_which_one_was_meant(call: Any, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        call(leaf())


# 11: changes in place.
@pytest.mark.parametrize(
    "change", ["w -= 0.1", "w += 1.0", "w *= 2.0", "w /= 2.0", "w **= 2.0", "w @= w", "w[0] = 1.0"]
)
@pytest.mark.parametrize("recorded", [True, False])
def test_a_leaf_is_not_changed_in_place(change: str, recorded: bool) -> None:
    with pytest.raises(TypeError, match=r"w.data = |changed in place"):
        if recorded:
            exec(change, {"w": leaf()})
        else:
            with tg.no_grad():
                exec(change, {"w": leaf()})


def test_results_and_arguments_may_be_given_a_new_value_in_short() -> None:
    def f(x: tg.Tensor) -> tg.Tensor:
        x -= 1.0
        x *= x
        return x.sum()

    assert tg.grad(f)(X).numpy().tolist() == [0.0, 2.0, 4.0]
    y = leaf() * 1.0
    y += 1.0
    assert y.requires_grad


def test_a_result_that_is_asked_for_its_grad_says_who_has_one() -> None:
    w = leaf()
    w = w - 0.1 * w
    with pytest.warns(UserWarning, match="only leaves get a .grad"):
        assert w.grad is None
    assert tg.Tensor(X).grad is None and leaf().grad is None


def test_both_advised_ways_train() -> None:
    w, v = leaf(), leaf()
    optimizer = nn.SGD([v], 0.1)
    for _ in range(2):
        for p in (w, v):
            p.grad = None
            (p * p).sum().backward()
        w.data = (w - 0.1 * w.grad).data
        optimizer.step()
    np.testing.assert_allclose(w.numpy(), 0.64 * X)
    np.testing.assert_allclose(v.numpy(), w.numpy())


# 13: functional layers.
def test_shapes_that_functional_layers_do_not_take_are_errors() -> None:
    x, c = tg.ones((4, 3)), tg.ones(3)
    for wrong in (
        lambda: tg.batch_norm(x, c, c, c),
        lambda: tg.batch_norm(x, c, c, None, c),
        lambda: tg.batch_norm(x[:1], c, c),
        lambda: tg.batch_norm(tg.ones((1, 3, 1, 1)), c, c),
        lambda: tg.batch_norm(c, c, c),
        lambda: tg.batch_norm(x[:, :1], c, c),
        lambda: tg.batch_norm(x, c, c[:1]),
        lambda: tg.batch_norm(x, c, c, c[:1], c),
        lambda: tg.local_response_norm(c, 3),
        lambda: tg.local_response_norm(x, 0),
        lambda: tg.prelu(x, c[:2]),
        lambda: tg.prelu(x[:, :1], c),
        lambda: tg.prelu(c, c),
    ):
        with pytest.raises(ValueError, match=r"^(batch_norm|local_response_norm|prelu): "):
            wrong()


def test_local_response_norm_takes_any_number_of_places() -> None:
    x = np.random.default_rng(0).standard_normal((2, 5, 4))
    image = tg.local_response_norm(tg.Tensor(x[..., None]), 3, alpha=0.5).numpy()[..., 0]
    assert np.array_equal(tg.local_response_norm(tg.Tensor(x), 3, alpha=0.5).numpy(), image)
    assert np.array_equal(tg.local_response_norm(tg.Tensor(x[..., 0]), 3, alpha=0.5).numpy(), image[..., 0])


def test_prelu_keeps_the_shape_of_its_input() -> None:
    slope = tg.Tensor([0.5])
    for shape in ((), (3,), (2, 3), (2, 3, 4)):
        assert tg.prelu(tg.full(shape, -2.0), slope).numpy().tolist() == np.full(shape, -1.0).tolist()


# 14: arrays of the caller.
def read_only(a: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    a.setflags(write=False)
    return a


@pytest.mark.parametrize("make", [lambda a: a, lambda a: read_only(a), lambda a: read_only(a)[:], lambda a: a[::1]])
@pytest.mark.parametrize("enter", ["Tensor", "operand", "data", "index", "cotangent", "transform"])
def test_no_later_change_of_an_array_reaches_the_tape(make: Any, enter: str) -> None:
    owner = np.array([2.0, 1.0, 0.0])
    a = make(owner)
    w = leaf()
    if enter == "Tensor":
        y = w * tg.Tensor(a)
    elif enter == "operand":
        y = w * a
    elif enter == "data":
        w.data = a
        y = w * w
    elif enter == "index":
        owner = np.array([2, 1, 0])
        y = w[make(owner)] * w
    elif enter == "transform":
        y, _ = tg.vjp(lambda x: x * w, a)
    else:
        y = w * w
        (g,) = tg.autograd.grad(y, w, a, create_graph=True)
        y = g * 1.0
    before = [y.numpy().copy(), tg.autograd.grad(y, w, np.ones(3))[0].numpy().copy()]
    owner.setflags(write=True)
    owner[:] = 0 if enter == "index" else 100
    after = [y.numpy(), tg.autograd.grad(y, w, np.ones(3))[0].numpy()]
    assert np.array_equal(before, after)


@pytest.mark.parametrize("out", [lambda t: t.numpy(), lambda t: t.data, lambda t: np.asarray(t.detach())])
def test_what_a_tensor_hands_out_cannot_be_made_writeable(out: Any) -> None:
    t = leaf()
    with pytest.raises(ValueError, match="WRITEABLE"):
        out(t).setflags(write=True)


# 15: norms keep their range.
@given(st.integers(0, 2**32), st.sampled_from([1.0, 1.5, 2.0, 3.0, 7.5, np.inf]), st.integers(-36, 36), st.booleans())
def test_norms_of_very_small_and_very_large_entries(seed: int, p: float, power: int, wide: bool) -> None:
    dtype = np.dtype(np.float64 if wide else np.float32)
    scale = np.ldexp(dtype.type(1), 25 * power if wide else 3 * power)
    x = np.random.default_rng(seed).standard_normal((2, 5)).astype(dtype)
    rtol = 50 * np.finfo(dtype).eps
    for axis in (None, 1, (0, 1), 0):
        f = lambda x, axis=axis: tg.norm(x, axis=axis, p=p)
        expected = tg.Tensor(x.astype(np.float64))
        np.testing.assert_allclose(f(tg.Tensor(x * scale)).numpy() / scale, f(expected).numpy(), rtol)
        slope = tg.grad(lambda x, f=f: f(x).sum())
        np.testing.assert_allclose(slope(tg.Tensor(x * scale)).numpy(), slope(expected).numpy(), rtol, rtol)
        np.testing.assert_allclose(f(expected).numpy(), (np.abs(x.astype(np.float64)) ** p).sum(axis) ** (1 / p)
                                   if p < np.inf else np.abs(x).max(axis), 1e-6)  # fmt: skip


@pytest.mark.parametrize("p", [1, 1.5, 2, 3, np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_norm_at_zero_and_its_second_order(p: float, dtype: Any) -> None:
    zero = tg.Tensor(np.zeros((2, 3), dtype))
    f = lambda x: tg.norm(x, axis=1, p=p).sum()
    assert f(zero).dtype == dtype and not f(zero).item()
    assert not tg.grad(f)(zero).numpy().any()
    assert not tg.hessian(f)(zero).numpy().any()
    x = tg.Tensor(np.array([[1.0, -2.0, 0.5], [3.0, 1.0, -4.0]]))
    v = np.random.default_rng(0).standard_normal((2, 3))
    h = 1e-5
    step = (tg.grad(f)(x + h * v).numpy() - tg.grad(f)(x - h * v).numpy()) / (2 * h)
    np.testing.assert_allclose(tg.hvp(f, (x,), (v,)).numpy(), step, 1e-6, 1e-8)
    for wrong in (0.5, 0, -1, np.nan, "fro"):
        with pytest.raises(ValueError, match="norm: p is a number of at least 1"):
            tg.norm(x, p=wrong)


# 16: threads.
def test_threads_that_share_a_leaf_lose_no_gradient() -> None:
    w = leaf(np.zeros(1000))
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=lambda: [(w * 1.0).sum().backward() for _ in range(100)]) for _ in range(8)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    finally:
        sys.setswitchinterval(interval)
    assert (w.grad.numpy() == 800.0).all()


# 17 to 20: messages.
def test_a_gradient_that_was_not_recorded_says_how_to_record_it() -> None:
    w = leaf()
    (g,) = tg.autograd.grad((w**3.0).sum(), w)
    w.grad = None
    (w**3.0).sum().backward()
    _, gradient = tg.value_and_grad(lambda x: (x**3.0).sum())(w.detach())
    for first in (g, w.grad, g * 2.0):
        with pytest.raises(tg.NotRecorded, match="create_graph=True"):
            (first * first).sum().backward()
    assert not gradient.requires_grad


@pytest.mark.parametrize("transform", [tg.grad, tg.jacobian, tg.jacfwd, tg.hessian])
def test_an_unused_argument_is_named_and_may_be_allowed(transform: Any) -> None:
    f = lambda a, b: (a["u"] * a["u"]).sum()
    with pytest.raises(tg.NotConnected, match=r"argument 1 of <lambda> is not connected.*allow_unused=True"):
        transform(f, (0, 1))({"u": X}, X)
    with pytest.raises(tg.NotConnected, match=r"argument 0\['w'\] of"):
        transform(f)({"u": X, "w": X}, X)
    found, zeros = transform(f, (0, 1), allow_unused=True)({"u": X}, X)
    if transform is tg.hessian:
        assert not zeros[0]["u"].numpy().any() and not zeros[1].numpy().any() and zeros[1].shape == (3, 3)
    else:
        assert zeros.shape == (3,) and not zeros.numpy().any() and found["u"].numpy().tolist() == (2 * X).tolist()


def test_an_unused_argument_adds_nothing_to_a_directional_derivative() -> None:
    f = lambda a, b: (a * a).sum()
    assert tg.jvp(f, (X, X), (X, X))[1].item() == 28.0
    used, unused = tg.hvp(f, (X, X), (X, X))
    assert used.numpy().tolist() == (2 * X).tolist() and not unused.numpy().any()
    assert tg.jvp(lambda x: tg.Tensor(1.0), (X,), (X,))[1].item() == 0.0
    assert not tg.hvp(lambda x: x.sum(), (X,), (X,)).numpy().any()
    _, pullback = tg.vjp(f, X, X, allow_unused=True)
    assert not pullback(1.0)[1].numpy().any()


def test_a_tangent_is_called_a_tangent_and_a_number_takes_the_dtype() -> None:
    one = np.float32(2)
    for number in (1.0, 1, np.float64(1), np.int64(1)):
        assert tg.jvp(lambda x: x * x, (one,), (number,))[1].dtype == np.float32
        assert tg.hvp(lambda x: x * x, (one,), (number,)).dtype == np.float32
    for product in (tg.jvp, tg.hvp):
        with pytest.raises(ValueError, match=r"tangents\[0\]: a tangent must match its primal, float32.*float64"):
            product(lambda x: (x * x).sum(), (X.astype(np.float32),), (X,))
    _, pullback = tg.vjp(lambda x: x.sum(), X.astype(np.float32))
    assert pullback(1.0)[0].dtype == np.float32


def test_custom_vjp_counts_its_rules() -> None:
    @tg.custom_vjp
    def product(a: tg.Tensor, b: tg.Tensor) -> tg.Tensor:
        return a * b

    product.defvjp(lambda g, y, a, b: g * b)
    for call in (
        lambda: product(leaf(), leaf()),
        lambda: product(tg.Tensor(X), leaf()),
        lambda: tg.grad(lambda a, b: product(a, b).sum(), (0, 1))(X, X),
    ):
        with pytest.raises(TypeError, match="argument 1 requires a gradient, but defvjp was given 1 rule"):
            call()
    assert tg.grad(lambda a: product(a, 2.0).sum())(X).numpy().tolist() == [2.0] * 3


def test_a_custom_function_may_have_any_name() -> None:
    @tg.custom_vjp
    def exp(x: tg.Tensor) -> tg.Tensor:
        return tg.exp(x)

    @tg.custom_vjp
    def smooth_relu(x: tg.Tensor) -> tg.Tensor:
        return tg.log(1.0 + tg.exp(x))

    exp.defvjp(lambda g, y, x: g * y)
    smooth_relu = smooth_relu.defvjp(lambda g, y, x: g * tg.sigmoid(x))
    assert tg.grad(exp)(0.0).item() == 1.0 and tg.grad(smooth_relu)(0.0).item() == 0.5
    assert tg.autodiff.REGISTRY["exp"] is tg.exp


# 23: dtypes that do not fit.
@pytest.mark.parametrize("make", [lambda a: a, lambda a: a.tolist(), lambda a: tg.Tensor(a)])
@pytest.mark.parametrize("layer", [lambda: nn.Linear(3, 2), lambda: nn.BatchNorm1d(3), lambda: nn.PReLU(3),
                                   lambda: nn.Sequential(nn.Tanh(), nn.Linear(3, 2))])  # fmt: skip
def test_a_float64_input_of_a_float32_layer_is_named(make: Any, layer: Any) -> None:
    with pytest.raises(TypeError, match=r"the input is float64, the layer's \w+ is float32.*astype\(np.float32\)"):
        layer()(make(np.ones((4, 3))))


def test_operations_name_their_arguments() -> None:
    with pytest.raises(TypeError, match="linear: x is float64, w is float32"):
        tg.linear(tg.Tensor(np.ones((1, 3))), tg.Tensor(np.ones((2, 3), np.float32)))


# 24: words of other frameworks.
@pytest.mark.parametrize("name", habits.ATTRIBUTES)
def test_an_attribute_of_another_framework_gets_an_answer(name: str) -> None:
    if not hasattr(tg.Tensor, name):
        with pytest.raises(AttributeError, match=f"no attribute '{name}': .{{8}}"):
            getattr(leaf(), name)


@pytest.mark.parametrize("name", habits.LAYER_ATTRIBUTES)
def test_an_attribute_of_another_frameworks_layers_gets_an_answer(name: str) -> None:
    with pytest.raises(AttributeError, match=f"Sequential has no attribute '{name}': .{{8}}"):
        getattr(nn.Sequential(nn.ReLU()), name)


def test_an_array_cannot_take_the_place_of_a_parameter() -> None:
    layer = nn.Linear(3, 2)
    with pytest.raises(TypeError, match=r"Linear\.weight is a parameter, and ndarray is no Tensor.*weight\.data = "):
        layer.weight = np.zeros((2, 3), np.float32)  # type: ignore[assignment]
    layer.weight = leaf(np.ones((2, 3), np.float32))
    assert layer.parameters()[0].numpy().tolist() == [[1.0] * 3] * 2


def test_a_dtype_comes_second_and_the_rest_by_name() -> None:
    assert tg.Tensor([1, 2], np.float32).dtype == tg.Tensor(tg.Tensor([1.0]), "float32").dtype == np.float32
    assert not tg.Tensor([1, 2], np.float32).requires_grad
    with pytest.raises(TypeError, match="write requires_grad=True"):
        tg.Tensor([1.0], True)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="expected float32 or float64, got"):
        tg.Tensor(["1.5"], np.float32)  # type: ignore[list-item]
    with pytest.raises(TypeError, match="only float32 and float64 carry gradients"):
        tg.Tensor([1.5], np.int64, requires_grad=True)


def test_what_is_constant_in_pieces_requires_no_gradient() -> None:
    assert not (leaf() > 0).requires_grad and not tg.argmax(leaf()).requires_grad
    assert (leaf() * 2).requires_grad


@pytest.mark.parametrize(("module", "table"), [(tg, habits.FUNCTIONS), (nn, habits.LAYERS)])
def test_a_name_of_another_framework_gets_an_answer(module: Any, table: dict[str, str]) -> None:
    for name in table:
        if name not in module.__all__ and not hasattr(module, name):
            with pytest.raises(AttributeError, match=f"no attribute '{name}': .{{8}}"):
                getattr(module, name)
    with pytest.raises(AttributeError, match=r"no attribute 'nonsense'$"):
        _ = module.nonsense


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda x: x.sum(dim=1), "sum.. takes no argument 'dim': it is called axis here"),
        (lambda x: x.mean(axis=0, keepdim=True), "keepdims"),
        (lambda x: x.max(dim=0), "axis"),
        (lambda x: tg.softmax(x, dim=1), "axis"),
        (lambda x: tg.concatenate([x, x], dim=0), "axis"),
        (lambda x: tg.norm(x, ord=2), "p here"),
        (lambda x: x.sum().backward(retain_graph=True), "the graph stays"),
        (lambda x: x.sum().backward(gradient=1.0), "grad here"),
        (lambda x: tg.jacobian(tg.exp, argnum=0), "argnums"),
        (lambda x: nn.ReLU(inplace=True), "^ReLU.. takes no argument 'inplace': leave it out"),
        (lambda x: nn.Linear(2, 3, device="cuda"), "^Linear.. takes no argument 'device': write .to"),
        (lambda x: nn.Adam([x], learning_rate=0.1), "^Adam.. takes no argument 'learning_rate': it is called lr here"),
        (lambda x: nn.Softmax(dim=1), "^Softmax.. takes no argument 'dim'$"),  # it has no axis to choose
    ],
)
def test_an_argument_of_another_framework_gets_an_answer(call: Any, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        call(leaf(np.ones((2, 2))))


def test_a_hint_names_only_what_exists() -> None:
    words = " ".join([*habits.ATTRIBUTES.values(), *habits.FUNCTIONS.values(), *habits.LAYERS.values(),
                      *habits.LAYER_ATTRIBUTES.values()])  # fmt: skip
    names = {part.split("(")[0].rstrip(".,:") for part in words.replace("(", " (").split() if part.startswith("tg.")}
    assert len(names) > 20
    for name in names:
        found: Any = tg
        for part in name.split(".")[1:]:
            if part:
                found = getattr(found, part)


def test_every_other_error_stays_as_it_is() -> None:
    with pytest.raises(TypeError, match="nonsense"):
        leaf().sum(nonsense=1)  # type: ignore[call-arg]


# 25: saving.
def test_pickle_says_how_to_save() -> None:
    net = nn.Sequential(nn.Linear(2, 1), nn.BatchNorm1d(1))
    for thing in (net, leaf(), leaf() * 2.0, tg.Tensor(X), {"net": net}):
        with pytest.raises(TypeError, match=r"nn.save\(path, net.state_dict\(\)\)"):
            pickle.dumps(thing)
    assert copy.deepcopy(net)(np.ones((2, 2), np.float32)).shape == (2, 1)
    assert copy.copy(leaf()).requires_grad


def test_the_counter_of_another_frameworks_batch_norm_is_left_out() -> None:
    net = nn.Sequential(bn=nn.BatchNorm1d(2))
    state = {**net.state_dict(), "bn.num_batches_tracked": np.array(3)}
    net.load_state_dict(state)
    with pytest.raises(ValueError, match=r"unknown 'bn\.batches'"):
        net.load_state_dict({**net.state_dict(), "bn.batches": np.array(3)})


# 26: nan and inf.
SPECIAL = """
import warnings
import numpy as np
import tinygrad2 as tg
x = tg.Tensor([-1.0, 0.0, 1e308, np.inf, np.nan], requires_grad=True)
for f in (tg.log, tg.sqrt, tg.exp, tg.softmax, tg.log_softmax, tg.logsumexp, tg.norm, tg.sigmoid, tg.tanh,
          lambda x: x / x, lambda x: x * x, lambda x: x - x, lambda x: x ** -1.0, lambda x: 1.0 / x):
    y = f(x).sum()
    y.backward()
"""


def test_nan_and_inf_propagate_without_a_warning() -> None:
    result = subprocess.run([sys.executable, "-c", SPECIAL], capture_output=True, text=True, check=True)
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("name", "call"),
    [("log", lambda: tg.log([0.0])), ("divide", lambda: tg.divide([1.0], [0.0])), ("exp", lambda: tg.exp([1e4])),
     ("subtract", lambda: tg.subtract([np.inf], [np.inf])), ("multiply", lambda: tg.multiply([1e200], [1e200]))],
)  # fmt: skip
def test_whoever_makes_them_errors_reads_the_operations_name(name: str, call: Any) -> None:
    with warnings.catch_warnings(), pytest.raises(RuntimeWarning, match=f"^{name}: "):
        warnings.simplefilter("error")
        call()
    with np.errstate(all="raise"), pytest.raises(FloatingPointError, match=f"^{name}: "):
        call()
    with pytest.raises(ValueError, match=r"^add: operands could not be broadcast"):
        tg.add([1.0, 2.0], [1.0, 2.0, 3.0])


# 27: zeros.
def test_backward_fills_zeros_where_the_derivative_is_zero() -> None:
    net = nn.Sequential(nn.Linear(3, 4, rng=0), nn.ReLU(), nn.Linear(4, 1, rng=1))
    x = leaf(np.ones((2, 3), np.float32))
    for penalty in (
        lambda: (tg.autograd.grad(net(x).sum(), x, create_graph=True)[0] ** 2).sum(),
        lambda: (net.trace(x).jacobian() ** 2).sum(),
    ):
        net.zero_grad()
        penalty().backward()
        expected = tg.autograd.grad(penalty(), net.parameters(), allow_unused=True)
        for p, g in zip(net.parameters(), expected, strict=True):
            assert (p.grad is None) == (g is None)
            if g is not None:
                assert np.array_equal(p.grad.numpy(), g.numpy())
    w = leaf()
    (tg.sign(w) * 2.0).sum().backward()
    assert not w.grad.numpy().any()


# Beyond the list: what transforms take.
def test_has_aux() -> None:
    f = lambda x: ((x * x).sum(), {"double": x * 2.0, "name": "f"})
    g, aux = tg.grad(f, has_aux=True)(X)
    assert g.numpy().tolist() == (2 * X).tolist() and aux["name"] == "f" and not aux["double"].requires_grad
    (y, aux), g = tg.value_and_grad(f, has_aux=True)(X)
    assert y.item() == 14.0 and aux["double"].numpy().tolist() == (2 * X).tolist()
    y, pullback, aux = tg.vjp(f, X, has_aux=True)
    assert pullback(1.0)[0].numpy().tolist() == (2 * X).tolist() and aux["name"] == "f"
    assert tg.jvp(f, (X,), (X,), has_aux=True)[2]["name"] == "f"
    assert tg.linearize(f, X, has_aux=True)[2]["name"] == "f"
    for transform in (tg.jacrev, tg.jacfwd, tg.hessian):
        matrix, aux = transform(f, has_aux=True)(X)
        assert aux["name"] == "f" and np.array_equal(matrix.numpy(), transform(lambda x: f(x)[0])(X).numpy())
    outer = tg.grad(lambda x: (tg.grad(f, has_aux=True)(x)[1]["double"] ** 2.0).sum())(X)
    assert outer.numpy().tolist() == (8 * X).tolist()
    with pytest.raises(TypeError, match="has_aux: <lambda> must return a pair"):
        tg.grad(lambda x: x.sum(), has_aux=True)(X)


@pytest.mark.parametrize("jac", [tg.jacrev, tg.jacfwd])
def test_jacobians_by_several_arguments_and_trees(jac: Any) -> None:
    f = lambda p, s: p["w"] * s + p["b"][0]
    p = {"w": X, "b": [2.0 * X]}
    by_p, by_s = jac(f, (0, 1))(p, 3.0)
    assert by_p["w"].numpy().tolist() == (3 * np.eye(3)).tolist()
    assert by_p["b"][0].numpy().tolist() == np.eye(3).tolist()
    assert by_s.numpy().tolist() == X.tolist()
    assert jac(f, -1)(p, 3.0).numpy().tolist() == X.tolist()


def test_hessians_by_several_arguments_and_trees() -> None:
    f = lambda p, s: (p["w"] * p["w"] * s).sum() + p["b"] * s * s
    p = {"w": X, "b": 5.0}
    blocks = tg.hessian(f, (0, 1))(p, 3.0)
    assert blocks[0]["w"][0]["w"].numpy().tolist() == (6 * np.eye(3)).tolist()
    assert blocks[0]["w"][1].numpy().tolist() == (2 * X).tolist()
    assert blocks[0]["b"][0]["b"].item() == 0.0 and blocks[0]["b"][1].item() == 6.0
    assert blocks[1][0]["w"].numpy().tolist() == (2 * X).tolist() and blocks[1][1].item() == 10.0


def test_tensors_in_formatted_text() -> None:
    assert f"{tg.Tensor(2.0):.3f}" == "2.000" and f"{leaf([1.0, 2.0]):.2f}" == "[1.00, 2.00]"
    assert f"{tg.Tensor([1.0])}" == "Tensor([1.], float64)" and f"{tg.Tensor(3):04d}" == "0003"
