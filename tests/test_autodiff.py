"""The tape, the backward pass and the transforms: what they mean, how they nest, what they refuse and free."""

from __future__ import annotations

import copy
import gc
import threading
import tracemalloc
import weakref
from collections import namedtuple
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numerics import check_derivatives, value

import tinygrad2 as tg
from tinygrad2.autodiff import REGISTRY, GradientError, NoRule, NotConnected, NotRecorded, Primitive, Tensor, autograd

Array = np.ndarray[Any, Any]
RNG = np.random.default_rng(0)
X, W, V = RNG.standard_normal(3), RNG.standard_normal((2, 3)), RNG.standard_normal(3)


def leaf(data: Any, name: str | None = None) -> Tensor:
    return Tensor(np.asarray(data, np.float64), requires_grad=True, name=name)


def cubic(x: Tensor) -> Tensor:
    return (x * x * x).sum()


def network(x: Tensor, w: Any = W) -> Tensor:
    return tg.tanh(tg.matmul(w, tg.sigmoid(x)))


@contextmanager
def without_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


# Transforms.
def test_grad_of_a_cube_is_three_squares() -> None:
    np.testing.assert_allclose(tg.grad(cubic)(X).array, 3 * X**2)


@pytest.mark.parametrize("order", range(1, 7))
def test_the_nth_derivative_of_x_to_the_fifth(order: int) -> None:
    f: Callable[[Any], Any] = lambda x: x * x * x * x * x
    expected = 1.5**5
    for k in range(order):
        f = tg.grad(f)
        expected = np.prod(range(5 - k, 6)) * 1.5 ** max(4 - k, 0)
    assert f(1.5).item() == pytest.approx(expected)


def test_value_and_grad_returns_both_and_argnums_choose_the_arguments() -> None:
    f = lambda a, b, scale=1.0: (a * b * b).sum() * scale
    y, g = tg.value_and_grad(f, 1)(X, V, scale=2.0)
    assert y.item() == pytest.approx(2 * (X * V * V).sum())
    np.testing.assert_allclose(g.array, 4 * X * V)
    both = tg.grad(f, (0, 1))(X, V)
    assert isinstance(both, tuple)
    np.testing.assert_allclose(both[0].array, V * V)
    np.testing.assert_allclose(both[1].array, 2 * X * V)
    np.testing.assert_allclose(tg.grad(f, -1)(X, V).array, 2 * X * V)


def test_vjp_and_jvp_are_transposes() -> None:
    _, pullback = tg.vjp(network, X)
    y, jv = tg.jvp(network, [X], [V])
    u = RNG.standard_normal(2)
    np.testing.assert_allclose(u @ jv.array, pullback(u)[0].array @ V)
    np.testing.assert_allclose(y.array, np.tanh(W @ (1 / (1 + np.exp(-X)))))


def test_the_linear_map_of_linearize_is_the_jacobian() -> None:
    y, jvp = tg.linearize(network, X)
    columns = np.stack([jvp(e).array for e in np.eye(3)], 1)
    np.testing.assert_allclose(columns, tg.jacobian(network)(X).array)
    np.testing.assert_allclose(jvp(2 * V).array, 2 * jvp(V).array)
    assert y.shape == (2,)


def test_both_jacobians_agree_and_have_the_shape_of_output_then_input() -> None:
    f = lambda x: tg.tanh(tg.matmul(x, W)) * x.sum()
    x = RNG.standard_normal((4, 2))
    rows, columns = tg.jacrev(f)(x), tg.jacfwd(f)(x)
    assert rows.shape == columns.shape == (4, 3, 4, 2)
    np.testing.assert_allclose(rows.array, columns.array, 1e-12)
    assert tg.jacrev(lambda x: tg.exp(x))(np.zeros((0, 2))).shape == (0, 2, 0, 2)
    assert tg.jacfwd(lambda x: tg.exp(x))(np.zeros((0, 2))).shape == (0, 2, 0, 2)
    assert tg.jacobian(lambda s, x: x * s, argnums=1)(2.0, [1.0, 2.0]).array.tolist() == [[2.0, 0.0], [0.0, 2.0]]


def test_the_hessian_of_a_cube_is_diagonal_and_hvp_is_its_product() -> None:
    h = tg.hessian(cubic)(X)
    np.testing.assert_allclose(h.array, np.diag(6 * X))
    np.testing.assert_allclose(tg.hvp(cubic, [X], [V]).array, 6 * X * V)


def test_hvp_by_several_arguments_has_mixed_terms() -> None:
    f = lambda a, b: (a * b).sum()
    hu, hv = tg.hvp(f, [X, V], [X, 2 * V])
    np.testing.assert_allclose(hu.array, 2 * V)
    np.testing.assert_allclose(hv.array, X)


def test_a_linear_function_has_hessian_zero_not_an_error() -> None:
    assert not tg.hessian(lambda x: x.sum())(X).array.any()
    assert not tg.hvp(lambda x: (2.0 * x).sum(), [X], [V]).array.any()
    assert tg.grad(tg.grad(lambda x: 3.0 * x))(1.0).item() == 0


def test_forward_over_reverse_equals_reverse_over_forward() -> None:
    f = lambda x: (network(x) * network(x)).sum()
    forward = tg.jvp(tg.grad(f), [X], [V])[1].array
    reverse = tg.grad(lambda x: tg.jvp(f, [x], [V])[1])(X).array
    np.testing.assert_allclose(forward, reverse, 1e-12)
    np.testing.assert_allclose(forward, tg.hvp(f, [X], [V]).array, 1e-12)


def test_transforms_return_constants_when_nobody_outside_can_ask_for_more() -> None:
    results = [
        tg.grad(cubic)(X), *tg.jvp(network, [X], [V]), tg.hessian(cubic)(X), tg.hvp(cubic, [X], [V]),
        tg.vjp(network, X)[0], tg.jacfwd(network)(X), tg.value_and_grad(cubic)(X)[0], tg.linearize(network, X)[1](V),
    ]  # fmt: skip
    assert not any(r.requires_grad for r in results)


def test_trees_of_arguments_come_back_in_their_structure() -> None:
    Pair = namedtuple("Pair", "w b")
    tree = {"layer": Pair(W, RNG.standard_normal(2)), "scales": [2.0, (3.0,)]}

    def f(p: Any, x: Array) -> Tensor:
        return ((tg.matmul(p["layer"].w, x) + p["layer"].b) * p["scales"][0]).sum() * p["scales"][1][0]

    g = tg.grad(f)(tree, X)
    assert type(g["layer"]) is Pair and list(g) == ["layer", "scales"]
    np.testing.assert_allclose(g["layer"].w.array, 6 * np.tile(X, (2, 1)))
    np.testing.assert_allclose(g["layer"].b.array, [6.0, 6.0])
    assert isinstance(g["scales"], list) and isinstance(g["scales"][1], tuple)


def test_stop_gradient_makes_a_constant() -> None:
    np.testing.assert_allclose(tg.grad(lambda x: (x * tg.stop_gradient(x)).sum())(X).array, X)


# Perturbation confusion: inner and outer variables are kept apart.
def test_an_inner_derivative_does_not_see_the_outer_variable() -> None:
    assert tg.grad(lambda x: x * tg.grad(lambda y: x + y)(1.0))(1.0).item() == 1.0
    assert tg.grad(lambda x: x * tg.grad(lambda y: x * y)(2.0))(3.0).item() == 6.0


def test_the_same_variable_on_two_levels_is_two_variables() -> None:
    assert tg.grad(lambda x: tg.grad(lambda y: y * y * x)(x))(3.0).item() == pytest.approx(12.0)


def test_a_pullback_made_inside_is_used_outside() -> None:
    def f(x: Tensor) -> Tensor:
        _, pullback = tg.vjp(lambda y: y * y * x, x)
        return pullback(x)[0]

    assert tg.grad(f)(2.0).item() == pytest.approx(6 * 2.0**2)


def test_jvp_of_jvp_keeps_directions_apart() -> None:
    first = lambda x: tg.jvp(lambda y: y * y * y, [x], [1.0])[1]
    assert tg.jvp(first, [2.0], [1.0])[1].item() == pytest.approx(12.0)


def test_a_closed_over_parameter_receives_the_gradient_of_an_input_gradient() -> None:
    penalty = lambda w: (tg.grad(lambda x: network(x, w).sum())(X) ** 2).sum()
    check_derivatives(penalty, [W], RNG, method="richardson")
    w = leaf(W, "w")
    penalty(w).backward()
    assert w.grad is not None and (w.grad.array == tg.grad(penalty)(W).array).all()


def test_a_bias_that_the_input_gradient_does_not_contain_gets_zeros() -> None:
    penalty = lambda b: (tg.grad(lambda x: (x * x).sum() + b)(X) ** 2).sum()
    assert tg.grad(penalty)(1.0).item() == 0.0


# Graph style.
def test_autograd_grad_returns_a_tuple_and_leaves_dot_grad_alone() -> None:
    x, y = leaf(2.0), leaf(3.0)
    gx, gy = autograd.grad(x * x * y, (x, y))
    assert gx is not None and gy is not None and (gx.item(), gy.item()) == (12.0, 4.0)
    assert x.grad is None and not gx.requires_grad


def test_create_graph_lets_a_gradient_be_differentiated() -> None:
    x = leaf(2.0)
    (g,) = autograd.grad(x * x * x, x, create_graph=True)
    assert g is not None
    (h,) = autograd.grad(g, x, create_graph=True)
    assert h is not None
    (t,) = autograd.grad(h, x)
    assert t is not None and (g.item(), h.item(), t.item()) == (12.0, 12.0, 6.0)


def test_outputs_are_weighted_and_summed() -> None:
    x = leaf([1.0, 2.0])
    (g,) = autograd.grad([x * x, x.sum()], x, [np.array([1.0, 10.0]), 5.0])
    assert g is not None and g.array.tolist() == [7.0, 45.0]
    with pytest.raises(ValueError, match="one cotangent for each of the 2 outputs, got 1"):
        autograd.grad([x * x, x], x, [np.ones(2)])


def test_an_intermediate_result_can_be_the_target() -> None:
    x = leaf(2.0)
    y = x * x
    z = y * y + x
    gy, gx = autograd.grad(z, (y, x))
    assert gy is not None and gx is not None and (gy.item(), gx.item()) == (8.0, 33.0)
    (same,) = autograd.grad(z, z)
    assert same is not None and same.item() == 1.0


def test_backward_accumulates_into_leaves() -> None:
    x = leaf([1.0, 2.0])
    y = (x * x).sum()
    y.backward()
    y.backward()
    assert x.grad is not None and x.grad.array.tolist() == [4.0, 8.0]
    (3.0 * x).backward(np.array([1.0, 0.0]))
    assert x.grad.array.tolist() == [7.0, 8.0]


def test_backward_twice_through_a_product_does_not_accumulate_into_intermediates() -> None:
    x = leaf(2.0)
    z = (x * x) * 3.0
    z.backward()
    assert x.grad is not None and x.grad.item() == 12.0
    z.backward()
    assert x.grad.item() == 24.0


def test_backward_with_create_graph_makes_differentiable_gradients() -> None:
    x = leaf(2.0)
    (x * x * x).backward(create_graph=True)
    assert x.grad is not None
    (h,) = autograd.grad(x.grad, x)
    assert h is not None and h.item() == 12.0


def test_double_backward_twice_gives_equal_results() -> None:
    w = leaf(W)
    (g,) = autograd.grad(network(leaf(X), w).sum(), w, create_graph=True)
    assert g is not None
    once, twice = (autograd.grad((g * g).sum(), w)[0] for _ in range(2))
    assert once is not None and twice is not None and (once.array == twice.array).all()


def test_a_variable_used_on_both_sides_gets_both_parts() -> None:
    np.testing.assert_allclose(tg.grad(lambda x: tg.matmul(x, x))(X).array, 2 * X)


# no_grad.
def test_no_grad_records_nothing_as_block_and_as_decorator() -> None:
    x = leaf(1.0)
    with tg.no_grad():
        assert not (x * x).requires_grad
        assert tg.grad(lambda t: t * t)(2.0).item() == 4.0

    @tg.no_grad()
    def f() -> Tensor:
        return x * x

    assert not f().requires_grad and not f().requires_grad and (x * x).requires_grad


def test_no_grad_ends_with_an_exception() -> None:
    with pytest.raises(KeyError), tg.no_grad():
        raise KeyError
    assert (leaf(1.0) * 2.0).requires_grad


def test_no_grad_holds_for_its_own_thread_only() -> None:
    inside, seen = threading.Event(), []

    def other() -> None:
        inside.wait(10)
        seen.append((leaf(1.0) * 2.0).requires_grad)

    thread = threading.Thread(target=other)
    thread.start()
    with tg.no_grad():
        inside.set()
        thread.join(10)
    assert seen == [True]


def test_two_threads_differentiate_at_once() -> None:
    results: dict[int, float] = {}

    def work(k: int) -> None:
        f = lambda x: cubic(x) * float(k)
        for _ in range(50):
            results[k] = tg.hvp(f, [X], [V]).array.sum()

    threads = [threading.Thread(target=work, args=(k,)) for k in (1, 2, 3)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for k in (1, 2, 3):
        assert results[k] == pytest.approx(k * (6 * X * V).sum())


# The four kinds of "no gradient".
def test_a_derivative_that_is_zero_is_zeros() -> None:
    x = leaf(X)
    (g,) = autograd.grad(tg.where(x > 0, 1.0, 0.0 * x).sum(), x)
    assert g is not None and not g.array.any()
    (g,) = autograd.grad((x > 0), x, [np.ones(3, bool)])
    assert g is not None and not g.array.any()
    assert not tg.grad(lambda x: (tg.sign(x) * 2.0).sum())(X).array.any()


def test_a_tensor_that_was_not_used_is_named() -> None:
    x, other = leaf(X, "x"), leaf(V, "other")
    with pytest.raises(
        NotConnected, match=r"'other' is not connected to the output <sum_to .. float64>.*allow_unused=True"
    ):
        autograd.grad(x.sum(), [x, other])
    g, none = autograd.grad(x.sum(), [x, other], allow_unused=True)
    assert g is not None and none is None
    with pytest.raises(NotConnected, match="does not depend on the arguments: it is a constant"):
        tg.grad(lambda x: Tensor(1.0))(X)
    with pytest.raises(NotConnected, match="not connected"):
        tg.grad(lambda a, b: a.sum(), (0, 1))(X, V)


def test_what_was_not_recorded_says_why() -> None:
    x = leaf(X, "x")
    with tg.no_grad():
        y = (x * 2.0).sum()
    with pytest.raises(NotRecorded, match=r"no history: computed under no_grad \(by multiply\)"):
        y.backward()
    with pytest.raises(NotRecorded, match="no history: detached from x"):
        (x.detach() * 2.0).sum().backward()
    with pytest.raises(NotRecorded, match="no tensor that it was computed from requires a gradient"):
        Tensor(X).sum().backward()
    with pytest.raises(NotRecorded, match=r"'c' of shape.*made without requires_grad=True"):
        autograd.grad(x.sum(), Tensor(V, name="c"))
    with pytest.raises(NotRecorded, match="carries no gradient: detached from x"):
        autograd.grad(x.sum(), x.detach())
    with pytest.raises(NotRecorded, match="detached"):
        tg.grad(lambda x: tg.stop_gradient(x).sum())(X)


def test_a_primitive_without_rules_cannot_be_used() -> None:
    with pytest.raises(NoRule, match="'half' has no rules"):
        Primitive("half", lambda x: x / 2)(leaf(1.0))
    with pytest.raises(NoRule, match="half: register one rule per tensor argument"):
        Primitive("half", lambda x: x / 2).defvjp()


def test_the_kinds_of_no_gradient_are_gradient_errors() -> None:
    assert all(issubclass(kind, GradientError) for kind in (NotConnected, NotRecorded, NoRule))


def test_a_primitive_does_not_take_the_name_of_another_room() -> None:
    with pytest.raises(ValueError, match="'add' is taken"):
        Primitive("add", lambda x: x).defvjp(lambda g, y, x: g)


# What a rule may return.
def bad_rule(rule: Callable[..., Any]) -> Callable[[Any], Tensor]:
    name = f"bad rule {len(REGISTRY)}"
    f = Primitive(name, lambda x: x * 2).defvjp(rule)
    del REGISTRY[name]
    return f


def test_a_cotangent_of_the_wrong_kind_names_its_primitive() -> None:
    with pytest.raises(GradientError, match=r"bad rule.*must return a Tensor.*ndarray"):
        tg.grad(lambda x: bad_rule(lambda g, y, x: g.array)(x).sum())(X)
    with pytest.raises(GradientError, match=r"bad rule.*float32 cotangent for float64"):
        tg.grad(lambda x: bad_rule(lambda g, y, x: g.astype(np.float32))(x).sum())(X)
    with pytest.raises(ValueError, match=r"cotangent of shape \(2,\) for an input of shape \(3,\)"):
        tg.grad(lambda x: bad_rule(lambda g, y, x: g[:2])(x).sum())(X)


# Anchors' failures: arrays are safe.
def test_changing_the_input_array_afterwards_does_not_reach_the_tape() -> None:
    a = np.array([1.0, 2.0])
    x = Tensor(a, requires_grad=True)
    y = (x * x).sum()
    a[:] = 100.0
    y.backward()
    assert x.grad is not None and x.grad.array.tolist() == [2.0, 4.0]


def test_changing_a_factor_an_index_or_a_mask_afterwards_does_not_reach_the_tape() -> None:
    factor, at, keep = np.array([1.0, 2.0]), np.array([0, 0]), np.array([True, False])
    x = leaf([3.0, 4.0])
    y = (
        (x * factor).sum()
        + x[at].sum()
        + tg.ops.mask(x, keep).sum()
        + tg.gather(x, at).sum()
        + tg.where(keep, x, 0.0).sum()
    )
    factor[:], at[:], keep[:] = 100.0, 1, ~keep
    y.backward()
    assert x.grad is not None and x.grad.array.tolist() == [1 + 2 + 1 + 2 + 1, 2]


def test_a_view_of_a_writable_array_is_copied() -> None:
    a = np.array([1.0, 2.0])
    view = a[:]
    view.setflags(write=False)
    x = Tensor(view)
    a[0] = 9.0
    assert x.array[0] == 1.0


@pytest.mark.parametrize(
    "make",
    [
        lambda x: x, lambda x: x * 2.0, lambda x: x[1:], lambda x: x.reshape(3, 1), lambda x: x.sum(), lambda x: x[0],
        lambda x: tg.broadcast_to(x, (2, 3)), lambda x: x.T, lambda x: tg.grad(cubic)(x), lambda x: tg.stack([x, x]),
    ],
)  # fmt: skip
def test_no_array_of_a_tensor_can_be_written(make: Callable[[Tensor], Tensor]) -> None:
    for x in (leaf(X), Tensor(X)):
        with pytest.raises(ValueError, match="read-only"):
            make(x).array[...] = 0.0
        with pytest.raises(ValueError, match="read-only"):
            make(x).numpy()[...] = 0.0


def test_replacing_a_leafs_data_does_not_change_what_was_recorded() -> None:
    x = leaf([3.0], "x")
    y = x * x
    x.data = np.array([100.0])
    y.backward(np.ones(1))
    assert x.grad is not None and x.grad.item() == 6.0 and x.item() == 100.0
    with pytest.raises(ValueError, match=r"x.data: expected shape \(1,\), float64 on cpu; got shape \(2,\)"):
        x.data = np.ones(2)
    with pytest.raises(GradientError, match=r"only a leaf's data.*multiply"):
        y.data = np.ones(1)


# Memory.
def test_a_graph_is_freed_by_reference_counting_alone() -> None:
    with without_collector():
        w = leaf(W)
        x = leaf(X)
        y = network(x, w)
        watched = [weakref.ref(y), weakref.ref(y.node)]
        (g,) = autograd.grad(y.sum(), x, create_graph=True)
        assert g is not None
        (g * g).sum().backward()
        watched += [weakref.ref(g), weakref.ref(g.node)]
        h = tg.hessian(lambda x: network(x, w).sum())(x)
        watched += [weakref.ref(h), weakref.ref(h.node)]
        del y, g, h
        w.grad = x.grad = None
        assert [ref() for ref in watched] == [None] * len(watched)


def test_a_training_loop_does_not_grow_without_the_collector() -> None:
    def step(w: Tensor) -> None:
        (g,) = autograd.grad(network(leaf(X), w).sum(), w, create_graph=True)
        assert g is not None
        loss = (g * g).sum() + tg.checkpoint(lambda v: network(v, w).sum())(leaf(V))
        loss.backward()
        assert w.grad is not None
        w.data = w.array - 0.01 * w.grad.array
        w.grad = None

    with without_collector():
        w = leaf(W)
        tracemalloc.start()
        try:
            for _ in range(500):  # free lists fill, to 2,000 tuples of each size
                step(w)
            before = tracemalloc.get_traced_memory()[0]
            for _ in range(1000):
                step(w)
            grown = tracemalloc.get_traced_memory()[0] - before
        finally:
            tracemalloc.stop()
    assert grown < 10_000  # one leaked array per step would be 100,000


def test_the_tape_keeps_only_what_rules_read() -> None:
    x = leaf(X)
    assert (x + x).node.arrays == (None, None)  # type: ignore[union-attr]
    assert tg.exp(x).node.arrays == (None,)  # type: ignore[union-attr]
    product = (x * V).node
    assert product is not None and product.out is None and all(a is not None for a in product.arrays)


def test_a_chain_of_100_000_nodes_runs_forward_and_backward_and_is_freed() -> None:
    x = leaf(1.0)
    y = x
    for _ in range(100_000):
        y = y + 1.0
    (g,) = autograd.grad(y, x, create_graph=True)
    assert g is not None and g.item() == 1.0
    ref = weakref.ref(y.node)
    del y, g
    assert ref() is None


def test_a_wide_sum_of_shared_nodes_is_linear_in_time() -> None:
    x = leaf(1.0)
    y = x
    for _ in range(60):  # 2^60 paths
        y = y + y
    (g,) = autograd.grad(y, x)
    assert g is not None and g.item() == 2.0**60


# Checkpoint.
def test_checkpoint_changes_no_derivative_of_two_orders() -> None:
    f = lambda x, w: tg.tanh(tg.matmul(w, x * x))
    check_derivatives(tg.checkpoint(f), [X, W], RNG, method="richardson")
    u = RNG.standard_normal(2)
    plain, again = (tg.hvp(lambda x, w, f=f: (f(x, w) * u).sum(), [X, W], [V, W]) for f in (f, tg.checkpoint(f)))
    for a, b in zip(plain, again, strict=True):
        assert (a.array == b.array).all()


def test_checkpoint_reaches_closed_over_parameters_to_second_order() -> None:
    def penalty(w: Any, wrap: Callable[..., Any]) -> Tensor:
        inner = wrap(lambda x: (tg.matmul(w, x * x) ** 3).sum())
        return (tg.grad(inner)(X) ** 2).sum()

    plain, again = (tg.grad(lambda w, wrap=wrap: penalty(w, wrap))(W).array for wrap in (lambda f: f, tg.checkpoint))
    np.testing.assert_allclose(plain, again, 1e-13)
    assert plain.any()


def test_checkpoint_keeps_no_intermediate_result() -> None:
    seen: list[weakref.ref[Any]] = []

    def f(x: Tensor) -> Tensor:
        middle = tg.exp(x)
        seen.append(weakref.ref(middle.node))
        return middle * middle

    x = leaf(X)
    y = tg.checkpoint(f)(x)
    assert seen[0]() is None
    (g,) = autograd.grad(y.sum(), x)
    assert g is not None and len(seen) == 2
    np.testing.assert_allclose(g.array, 2 * np.exp(2 * X))


def test_checkpoint_of_a_function_that_is_partly_constant() -> None:
    f = tg.checkpoint(lambda x, w: tg.ops.mask(w, x > 0.0).sum())
    gx, gw = tg.grad(f, (0, 1))(X, V)
    assert not gx.array.any() and gw.array.tolist() == (X > 0).astype(float).tolist()


def test_checkpoint_refuses_a_function_that_changes_between_runs() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(GradientError, match="deterministic"):
        tg.grad(tg.checkpoint(lambda x: (x * rng.random(50)).sum()))(np.ones(50))
    with pytest.raises(TypeError, match="must return one Tensor, got tuple"):
        tg.grad(tg.checkpoint(lambda x: (x, x)))(X)


def test_checkpoints_nest() -> None:
    f = lambda x: tg.exp(x * x).sum()
    nested = tg.checkpoint(lambda x: tg.checkpoint(f)(tg.tanh(x)) * 2.0)
    expected = tg.hessian(lambda x: f(tg.tanh(x)) * 2.0)(X).array
    np.testing.assert_allclose(tg.hessian(nested)(X).array, expected, 1e-12)


def test_checkpoint_of_constants_records_nothing() -> None:
    assert not tg.checkpoint(cubic)(Tensor(X)).requires_grad
    with tg.no_grad():
        assert not tg.checkpoint(cubic)(leaf(X)).requires_grad


# custom_vjp.
@tg.custom_vjp
def softplus_by_hand(x: Tensor) -> Tensor:
    """log(1 + eˣ)."""
    return tg.log(1.0 + tg.exp(x))


softplus_by_hand.defvjp(lambda g, y, x: g * tg.sigmoid(x))


def test_a_custom_rule_is_used_and_differentiated_in_turn() -> None:
    np.testing.assert_allclose(
        tg.hessian(lambda x: softplus_by_hand(x).sum())(X).array, tg.hessian(lambda x: tg.softplus(x).sum())(X).array
    )
    check_derivatives(softplus_by_hand, [X], RNG)
    assert softplus_by_hand.__doc__ == "log(1 + eˣ)."


def test_a_rule_may_be_any_callable() -> None:
    class Rules:
        def cube(self, g: Tensor, y: Tensor, x: Tensor) -> Tensor:
            return 3.0 * g * x * x

    f = Primitive("cube by method", lambda x: x**3).defvjp(Rules().cube)
    check_derivatives(f, [X], RNG)
    f = Primitive("cube by star", lambda x: x**3).defvjp(lambda g, *args: 3.0 * g * args[1] ** 2)
    check_derivatives(f, [X], RNG)


def test_a_custom_rule_may_lie() -> None:
    @tg.custom_vjp
    def straight_through(x: Tensor, step: float) -> Tensor:
        return tg.sign(x) * step

    straight_through.defvjp(lambda g, y, x, step: g)
    assert tg.grad(lambda x: straight_through(x, 2.0).sum())(X).array.tolist() == [1.0] * 3


def test_a_custom_function_may_not_close_over_what_it_would_silently_drop() -> None:
    w = leaf(V)
    f = tg.custom_vjp(lambda x: x * w).defvjp(lambda g, y, x: g * w)
    with pytest.raises(GradientError, match="closes over a tensor that requires a gradient"):
        f(leaf(X))


# dtypes, and the tensor itself.
def test_integers_cannot_be_differentiated_by() -> None:
    with pytest.raises(TypeError, match=r"only float32 and float64 carry gradients, got int64; write 1.0 for 1"):
        tg.grad(lambda x: x * x)(3)
    with pytest.raises(TypeError, match="expected float32 or float64, got float16"):
        Tensor(np.ones(2, np.float16))
    with pytest.raises(TypeError, match="expected float32 or float64, got <U1"):
        Tensor("a")


def test_a_cotangent_must_match_its_output() -> None:
    _, pullback = tg.vjp(network, X)
    with pytest.raises(ValueError, match=r"must match its output: shape \(2,\), float64.*got shape \(3,\)"):
        pullback(np.ones(3))
    with pytest.raises(ValueError, match="float32"):
        pullback(np.ones(2, np.float32))
    with pytest.raises(ValueError, match=r"grad: network must return a scalar, got shape \(2,\); use jacobian"):
        tg.grad(network)(X)
    with pytest.raises(ValueError, match="only a scalar has a gradient"):
        network(leaf(X)).backward()


def test_misused_transforms_say_what_is_wrong() -> None:
    with pytest.raises(ValueError, match="cubic was called with 1 arguments, there is no number 1"):
        tg.grad(cubic, 1)(X)
    with pytest.raises(ValueError, match="there is no number 3"):
        tg.jacobian(cubic, 3)(X)
    with pytest.raises(TypeError, match="must return one Tensor, got tuple"):
        tg.grad(lambda x: (x, x))(X)
    for product in (tg.jvp, tg.hvp):
        with pytest.raises(ValueError, match=r"the shapes of the primals, \[\(3,\)\]; got \[\(2,\)\]"):
            product(cubic, [X], [np.ones(2)])
    with pytest.raises(ValueError, match="grad: exp must return a scalar"):
        tg.grad(tg.exp)(X)
    with pytest.raises(TypeError, match="the input must be a Tensor, got ndarray"):
        autograd.grad(leaf(X).sum(), [X])


def test_a_tensor_tells_what_it_is() -> None:
    x = leaf([1.0, 2.0], "x")
    assert repr(x) == "Tensor([1., 2.], float64, name='x', requires_grad=True)"
    assert repr(x * 2.0) == "Tensor([2., 4.], float64, from multiply)"
    assert repr(Tensor(1.0)) == "Tensor(1., float64)"
    assert (x.shape, x.ndim, x.size, x.dtype, x.device, len(x)) == ((2,), 1, 2, np.float64, "cpu", 2)
    assert [t.item() for t in x] == [1.0, 2.0] and float(x[0]) == 1.0 and int(x[1]) == 2 and bool(x[0] > 0)
    assert x.grad is None and Tensor(1.0).name is None
    with pytest.raises(AttributeError, match="'nonsense'"):
        _ = x.nonsense  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match=r"one element, got shape \(2,\)"):
        x.item()
    with pytest.raises(TypeError, match="0-d"):
        len(x[0])


def test_numpy_may_read_constants_but_not_drop_gradients() -> None:
    assert np.asarray(Tensor(X)).tolist() == X.tolist()
    with pytest.raises(TypeError, match="carries a gradient, which NumPy would drop"):
        np.asarray(leaf(X))
    y = X * leaf(V)
    assert isinstance(y, Tensor) and y.requires_grad
    assert isinstance(np.float64(2) - leaf(1.0), Tensor)


def test_a_leaf_is_copied_a_result_is_not() -> None:
    x = leaf(X, "x")
    twin = copy.deepcopy(x)
    assert twin is not x and twin.requires_grad and twin.name == "x" and (twin.array == X).all()
    with pytest.raises(GradientError, match="only leaves and constants can be copied"):
        copy.deepcopy(x * 2.0)


def test_a_strange_operand_is_left_to_python() -> None:
    with pytest.raises(TypeError, match="unsupported operand"):
        leaf(X) + "a"
    assert (leaf(X) == None) is False  # noqa: E711
    assert {leaf(X): 1}


INDEXES = [
    0, -1, slice(None, None, -1), slice(2, None), None, Ellipsis, (Ellipsis, None), [0, 2, 0], np.array([1, 1]),
    np.array([True, False, True]), np.int64(1), Tensor(np.array([2, 0])), [],
]  # fmt: skip


@pytest.mark.parametrize("key", INDEXES, ids=repr)
def test_indexing_is_numpys_with_its_adjoint(key: Any) -> None:
    plain = key.array if isinstance(key, Tensor) else np.array(key, int) if isinstance(key, list) else key
    assert np.array_equal(value(lambda x: x[key], [X]), X[plain])
    check_derivatives(lambda x: x[key], [X], RNG)


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), depth=st.integers(1, 8))
def test_random_programs_have_right_derivatives_of_two_orders(seed: int, depth: int) -> None:
    """Straight-line programs over a pool of values that grows: shared and unused results, and results of results."""
    rng = np.random.default_rng(seed)
    steps = [(rng.integers(5), rng.integers(0, k + 2), rng.integers(0, k + 2)) for k in range(depth)]

    def program(a: Tensor, b: Tensor) -> Tensor:
        pool = [a, b]
        for kind, i, j in steps:
            x, y = pool[i], pool[j]
            pool.append([x * y, tg.tanh(x + y), tg.sigmoid(x) - y, x.sum(0, keepdims=True) * y, tg.softplus(x)][kind])
        return pool[-1] + a * b

    check_derivatives(program, [rng.standard_normal((2, 2)), rng.standard_normal((2, 2))], rng)
