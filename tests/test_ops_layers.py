"""What new layers and losses compute, where PyTorch is not asked: special values, precision, errors that say why."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numerics import tape_vjp

import tinygrad2 as tg
from tinygrad2.autodiff import Tensor

X = np.concatenate([np.linspace(-6, 6, 4001), np.linspace(-27, 27, 501), [0.84375, 1.25, 1 / 0.35, 28.0, -28.0, 40.0]])


@pytest.mark.parametrize(("ours", "theirs"), [(tg.erf, math.erf), (tg.erfc, math.erfc)])
def test_the_error_function_is_right_to_the_last_digits_in_every_region(ours: Any, theirs: Any) -> None:
    np.testing.assert_allclose(ours(X).numpy(), [theirs(x) for x in X], rtol=1e-15, atol=5e-324)
    ends = ours(Tensor([np.inf, -np.inf, np.nan])).numpy()
    np.testing.assert_array_equal(ends, [theirs(math.inf), theirs(-math.inf), math.nan])
    single = ours(X.astype(np.float32)).numpy()
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, [theirs(x) for x in X.astype(np.float32)], rtol=1e-7, atol=1.5e-45)


def test_gelu_keeps_its_digits_where_the_distribution_function_is_tiny() -> None:
    x = np.array([-5.0, -8.0, -12.0])
    expected = [v * 0.5 * math.erfc(-v / math.sqrt(2)) for v in x]
    np.testing.assert_allclose(tg.gelu(Tensor(x)).numpy(), expected, rtol=1e-13)
    np.testing.assert_allclose(tg.gelu(Tensor(x.astype(np.float32))).numpy(), expected, rtol=2e-5)


def test_elu_and_softplus_keep_the_digits_of_small_numbers_and_do_not_overflow() -> None:
    np.testing.assert_allclose(tg.elu(Tensor(np.float32([-1e-6]))).numpy(), [-1e-6], rtol=1e-6)
    far = np.array([-1e4, 1e4])
    np.testing.assert_array_equal(tg.softplus(Tensor(far), 2.0).numpy(), [0.0, 1e4])
    np.testing.assert_array_equal(tg.elu(Tensor(far)).numpy(), [-1.0, 1e4])
    np.testing.assert_array_equal(tape_vjp(tg.elu, [far], np.ones(2))[0], [0.0, 1.0])


def test_a_certain_mistake_has_a_finite_loss_and_a_certain_success_none() -> None:
    p = Tensor(np.array([0.0, 1.0, 0.0, 1.0]))
    loss = tg.binary_cross_entropy(p, [0.0, 1.0, 1.0, 0.0], "none").numpy()
    np.testing.assert_allclose(loss, [0.0, 0.0, 100.0, 100.0])
    (gradient,) = tape_vjp(lambda p: tg.binary_cross_entropy(p, [0.0, 1.0, 1.0, 0.0]), [p.numpy()], np.ones(()))
    assert np.isfinite(gradient).all()
    z = Tensor(np.float32([30.0, -30.0]))
    loss = tg.binary_cross_entropy_with_logits(z, np.float32([1.0, 0.0]), "none").numpy()
    np.testing.assert_allclose(loss, [math.exp(-30)] * 2, rtol=1e-5)


def test_what_has_probability_zero_adds_nothing_to_a_divergence() -> None:
    q = np.log([[0.5, 0.5]])
    target = Tensor([[1.0, 0.0]])
    np.testing.assert_allclose(tg.kl_div(Tensor(q), target, "batchmean").numpy(), math.log(2))
    assert np.isfinite(tape_vjp(lambda t: tg.kl_div(Tensor(q), t, "sum"), [target.numpy()], np.ones(()))[0]).all()


def test_a_class_that_is_masked_out_and_not_asked_for_costs_nothing() -> None:
    z = np.array([[0.0, -np.inf, 0.0]])
    q = np.array([[0.5, 0.0, 0.5]])
    loss, (gradient,) = tg.cross_entropy(Tensor(z), q), tape_vjp(lambda z: tg.cross_entropy(z, q), [z], np.ones(()))
    np.testing.assert_allclose(loss.numpy(), math.log(2))
    np.testing.assert_allclose(gradient, [[0.0, 0.0, 0.0]], atol=1e-15)


def test_soft_targets_carry_a_gradient_of_their_own() -> None:
    z = np.array([[0.0, 1.0, 2.0]])
    (gradient,) = tape_vjp(lambda q: tg.cross_entropy(Tensor(z), q), [np.array([[0.2, 0.0, 0.8]])], np.ones(()))
    np.testing.assert_allclose(gradient, -tg.log_softmax(Tensor(z)).numpy())


def test_huber_is_half_the_square_near_zero_and_the_absolute_value_far_away() -> None:
    x = np.array([-3.0, -0.5, 0.25, 4.0])
    d = tape_vjp(lambda x: tg.huber_loss(x, np.zeros(4), "sum", 0.5), [x], np.ones(()))[0]
    np.testing.assert_array_equal(d, [-0.5, -0.5, 0.25, 0.5])


def test_a_causal_query_does_not_see_what_comes_later() -> None:
    rng = np.random.default_rng(0)
    q, k, v = rng.standard_normal((3, 1, 4, 2))
    before = tg.scaled_dot_product_attention(*map(Tensor, (q, k, v)), is_causal=True).numpy()
    v[:, -1] = 100.0
    after = tg.scaled_dot_product_attention(*map(Tensor, (q, k, v)), is_causal=True).numpy()
    np.testing.assert_array_equal(before[:, :-1], after[:, :-1])
    np.testing.assert_allclose(before[:, 0], v[:, 0])


@pytest.mark.parametrize(
    "options",
    [
        {"stride": np.int64(2)},
        {"stride": (np.int64(2), np.int64(1)), "padding": np.int64(1)},
        {"stride": 2, "padding": "same"},
        {"padding": "valid", "dilation": 2},
        {"stride": 2, "padding": ((1, 0), (0, 1)), "dilation": (1, 2)},
        {"stride": 3, "output_padding": (2, 1)},
    ],
    ids=str,
)
def test_a_transposed_convolution_takes_what_a_convolution_takes_and_is_its_adjoint(options: dict[str, Any]) -> None:
    rng = np.random.default_rng(1)
    g, w = rng.integers(-3, 4, (2, 4, 3, 5)).astype(float), rng.integers(-3, 4, (4, 3, 3, 2)).astype(float)
    image = tg.conv_transpose2d(Tensor(g), Tensor(w), **options)
    x = rng.integers(-3, 4, image.shape).astype(float)
    forward = {name: value for name, value in options.items() if name != "output_padding"}
    y = tg.conv2d(Tensor(x), Tensor(w), **forward)
    assert y.shape == g.shape
    assert np.vdot(y.numpy(), g) == np.vdot(x, image.numpy())
    if options.get("padding") == "same":
        assert image.shape == (2, 3, 6, 10)


WRONG: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "gelu": (lambda: tg.gelu(tg.ones(2), "erf"), ValueError, "unknown approximate='erf'; expected 'none' or 'tanh'"),
    "softplus": (lambda: tg.softplus(tg.ones(2), 0.0), ValueError, "beta must be positive, got 0.0"),
    "huber": (lambda: tg.huber_loss(tg.ones(2), tg.ones(2), delta=0.0), ValueError, "delta must be positive"),
    "shapes": (lambda: tg.mse_loss(tg.ones((2, 1)), tg.ones(2)), ValueError, r"one shape, got \(2, 1\) and \(2,\)"),
    "reduction": (lambda: tg.l1_loss(tg.ones(2), tg.ones(2), "avg"), ValueError, "unknown reduction 'avg'; expected"),
    "soft shape": (
        lambda: tg.cross_entropy(tg.ones((2, 3)), np.ones((2, 2))),
        ValueError,
        r"the logits' shape \(2, 3\); got shape \(2, 2\)",
    ),
    "class weights": (
        lambda: tg.cross_entropy(tg.ones((2, 3)), [0, 1], weight=[1.0, 2.0]),
        ValueError,
        r"weight must have shape \(3,\), one for each class; got \(2,\)",
    ),
    "all ignored": (lambda: tg.cross_entropy(tg.ones((1, 3)), [-100]), ValueError, "every label is ignore_index"),
    "no label": (lambda: tg.cross_entropy(tg.ones((2, 3)), [-100, 3]), ValueError, r"labels\[1\] is 3: labels of 3"),
    "saturating": (
        lambda: tg.cross_entropy(tg.ones((1, 3)), np.ones((1, 3)), saturating=True),
        ValueError,
        "saturating=True takes labels only",
    ),
    "features": (lambda: tg.layer_norm(tg.ones((2, 3)), 4), ValueError, r"last axes \(..., 4\), got shape \(2, 3\)"),
    "groups": (lambda: tg.group_norm(tg.ones((2, 3)), 2), ValueError, r"divisible into 2 groups, got shape \(2, 3\)"),
    "tokens": (lambda: tg.embedding([[0, 3]], tg.ones((3, 1))), ValueError, r"x\[0, 1\] is 3; rows run from 0 to 2"),
    "no tokens": (lambda: tg.embedding([0.5], tg.ones((3, 1))), TypeError, "expected integers.* got float64"),
    "keys": (
        lambda: tg.scaled_dot_product_attention(tg.ones((2, 3)), tg.ones((2, 4)), tg.ones((2, 3))),
        ValueError,
        r"differ in E: \(2, 3\), \(2, 4\)",
    ),
    "output_padding": (
        lambda: tg.conv_transpose2d(tg.ones((1, 1, 2, 2)), tg.ones((1, 1, 2, 2)), stride=2, output_padding=2),
        ValueError,
        r"less than the stride \(2, 2\), got \(2, 2\)",
    ),
    "same and more": (
        lambda: tg.conv_transpose2d(
            tg.ones((1, 1, 2, 2)), tg.ones((1, 1, 2, 2)), stride=2, padding="same", output_padding=1
        ),
        ValueError,
        r"must be 0 with padding 'same', got \(1, 1\)",
    ),
    "pool to nothing": (lambda: tg.adaptive_avg_pool2d(tg.ones((1, 2, 2)), 0), ValueError, r"positive size .* and 0"),
}


@pytest.mark.parametrize("name", WRONG)
def test_an_error_says_what_was_expected_and_what_came(name: str) -> None:
    call, kind, message = WRONG[name]
    with pytest.raises(kind, match=message):
        call()
