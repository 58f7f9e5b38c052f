"""Every op with a PyTorch twin: values, gradients and double gradients agree in float64."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="oracle: PyTorch is not installed (pip install 'tinygrad2[oracle]')")

from oracle.array_rows import ARRAYS, PLACES  # noqa: E402
from oracle.peer import assert_close  # noqa: E402

from tinygrad2 import ops  # noqa: E402
from tinygrad2.autodiff import Tensor, autograd  # noqa: E402

pytestmark = pytest.mark.oracle

F = torch.nn.functional
Shapes = Sequence[tuple[int, ...]]

ROWS, COLUMNS = np.array([[2, 0, 2], [1, 1, 0]]), np.array([0, 2, 1, 2])
LABELS = np.array([0, 2, 4, 1])
YES = np.random.default_rng(0).random((3, 4)) < 0.5
WEIGHTS = np.random.default_rng(1).random((3, 4))
RUNNING = np.random.default_rng(2).random((2, 3)) + 0.5


def case(ours: Callable[..., Any], theirs: Callable[..., Any], *shapes: tuple[int, ...], positive: bool = False) -> Any:
    """A function of arrays of these shapes, ours and theirs. positive: draw inputs from (0.5, 2)."""
    return ours, theirs, shapes, positive


def t(a: Any) -> Any:
    return torch.tensor(a)


def twin(name: str, ours: Any = None, theirs: Any = None, positive: bool = False) -> Any:
    """The function that has one name on both sides, of one matrix, or of what `ours` and `theirs` make of it."""
    f = getattr(ops, name)
    g = getattr(torch, name)
    return case(lambda x: f(ours(x) if ours else x), lambda x: g(theirs(x) if theirs else x), M, positive=positive)


M = (3, 4)  # a matrix where the shape does not matter
CASES: dict[str, Any] = {
    # elementwise
    "add": case(ops.add, torch.add, M, (4,)),
    "subtract": case(ops.subtract, torch.subtract, M, (3, 1)),
    "multiply": case(ops.multiply, torch.multiply, M, (1, 4)),
    "divide": case(ops.divide, torch.divide, M, (4,), positive=True),
    "negative": case(ops.negative, torch.negative, M),
    "exp": case(ops.exp, torch.exp, M),
    "log": case(ops.log, torch.log, M, positive=True),
    "sqrt": case(ops.sqrt, torch.sqrt, M, positive=True),
    "tanh": case(ops.tanh, torch.tanh, M),
    "sigmoid": case(ops.sigmoid, torch.sigmoid, M),
    "softplus": case(ops.softplus, F.softplus, M),
    "power": case(lambda x: ops.power(x, 3), lambda x: x**3, M),
    "power fraction": case(lambda x: ops.power(x, -0.75), lambda x: x**-0.75, M, positive=True),
    "power tensor": case(ops.power, torch.pow, M, M, positive=True),
    "relu": case(ops.relu, F.relu, M),
    "abs": case(ops.abs, torch.abs, M),
    # functions as in NumPy
    **{name: twin(name) for name in ("arctan", "arcsinh", "cos", "cosh", "exp2", "expm1", "sin", "sinh", "square")},
    **{name: twin(name, positive=True) for name in ("log10", "log1p", "log2", "reciprocal")},
    **{name: twin(name, ops.sigmoid, torch.sigmoid) for name in ("arccos", "arcsin", "arctanh", "tan")},
    "arccosh": case(lambda x: ops.arccosh(1.0 + x), lambda x: torch.arccosh(1.0 + x), M, positive=True),
    "arctan2": case(ops.arctan2, torch.arctan2, M, (4,)),
    "cbrt": case(ops.cbrt, lambda x: x ** (1 / 3), M, positive=True),
    "degrees": case(ops.degrees, torch.rad2deg, M),
    "radians": case(ops.radians, torch.deg2rad, M),
    "hypot": case(ops.hypot, torch.hypot, M, (3, 1)),
    "logaddexp": case(ops.logaddexp, torch.logaddexp, M, (4,)),
    "logaddexp2": case(ops.logaddexp2, torch.logaddexp2, M, (4,)),
    "remainder": case(ops.remainder, lambda a, b: a - b * torch.floor(a / b).detach(), M, (4,), positive=True),
    "fmod": case(ops.fmod, lambda a, b: a - b * torch.trunc(a / b).detach(), M, (4,), positive=True),
    "divmod": case(
        lambda a, b: ops.divmod(a, b)[1], lambda a, b: a - b * torch.floor(a / b).detach(), M, (4,), positive=True
    ),
    "clip by tensors": case(lambda x, a, b: ops.clip(x, a, b), torch.clamp, M, (4,), M),
    "clip": case(lambda x: ops.clip(x, -0.5, 0.7), lambda x: x.clamp(-0.5, 0.7), M),
    "maximum": case(ops.maximum, torch.maximum, M, M),
    "minimum": case(ops.minimum, torch.minimum, M, M),
    "leaky_relu": case(lambda x: ops.leaky_relu(x, 0.2), lambda x: F.leaky_relu(x, 0.2), M),
    "prelu": case(ops.prelu, F.prelu, (2, 3, 4, 4), (3,)),
    "prelu one slope": case(ops.prelu, F.prelu, (2, 3), (1,)),
    "mask": case(lambda x: ops.mask(x, Tensor(WEIGHTS)), lambda x: x * t(WEIGHTS), M),
    "where": case(lambda a, b: ops.where(Tensor(YES), a, b), lambda a, b: torch.where(t(YES), a, b), M, M),
    "astype": case(lambda x: ops.astype(x, np.float64) * x, lambda x: x.double() * x, M),
    # reductions
    "sum": case(lambda x: ops.sum(x, (0, 2)), lambda x: x.sum((0, 2)), (2, 3, 4)),
    "mean": case(lambda x: ops.mean(x, 1, keepdims=True), lambda x: x.mean(1, keepdim=True), (2, 3, 4)),
    "var": case(lambda x: ops.var(x, (0, 1)), lambda x: x.var((0, 1), unbiased=False), (2, 3, 4)),
    "max": case(lambda x: ops.max(x, 1), lambda x: x.amax(1), M),
    "min": case(lambda x: ops.min(x, (0, 1)), lambda x: x.amin((0, 1)), M),
    "norm": case(lambda x: ops.norm(x, 1), lambda x: torch.linalg.vector_norm(x, dim=1), M),
    "norm of all": case(ops.norm, torch.linalg.vector_norm, (2, 3, 4)),
    "ratio": case(ops.ratio, torch.divide, M, M, positive=True),
    "logsumexp": case(lambda x: ops.logsumexp(x, (0, 2)), lambda x: x.logsumexp((0, 2)), (2, 3, 4)),
    "softmax": case(lambda x: ops.softmax(x, 1), lambda x: x.softmax(1), (2, 3, 4)),
    "log_softmax": case(ops.log_softmax, lambda x: x.log_softmax(-1), M),
    # shape
    "reshape": case(lambda x: ops.reshape(x, 2, -1) ** 2, lambda x: x.reshape(2, -1) ** 2, M),
    "transpose": case(lambda x: ops.transpose(x, 2, 0, 1) ** 2, lambda x: x.permute(2, 0, 1) ** 2, (2, 3, 4)),
    "swapaxes": case(lambda x: ops.swapaxes(x, 0, 2) ** 2, lambda x: x.swapaxes(0, 2) ** 2, (2, 3, 4)),
    "broadcast_to": case(lambda x: ops.broadcast_to(x, (3, 4)) ** 2, lambda x: x.expand(3, 4) ** 2, (3, 1)),
    "index": case(lambda x: ops.index(x, (COLUMNS[:3], ROWS)) ** 2, lambda x: x[t(COLUMNS[:3]), t(ROWS)] ** 2, M),
    "gather": case(lambda x: ops.gather(x, ROWS, 1) ** 2, lambda x: x.gather(1, t(ROWS)) ** 2, (2, 3)),
    "scatter_add": case(
        lambda x: ops.scatter_add(x, ROWS, 4, 1) ** 2,
        lambda x: torch.zeros(2, 4).double().scatter_add(1, t(ROWS), x) ** 2,
        (2, 3),
    ),
    "pad": case(
        lambda x: ops.pad(x, ((1, 0), (2, 3)), constant_values=0.5) ** 2,
        lambda x: F.pad(x, (2, 3, 1, 0), value=0.5) ** 2,
        M,
    ),
    "concatenate": case(
        lambda a, b: ops.concatenate([a, b], 1) ** 2, lambda a, b: torch.cat([a, b], 1) ** 2, M, (3, 2)
    ),
    "stack": case(lambda a, b: ops.stack([a, b], 1) ** 2, lambda a, b: torch.stack([a, b], 1) ** 2, M, M),
    # linear maps
    "matmul": case(ops.matmul, torch.matmul, (2, 1, 3, 4), (5, 4, 2)),
    "matmul vector": case(ops.matmul, torch.matmul, (2, 3, 4), (4,)),
    "linear": case(ops.linear, F.linear, (5, 3), (4, 3), (4,)),
    "linear leading axes": case(ops.linear, F.linear, (2, 5, 3), (4, 3)),
    "conv2d": case(ops.conv2d, F.conv2d, (2, 3, 6, 5), (4, 3, 3, 2), (4,)),
    "conv2d no bias": case(ops.conv2d, F.conv2d, (2, 3, 5, 5), (4, 3, 1, 1)),
    "max_pool2d": case(lambda x: ops.max_pool2d(x, 2), lambda x: F.max_pool2d(x, 2), (2, 3, 6, 5)),
    "max_pool2d overlap": case(lambda x: ops.max_pool2d(x, 3, 2, 1), lambda x: F.max_pool2d(x, 3, 2, 1), (2, 3, 7, 6)),
    "avg_pool2d": case(lambda x: ops.avg_pool2d(x, 2) ** 2, lambda x: F.avg_pool2d(x, 2) ** 2, (2, 3, 6, 5)),
    "avg_pool2d overlap": case(
        lambda x: ops.avg_pool2d(x, 3, 2, 1) ** 2, lambda x: F.avg_pool2d(x, 3, 2, 1) ** 2, (2, 3, 7, 6)
    ),
    # layers
    "batch_norm": case(
        ops.batch_norm, lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True), (4, 3, 2, 2), (3,), (3,)
    ),
    "batch_norm flat": case(
        ops.batch_norm, lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True), (5, 3), (3,), (3,)
    ),
    "batch_norm eval": case(
        lambda x, w, b: ops.batch_norm(x, w, b, *map(Tensor, RUNNING)),
        lambda x, w, b: F.batch_norm(x, *t(RUNNING), w, b),
        *((4, 3, 2, 2), (3,), (3,)),
    ),
    "local_response_norm": case(
        lambda x: ops.local_response_norm(x, 5, 0.3, 0.75, 2.0),
        lambda x: F.local_response_norm(x, 5, 0.3, 0.75, 2.0),
        (2, 7, 2, 3),
    ),
    "local_response_norm even": case(
        lambda x: ops.local_response_norm(x, 4, 0.3), lambda x: F.local_response_norm(x, 4, 0.3), (2, 6, 2, 3)
    ),
    **{
        f"cross_entropy {reduction}, smoothing {smoothing}, saturating {saturating}": case(
            lambda z, r=reduction, s=smoothing, b=saturating: ops.cross_entropy(z, LABELS, s, r, b),
            lambda z, r=reduction, s=smoothing: F.cross_entropy(z, t(LABELS), reduction=r, label_smoothing=s),
            (4, 5),
        )
        for reduction in ("mean", "sum", "none")
        for smoothing in (0.0, 0.1)
        for saturating in (False, True)
    },
}
TARGET = np.random.default_rng(3).uniform(0.1, 0.9, M)
PROBABILITIES = np.array([[0.2, 0.0, 0.5, 0.3], [0.25, 0.25, 0.25, 0.25], [0.0, 1.0, 0.0, 0.0]])
SEQUENCE = (2, 5, 4)
CASES |= {
    "erf": case(ops.erf, torch.erf, M),
    "erfc": case(ops.erfc, torch.erfc, M),
    "gelu": case(ops.gelu, F.gelu, M),
    "gelu tanh": case(lambda x: ops.gelu(x, "tanh"), lambda x: F.gelu(x, approximate="tanh"), M),
    "silu": case(ops.silu, F.silu, M),
    "elu": case(lambda x: ops.elu(x, 0.7), lambda x: F.elu(x, 0.7), M),
    "softplus beta": case(lambda x: ops.softplus(x, 3.0), lambda x: F.softplus(x, 3.0, 1e3), M),
    "conv1d": case(ops.conv1d, F.conv1d, (2, 3, 7), (4, 3, 2), (4,)),
    "conv1d all": case(
        lambda x, w: ops.conv1d(x, w, None, 2, 1, 2, 2),
        lambda x, w: F.conv1d(x, w, None, 2, 1, 2, 2),
        (2, 4, 9),
        (6, 2, 3),
    ),
    "conv1d same": case(
        lambda x, w: ops.conv1d(x, w, padding="same"), lambda x, w: F.conv1d(x, w, padding="same"), (2, 3, 6), (2, 3, 5)
    ),
    "max_pool2d ceil, dilated": case(
        lambda x: ops.max_pool2d(x, 2, 2, 1, 2, True), lambda x: F.max_pool2d(x, 2, 2, 1, 2, True), (2, 3, 8, 7)
    ),
    "adaptive_avg_pool2d": case(
        lambda x: ops.adaptive_avg_pool2d(x, (3, 2)) ** 2, lambda x: F.adaptive_avg_pool2d(x, (3, 2)) ** 2, (2, 3, 7, 5)
    ),
    "adaptive_avg_pool2d larger": case(
        lambda x: ops.adaptive_avg_pool2d(x, 6) ** 2, lambda x: F.adaptive_avg_pool2d(x, 6) ** 2, (2, 3, 4, 5)
    ),
    "adaptive_max_pool2d": case(
        lambda x: ops.adaptive_max_pool2d(x, (3, 2)) ** 2, lambda x: F.adaptive_max_pool2d(x, (3, 2)) ** 2, (2, 3, 7, 5)
    ),
    "layer_norm": case(
        lambda x, w, b: ops.layer_norm(x, (3, 4), w, b), lambda x, w, b: F.layer_norm(x, (3, 4), w, b), (2, 3, 4), M, M
    ),
    "layer_norm plain": case(lambda x: ops.layer_norm(x, 4, eps=0.1), lambda x: F.layer_norm(x, (4,), eps=0.1), M),
    "group_norm": case(
        lambda x, w, b: ops.group_norm(x, 2, w, b), lambda x, w, b: F.group_norm(x, 2, w, b), (2, 4, 3, 2), (4,), (4,)
    ),
    "rms_norm": case(lambda x, w: ops.rms_norm(x, 4, w), lambda x, w: F.rms_norm(x, (4,), w), M, (4,)),
    "rms_norm eps": case(lambda x: ops.rms_norm(x, M, eps=0.1), lambda x: F.rms_norm(x, M, eps=0.1), (2, *M)),
    "batch_norm plain": case(
        lambda x: ops.batch_norm(x), lambda x: F.batch_norm(x, None, None, training=True), (4, 3, 5)
    ),
    "embedding": case(lambda w: ops.embedding(ROWS, w) ** 2, lambda w: F.embedding(t(ROWS), w) ** 2, (3, 4)),
    "scaled_dot_product_attention": case(
        ops.scaled_dot_product_attention, F.scaled_dot_product_attention, SEQUENCE, (2, 3, 4), (2, 3, 2)
    ),
    "scaled_dot_product_attention causal": case(
        lambda q, k, v: ops.scaled_dot_product_attention(q, k, v, is_causal=True, scale=0.7),
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=0.7),
        *(SEQUENCE, SEQUENCE, SEQUENCE),
    ),
    "scaled_dot_product_attention bools": case(
        lambda q, k, v: ops.scaled_dot_product_attention(q, k, v, np.eye(5, k=1, dtype=bool) | np.eye(5, dtype=bool)),
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, t(np.eye(5, k=1, dtype=bool) | np.eye(5, dtype=bool))),
        *(SEQUENCE, SEQUENCE, SEQUENCE),
    ),
    "scaled_dot_product_attention floats": case(
        lambda q, k, v, m: ops.scaled_dot_product_attention(q, k, v, m),
        lambda q, k, v, m: F.scaled_dot_product_attention(q, k, v, m),
        *(SEQUENCE, SEQUENCE, SEQUENCE, (5, 5)),
    ),
    **{
        f"{name} {reduction}": case(
            lambda x, y, f=f, r=reduction: getattr(ops, f)(x, y, reduction=r),
            lambda x, y, f=f, r=reduction: getattr(F, f)(x, y, reduction=r),
            *(M, M),
        )
        for name, f in (("mse_loss", "mse_loss"), ("l1_loss", "l1_loss"), ("huber_loss", "huber_loss"))
        for reduction in ("mean", "sum", "none")
    },
    "huber_loss delta": case(
        lambda x, y: ops.huber_loss(x, y, "none", 0.3), lambda x, y: F.huber_loss(x, y, "none", 0.3), M, M
    ),
    "binary_cross_entropy": case(
        lambda x: ops.binary_cross_entropy(ops.sigmoid(x), TARGET),
        lambda x: F.binary_cross_entropy(torch.sigmoid(x), t(TARGET)),
        M,
    ),
    "binary_cross_entropy_with_logits": case(
        lambda x: ops.binary_cross_entropy_with_logits(x, TARGET, "none", WEIGHTS[0]),
        lambda x: F.binary_cross_entropy_with_logits(x, t(TARGET), reduction="none", pos_weight=t(WEIGHTS[0])),
        M,
    ),
    **{
        f"kl_div {reduction}": case(
            lambda x, r=reduction: ops.kl_div(x, PROBABILITIES, r),
            lambda x, r=reduction: F.kl_div(x, t(PROBABILITIES), reduction=r),
            M,
        )
        for reduction in ("mean", "sum", "none", "batchmean")
    },
    "kl_div log_target": case(
        lambda x, y: ops.kl_div(x, y, "sum", True), lambda x, y: F.kl_div(x, y, reduction="sum", log_target=True), M, M
    ),
}
SOME = np.array([0, -100, 4, 1])
SHARES = np.random.default_rng(4).dirichlet(np.ones(5), 4)
CLASS_WEIGHTS = np.array([0.5, 1.0, 2.0, 0.1, 3.0])
for reduction in ("mean", "sum", "none"):
    for smoothing in (0.0, 0.1):
        for what, labels, options in (
            ("weights", LABELS, {"weight": CLASS_WEIGHTS}),
            ("ignored", SOME, {}),
            ("ignored and weights", SOME, {"weight": CLASS_WEIGHTS}),
            ("soft", SHARES, {}),
            ("soft and weights", SHARES, {"weight": CLASS_WEIGHTS}),
        ):
            CASES[f"cross_entropy {what}, {reduction}, smoothing {smoothing}"] = case(
                lambda z, y=labels, o=options, r=reduction, s=smoothing: ops.cross_entropy(z, y, s, r, **o),
                lambda z, y=labels, o=options, r=reduction, s=smoothing: F.cross_entropy(
                    z, t(y), reduction=r, label_smoothing=s, **{k: t(v) for k, v in o.items()}
                ),
                (4, 5),
            )
GEOMETRIES = {  # x, w, then what both libraries call stride, padding, dilation, groups
    "stride": ((2, 3, 8, 7), (4, 3, 3, 3), {"stride": (2, 3)}),
    "padding": ((2, 3, 5, 4), (4, 3, 3, 3), {"padding": (2, 1)}),
    "same": ((2, 3, 5, 6), (4, 3, 3, 5), {"padding": "same"}),
    "dilation": ((2, 3, 9, 8), (4, 3, 3, 2), {"dilation": (2, 3)}),
    "groups": ((2, 4, 5, 5), (6, 2, 3, 3), {"groups": 2}),
    "depthwise": ((2, 3, 5, 5), (6, 1, 3, 3), {"groups": 3, "padding": 1}),
    "all": ((2, 4, 11, 9), (6, 2, 3, 2), {"stride": 2, "padding": (2, 1), "dilation": (2, 1), "groups": 2}),
}
for name, (x, w, options) in GEOMETRIES.items():
    CASES[f"conv2d {name}"] = case(
        lambda x, w, b, o=options: ops.conv2d(x, w, b, **o),
        lambda x, w, b, o=options: F.conv2d(x, w, b, **o),
        x,
        w,
        (w[0],),
    )
for name, x, w, options in (
    ("", (2, 4, 3, 3), (4, 2, 3, 3), {}),
    (" stride", (2, 4, 3, 4), (4, 2, 3, 3), {"stride": 2, "padding": 1}),
    (" groups", (2, 4, 3, 4), (4, 3, 2, 3), {"stride": (1, 2), "groups": 2}),
    (" output_padding", (2, 4, 3, 4), (4, 2, 3, 3), {"stride": (2, 3), "padding": 1, "output_padding": (1, 2)}),
    (" dilation", (2, 4, 3, 4), (4, 2, 3, 2), {"stride": 2, "dilation": (2, 3), "output_padding": 1, "groups": 2}),
):
    CASES[f"conv_transpose2d{name}"] = case(
        lambda x, w, b, o=options: ops.conv_transpose2d(x, w, b, **o),
        lambda x, w, b, o=options: F.conv_transpose2d(x, w, b, **o),
        *(x, w, (w[1] * options.get("groups", 1),)),
    )

for name, (ours, theirs, shapes) in ARRAYS.items():
    CASES[name] = case(lambda *xs, f=ours: f(*xs) ** 2, lambda *ts, f=theirs: f(*ts) ** 2, *shapes)

# Piecewise constant (their only derivative is the declared zero, tested with the ops) or random.
NO_DERIVATIVE = {
    "argmax", "bitwise_and", "bitwise_or", "bitwise_xor", "ceil", "equal", "floor", "floor_divide", "greater",
    "greater_equal", "invert", "isfinite", "isinf", "isnan", "less", "less_equal", "logical_and", "logical_not",
    "logical_or", "logical_xor", "not_equal", "numpy_table", "positive", "rint", "round", "sign", "signbit", "trunc",
}  # fmt: skip
RANDOM = {"dropout"}  # the same mask cannot be drawn; with its mask it is `mask`
CREATED = {  # of no tensor: there is nothing to differentiate by
    "arange", "eye", "full", "full_like", "linspace", "ones", "ones_like", "zeros", "zeros_like",
}  # fmt: skip


def test_every_op_has_a_case() -> None:
    assert {name.split()[0] for name in CASES} | NO_DERIVATIVE | PLACES | RANDOM | CREATED == set(ops.__all__)


def zero_if_none(gradients: Sequence[Tensor | None], like: Sequence[Tensor]) -> list[Tensor]:
    return [Tensor(np.zeros(x.shape)) if g is None else g for g, x in zip(gradients, like, strict=True)]


@pytest.mark.parametrize("name", CASES)
def test_values_gradients_and_double_gradients(name: str) -> None:
    ours, theirs, shapes, positive = CASES[name]
    rng = np.random.default_rng(len(name))
    arrays = [rng.uniform(0.5, 2, s) if positive else rng.standard_normal(s) for s in shapes]
    xs, ts = [Tensor(a, requires_grad=True) for a in arrays], [torch.tensor(a, requires_grad=True) for a in arrays]
    y, z = ours(*xs), theirs(*ts)
    assert_close(y, z, "value")
    cotangent = rng.standard_normal(y.shape)
    g, h = Tensor(cotangent, requires_grad=True), torch.tensor(cotangent, requires_grad=True)
    first = zero_if_none(autograd.grad(y, xs, [g], create_graph=True, allow_unused=True), xs)
    torch_first = torch.autograd.grad(z, ts, h, create_graph=True)
    along, torch_along = Tensor(np.zeros(())), torch.zeros((), dtype=torch.float64)
    for i, (a, b) in enumerate(zip(first, torch_first, strict=True)):
        assert_close(a, b, f"gradient {i}")
        v = rng.standard_normal(a.shape)
        along, torch_along = along + ops.sum(a * v), torch_along + (b * torch.tensor(v)).sum()
    second = zero_if_none(autograd.grad(along, [*xs, g], allow_unused=True), [*xs, g])
    torch_second = torch.autograd.grad(torch_along, [*ts, h], allow_unused=True, materialize_grads=True)
    for i, (a, b) in enumerate(zip(second, torch_second, strict=True)):
        assert_close(a, b, f"double gradient {i}")
