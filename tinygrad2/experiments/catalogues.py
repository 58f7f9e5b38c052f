"""All that the settings and the command line can name, each kind with the door for what users bring."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable
from inspect import Parameter
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad2 import data, nn
from tinygrad2.autodiff import Tensor
from tinygrad2.data import Dataset
from tinygrad2.experiments.brought import Catalogue, called, digest, is_given
from tinygrad2.nn import Layer
from tinygrad2.robust import DEFENSES as OUR_DEFENSES
from tinygrad2.robust import PENALTIES as OUR_PENALTIES
from tinygrad2.robust import AttackResult, Penalty, lp
from tinygrad2.robust.attacks import base, registry
from tinygrad2.robust.attacks.registry import Attack
from tinygrad2.robust.defenses import Defense
from tinygrad2.robust.evaluation import accept, correct

MODELS = Catalogue("models", nn.models.MODELS)
DATA = Catalogue("data", data.LOADERS, reads=data.is_path)
PENALTIES = Catalogue("penalties", OUR_PENALTIES)
DEFENSES = Catalogue("defenses", OUR_DEFENSES)
ATTACKS = Catalogue("attacks", registry.ATTACKS)
SIZED_ATTACKS = Catalogue("attacks", {n: a for n, a in registry.ATTACKS.items() if "epsilon" in a.options})


def load_dataset(name: str, **options: Any) -> Dataset:
    """The data set of that name, file or folder. Raises ValueError, TypeError and FileNotFoundError."""
    if name in data.LOADERS or _is_path(name):
        return data.load(name, **options)
    dataset = called(name, DATA.find(name), options)
    if not isinstance(dataset, Dataset):
        raise TypeError(f"{name}: expected a tinygrad2.data.Dataset, got {type(dataset).__name__}")
    return dataset


def _is_path(name: str) -> bool:
    """Whether it is a file or folder of the user's, and not what was given to `fit` under the name of one."""
    return data.is_path(name) and not is_given(name)


def data_digests(name: str) -> dict[str, str]:
    """The hashes of the files that a data set of the user's comes from."""
    if name in data.LOADERS or not _is_path(name):
        return DATA.digests(name)
    path = Path(name)
    if not path.exists():
        raise FileNotFoundError(f"no such file of data: {path} (looked for in {Path.cwd()})")
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    parts = (part for p in files for part in (os.fsencode(p.relative_to(path).as_posix()), p.read_bytes()))
    return {name: digest(*parts)}


def find_weights(name: str | os.PathLike[str]) -> Path:
    """The file of weights, in the current folder or in the one that TINYGRAD2_DATA names. Raises FileNotFoundError."""
    places = [Path(name)]
    if (folder := os.environ.get("TINYGRAD2_DATA")) and not places[0].is_absolute():
        places.append(Path(folder, name))
    path = next((p for p in places if p.is_file()), None)
    if path is None:
        hint = "" if folder else " (TINYGRAD2_DATA, a folder that is searched too, is not set)"
        raise FileNotFoundError(f"no such file of weights: {' or '.join(map(str, places))}{hint}")
    return path


def build_model(name: str, options: dict[str, Any]) -> Layer:
    """The network, made with those of the options that its function takes."""
    function = MODELS.find(name)
    net = function(**options) if name in nn.models.MODELS else called(name, function, options)
    if not isinstance(net, Layer):
        raise TypeError(f"{name}: expected a network, a tinygrad2.nn.Layer, got {type(net).__name__}")
    return net


def find_penalty(name: str) -> Penalty:
    """The penalty; a function of one's own is called as penalty(trace), or penalty(trace, labels)."""
    found = PENALTIES.find(name)
    return found if isinstance(found, Penalty) else Penalty(found)


def build_defense(name: str, options: dict[str, Any]) -> Defense:
    """A defense of the user's: a subclass of Defense, or a function that makes one of objective, rng and box."""
    defense = called(name, DEFENSES.find(name), options)
    if not isinstance(defense, Defense):
        raise TypeError(f"{name}: expected a tinygrad2.robust.Defense, got {type(defense).__name__}")
    return defense


def find_attack(name: str) -> Attack:
    """The attack; a function of one's own is called as attack(net, x, labels, **options).

    It gives an AttackResult, or the images alone: (N, ...) like x. They are then measured in the norm of its option p,
    or in l∞.
    """
    if name in registry.ATTACKS:
        return registry.find_attack(name)
    if name not in ATTACKS:
        return registry.find_attack(name)  # raises, with the nearest name
    found = ATTACKS.find(name)
    if isinstance(found, Attack):
        return found
    if len(inspect.signature(found).parameters) < 3:
        raise ValueError(f"{name}: an attack is called as attack(net, x, labels, **options); it takes less")
    return Attack(_measured(name, found), "l∞")


def _measured(name: str, function: Callable[..., Any]) -> Callable[..., AttackResult]:
    """The attack with what it found measured, where it gives the images alone."""
    p = inspect.signature(function).parameters.get("p")

    @functools.wraps(function)
    def attack(net: Layer, x: np.ndarray, labels: np.ndarray, **options: Any) -> AttackResult:
        found = function(net, x, labels, **options)
        if isinstance(found, AttackResult):
            return found
        start = accept(net, x)
        images = accept(net, found.detach() if isinstance(found, Tensor) else np.asarray(found, start.dtype))
        if images.shape != start.shape:
            raise ValueError(f"{name}: expected images of shape {start.shape}, got {images.shape}")
        repaired = ~correct(net, start, labels) & correct(net, images, labels)
        images = base.chosen(repaired, start, images)  # x itself is a candidate of every attack
        default = np.inf if p is None or p.default is Parameter.empty else p.default
        norm = float(options.get("p", default))
        sizes = base.lengths(images - start, norm)
        steps = np.zeros(len(sizes), np.int64)
        return AttackResult(images, ~correct(net, images, labels), sizes, steps, None, lp.name(norm))

    return attack
