"""Every layer with a PyTorch twin: double gradients by the input, the parameters and the cotangent agree in float64.

Values and first gradients are compared in test_nn. Layers that PyTorch has in another form are beside their formula.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="oracle: PyTorch is not installed (pip install 'tinygrad2[oracle]')")

from device_cases import layers  # noqa: E402
from nn_cases import CASES, make, normal, retrace  # noqa: E402
from oracle.peer import alone, assert_close  # noqa: E402
from test_nn import BEYOND, IN_TORCH, OWN_FORM  # noqa: E402

from tinygrad2 import nn  # noqa: E402
from tinygrad2.autodiff import Tensor, autograd  # noqa: E402

pytestmark = pytest.mark.oracle

NAMES = [name for name in CASES if name.split()[0] in IN_TORCH - OWN_FORM and name not in BEYOND]


@pytest.mark.parametrize("name", NAMES)
def test_double_gradients_through_the_reverse_layer(name: str) -> None:
    """Ours come from the explicit reverse layer, theirs from autograd."""
    layer, values = make(name)
    theirs = alone(layer)
    compare(layer, values, theirs, list(theirs.parameters()))


def compare(layer: nn.Layer, values: Any, theirs: Callable[..., Any], parameters: list[Any]) -> None:
    """The gradient, and the double gradients by x, u and the parameters. theirs: a function of x, of `parameters`."""
    x, tx = Tensor(values, requires_grad=True), torch.tensor(values, requires_grad=True)
    trace = retrace(layer)(x)
    y = theirs(tx)
    u_values, v = normal(3, trace.output.shape, x.shape)
    u, tu = Tensor(u_values, requires_grad=True), torch.tensor(u_values, requires_grad=True)
    ours = trace.reverse()(u)
    (expected,) = torch.autograd.grad(y, tx, tu, create_graph=True)
    assert_close(ours, expected, "gradient")
    at = [x, u, *layer.parameters()]
    second = autograd.grad((ours * v).sum(), at, allow_unused=True)
    torch_second = torch.autograd.grad(
        (expected * torch.tensor(v)).sum(), [tx, tu, *parameters], allow_unused=True, materialize_grads=True
    )
    for i, (a, b) in enumerate(zip(second, torch_second, strict=True)):
        assert_close(Tensor(np.zeros(b.shape)) if a is None else a, b, f"double gradient {i}")


LINEAR = {"rng": 0, "dtype": np.float64}
F = torch.nn.functional


def attention(x: Any, weight: Any, bias: Any, out_weight: Any, out_bias: Any) -> Any:
    """Two heads of width 3. x: (N, L, 6)."""
    q, k, v = (t.unflatten(-1, (2, 3)).transpose(1, 2) for t in F.linear(x, weight, bias).chunk(3, -1))
    weights = (q @ k.mT / 3**0.5).softmax(-1)  # PyTorch's own function has no double gradient
    return F.linear((weights @ v).transpose(1, 2).flatten(2), out_weight, out_bias)


# (ours, PyTorch's formula of x and the parameters, the shape of x)
OTHER_FORMS: dict[str, tuple[Callable[[], nn.Layer], Callable[..., Any], tuple[int, ...]]] = {
    "GlobalAvgPool": (nn.GlobalAvgPool, lambda x: x.mean((2, 3)), (2, 3, 4, 5)),
    "Sum": (lambda: nn.Sum(nn.Tanh(), nn.Linear(5, 5, **LINEAR)), lambda x, *p: x.tanh() + F.linear(x, *p), (3, 5)),
    "Concatenate": (
        lambda: nn.Concatenate(nn.Tanh(), nn.Linear(5, 2, **LINEAR)),
        lambda x, *p: torch.cat([x.tanh(), F.linear(x, *p)], 1),
        (3, 5),
    ),
    "Residual": (
        lambda: nn.Residual(nn.Sequential(nn.Linear(5, 5, **LINEAR), nn.Tanh())),
        lambda x, *p: x + F.linear(x, *p).tanh(),
        (3, 5),
    ),
    "Sequential": (
        lambda: nn.Sequential(nn.Tanh(), nn.Linear(5, 2, **LINEAR), nn.Softplus()),
        lambda x, *p: F.softplus(F.linear(x.tanh(), *p)),
        (3, 5),
    ),
    "MultiheadAttention": (lambda: nn.MultiheadAttention(6, 2, **LINEAR), attention, (2, 4, 6)),
}
# Its input are integers, which have no derivative; that by its weight is compared with the operation `embedding`.
WITHOUT = {"Embedding"}


def test_every_layer_is_compared() -> None:
    assert {name.split()[0] for name in NAMES} | OTHER_FORMS.keys() | WITHOUT == layers()


@pytest.mark.parametrize("name", OTHER_FORMS)
def test_double_gradients_of_layers_that_pytorch_has_in_another_form(name: str) -> None:
    make_layer, formula, shape = OTHER_FORMS[name]
    layer = make_layer()
    parameters = [torch.tensor(p.numpy(), requires_grad=True) for p in layer.parameters()]
    compare(layer, normal(1, shape)[0], lambda x: formula(x, *parameters), parameters)
