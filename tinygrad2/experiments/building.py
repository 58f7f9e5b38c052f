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
from tinygrad2.experiments.catalogues import MODELS, build_model, find_weights, load_dataset
from tinygrad2.experiments.settings import Config
from tinygrad2.kernels import why_no_gpu
from tinygrad2.nn import Layer
from tinygrad2.robust.defenses.total_loss import parameters_of
from tinygrad2.robust.evaluation import inside, two_logits


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
    if m.two_logits:
        net = two_logits(net)
    parameters_of(net, config.defense.layers or ())
    try:
        with no_grad():
            logits = net.eval()(Tensor(dataset.x_test[:1]).to(config.run.device))
    except ValueError as error:
        raise ValueError(f"model {m.name!r} does not take the images {shape} of {dataset.name!r}: {error}") from None
    if logits.ndim != 2 or logits.shape[1] != len(dataset.classes):
        k = len(dataset.classes)
        binary = ""
        if k == 2 and logits.size == 1:
            binary = "; if the one output is positive for the second class, a logit and no probability, give "
            binary += "model.two_logits=true"
        raise ValueError(
            f"model {m.name!r}: expected logits (N, {k}), one for each class, got shape {logits.shape}{binary}"
        )
    return net


def first_weights(config: Config) -> str | None:
    """The file of weights that the run begins with. Raises ValueError where two are named."""
    if config.model.weights is not None and config.reference.weights is not None:
        raise ValueError(
            "model.weights and reference.weights both name the weights to begin with; give one: model.weights to train "
            "the reference network from there, reference.weights to take it as it is"
        )
    return config.model.weights or config.reference.weights


def load_weights(net: Layer, name: str | os.PathLike[str]) -> Path:
    """Parameters from a file in the current folder or in the one that TINYGRAD2_DATA names. Result: its path.

    A network of two logits takes the weights of the network of one output that is in it, too.
    """
    path = find_weights(name)
    try:
        state = nn.load(path)
        inner = inside(net)
        (inner if inner.state_dict().keys() == state.keys() else net).load_state_dict(state)
    except ValueError as error:
        raise error if str(path) in str(error) else ValueError(f"{path}: {error}") from None
    broken = [name for name, p in net.named_parameters() if not np.isfinite(p.numpy()).all()]
    if broken:
        raise ValueError(f"{path}: the weights {', '.join(broken)} are not finite; the training that wrote them failed")
    return path
