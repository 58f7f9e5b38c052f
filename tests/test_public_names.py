"""Every public name of robust, data and experiments has its own documentation and types, and its examples run."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import tinygrad2 as tg
from tinygrad2 import data, experiments, nn, robust

PACKAGES = (robust, data, experiments)


def public() -> Iterator[tuple[str, Any]]:
    """Functions and classes, and the methods and properties that a class defines itself."""
    for package in PACKAGES:
        for name in package.__all__:
            value = getattr(package, name)
            if inspect.isfunction(value):
                yield f"{package.__name__}.{name}", value
            if inspect.isclass(value):
                yield f"{package.__name__}.{name}", value
                own = {key: v for key, v in vars(value).items() if not key.startswith("_")}
                for key, member in own.items():
                    if inspect.isfunction(member) or isinstance(member, property):
                        yield f"{package.__name__}.{name}.{key}", member


@pytest.mark.parametrize(("name", "value"), [pytest.param(*found, id=found[0]) for found in public()])
def test_a_public_name_is_documented_and_typed(name: str, value: Any) -> None:
    doc = inspect.getdoc(value) or ""
    first = doc.partition("\n")[0]
    assert first and not first.startswith(name.rpartition(".")[2] + "("), f"{name} has no docstring of its own"
    function = value.fget if isinstance(value, property) else value.__init__ if inspect.isclass(value) else value
    if inspect.isfunction(function):
        parameters = inspect.signature(function).parameters.values()
        untyped = [p.name for p in parameters if p.annotation is p.empty and p.name != "self"]
        assert not untyped, f"{name}: {untyped} have no type"
        if value is function:
            assert "return" in function.__annotations__, f"{name} does not say what it returns"


def modules() -> list[ModuleType]:
    found = [package for package in PACKAGES]
    for package in PACKAGES:
        names = [info.name for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")]
        found += [importlib.import_module(name) for name in names]
    return found


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.__name__)
def test_the_examples_run(module: ModuleType) -> None:
    names = {"np": np, "tg": tg, "nn": nn, "robust": robust, "data": data}
    failed, _ = doctest.testmod(module, extraglobs=names, raise_on_error=False)
    assert failed == 0


def test_robust_has_examples() -> None:
    finder = doctest.DocTestFinder(recurse=False)
    with_example = [n for n in robust.__all__ if any(t.examples for t in finder.find(getattr(robust, n), n))]
    assert len(with_example) >= 30
