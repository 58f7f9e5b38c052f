"""What nn shows: the examples in its docstrings run, and what is printed says what there is, never an address."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
from types import ModuleType

import numpy as np
import pytest
from nn_cases import CASES, make

import tinygrad2 as tg
from tinygrad2 import nn

MODULES = [importlib.import_module(m.name) for m in pkgutil.walk_packages(nn.__path__, "tinygrad2.nn.")]
PUBLIC = {
    f"{space.__name__}.{name}": thing
    for space in (nn, nn.init, nn.models, nn.reverse, nn.schedules)
    for name, thing in vars(space).items()
    if inspect.isroutine(thing) or inspect.isclass(thing)
    if thing.__module__.startswith(space.__name__) and not name.startswith("_")
}
IMAGES = np.ones((5, 1, 8, 8), np.float32)


def net() -> nn.Sequential:
    return nn.Sequential(
        conv=nn.Conv2d(1, 4, 3, rng=0),
        relu=nn.ReLU(),
        pool=nn.MaxPool2d(2),
        block=nn.Residual(nn.BatchNorm2d(4)),
        flatten=nn.Flatten(),
        fc=nn.Linear(36, 10, rng=1),
    )


@pytest.mark.parametrize("module", MODULES, ids=lambda m: m.__name__)
def test_the_examples_run(module: ModuleType) -> None:
    assert doctest.testmod(module, extraglobs={"np": np, "nn": nn, "tg": tg}).failed == 0


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_and_method_says_what_it_is(name: str) -> None:
    thing = PUBLIC[name]
    assert thing.__doc__
    assert thing.__doc__.splitlines()[0].endswith("."), "the first line must be a sentence"
    if not thing.__module__.startswith(nn.reverse.__name__):  # these are made by their layers
        assert ">>>" in thing.__doc__, "an example is missing"
    for method, f in inspect.getmembers(thing, inspect.isfunction):
        assert method.startswith("_") or inspect.getdoc(getattr(thing, method)), f"{f} has no docstring"


SUMMARY = """\
name        layer                                           output   parameters  reverse layer
conv        Conv2d(1, 4, 3×3)                               5×4×6×6  40          ReverseConv2dAt
relu        ReLU()                                          5×4×6×6              in conv
pool        MaxPool2d(kernel_size=2, stride=2, padding=0)   5×4×3×3              in conv
block.body      BatchNorm2d(4)                              5×4×3×3  8           ReverseBatchNorm
block.shortcut  Identity()                                  5×4×3×3              ReverseIdentity
block       body + shortcut                                 5×4×3×3              sum of both
flatten     Flatten()                                       5×36                 ReverseFlatten
fc          Linear(36, 10)                                  5×10     370         ReverseLinear
total       8 layers                                                 418"""


def words(text: str) -> list[list[str]]:
    """Lines without the spaces that only align them."""
    return [line.split() for line in text.splitlines()]


def test_the_summary_is_a_table_of_layers_and_leaves_the_network_as_it_is() -> None:
    one = nn.Sequential(net=net(), drop=nn.Dropout(0.5, rng=0))
    before, state = one.state_dict(), nn.rng_state(one)
    one.summary(IMAGES)
    assert nn.rng_state(one) == state
    assert all(np.array_equal(values, before[name]) for name, values in one.state_dict().items())
    assert words(repr(net().summary(IMAGES))) == words(SUMMARY)


def test_the_summary_counts_a_shared_parameter_once_and_those_inside_a_layer_of_ones_own() -> None:
    class Own(nn.Layer):
        def __init__(self) -> None:
            self.inner = nn.Linear(3, 3)

        def apply(self, x: tg.Tensor) -> nn.layer.Applied:
            return self.inner.apply(x)

    shared = nn.Linear(3, 3, bias=False)
    summary = nn.Sequential(a=shared, own=Own(), b=shared).summary(np.ones((2, 3), np.float32))
    assert summary.counts() == [9, 12, 0]
    assert Own().summary(np.ones((2, 3), np.float32)).counts() == [12]


@pytest.mark.parametrize("name", CASES)
def test_nothing_prints_an_address(name: str) -> None:
    layer, values = make(name)
    trace = layer.trace(values)
    for shown in (layer, trace, trace.reverse(), trace.reverse().layer, layer.summary(values)):
        assert " at 0x" not in repr(shown)
    assert repr(trace) == repr(trace.reverse())


def test_a_net_prints_one_line_for_each_layer() -> None:
    lines = repr(net()).splitlines()
    assert lines[0] == "Sequential(" and lines[1] == "  (conv): Conv2d(1, 4, 3×3)" and lines[-1] == ")"
    assert len(lines) == 2 + 5 + 4


@pytest.mark.parametrize("kind", nn.OPTIMIZERS)
def test_an_optimizer_prints_its_settings_and_how_many_parameters_it_has(kind: str) -> None:
    optimizer = nn.OPTIMIZERS[kind](net().parameters(), lr=0.25, weight_decay=0.5)
    assert repr(optimizer).startswith(f"{type(optimizer).__name__}(lr=0.25, ")
    assert repr(optimizer).endswith("weight_decay=0.5, 6 parameters)")
