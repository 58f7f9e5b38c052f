"""Every layer with a PyTorch twin: double gradients by the input, the parameters and the cotangent agree in float64.

Values and first gradients are compared in test_nn.
"""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="oracle: PyTorch is not installed (pip install 'tinygrad2[oracle]')")

from nn_cases import CASES, make, normal, retrace  # noqa: E402
from oracle.peer import alone, assert_close  # noqa: E402
from test_nn import BEYOND, IN_TORCH, OWN_FORM  # noqa: E402

from tinygrad2.autodiff import Tensor, autograd  # noqa: E402

pytestmark = pytest.mark.oracle

NAMES = [name for name in CASES if name.split()[0] in IN_TORCH - OWN_FORM and name not in BEYOND]


@pytest.mark.parametrize("name", NAMES)
def test_double_gradients_through_the_reverse_layer(name: str) -> None:
    """Ours come from the explicit reverse layer, theirs from autograd."""
    layer, values = make(name)
    theirs = alone(layer)
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
        (expected * torch.tensor(v)).sum(), [tx, tu, *theirs.parameters()], allow_unused=True, materialize_grads=True
    )
    for i, (a, b) in enumerate(zip(second, torch_second, strict=True)):
        assert_close(Tensor(np.zeros(b.shape)) if a is None else a, b, f"double gradient {i}")
