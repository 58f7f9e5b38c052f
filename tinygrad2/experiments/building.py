"""What a configuration stands for: the images, the network with its first values or with those of a file."""

from __future__ import annotations

import inspect
import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad2 import data, nn
from tinygrad2.autodiff import Tensor, no_grad
from tinygrad2.data import Dataset
from tinygrad2.experiments.catalogues import MODELS, build_model, load_dataset
from tinygrad2.experiments.settings import Config
from tinygrad2.kernels import why_no_gpu
from tinygrad2.nn import Layer
from tinygrad2.robust.defenses.total_loss import parameters_of


def load_data(config: Config) -> Dataset:
    """The images of the experiment, prepared as its settings say.

    Raises ValueError or TypeError for a setting that the data set does not have.
    """
    d = config.data
    options = {name: value for name in ("size", "upsample") if (value := getattr(d, name)) is not None}
    dataset = data.PIXELS[d.pixels](load_dataset(d.name, **options).subset(d.n_train, d.n_test))
    if d.n_validation >= len(dataset.x_train):
        n = len(dataset.x_train)
        raise ValueError(f"data.n_validation: expected fewer than the {n:,} training images, got {d.n_validation}")
    return dataset


CHOSEN = {"hidden": "hidden widths", "input_scale": "input scale", "dropout": "dropout"}


def build_net(config: Config, dataset: Dataset) -> Layer:
    """The network of the experiment with its first values, on its device; checked with one image."""
    m = config.model
    accepted = inspect.signature(MODELS.find(m.name)).parameters
    shape = dataset.x_train.shape[1:]
    wanted = {"in_features": math.prod(shape), "in_channels": shape[0], "classes": len(dataset.classes)}
    options: dict[str, Any] = {name: value for name, value in wanted.items() if name in accepted}
    for name, meaning in CHOSEN.items():
        if (value := getattr(m, name)) is not None:
            if name not in accepted:
                raise ValueError(f"model.{name}: the model {m.name!r} has no {meaning} to choose; leave it out")
            options[name] = value
    if config.run.device == "cuda" and (reason := why_no_gpu()):
        raise ValueError(f"run.device: no GPU can be used: {reason}")
    net = build_model(m.name, {"rng": config.run.seed, **options}).to(config.run.device)
    parameters_of(net, config.defense.layers or ())
    try:
        with no_grad():
            logits = net.eval()(Tensor(dataset.x_test[:1]).to(config.run.device))
    except ValueError as error:
        raise ValueError(f"model {m.name!r} does not take the images {shape} of {dataset.name!r}: {error}") from None
    if logits.ndim != 2 or logits.shape[1] != len(dataset.classes):
        k = len(dataset.classes)
        raise ValueError(f"model {m.name!r}: expected logits (N, {k}), one for each class, got shape {logits.shape}")
    return net


def load_weights(net: Layer, name: str | os.PathLike[str]) -> Path:
    """Parameters from a file in the current folder or in the one that TINYGRAD2_DATA names. Result: its path."""
    places = [Path(name)]
    if (folder := os.environ.get("TINYGRAD2_DATA")) and not places[0].is_absolute():
        places.append(Path(folder, name))
    path = next((p for p in places if p.is_file()), None)
    if path is None:
        hint = "" if folder else " (TINYGRAD2_DATA, a folder that is searched too, is not set)"
        raise FileNotFoundError(f"no such file of weights: {' or '.join(map(str, places))}{hint}")
    try:
        net.load_state_dict(nn.load(path))
    except ValueError as error:
        raise error if str(path) in str(error) else ValueError(f"{path}: {error}") from None
    broken = [name for name, p in net.named_parameters() if not np.isfinite(p.numpy()).all()]
    if broken:
        raise ValueError(f"{path}: the weights {', '.join(broken)} are not finite; the training that wrote them failed")
    return path
