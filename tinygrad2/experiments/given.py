"""What was given to `fit`, kept in the folder of its run, so that other commands can ask the network again.

network.npz says how the network is built: its layers by their classes, and what each of them holds. The values of its
parameters are in the files of weights. images.npz holds the test images. Neither file has code in it: a class of the
user's is named by its file, as in `mine.py:Gate`, which then runs with the user's rights.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad2 import nn
from tinygrad2.autodiff import Tensor
from tinygrad2.data import Dataset
from tinygrad2.experiments import jsonfile
from tinygrad2.experiments.brought import load
from tinygrad2.nn import Layer

NETWORK = "network.npz"
IMAGES = "images.npz"
OURS = "tinygrad2."
INSTEAD = "name the function that makes it: --set model.name=path/to/file.py:function"
ATOMS = (type(None), bool, int, float, str)


class Unknown(TypeError):
    """Something in a network that cannot be described."""


def keep(folder: Path, net: Layer, dataset: Dataset) -> None:
    """Write both files. A network that cannot be described is kept as the reason why."""
    describing = _Describing()
    told: dict[str, Any]
    try:
        told = {"net": describing.value(net, type(net).__name__), "files": describing.files}
    except Unknown as reason:
        told = {"unknown": str(reason)}
    nn.save(folder / NETWORK, {**describing.arrays, "net": np.asarray(json.dumps(told))})
    few = dataset.subset(n_train=1)
    about = {"name": dataset.name, "classes": dataset.classes, "box": dataset.box, "range": dataset.range}
    images = {name: getattr(few, name) for name in ("x_train", "y_train", "x_test", "y_test")}
    mean = {} if dataset.mean is None else {"mean": dataset.mean}
    nn.save(folder / IMAGES, {**images, **mean, "about": np.asarray(json.dumps(about))})


def images(folder: Path) -> Dataset:
    """The test images of the run, and the first training image alone. Raises FileNotFoundError and ValueError."""
    path = folder / IMAGES
    if not path.is_file():
        raise FileNotFoundError(f"{folder} holds no {IMAGES}; name the images: --set data.name=NAME")
    found: dict[str, Any] = {**nn.load(path)}
    advice = "run fit again"
    about = jsonfile.parse(str(found.pop("about", "")), path, {"name": str, "classes": list}, advice)
    found |= {key: about[key] and tuple(about[key]) for key in ("classes", "box", "range") if key in about}
    try:
        return Dataset(name=about["name"], **found)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path} is damaged: {error}; {advice}") from None


def network(folder: Path) -> Layer:
    """The network of the run, with no values of parameters yet. Raises FileNotFoundError and ValueError."""
    told, arrays = _told(folder)
    if "unknown" in told:
        raise ValueError(f"{folder / NETWORK}: the network cannot be built again: {told['unknown']}; {INSTEAD}")
    try:
        net = _Building(arrays).value(told["net"])
    except (LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"{folder / NETWORK} is damaged: {error!r}; {INSTEAD}") from None
    if not isinstance(net, Layer):
        raise ValueError(f"{folder / NETWORK} is damaged: it holds no network; {INSTEAD}")
    return net


def files(net: Layer) -> list[str]:
    """The files of the user's that the network's classes are in."""
    describing = _Describing()
    try:
        describing.value(net, type(net).__name__)
    except Unknown:
        return []
    return describing.files


def files_of(folder: Path) -> list[str]:
    """The same of a network that is kept in a folder."""
    told, _ = _told(folder)
    return list(told.get("files", []))


def _told(folder: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    path = folder / NETWORK
    if not path.is_file():
        raise FileNotFoundError(f"{folder} holds no {NETWORK}, by which its network could be built again; {INSTEAD}")
    arrays = nn.load(path)
    return jsonfile.parse(str(arrays.pop("net", "")), path, {}, INSTEAD), arrays


class _Describing:
    """One description. What is met a second time is told as the first: shared weights stay shared."""

    def __init__(self) -> None:
        self.arrays: dict[str, np.ndarray] = {}
        self.met: dict[int, int] = {}
        self.references: set[str] = set()

    @property
    def files(self) -> list[str]:
        """The files of the user's that it names."""
        return sorted({name.rpartition(":")[0] for name in self.references if not name.startswith(OURS)})

    def value(self, value: Any, where: str) -> Any:
        """The value as JSON. where: its name, for errors. Raises Unknown."""
        if type(value) in ATOMS:
            return value
        if isinstance(value, Layer | Tensor | np.random.Generator):
            if id(value) in self.met:
                return {"same": self.met[id(value)]}
            self.met[id(value)] = len(self.met)
        if isinstance(value, Layer):
            holds = {name: self.value(v, f"{where}.{name}") for name, v in vars(value).items()}
            return {"class": self._reference(type(value), where), "holds": holds}
        if isinstance(value, Tensor):
            return {"shape": value.shape, "dtype": str(value.dtype), "parameter": value.requires_grad}
        if isinstance(value, np.random.Generator):
            return {"generator": type(value.bit_generator).__name__}
        if type(value) in (list, tuple):
            return {type(value).__name__: [self.value(v, f"{where}[{i}]") for i, v in enumerate(value)]}
        if type(value) is dict and all(type(key) is str for key in value):
            return {"dict": {key: self.value(v, f"{where}[{key!r}]") for key, v in value.items()}}
        if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "biuf":
            name = f"array{len(self.arrays)}"
            self.arrays[name] = np.asarray(value)
            return {"array": name, "scalar": isinstance(value, np.generic)}
        if callable(value):
            return {"function": self._reference(value, where)}
        raise Unknown(f"{where} is a {type(value).__name__}")

    def _reference(self, thing: Any, where: str) -> str:
        name = _reference(thing, where)
        self.references.add(name)
        return name


class _Building:
    """The inverse of `_Describing`."""

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        self.arrays = arrays
        self.met: list[Any] = []

    def value(self, told: Any) -> Any:
        if not isinstance(told, Mapping):
            return told
        if "class" in told:
            return self._layer(_resolved(told["class"]), told["holds"])
        if "shape" in told:
            zeros = np.zeros(told["shape"], told["dtype"])
            return self._meet(Tensor(zeros, requires_grad=bool(told["parameter"])))
        if "generator" in told:
            return self._meet(np.random.Generator(GENERATORS[told["generator"]](0)))
        if "list" in told:
            return [self.value(part) for part in told["list"]]
        if "tuple" in told:
            return tuple(self.value(part) for part in told["tuple"])
        if "dict" in told:
            return {key: self.value(part) for key, part in told["dict"].items()}
        if "array" in told:
            array = self.arrays[told["array"]]
            return array[()] if told["scalar"] else array.copy()
        return _resolved(told["function"]) if "function" in told else self.met[told["same"]]

    def _layer(self, cls: type[Layer], holds: Mapping[str, Any]) -> Layer:
        if not (isinstance(cls, type) and issubclass(cls, Layer)):
            raise TypeError(f"{cls!r} is no class of layers")
        layer: Layer = self._meet(cls.__new__(cls))
        vars(layer).update({name: self.value(part) for name, part in holds.items()})
        return layer

    def _meet(self, value: Any) -> Any:
        self.met.append(value)
        return value


KINDS = (np.random.PCG64, np.random.PCG64DXSM, np.random.MT19937, np.random.Philox, np.random.SFC64)
GENERATORS: dict[str, Callable[[int], np.random.BitGenerator]] = {kind.__name__: kind for kind in KINDS}


def _reference(thing: Any, where: str) -> str:
    """The name by which a class or a function is found: `tinygrad2.nn.layers:Linear`, or `mine.py:Gate`."""
    name = str(getattr(thing, "__qualname__", None) or getattr(thing, "__name__", ""))
    module = str(getattr(thing, "__module__", None))
    if getattr(sys.modules.get(module), name, None) is not thing:
        raise Unknown(f"{where} is {name or thing!r}, which has no name at the top of a file")
    if module.startswith(OURS):
        return f"{module}:{name}"
    if module == "__main__":
        raise Unknown(f"{where} is {name}, which stands in the script that called fit; put it in a file of its own")
    path = Path(sys.modules[module].__file__ or "").resolve()
    if path.suffix != ".py":
        raise Unknown(f"{where} is {module}.{name}, which is in no .py file")
    here = Path.cwd().resolve()
    return f"{path.relative_to(here).as_posix() if path.is_relative_to(here) else path}:{name}"


def _resolved(reference: str) -> Any:
    """The class or function of that name. Raises ValueError and FileNotFoundError."""
    module, _, name = reference.rpartition(":")
    return getattr(importlib.import_module(module), name) if module.startswith(OURS) else load(reference)
