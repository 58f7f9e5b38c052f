"""Every public function and layer, differentiated three times, is made of registered primitives alone.

So an operation that is composed of others has derivatives of every order without a rule of its own. The primitives
themselves have a case each in test_ops.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from device_cases import ARRAYS, FUNCTIONS, LAYERS, PRIMITIVES, layers, leaf, public_functions

from tinygrad2 import ops
from tinygrad2.autodiff import REGISTRY, Tensor, autograd
from tinygrad2.autodiff.engine import reachable


def made_of_primitives(f: Callable[..., Tensor], arrays: list[Any]) -> None:
    """f's value and its first three derivatives along random directions, on one tape: what that is made of."""
    rng = np.random.default_rng(0)
    xs = [leaf(a, "cpu", "float64") for a in arrays]
    y = f(*xs)
    followed = [x for x in xs if x.requires_grad]
    for _ in range(3):
        if y.dtype.kind != "f" or y.node is None:
            break
        for node in reachable([y.node], "sources"):
            assert node.op is None or node.op in REGISTRY.values(), node.op
        found = autograd.grad(y, followed, rng.normal(size=y.shape), create_graph=True, allow_unused=True)
        parts = [ops.sum(g * rng.normal(size=g.shape)) for g in found if g is not None]
        if not parts:
            break
        y = ops.sum(ops.stack(parts))


def test_every_public_function_and_layer_has_a_case() -> None:
    assert public_functions() <= set(FUNCTIONS)
    assert set(ops.__all__) - {"numpy_table"} <= {*FUNCTIONS, *PRIMITIVES}
    assert layers() == set(LAYERS)


@pytest.mark.parametrize("name", sorted({**FUNCTIONS, **ARRAYS}))
def test_a_functions_derivatives_are_made_of_primitives(name: str) -> None:
    f, case = {**FUNCTIONS, **ARRAYS}[name]
    made_of_primitives(lambda *xs: f(*xs, *case.constants), list(case.arrays))


@pytest.mark.parametrize("name", sorted(LAYERS))
def test_a_layers_and_its_reverses_derivatives_are_made_of_primitives(name: str) -> None:
    make, shape = LAYERS[name]
    layer = make()
    rng = np.random.default_rng(1)
    u = Tensor(rng.normal(size=layer(rng.normal(size=shape)).shape))
    made_of_primitives(lambda x: layer(x), [rng.normal(size=shape)])
    made_of_primitives(lambda x: layer.trace(x).reverse()(u), [rng.normal(size=shape)])
