"""What must give the same numbers wherever the arrays live: every primitive, public function, layer and attack.

The tables are complete on purpose; a test fails when something new has no row. `orders` and `network` collect values
and derivatives up to the second order; the tests compare what they collect on two devices.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from array_cases import CASES as ARRAY_CASES
from array_cases import PLACES, ZEROS, regular
from cupy_double import names

import tinygrad2 as tg
from tinygrad2 import experiments as ex
from tinygrad2 import nn, ops, robust
from tinygrad2.autodiff import REGISTRY, Tensor, VariadicPrimitive, autograd
from tinygrad2.kernels import Geometry, to_device, to_numpy
from tinygrad2.nn import Layer

TOLERANCE = {"float32": 2e-5, "float64": 1e-11}

_rng = np.random.default_rng(7)


def real(*shape: int) -> np.ndarray[Any, Any]:
    """Normal numbers, none closer to 0 than 0.1: no kink and no tie within rounding."""
    x = _rng.normal(size=shape)
    return x + np.copysign(0.1, x)


def positive(*shape: int) -> np.ndarray[Any, Any]:
    return _rng.uniform(0.5, 2.0, shape)


class Case(NamedTuple):
    """f(*tensors, *constants); constant arrays go to the device as well, "@device" and "@dtype" are filled in."""

    arrays: tuple[np.ndarray[Any, Any], ...]
    constants: tuple[Any, ...] = ()


CONV = Geometry.of((6, 5), (3, 2), stride=(2, 1), padding=((1, 0), (2, 1)), dilation=1, groups=2)
POOL = Geometry.of((6, 5), (3, 2), stride=2, padding=((1, 0), (0, 1)))
PAIR = Case((real(2, 3), real(2, 3)))
ONE = Case((real(2, 3),))
BOOLEAN = np.array([[True, False, True], [False, False, True]])
X, W, G = real(2, 4, 6, 5), real(6, 2, 3, 2), real(2, 6, *CONV.output)
AT = _rng.integers(0, 30, (2, 4, *POOL.output)).astype(np.int32)
PASSING = _rng.integers(-1, X.shape[0] * 2, (2, 6, 2, 3)).astype(np.int32)
ROWS = np.array([2, 0, 2, -1])

PRIMITIVES: dict[str, Case] = {
    **dict.fromkeys(names("add subtract multiply divide maximum share equal not_equal"), PAIR),
    **dict.fromkeys(names("less less_equal greater greater_equal"), PAIR),
    **dict.fromkeys(names("erf erfc negative exp tanh sigmoid softplus positive sign relu abs identity"), ONE),
    **dict.fromkeys(names("exp2 expm1 square sin cos tan sinh cosh arctan arcsinh"), ONE),
    **dict.fromkeys(names("floor ceil trunc rint isfinite isinf isnan signbit"), ONE),
    **dict.fromkeys(names("log sqrt log2 log10 log1p cbrt reciprocal"), Case((positive(2, 3),))),
    **dict.fromkeys(names("arcsin arccos arctanh"), Case((np.tanh(real(2, 3)),))),
    "arccosh": Case((1.0 + positive(2, 3),)),
    **dict.fromkeys(names("minimum hypot arctan2 logaddexp logaddexp2 remainder fmod floor_divide either"), PAIR),
    **dict.fromkeys(names("logical_and logical_or logical_xor"), PAIR),
    **dict.fromkeys(names("bitwise_and bitwise_or bitwise_xor"), Case((BOOLEAN, BOOLEAN[::-1]))),
    "invert": Case((BOOLEAN,)),
    "round": Case((real(2, 3),), (1,)),
    "scale": Case((real(2, 3),), (-2.5,)),
    "powers": Case((positive(2, 3), real(2, 3))),
    "power": Case((positive(2, 3),), (2.5,)),
    "mask": Case((real(2, 3), BOOLEAN)),
    "where": Case((BOOLEAN, real(2, 3), real(1, 3))),
    "logical_not": Case((BOOLEAN,)),
    "clip": Case((real(2, 3),), (-0.5, 0.5)),
    "inside": Case((real(2, 3),), (-0.5, 0.5)),
    "astype": Case((real(2, 3),), ("float64", "@dtype")),
    "as_float": Case((BOOLEAN,), ("@dtype",)),
    "to": Case((real(2, 3),), ("@device", "@device")),
    "derivative_of": PAIR,
    "ratio": Case((real(2, 3), real(2, 3) * BOOLEAN)),
    "reshape": Case((real(2, 3),), ((3, 2), (2, 3))),
    "transpose": Case((real(2, 3, 4),), ((2, 0, 1),)),
    "broadcast_to": Case((real(1, 3),), ((4, 2, 3), (1, 3))),
    "sum_to": Case((real(4, 2, 3),), ((1, 3), (4, 2, 3))),
    "index": Case((real(3, 4),), ((ROWS,), (3, 4))),
    "index_add": Case((real(4, 4),), ((ROWS,), (3, 4))),
    "concatenate": Case((real(2, 3), real(2, 1)), (1, (0, 3, 4))),
    "max": Case((real(2, 3, 4),), ((0, 2),)),
    "ties": Case((np.array([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]]),), ((1,),)),
    "argmax": Case((real(2, 3),), (1,)),
    "adaptive_argmax": Case((X,), ([(0, 2), (2, 4), (4, 6)], [(0, 3), (2, 5)])),
    **dict.fromkeys(names("logsumexp softmax log_softmax"), Case((real(2, 3),), (1,))),
    **dict.fromkeys(names("centered unmixed"), Case((real(2, 3), real(2, 3)), (1,))),
    "norm": Case((real(2, 3, 2),), ((0, 2), 3.0)),
    **dict.fromkeys(names("odd_power even_power"), Case((real(2, 3),), (1.5,))),
    "matmul": Case((real(5, 2, 3), real(1, 3, 4))),
    "linear": Case((real(2, 5, 3), real(4, 3))),
    "linear_input": Case((real(2, 5, 4), real(4, 3))),
    "linear_weight": Case((real(2, 5, 3), real(2, 5, 4))),
    "gram": Case((real(4, 3),)),
    "quadratic": Case((real(2, 5, 3), real(3, 3)), (real(2, 5, 3), (1, 2))),
    "root": Case((positive(2, 3),)),
    "sum_squares": Case((real(2, 3, 2),), ((0, 2),)),
    "conv2d": Case((X, W), (CONV,)),
    "conv2d_input": Case((real(3, 2, 6, *CONV.output), W), (CONV,)),
    "conv2d_weight": Case((X, G), (CONV,)),
    "conv2d_at": Case((X, W, PASSING), (CONV,)),
    "conv2d_input_at": Case((real(3, *PASSING.shape), W, PASSING), (CONV,)),
    "conv2d_weight_at": Case((real(3, *X.shape), real(3, *PASSING.shape), PASSING), (CONV,)),
    "let_through": Case((PASSING, PASSING % 3 > 0)),
    "pool_argmax": Case((X,), (POOL,)),
    "pool_gather": Case((real(3, 2, 4, 6, 5), AT), ((6, 5),)),
    "pool_scatter": Case((real(3, 2, 4, *POOL.output), AT), ((6, 5),)),
    "avg_pool2d": Case((X,), (POOL,)),
    "avg_unpool2d": Case((real(2, 4, *POOL.output),), (POOL,)),
    **dict.fromkeys(("tril", "triu"), Case((real(2, 3, 4),), (1,))),
    "cumsum": Case((real(2, 3),), (1,)),
    "prod": Case((ZEROS,)),
    "recurrence": Case((real(4, 2), real(4, 2))),
    "argmin": Case((real(2, 3),), (1,)),
    "argsort": Case((real(2, 3),), (1, True)),
    **dict.fromkeys(("inv", "det", "logdet", "signdet"), Case((regular(2, 3, 3),))),
    "solve": Case((regular(2, 3, 3), real(2, 3, 2))),
}

LABELS = np.array([2, 0, 1, 2])

# The public functions that are not primitives themselves. Labels and indices stay NumPy arrays, as a user gives them.
TOKENS = np.array([[2, 0, 2], [1, 1, 0]])
TARGET = _rng.uniform(0.1, 0.9, (2, 3))
CAUSAL = np.tri(5, dtype=bool)
FUNCTIONS: dict[str, tuple[Callable[..., Tensor], Case]] = {
    "adaptive_avg_pool2d": (lambda x: ops.adaptive_avg_pool2d(x, (4, 3)), Case((X,))),
    "adaptive_max_pool2d": (lambda x: ops.adaptive_max_pool2d(x, (4, 3)), Case((X,))),
    "binary_cross_entropy": (lambda p, t: ops.binary_cross_entropy(p, t), Case((TARGET, TARGET.T.reshape(2, 3)))),
    "binary_cross_entropy_with_logits": (
        lambda z, t, w: ops.binary_cross_entropy_with_logits(z, t, "none", w),
        Case((real(2, 3), TARGET, positive(3))),
    ),
    "conv1d": (
        lambda x, w, b: ops.conv1d(x, w, b, stride=2, padding=(1, 2), groups=2),
        Case((real(2, 4, 7), real(6, 2, 3), real(6))),
    ),
    "elu": (lambda x: ops.elu(x, 0.7), ONE),
    "embedding": (lambda w: ops.embedding(TOKENS, w), Case((real(3, 4),))),
    "gelu": (lambda x: ops.gelu(x) + ops.gelu(x, "tanh"), ONE),
    "group_norm": (lambda x, w, b: ops.group_norm(x, 2, w, b), Case((X, real(4), real(4)))),
    "huber_loss": (lambda x, t: ops.huber_loss(x, t, "none", 0.7), PAIR),
    "kl_div": (lambda x, t: ops.kl_div(x, t) + ops.kl_div(x, t, "sum", True), Case((real(2, 3), TARGET))),
    "l1_loss": (lambda x, t: ops.l1_loss(x, t, "sum"), PAIR),
    "layer_norm": (lambda x, w, b: ops.layer_norm(x, (3, 4), w, b), Case((real(2, 3, 4), real(3, 4), real(3, 4)))),
    "mse_loss": (lambda x, t: ops.mse_loss(x, t), PAIR),
    "rms_norm": (lambda x, w: ops.rms_norm(x, 4, w), Case((real(2, 3, 4), real(4)))),
    "scaled_dot_product_attention": (
        lambda q, k, v: ops.scaled_dot_product_attention(q, k, v, CAUSAL),
        Case((real(2, 5, 3), real(2, 5, 3), real(2, 5, 4))),
    ),
    "silu": (lambda x: ops.silu(x), ONE),
    "softplus": (lambda x: ops.softplus(x, 2.0), ONE),
    "arange": (lambda x: x + ops.arange(3, dtype=x.dtype, device=x.device), ONE),
    "argmax": (lambda x: ops.argmax(x, 1), ONE),
    "astype": (lambda x: ops.astype(x, np.float64), ONE),
    "avg_pool2d": (lambda x: ops.avg_pool2d(x, 2, padding=1), Case((X,))),
    "batch_norm": (lambda x, w, b: ops.batch_norm(x, w, b), Case((X, real(4), real(4)))),
    "broadcast_to": (lambda x: ops.broadcast_to(x, (2, 2, 3)), ONE),
    "clip": (lambda x, b: ops.clip(ops.clip(x, -0.5), max=b), PAIR),
    "concatenate": (lambda x, y: ops.concatenate([x, y], -1), PAIR),
    "conv2d": (
        lambda x, w, b: ops.conv2d(x, w, b, stride=2, padding="same", groups=2),
        Case((X, W, real(6))),
    ),
    "conv_transpose2d": (
        lambda x, w, b: ops.conv_transpose2d(x, w, b, stride=2, padding=1),
        Case((real(2, 6, 4, 3), W, real(2))),
    ),
    "cross_entropy": (
        lambda z: ops.cross_entropy(z, LABELS, label_smoothing=0.1, reduction="none"),
        Case((real(4, 3),)),
    ),
    "degrees": (ops.degrees, ONE),
    "divmod": (lambda a, b: ops.stack(ops.divmod(a, b)), PAIR),
    "dropout": (lambda x: ops.dropout(x, 0.4, np.random.default_rng(3)), ONE),
    "eye": (lambda x: x + ops.eye(2, 3, x.dtype, device=x.device), ONE),
    "full": (lambda x: x + ops.full((2, 3), 0.5, x.dtype, device=x.device), ONE),
    "full_like": (lambda x: x + ops.full_like(x, 0.5), ONE),
    "gather": (lambda x: ops.gather(x, np.array([[0, 0], [2, -1]]), 1), ONE),
    "index": (lambda x: x[1:, np.array([2, 0, 2])], ONE),
    "leaky_relu": (lambda x: ops.leaky_relu(x, 0.2), ONE),
    "linear": (lambda x, w, b: ops.linear(x, w, b), Case((real(5, 3), real(4, 3), real(4)))),
    "linspace": (lambda x: x + ops.linspace(0.0, 1.0, 3, x.dtype, device=x.device), ONE),
    "local_response_norm": (lambda x: ops.local_response_norm(x, 3, 0.5), Case((X,))),
    "log_softmax": (lambda x: ops.log_softmax(x), ONE),
    "logsumexp": (lambda x: ops.logsumexp(x), ONE),
    "matmul": (lambda a, b: ops.matmul(a, b), Case((real(3), real(5, 3, 2)))),
    "max": (lambda x: ops.max(x, 0), ONE),
    "max_pool2d": (lambda x: ops.max_pool2d(x, 3, 2, 1), Case((X,))),
    "mean": (lambda x: ops.mean(x, 1), ONE),
    "min": (lambda x: ops.min(x, 1, keepdims=True), ONE),
    "norm": (lambda x: ops.norm(x), ONE),
    "ones": (lambda x: x + ops.ones((2, 3), x.dtype, device=x.device), ONE),
    "ones_like": (lambda x: x + ops.ones_like(x), ONE),
    "pad": (lambda x: ops.pad(x, ((1, 0), (2, 1)), constant_values=0.5), ONE),
    "power": (lambda x, p: ops.power(x, p), Case((positive(2, 3), real(2, 3)))),
    "prelu": (lambda x, a: ops.prelu(x, a), Case((X, real(4)))),
    "radians": (ops.radians, ONE),
    "reshape": (lambda x: ops.reshape(x, (3, -1)), ONE),
    "round": (lambda x: ops.round(x, 1), ONE),
    "scatter_add": (lambda x: ops.scatter_add(x, np.array([[0, 1, 1], [3, 0, 3]]), 4, 1), ONE),
    "softmax": (lambda x: ops.softmax(x, 0), ONE),
    "stack": (lambda a, b: ops.stack([a, b], 1), PAIR),
    "sum": (lambda x: ops.sum(x), ONE),
    "swapaxes": (lambda x: ops.swapaxes(x, 0, 1), ONE),
    "transpose": (lambda x: ops.transpose(x), ONE),
    "var": (lambda x: ops.var(x, 1), ONE),
    "zeros": (lambda x: x + ops.zeros((2, 3), x.dtype, device=x.device), ONE),
    "zeros_like": (lambda x: x + ops.zeros_like(x), ONE),
}

# The functions on whole arrays, some of them several times; the first row of each is among the functions.
ARRAYS = {name: (partial(f, ops), Case(tuple(arrays))) for name, (f, arrays) in {**ARRAY_CASES, **PLACES}.items()}
for _name, _row in ARRAYS.items():
    FUNCTIONS.setdefault(_name.partition(",")[0], _row)

IMAGES = (3, 4, 6, 6)
VECTORS = (3, 5)
SEQUENCES = (3, 4, 5)


class OneToken(Layer):
    """x + the vector of token 2, so that an embedding has an input with a derivative beside it."""

    def __init__(self, embedding: nn.Embedding) -> None:
        self.embedding = embedding

    def forward(self, x: Tensor) -> Tensor:
        return ops.concatenate([x, self.embedding(Tensor(np.full(len(x), 2)).to(x.device))], 1)


# (a layer made afresh, in float64; the shape of its input)
LAYERS: dict[str, tuple[Callable[[], Layer], tuple[int, ...]]] = {
    "AdaptiveAvgPool2d": (lambda: nn.AdaptiveAvgPool2d((4, 3)), IMAGES),
    "AdaptiveMaxPool2d": (lambda: nn.AdaptiveMaxPool2d((4, 3)), IMAGES),
    "Concatenate": (lambda: nn.Concatenate(nn.Tanh(), nn.Linear(5, 2, rng=0, dtype=np.float64)), VECTORS),
    "Conv1d": (lambda: nn.Conv1d(4, 6, 2, 2, 1, 1, 2, rng=0, dtype=np.float64), SEQUENCES),
    "ConvTranspose2d": (lambda: nn.ConvTranspose2d(4, 6, 3, 2, 1, 1, 2, rng=0, dtype=np.float64), IMAGES),
    "ELU": (lambda: nn.ELU(0.7), VECTORS),
    "GELU": (lambda: nn.Sequential(nn.GELU(), nn.GELU("tanh")), VECTORS),
    "GroupNorm": (lambda: nn.GroupNorm(2, 4, dtype=np.float64), IMAGES),
    "LayerNorm": (lambda: nn.LayerNorm(5, dtype=np.float64), SEQUENCES),
    "MultiheadAttention": (
        lambda: nn.MultiheadAttention(5, 1, 0.3, is_causal=True, rng=0, dtype=np.float64),
        SEQUENCES,
    ),
    "RMSNorm": (lambda: nn.RMSNorm(5, dtype=np.float64), SEQUENCES),
    "SiLU": (lambda: nn.SiLU(), VECTORS),
    "Softplus": (lambda: nn.Softplus(2.0), VECTORS),
    "Sum": (lambda: nn.Sum(nn.Tanh(), nn.Linear(5, 5, rng=0, dtype=np.float64)), VECTORS),
    "AvgPool2d": (lambda: nn.AvgPool2d(3, 2, 1), IMAGES),
    "BatchNorm1d": (lambda: nn.BatchNorm1d(5, dtype=np.float64), VECTORS),
    "BatchNorm2d": (lambda: nn.BatchNorm2d(4, dtype=np.float64), IMAGES),
    "Embedding": (lambda: OneToken(nn.Embedding(5, 3, rng=0, dtype=np.float64)), VECTORS),
    "Conv2d": (lambda: nn.Conv2d(4, 6, (3, 2), stride=2, padding=1, groups=2, rng=0, dtype=np.float64), IMAGES),
    "Dropout": (lambda: nn.Dropout(0.4, rng=0), VECTORS),
    "Flatten": (lambda: nn.Flatten(), IMAGES),
    "GlobalAvgPool": (lambda: nn.GlobalAvgPool(), IMAGES),
    "Identity": (lambda: nn.Identity(), VECTORS),
    "LeakyReLU": (lambda: nn.LeakyReLU(0.2), VECTORS),
    "Linear": (lambda: nn.Linear(5, 4, rng=0, dtype=np.float64), VECTORS),
    "LocalResponseNorm": (lambda: nn.LocalResponseNorm(3, 0.5), IMAGES),
    "MaxPool2d": (lambda: nn.MaxPool2d(3, 2, 1), IMAGES),
    "PReLU": (lambda: nn.PReLU(4, dtype=np.float64), IMAGES),
    "ReLU": (lambda: nn.ReLU(), VECTORS),
    "Residual": (lambda: nn.Residual(nn.Sequential(nn.Linear(5, 5, rng=0, dtype=np.float64), nn.Tanh())), VECTORS),
    "Sequential": (
        lambda: nn.Sequential(
            nn.Conv2d(4, 3, 3, rng=0, dtype=np.float64),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(12, 3, rng=1, dtype=np.float64),
        ),
        IMAGES,
    ),
    "Sigmoid": (lambda: nn.Sigmoid(), VECTORS),
    "Softmax": (lambda: nn.Softmax(), VECTORS),
    "Tanh": (lambda: nn.Tanh(), VECTORS),
}


def own_primitives() -> set[str]:
    """The names of tinygrad2's own primitives; a test may have registered others."""
    return {name for name, p in REGISTRY.items() if all(rule.__module__.startswith("tinygrad2.") for rule in p.rules)}


def public_functions() -> set[str]:
    """The names in ops.__all__ that are not a primitive's own name for itself, and take tensors."""
    return {name for name in ops.__all__ if name != "numpy_table" and getattr(ops, name) is not REGISTRY.get(name)}


def layers() -> set[str]:
    """The names of all layers of tinygrad2.nn, but for their base."""
    named = ((name, getattr(nn, name)) for name in nn.__all__)
    return {name for name, c in named if isinstance(c, type) and issubclass(c, Layer) and c is not Layer}


def primitive_call(name: str) -> Callable[..., Tensor]:
    """The primitive as a function of tensors and constants."""
    p = REGISTRY[name]
    if not isinstance(p, VariadicPrimitive):
        return p
    return lambda *args: p(args[:2], *args[2:])


def place(value: Any, device: str, dtype: str) -> Any:
    """A constant of a case as it is given on a device."""
    if isinstance(value, np.ndarray):
        return to_device(value.astype(dtype) if value.dtype.kind == "f" else value, device)
    if isinstance(value, tuple) and not isinstance(value, Geometry):
        return tuple(place(v, device, dtype) for v in value)
    return {"@device": device, "@dtype": np.dtype(dtype)}.get(value, value) if isinstance(value, str) else value


def leaf(values: np.ndarray[Any, Any], device: str, dtype: str) -> Tensor:
    """A tensor on the device: a leaf where it can carry a gradient."""
    is_float = values.dtype.kind == "f"
    return Tensor(to_device(values.astype(dtype) if is_float else values, device), requires_grad=is_float)


def like(y: Tensor, seed: int, requires_grad: bool = True) -> Tensor:
    """A random tensor of y's shape, dtype and device."""
    values = np.random.default_rng(seed).normal(size=y.shape).astype(y.dtype)
    return Tensor(to_device(np.asarray(values), y.device), requires_grad=requires_grad)


def orders(f: Callable[..., Tensor], case: Case, device: str, dtype: str) -> Iterator[tuple[str, Tensor]]:
    """f's value, its pullback g = Jᵀu, and the pullback of the pullback: everything that double backprop meets."""
    xs = [leaf(a, device, dtype) for a in case.arrays]
    y = f(*xs, *[place(c, device, dtype) for c in case.constants])
    yield "value", y
    leaves = [x for x in xs if x.requires_grad]
    if not y.requires_grad or y.dtype.kind != "f":
        return
    u = like(y, 1)
    first = [g for g in autograd.grad(y, leaves, u, create_graph=True, allow_unused=True) if g is not None]
    yield from ((f"first derivative {i}", g) for i, g in enumerate(first))
    carried = [g for g in first if g.requires_grad]
    if carried:
        weights = [like(g, 2 + i, requires_grad=False) for i, g in enumerate(carried)]
        second = autograd.grad(carried, [*leaves, u], weights, allow_unused=True)
        yield from ((f"second derivative {i}", g) for i, g in enumerate(second) if g is not None)


def network(
    make: Callable[[], Layer], shape: tuple[int, ...], device: str, training: bool
) -> Iterator[tuple[str, Tensor]]:
    """A layer's output, reverse layer, linearised layer, exact Jacobian, and the gradients of a penalty on that."""
    layer = make().train(training).to(device)
    x = leaf(np.random.default_rng(5).normal(size=shape), device, "float64")
    trace = layer.trace(x)
    yield "output", trace.output
    reverse = trace.reverse()
    yield "reverse", reverse(like(trace.output, 1, False))
    yield "linearised", reverse.reverse()(like(x, 2, False))
    jacobian = trace.jacobian()
    yield "jacobian", jacobian
    loss = (jacobian * jacobian).sum() + (trace.output * trace.output).sum()
    loss.backward()
    for name, t in [("x", x), *layer.named_tensors()]:
        yield name, t
        if t.grad is not None:
            yield f"gradient of {name}", t.grad


def _small_net(seed: int = 0) -> Layer:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, rng=seed, dtype=np.float64),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(16, 5, rng=1, dtype=np.float64),
    )


def _attacked(f: Callable[..., Any]) -> Callable[[Layer, Any, Any], Iterator[tuple[str, Any]]]:
    def parts(net: Layer, x: Any, labels: Any) -> Iterator[tuple[str, Any]]:
        found = f(net, x, labels)
        return ((name, getattr(found, name)) for name in ("adversarial", "success", "norms", "iterations"))

    return parts


def _defended(mode: str) -> Callable[[Layer, Any, Any], Iterator[tuple[str, Any]]]:
    def parts(net: Layer, x: Any, labels: Any) -> Iterator[tuple[str, Any]]:
        loss = robust.deep_defense(net, x, labels, mode=mode)
        loss.total.backward()
        yield from loss._asdict().items()
        yield from ((name, p.grad) for name, p in net.named_parameters())

    return parts


def _penalized(name: str) -> Callable[[Layer, Any, Any], Iterator[tuple[str, Any]]]:
    def parts(net: Layer, x: Any, labels: Any) -> Iterator[tuple[str, Any]]:
        penalty = robust.penalty(name)
        value = penalty(
            net.trace(Tensor(x).to(_device(net))), labels, **({"rng": 1} if "rng" in penalty.options else {})
        )
        yield "value", value
        yield from _gradients(value, net)

    return parts


def _gradients(value: Tensor, net: Layer) -> Iterator[tuple[str, Tensor]]:
    grads = tg.autograd.grad(value, net.parameters(), allow_unused=True)
    return ((f"gradient {i}", g) for i, g in enumerate(grads) if g is not None)


def _total_loss(net: Layer, x: Any, labels: Any) -> Iterator[tuple[str, Any]]:
    trace = net.trace(Tensor(x).to(_device(net)))
    loss = robust.total_loss(net, ops.cross_entropy(trace.output, labels), robust.jacobian_frobenius(trace), ["4"])
    yield "value", loss
    yield from _gradients(loss, net)


def _fixed(net: Layer, x: Any, labels: Any) -> Iterator[tuple[str, Any]]:
    robust.fix_last_layer(net, rng=2)
    yield from net.named_tensors()


def _trained(defense: robust.Defense) -> Callable[[Layer, Any, Any], Iterator[tuple[str, Any]]]:
    """One step of the training loop: losses, gradients, what the defense does to the weights, what it keeps."""

    def parts(net: Layer, x: Any, labels: Any) -> Iterator[tuple[str, Any]]:
        made = copy.deepcopy(defense)
        made.start(net, x, labels)
        losses = made.losses(net, Tensor(x).to(_device(net)), labels, np.arange(len(labels)))
        losses["loss"].backward()
        yield from losses.items()
        yield from ((f"gradient of {name}", p.grad) for name, p in net.named_parameters())
        made.after_step(net)
        yield from net.named_parameters()
        yield from made.arrays().items()

    return parts


_SIGNS = lambda net, x, labels: robust.fgsm(net, x, labels, 0.1).adversarial
DEFENSES = {
    "none": robust.Defense(robust.Objective(robust.PENALTIES["logit_margin"], label_smoothing=0.1)),
    "deep-defense": robust.DeepDefense(layers=["0"]),
    "adversarial": robust.AdversarialTraining(_SIGNS, share=0.5),
    "adversarial-fixed": robust.FixedAdversarialSet(append=False),
    "parseval": robust.Parseval(),
    "smooth-gradient": robust.SmoothGradient(noise=0.1),
}

# f(net, x, labels) as named results, x and labels on the host, the net where it is.
ROBUST: dict[str, Callable[[Layer, Any, Any], Any]] = {
    "accuracy": lambda net, x, labels: [("accuracy", robust.accuracy(net, x, labels))],
    "apgd": _attacked(
        lambda net, x, y: robust.apgd(net, x, y, 0.1, loss="dlr", steps=4, restarts=2, rng=1, box=(0.0, 1.0))
    ),
    "auto": _attacked(lambda net, x, y: robust.auto(net, x, y, 0.1, steps=4, queries=8, rng=1, box=(0.0, 1.0))),
    "bim": _attacked(lambda net, x, labels: robust.bim(net, x, labels, 0.1, steps=3, box=(0.0, 1.0))),
    "cw_l2": _attacked(
        lambda net, x, labels: robust.cw_l2(net, x, labels, steps=10, searches=2, step_size=0.1, box=(0.0, 1.0))
    ),
    "cw_linf": _attacked(lambda net, x, labels: robust.cw_linf(net, x, labels, 0.1, kappa=1.0, steps=3)),
    "accuracy_curve": lambda net, x, y: [("accuracies", robust.accuracy_curve(net, x, y, [0.0, 0.1, 0.3]))],
    "frobenius_norms": lambda net, x, labels: [("norms", robust.frobenius_norms(net, x, on="softmax"))],
    "margin_bound": lambda net, x, labels: vars(robust.margin_bound(net, x)).items(),
    "pixel_curve": lambda net, x, y: [("shares", robust.pixel_curve(net, x, y, box=(0.0, 1.0), theta=0.3, steps=9))],
    "deep_defense": _defended("corrected"),
    "deep_defense, as coded": _defended("coded"),
    **{f"defense {name}": _trained(defense) for name, defense in DEFENSES.items()},
    "deepfool": _attacked(robust.deepfool),
    "deepfool, l1 in a box": _attacked(lambda net, x, y: robust.deepfool(net, x, y, p=1, box=(0.0, 1.0))),
    "deepfool, l3": _attacked(lambda net, x, y: robust.deepfool(net, x, y, p=3)),
    "deepfool, l∞": _attacked(lambda net, x, y: robust.deepfool(net, x, y, p=float("inf"))),
    "jsma": _attacked(lambda net, x, y: robust.jsma(net, x, y, box=(0.0, 1.0), theta=0.3)),
    "jsma, pairs to a class": _attacked(
        lambda net, x, y: robust.jsma(net, x, y, box=(0.0, 1.0), pairs=True, softmax=True, targets=1, gamma=0.5)
    ),
    "fix_last_layer": _fixed,
    "diagnose": lambda net, x, labels: [
        (name, np.array(share))
        for name, share in robust.diagnose(
            net, x, labels, robust.fgsm(net, x, labels, 0.1), 0.1, other=_small_net().to(_device(net))
        ).probes.items()
    ],
    "fgsm": _attacked(lambda net, x, labels: robust.fgsm(net, x, labels, 0.1, box=(0.0, 1.0))),
    "loss_gradient": lambda net, x, labels: [("g", robust.loss_gradient(net, Tensor(x).to(_device(net)), labels))],
    "sign_direction": lambda net, x, labels: [("g", robust.sign_direction(net, Tensor(x).to(_device(net)), labels))],
    "total_loss": _total_loss,
    **{name: _penalized(name) for name in robust.PENALTIES},
    "parseval_step": lambda net, x, labels: [
        (f"W {i}", robust.parseval_step(w, np.array([2, 0]), 0.1)) for i, w in enumerate(net.parameters()) if w.ndim > 1
    ],
    "penalty": _penalized("jacobian_l1"),
    "projection_variance": lambda net, x, labels: [
        ("variance", robust.projection_variance(net.trace(Tensor(x).to(_device(net)))))
    ],
    "pgd": _attacked(lambda net, x, labels: robust.pgd(net, x, labels, 0.5, p=2, steps=3, restarts=2, rng=1)),
    "predict": lambda net, x, labels: [("classes", robust.predict(net, x))],
    "random_noise": _attacked(lambda net, x, labels: robust.random_noise(net, x, labels, 0.1, rng=1, box=(0.0, 1.0))),
    "rho": lambda net, x, labels: [("rho", robust.rho(net, x)), ("rho, l1", robust.rho(net, x, p=1, max_iter=50))],
    "square": _attacked(lambda net, x, labels: robust.square(net, x, labels, 0.1, steps=20, rng=1, box=(0.0, 1.0))),
    "table_row": lambda net, x, labels: [
        ("row", np.array([*(row := robust.table_row(robust.FGS(net, x, labels), 0.1))[:2], *row.fgs.values()]))
    ],
    "transfer_matrix": lambda net, x, labels: [
        (
            "accuracy",
            robust.transfer_matrix(
                lambda *given: robust.fgsm(*given, 0.1), {"a": net, "b": _small_net(2).to(_device(net))}, x, labels
            ).transfer(),
        )
    ],
    "two_logits": _attacked(
        lambda net, x, y: robust.fgsm(
            robust.two_logits(nn.Sequential(net, nn.Linear(5, 1, rng=3, dtype=np.float64).to(_device(net)))),
            x,
            y % 2,
            0.1,
        )
    ),
    "universal": _attacked(lambda net, x, y: robust.universal(net, x, y, epsilon=0.5, p=2, box=(0.0, 1.0), passes=2)),
    "walk": lambda net, x, labels: [("delta", robust.walk(net, Tensor(x).to(_device(net)), labels).delta)],
}


def _device(net: Layer) -> str:
    return net.parameters()[0].device


def robustness(name: str, device: str) -> Iterator[tuple[str, Any]]:
    """What an attack, defense or metric gives for a small net on the device."""
    rng = np.random.default_rng(9)
    yield from ROBUST[name](_small_net().eval().to(device), rng.uniform(0.1, 1, (6, 1, 6, 6)), rng.integers(0, 5, 6))


def experiment(device: str, folder: Path) -> Iterator[tuple[str, Any]]:
    """The parameters that a short run of the training loop, reference and Deep Defense, leaves on disk."""
    sets = [
        "data.name=digits",
        "data.n_train=60",
        "data.n_test=20",
        "model.hidden=[8]",
        "reference.epochs=2",
        "defense.epochs=1",
    ]
    config = ex.resolve(sets=[*sets, "run.batch_size=20", "eval.n_curve=5", f"run.device={device}"])
    ex.train(config, folder / device)
    yield from nn.load(folder / device / "final.npz").items()


def attacks() -> set[str]:
    """The names of all functions of tinygrad2.robust."""
    return {name for name in robust.__all__ if inspect.isfunction(getattr(robust, name))}


def assert_same(
    collected: Iterator[tuple[str, Any]], expected: Iterator[tuple[str, Any]], array: type, tolerance: float
) -> None:
    """Both runs yield the same names, shapes, dtypes and values; the first run's tensors hold arrays of that type."""
    got, want = list(collected), list(expected)
    assert [name for name, _ in got] == [name for name, _ in want]
    for (name, g), (_, w) in zip(got, want, strict=True):
        if isinstance(w, Tensor):
            assert type(g.array) is array, f"{name} left the device: {type(g.array)}"
            g, w = to_numpy(g.array), to_numpy(w.array)
        g, w = np.asarray(g), np.asarray(w)
        assert (g.shape, g.dtype) == (w.shape, w.dtype), name
        np.testing.assert_allclose(g, w, rtol=tolerance, atol=tolerance, err_msg=name)


def loss_of(y: tg.Tensor) -> tg.Tensor:
    """A smooth scalar, so that no derivative is trivially constant."""
    return (y * y).sum()
