"""Every optimizer is its formula, PyTorch's too, and a resumed one continues bit for bit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from nn_cases import assert_close
from strategies import SEEDS

import tinygrad2 as tg
from tinygrad2 import nn

STEPS = 20
Formula = Callable[..., Iterator[np.ndarray]]

# The formulas, written once more from the papers: from p and the gradients g of p, the values of p after each step.


def sgd(p: np.ndarray, lr: float, weight_decay: float = 0.0, momentum: float = 0.0) -> Iterator[np.ndarray]:
    v = np.zeros_like(p)
    while True:
        g = gradient(p) + weight_decay * p
        v = momentum * v + g
        p = p - lr * v
        yield p


def adam(
    p: np.ndarray, lr: float, weight_decay: float = 0.0, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8
) -> Iterator[np.ndarray]:
    m, v, t = np.zeros_like(p), np.zeros_like(p), 0
    while True:
        g, t = gradient(p) + weight_decay * p, t + 1
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g**2
        p = p - lr * (m / (1 - betas[0] ** t)) / (np.sqrt(v / (1 - betas[1] ** t)) + eps)
        yield p


def rmsprop(
    p: np.ndarray, lr: float, weight_decay: float = 0.0, alpha: float = 0.99, eps: float = 1e-8
) -> Iterator[np.ndarray]:
    v = np.zeros_like(p)
    while True:
        g = gradient(p) + weight_decay * p
        v = alpha * v + (1 - alpha) * g**2
        p = p - lr * g / (np.sqrt(v) + eps)
        yield p


def wame(
    p: np.ndarray,
    lr: float,
    weight_decay: float = 0.0,
    alpha: float = 0.9,
    factors: tuple[float, float] = (0.1, 1.2),
    bounds: tuple[float, float] = (0.01, 100.0),
    eps: float = 1e-8,
) -> Iterator[np.ndarray]:
    """Entry by entry, as the paper's algorithm goes; both averages divided by 1 - αᵗ."""
    p, t = p.copy(), 0
    zeta, z, v, before = np.ones_like(p), np.zeros_like(p), np.zeros_like(p), np.zeros_like(p)
    while True:
        g, t = gradient(p) + weight_decay * p, t + 1
        for i in np.ndindex(p.shape):
            if g[i] * before[i] > 0:
                zeta[i] = min(zeta[i] * factors[1], bounds[1])
            elif g[i] * before[i] < 0:
                zeta[i] = max(zeta[i] * factors[0], bounds[0])
            z[i] = alpha * z[i] + (1 - alpha) * zeta[i]
            v[i] = alpha * v[i] + (1 - alpha) * g[i] ** 2
            rate, size = zeta[i] / (z[i] / (1 - alpha**t)), np.sqrt(v[i] / (1 - alpha**t)) + eps
            p[i] -= lr * rate * g[i] / size
            before[i] = g[i]
        yield p.copy()


def gradient(p: np.ndarray) -> np.ndarray:
    """Of Σ sin p + ¼ p⁴, a bounded and crooked landscape."""
    return np.cos(p) + p**3


def descend(optimizer: nn.Optimizer, steps: int = 1) -> None:
    for _ in range(steps):
        for p in optimizer.params:
            p.grad = tg.Tensor(gradient(p.numpy()))
        optimizer.step()


CASES: list[tuple[type[nn.Optimizer], Formula, str, dict[str, Any]]] = [
    (nn.SGD, sgd, "SGD", dict(lr=0.05)),
    (nn.SGD, sgd, "SGD", dict(lr=0.05, momentum=0.9, weight_decay=0.01)),
    (nn.Adam, adam, "Adam", dict(lr=0.02)),
    (nn.Adam, adam, "Adam", dict(lr=0.02, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.1)),
    (nn.RMSprop, rmsprop, "RMSprop", dict(lr=0.01)),
    (nn.RMSprop, rmsprop, "RMSprop", dict(lr=0.01, alpha=0.9, eps=1e-4, weight_decay=0.1)),
    (nn.WAME, wame, "WAME", dict(lr=0.02)),
    (nn.WAME, wame, "WAME", dict(lr=0.1, alpha=0.8, factors=(0.5, 1.5), bounds=(0.3, 2.0), weight_decay=0.1)),
]
IDS = [f"{case[2]} {', '.join(case[3])}" for case in CASES]
each = pytest.mark.parametrize(("kind", "formula", "name", "settings"), CASES, ids=IDS)
KNOWN_TO_TORCH = [case for case in CASES if case[0] is not nn.WAME]
SHAPES = [(3, 4), (5,), ()]


def starts(dtype: Any = np.float64, seed: int = 0) -> list[tg.Tensor]:
    rng = np.random.default_rng(seed)
    return [tg.Tensor(rng.standard_normal(shape).astype(dtype), requires_grad=True) for shape in SHAPES]


def test_every_optimizer_is_tested() -> None:
    assert set(nn.OPTIMIZERS.values()) == {case[0] for case in CASES}
    assert [kind.__name__.lower() for kind in nn.OPTIMIZERS.values()] == list(nn.OPTIMIZERS)


@each
def test_twenty_steps_are_the_formula(kind: Any, formula: Formula, name: str, settings: dict[str, Any]) -> None:
    params = starts()
    expected = [formula(p.numpy(), **settings) for p in params]
    optimizer = kind(params, **settings)
    for _ in range(STEPS):
        descend(optimizer)
        for p, values in zip(params, expected, strict=True):
            assert_close(p, next(values), 1e-13)


@pytest.mark.oracle
@pytest.mark.parametrize(("kind", "formula", "name", "settings"), KNOWN_TO_TORCH)
def test_twenty_steps_are_pytorchs(kind: Any, formula: Formula, name: str, settings: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    params = starts()
    theirs = [torch.tensor(p.numpy().copy(), requires_grad=True) for p in params]
    optimizers = kind(params, **settings), getattr(torch.optim, name)(theirs, **settings)
    for _ in range(STEPS):
        descend(optimizers[0])
        for t in theirs:
            t.grad = torch.cos(t.detach()) + t.detach() ** 3
        optimizers[1].step()
        for p, t in zip(params, theirs, strict=True):
            assert_close(p, t.detach().numpy(), 1e-12)


@pytest.mark.oracle
def test_default_settings_are_pytorchs() -> None:
    torch = pytest.importorskip("torch")
    for kind in {case[0] for case in KNOWN_TO_TORCH}:
        mine, p = kind(starts()), torch.zeros(1, requires_grad=True)
        (theirs,) = getattr(torch.optim, kind.__name__)([p]).param_groups
        for setting in ("lr", "momentum", "betas", "eps", "alpha", "weight_decay"):
            if hasattr(mine, setting):
                assert getattr(mine, setting) == theirs[setting], (kind, setting)


@each
def test_a_resumed_optimizer_continues_bit_for_bit(
    kind: Any, formula: Formula, name: str, settings: dict[str, Any]
) -> None:
    params = starts(np.float32)
    optimizer = kind(params, **settings)
    descend(optimizer, 7)
    optimizer.lr = 0.5 * optimizer.lr  # a schedule's work is part of the state
    saved = {name: a.copy() for name, a in optimizer.state_dict().items()}
    copies = [tg.Tensor(p.numpy(), requires_grad=True) for p in params]
    resumed = kind(copies, **settings)
    resumed.load_state_dict(saved)
    for one in (optimizer, resumed):
        descend(one, 13)
    for p, q in zip(params, copies, strict=True):
        assert p.numpy().tobytes() == q.numpy().tobytes()


@each
def test_float32_stays_float32_whatever_the_settings_are(
    kind: Any, formula: Formula, name: str, settings: dict[str, Any]
) -> None:
    """Also when settings are NumPy float64 numbers, as a schedule computes them."""
    numpy_settings = {
        k: tuple(map(np.float64, v)) if isinstance(v, tuple) else np.float64(v) for k, v in settings.items()
    }
    params, plain = starts(np.float32), starts(np.float32)
    optimizer, same = kind(params, **numpy_settings), kind(plain, **settings)
    for one in (optimizer, same):
        one.lr = np.float64(one.lr) * 0.9
        descend(one, 5)
    assert {p.dtype for p in params} == {np.dtype(np.float32)}
    averages = [a for slot in optimizer.state.values() for a in slot]
    assert all(a.dtype == np.float32 for a in averages)
    for p, q in zip(params, plain, strict=True):
        np.testing.assert_array_equal(p.numpy(), q.numpy())


@given(SEEDS)
def test_a_parameter_without_gradient_stays_and_does_not_age(seed: int) -> None:
    """As in PyTorch, bias correction counts the steps of each parameter by itself."""
    params = starts(seed=seed)
    optimizer = nn.Adam(params, lr=0.1)
    before = params[1].array
    for _ in range(3):
        params[0].grad = tg.Tensor(gradient(params[0].numpy()))
        params[1].grad = params[2].grad = None
        optimizer.step()
    assert params[1].array is before and optimizer.steps == [3, 0, 0]
    late = adam(before, 0.1)
    descend(optimizer)
    assert_close(params[1], next(late), 1e-13)


def test_a_step_changes_neither_gradients_nor_earlier_arrays() -> None:
    for kind, _, _, settings in CASES:
        params = starts()
        optimizer = kind(params, **settings)
        before = [(p.numpy(), p.numpy().copy()) for p in params]
        descend(optimizer)
        gradients = [(p.grad.numpy(), p.grad.numpy().copy()) for p in params]
        optimizer.step()
        for array, values in before + gradients:
            np.testing.assert_array_equal(array, values)
        optimizer.zero_grad()
        assert all(p.grad is None for p in params)


@pytest.mark.parametrize("name", nn.OPTIMIZERS)
def test_each_optimizer_trains_a_net(name: str) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((60, 2)).astype(np.float32)
    labels = (x[:, 0] * x[:, 1] > 0).astype(int)  # exclusive or
    net = nn.models.mlp(2, (16,), 2, rng=0)
    optimizer = nn.OPTIMIZERS[name](net.parameters(), lr={"sgd": 0.5}.get(name, 0.02))
    losses = []
    for _ in range(150):
        loss = tg.cross_entropy(net(x), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]


def test_wames_first_step_is_the_sign_of_the_gradient() -> None:
    params = starts()
    before = [p.numpy() for p in params]
    descend(nn.WAME(params, lr=0.01, eps=0.0))
    for p, old in zip(params, before, strict=True):
        assert_close(old - p.numpy(), 0.01 * np.sign(gradient(old)), 1e-12)


@pytest.mark.parametrize(("signs", "expected"), [((1, 1, 1), 1.2**2), ((1, 1, -1), 0.12), ((1, 0, -1), 1.0)])
def test_wames_rate_grows_with_a_kept_sign_and_shrinks_with_a_flip(signs: tuple[int, ...], expected: float) -> None:
    p = tg.Tensor(np.zeros(1, np.float32), requires_grad=True)
    optimizer = nn.WAME([p])
    for sign in signs:
        p.grad = tg.Tensor(np.full(1, sign * 1e-30, np.float32))  # whose products underflow
        optimizer.step()
    assert_close(optimizer.state["zeta"][0], [expected], 1e-6)


def test_wames_rate_stays_in_its_bounds() -> None:
    p = tg.Tensor(np.zeros(2), requires_grad=True)
    optimizer = nn.WAME([p])
    for step in range(60):
        p.grad = tg.Tensor(np.array([1.0, (-1.0) ** step]))
        optimizer.step()
    np.testing.assert_array_equal(optimizer.state["zeta"][0], [100.0, 0.01])


def test_wame_does_not_move_an_entry_whose_gradient_is_zero() -> None:
    p = tg.Tensor(np.ones(2), requires_grad=True)
    optimizer = nn.WAME([p], lr=0.1)
    for _ in range(3):
        p.grad = tg.Tensor(np.array([0.0, 1.0]))
        optimizer.step()
    assert p.numpy()[0] == 1.0 and p.numpy()[1] < 0.8


def test_what_cannot_be_optimized_is_refused() -> None:
    net = nn.Linear(2, 2)
    for params in ([], [tg.Tensor(1.0)], net.named_parameters(), [np.ones(2)]):
        with pytest.raises(
            ValueError, match=r"needs one or more Tensors with requires_grad=True, as net.parameters\(\)"
        ):
            nn.SGD(params, lr=0.1)
    for wrong in (dict(lr=-1.0), dict(lr=float("nan")), dict(lr=0.1, weight_decay=-0.1)):
        with pytest.raises(ValueError, match="lr and weight_decay must not be negative, got lr="):
            nn.SGD(net.parameters(), **wrong)
    with pytest.raises(NotImplementedError, match=r"Optimizer must define direction"):
        descend(nn.Optimizer(net.parameters(), 0.1))


def test_a_state_that_does_not_fit_is_refused_whole() -> None:
    optimizer = nn.Adam(starts(), lr=0.1)
    descend(optimizer, 2)
    before = optimizer.state_dict()
    misfits = [
        ({k: v for k, v in before.items() if k != "mean.1"}, "expected .*'mean.1'.*, got"),
        (nn.SGD(starts(), 0.1, 0.9).state_dict(), "does not fit: expected .*'square.2'.*, got .*'velocity.0'"),
        (before | {"square.1": np.zeros(4)}, r"'square.1': expected shape \(5,\), float64; got \(4,\), float64"),
        (before | {"mean.0": np.zeros((3, 4), np.float32)}, r"'mean.0': expected .* float64; got \(3, 4\), float32"),
        (before | {"steps": np.zeros(2, int)}, r"'steps': expected shape \(3,\), int64; got \(2,\)"),
    ]
    for state, message in misfits:
        with pytest.raises(ValueError, match=message):
            optimizer.load_state_dict(state)
        after = optimizer.state_dict()
        assert all(np.array_equal(after[k], before[k]) for k in before)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda p: nn.SGD([p], momentum=2.0), "momentum must be at least 0 and below 1, got 2.0"),
        (lambda p: nn.Adam([p], betas=(1.0, 0.9)), r"betas\[0\] must be at least 0 and below 1, got 1.0"),
        (lambda p: nn.RMSprop([p], alpha=-0.1), "alpha must be at least 0"),
        (
            lambda p: nn.SGD([p * 2.0]),
            "parameter 0, of shape .* is the result of an operation.*; give the tensors that it was computed from",
        ),
    ],
)
def test_settings_that_cannot_be_are_refused_at_once(make: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make(starts()[0])
