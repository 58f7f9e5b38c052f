"""The public names: each has its own docstring with shapes and an example that runs, a signature, and annotations."""

from __future__ import annotations

import doctest
import importlib
import inspect
import io
import pkgutil
import re
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import tinygrad2 as tg
from tinygrad2 import experiments, ops, robust
from tinygrad2.autodiff import Primitive

# What says of which shape an array is: "(N, K)", "(...,", "()", the word itself, or the method that says it.
SHAPE = re.compile(r"\([A-Z]\w*\b[^)]*\)|\(\.\.\.|\(\)|\([k1],|\(n, |\b[Ss]hapes?\b|See `")
ARRAYS = re.compile(r"Tensor|ndarray|Array")

MODULES: dict[str, ModuleType] = {
    "tg": tg,
    "tg.autodiff": tg.autodiff,
    "tg.autograd": tg.autograd,
    "tg.ops": ops,
    "tg.nn": tg.nn,
    "tg.robust": robust,
    "tg.data": tg.data,
    "tg.verify": tg.verify,
    "tinygrad2.experiments": experiments,
}


def public() -> Iterator[tuple[str, Any]]:
    """The full name and the object, each object once, and the methods of Tensor."""
    seen: set[int] = set()
    for name, module in MODULES.items():
        for short in getattr(module, "__all__", ["grad"]):
            value = getattr(module, short)
            if isinstance(value, ModuleType) or not callable(value) or id(inspect.unwrap(value)) in seen:
                continue
            seen.add(id(inspect.unwrap(value)))
            yield f"{name}.{short}", value
            if inspect.isclass(value) and not issubclass(value, Exception):
                yield from methods(f"{name}.{short}", value)


def methods(name: str, cls: type) -> Iterator[tuple[str, Any]]:
    """The public methods and properties that the class itself defines; of Tensor the operators too."""
    for short, value in vars(cls).items():
        own = inspect.isfunction(value) or isinstance(value, property)
        operator = cls is tg.Tensor and short.startswith("__") and short != "__init__"
        if own and (operator or not short.startswith("_")):
            yield f"{name}.{short}", value.fget if isinstance(value, property) else getattr(cls, short)


PUBLIC = dict(public())
SIGNED = [name for name, value in PUBLIC.items() if not (inspect.isclass(value) and issubclass(value, Exception))]


def doc(name: str) -> str:
    """The object's own docstring, not that of its class. A method may leave it to the one that it overrides."""
    value = PUBLIC[name]
    if value.__doc__ is None and inspect.isfunction(value) and name.count(".") > 1:
        owner = PUBLIC.get(name.rpartition(".")[0])
        bases = owner.__mro__ if inspect.isclass(owner) else ()
        return next((text for base in bases if (text := getattr(vars(base).get(value.__name__), "__doc__", None))), "")
    text = value.__doc__ or ""
    return "" if text == type(value).__doc__ else inspect.cleandoc(text)


@pytest.mark.parametrize("name", PUBLIC)
def test_it_has_a_docstring_of_its_own(name: str) -> None:
    assert doc(name), f"{name} has no docstring"
    first = doc(name).splitlines()[0]
    assert first.endswith((".", ":", "?", ")")), f"{name}: the first line is no sentence"
    assert not first.startswith(f"{name.rpartition('.')[2]}("), f"{name}: its docstring is the one of a dataclass"


@pytest.mark.parametrize("name", SIGNED)
def test_it_has_a_signature_with_annotations(name: str) -> None:
    signature = inspect.signature(PUBLIC[name])
    parameters = [p for p in signature.parameters.values() if p.name != "self"]
    generic = [p for p in parameters if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    only_generic = parameters and len(generic) == len(parameters) and not isinstance(PUBLIC[name], type)
    assert not only_generic or name in STARRED, f"{name}{signature} says nothing"
    bare = [p.name for p in parameters if p.annotation is p.empty]
    assert not bare, f"{name}: no annotation of {bare}"
    if not inspect.isclass(PUBLIC[name]):
        assert signature.return_annotation is not signature.empty, f"{name}: no annotation of the result"


# Their arguments are a list: sizes, axes, or those of the function that they call.
STARRED = {
    "tg.Tensor.reshape",
    "tg.Tensor.transpose",
    "tg.broadcast_arrays",
    "tg.custom_vjp.defvjp",
    "tg.autodiff.Primitive.defvjp",
    "tg.autodiff.VariadicPrimitive.defvjp",
    "tg.autodiff.zero",
    "tg.Derivation.check",
}


@pytest.mark.parametrize("name", SIGNED)
def test_it_says_the_shapes_of_the_arrays_that_it_takes(name: str) -> None:
    parameters = list(inspect.signature(PUBLIC[name]).parameters.values())
    takes = any(ARRAYS.search(str(p.annotation)) for p in parameters)
    if takes or (name.startswith("tg.Tensor.") and parameters[0].annotation == "Tensor"):
        assert SHAPE.search(doc(name)), f"{name} takes arrays, but its docstring names no shape"


OPTIONS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


@pytest.mark.parametrize("name", SIGNED)
def test_its_example_runs(name: str) -> None:
    own = vars(sys.modules[getattr(PUBLIC[name], "__module__", "tinygrad2")])
    names = {
        **vars(tg.nn),
        **vars(tg.nn.reverse),
        **own,
        "__name__": "example",
        "tg": tg,
        "np": np,
        "nn": tg.nn,
        "robust": robust,
        "data": tg.data,
    }
    example = doctest.DocTestParser().get_doctest(doc(name), names, name, None, None)
    function = "tinygrad2.ops" in own["__name__"] or "tinygrad2.autodiff" in own["__name__"]
    assert example.examples or not function or name.count(".") > 1, f"{name} has no example"
    failures = io.StringIO()
    result = doctest.DocTestRunner(optionflags=OPTIONS).run(example, out=failures.write)
    assert result.failed == 0, failures.getvalue()


def every_module() -> Iterator[ModuleType]:
    """The modules of the packages whose examples need the names of the tour alone."""
    for package in (robust, tg.data, experiments):
        yield package
        for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            yield importlib.import_module(info.name)


@pytest.mark.parametrize("module", list(every_module()), ids=lambda module: module.__name__)
def test_the_examples_of_a_module_run(module: ModuleType) -> None:
    names = {"np": np, "tg": tg, "nn": tg.nn, "robust": robust, "data": tg.data}
    failed, _ = doctest.testmod(module, extraglobs=names, raise_on_error=False)
    assert failed == 0


def test_robust_has_examples() -> None:
    finder = doctest.DocTestFinder(recurse=False)
    with_example = [n for n in robust.__all__ if any(t.examples for t in finder.find(getattr(robust, n), n))]
    assert len(with_example) >= 30


def test_the_namespace_holds_what_users_call() -> None:
    inside = {"algebra", "REGISTRY", "zero", "Primitive", "VariadicPrimitive", "mask", "ratio", "positive"}
    assert inside & set(tg.__all__) == set()
    assert inside <= {*tg.autodiff.__all__, *ops.__all__}
    assert all(hasattr(tg, name) for name in tg.__all__)
    assert sorted(tg.__all__) == sorted(set(tg.__all__))


@pytest.mark.parametrize("name", [name for name, value in PUBLIC.items() if isinstance(value, Primitive)])
def test_a_primitive_tells_who_it_is(name: str) -> None:
    primitive = PUBLIC[name]
    assert primitive.__module__.startswith("tinygrad2.ops.")
    assert primitive.__name__ == primitive.name == name.rpartition(".")[2]


def test_the_type_checkers_base_class_is_not_there_when_it_runs() -> None:
    assert tg.Tensor.__mro__ == (tg.Tensor, object)
