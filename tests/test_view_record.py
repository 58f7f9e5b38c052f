"""The record of a run: its values are the tape's, its second order is `hvp`, and replayed it gives the same bits."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from device_cases import FUNCTIONS, LAYERS, PRIMITIVES, Case, place, primitive_call

import tinygrad2 as tg
from tinygrad2 import view
from tinygrad2.autodiff import Tensor, autograd
from tinygrad2.nn import Layer
from tinygrad2.view.encode import array_from_json


def replayed(run: view.Steps) -> dict[str, np.ndarray[Any, Any]]:
    """The values of a record that went through JSON text, computed again; each is compared with the recorded one."""
    record = json.loads(run.to_json())
    values = view.replay(record)
    for op in record["operations"]:
        recorded = array_from_json(record["values"][op["out"]])
        again = values[op["out"]]
        assert again.shape == recorded.shape, op
        assert again.dtype == recorded.dtype, op
        np.testing.assert_array_equal(again, recorded, err_msg=str(op))
    return values


def first_and_second(
    f: Callable[..., Tensor],
    arrays: Sequence[np.ndarray[Any, Any]],
    u: np.ndarray[Any, Any],
    more: Sequence[Tensor] = (),
) -> list[list[np.ndarray[Any, Any]]]:
    """The tape's own answer: Jᵀu, and the gradient of ½‖Jᵀu‖², by the floating arrays and the parameters."""
    xs = [Tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]
    targets = [x for x in xs if x.requires_grad] + list(more)
    y = f(*xs)
    first = autograd.grad(y, targets, u, create_graph=True, allow_unused=True)
    outputs = [g for g in first if g is not None and g.requires_grad]
    second = autograd.grad(outputs, targets, [g.detach() for g in outputs], allow_unused=True) if outputs else []
    return [[g.detach().numpy() for g in found if g is not None] for found in (first, second)]


def cotangent_of(y: Tensor) -> np.ndarray[Any, Any]:
    return np.asarray(np.random.default_rng(1).normal(size=y.shape).astype(y.dtype))


def check(f: Callable[..., Tensor], arrays: Sequence[np.ndarray[Any, Any]], more: Sequence[Tensor] = ()) -> None:
    """steps(f) shows the numbers of the tape, and its record gives them again."""
    xs = [Tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]
    y = f(*xs)
    if y.dtype.kind != "f" or not y.requires_grad:
        run = view.steps(f, *arrays, orders=0)
        replayed(run)
        return
    u = cotangent_of(y)
    run = view.steps(f, *arrays, cotangent=u)
    values = replayed(run)
    record = run.record
    np.testing.assert_array_equal(array_from_json(record["values"][record["output"]]), y.array)
    expected = first_and_second(f, arrays, u, more)
    for found, wanted in zip(record["gradients"], expected, strict=False):
        assert len(found) == len(wanted)
        for v, g in zip(found.values(), wanted, strict=True):
            np.testing.assert_array_equal(array_from_json(record["values"][v]), g)
            np.testing.assert_array_equal(values.get(v, g), g)
    holds_together(record)


def holds_together(record: view.Record) -> None:
    """Every step reads only what came before it, its value is there, and cards of one lane do not share a place."""
    for level in record["levels"]:
        number = {s["id"]: s["number"] or 0 for s in level["steps"]}
        assert sorted(n for n in number.values() if n) == list(range(1, max([*number.values(), 0]) + 1))
        places = set()
        for s in level["steps"]:
            assert s["value"] in record["values"]
            for parent in s["parents"]:
                assert number[parent["id"]] < (s["number"] or 1), (s, parent)
            for line in s["formula"]:
                keys = [part.partition("}")[0] for part in line.split("{")[1:]]
                assert all(key in number or key in s["letters"] for key in keys), (s["symbol"], line)
            if s["number"] and not s["side"]:
                assert (s["lane"], s["column"]) not in places, s
                places.add((s["lane"], s["column"]))


@pytest.mark.parametrize("name", PRIMITIVES)
def test_every_primitive_is_shown_and_replayed(name: str) -> None:
    case = PRIMITIVES[name]
    f, dtype = primitive_call(name), "float64"
    consts = [place(c, "cpu", dtype) for c in case.constants]
    arrays = _arrays(case, dtype)
    if name == "quadratic":  # it must be given the product a G of its arguments
        arrays[1] = arrays[1] + arrays[1].T
        consts[0] = tg.linear(arrays[0], arrays[1]).array
    check(lambda *xs: f(*xs, *consts), arrays)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_is_shown_and_replayed(name: str, dtype: str) -> None:
    f, case = FUNCTIONS[name]
    consts = [place(c, "cpu", dtype) for c in case.constants]
    check(lambda *xs: f(*xs, *consts), _arrays(case, dtype))


def _arrays(case: Case, dtype: str) -> list[np.ndarray[Any, Any]]:
    return [a.astype(dtype) if a.dtype.kind == "f" else a for a in case.arrays]


@pytest.mark.parametrize("name", LAYERS)
def test_every_layer_is_shown_and_replayed(name: str) -> None:
    make, shape = LAYERS[name]
    x = np.random.default_rng(5).normal(size=shape)
    run = view.steps(make().eval(), x, orders=1, cotangent=cotangent_of(make().eval()(x)))
    layer = make().eval()
    replayed(run)
    expected = first_and_second(layer, [x], cotangent_of(layer(x)), layer.parameters())[0]
    found = [array_from_json(run.record["values"][v]) for v in run.record["gradients"][0].values()]
    assert len(found) == len(expected)
    for a in expected:
        assert any(a.shape == b.shape and np.array_equal(a, b) for b in found)


@pytest.mark.parametrize("name", LAYERS)
def test_every_reverse_layer_is_shown_and_replayed(name: str) -> None:
    make, shape = LAYERS[name]
    layer: Layer = make().eval()
    if name == "ConvTranspose2d":
        shape = (1, shape[1], 2, 2)  # a Jacobian of larger images is larger than what a record keeps
    x = np.random.default_rng(5).normal(size=shape)

    def penalty(x: Tensor) -> Tensor:
        J = layer.trace(x).jacobian()
        return (J * J).sum()

    run = view.steps(penalty, x)
    replayed(run)
    holds_together(run.record)
    expected = layer.trace(Tensor(x)).jacobian().detach().numpy()
    assert any(np.array_equal(array_from_json(v), expected) for v in run.record["values"].values())


def test_the_second_order_is_hvp() -> None:
    rng = np.random.default_rng(0)
    x, w, v, u = rng.normal(size=(1, 3)), rng.normal(size=(2, 3)), rng.normal(size=(1, 3)), rng.normal(size=(2, 3))

    def f(x: Tensor, w: Tensor) -> Tensor:
        return (tg.tanh(tg.linear(x, w)) ** 2).sum()

    run = view.steps(f, x, w, tangents=(v, u))
    found = [array_from_json(run.record["values"][k]) for k in run.record["gradients"][1].values()]
    for ours, theirs in zip(found, tg.hvp(f, (x, w), (v, u)), strict=True):
        np.testing.assert_array_equal(ours, theirs.numpy())


def test_the_output_has_the_function_s_name_though_zero_gradients_come_last() -> None:
    net = tg.nn.Sequential(tg.nn.Conv2d(1, 2, 3, rng=0), tg.nn.ReLU(), tg.nn.Flatten(), tg.nn.Linear(8, 3, rng=1))
    x = np.random.default_rng(0).normal(size=(1, 1, 4, 4)).astype(np.float32)

    def loss(x: Tensor) -> Tensor:
        J = net.trace(x).jacobian()
        return (J * J).sum()

    record = view.steps(loss, x).record
    shown = record["levels"][0]["steps"]
    assert [s["value"] for s in shown if s["symbol"] == "loss"] == [record["output"]]
    assert not any(s["operations"] for s in shown if s["kind"] == "parameter")


def test_a_large_array_is_summed_up_and_not_replayed() -> None:
    run = view.steps(lambda x: (x * x).sum(), np.ones((300, 300)), orders=1)
    (x,) = (s["value"] for s in run.record["levels"][0]["steps"] if s["kind"] == "input")
    assert run.record["values"][x]["summary"]["norm"] == 300
    with pytest.raises(view.NotKept, match="summary"):
        view.replay(run.record)


def test_a_saved_record_is_loaded_and_another_schema_is_refused(tmp_path: Path) -> None:
    run = view.steps(lambda x: (x * x * x).sum(), np.array([1.0, 2.0]))
    loaded = view.load(run.save_json(tmp_path / "run.json"))
    assert loaded.record == run.record
    assert repr(loaded) == repr(run)
    with pytest.raises(ValueError, match=r"tinygrad2\.steps/1"):
        view.load({**run.record, "schema": "tinygrad2.steps/99"})
