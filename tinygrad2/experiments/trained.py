"""Trained networks, from a run or from a file of weights, with the images that they are measured on."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tinygrad2.data import Dataset
from tinygrad2.experiments import given
from tinygrad2.experiments.brought import digest_of, is_given
from tinygrad2.experiments.building import build_net, first_weights, load_data, load_weights
from tinygrad2.experiments.config import brought, label, resolve
from tinygrad2.experiments.folder import Folder
from tinygrad2.experiments.progress import say
from tinygrad2.experiments.settings import Config
from tinygrad2.nn import Layer

TITLES = {"deep-defense": "Deep Defense", "none": "no defense"}


def title_of(config: Config) -> str:
    """What the defended network of a run is called in tables."""
    return TITLES.get(label(config), label(config))


def networks(config: Config) -> dict[str, str]:
    """The networks that a run leaves, by their titles, in the order of the table."""
    r = config.reference
    found = {}
    if r.epochs or first_weights(config) is not None or not config.defense.epochs:
        found["Reference"] = "reference.npz"
    if config.defense.epochs:
        found[title_of(config)] = "final.npz"
    return found


@dataclass(frozen=True)
class TrainedNetworks:
    """Networks by name, in eval mode, with the images that they are measured on."""

    config: Config
    dataset: Dataset
    nets: dict[str, Layer]

    def chosen(self, which: str) -> Layer:
        """The "reference" network or the "final" one; a single network is both."""
        return list(self.nets.values())[0 if which == "reference" else -1]


def from_run(
    path: str | os.PathLike[str], n: int | None = None, sets: Iterable[str] = (), dataset: Dataset | None = None
) -> TrainedNetworks:
    """The networks of a finished run, measured on its test images (the first n).

    sets: assignments over the run's own settings. dataset: the run's images, where they are loaded already.
    Raises FileNotFoundError for a run that is not finished.
    """
    folder = Folder(path)
    config = folder.config(sets)
    left = networks(config)
    for file in left.values():
        if not (folder / file).is_file():
            raise FileNotFoundError(
                f"{path} holds no {file}: the run is not finished; tinygrad2 train --out {path} --resume"
            )
    _warn_of_changes(folder, config)
    return _load(_first(config, n), {name: str(folder / file) for name, file in left.items()}, dataset, folder.path)


def _warn_of_changes(folder: Folder, config: Config) -> None:
    """Say which file of the user's is not the one that the run was trained with."""
    try:
        now = brought(config)
        if is_given(config.model.name):
            now |= {name: digest_of(name) for name in given.files_of(folder.path)}
    except FileNotFoundError as error:
        say(f"warning: {error}")
        return
    saved = folder.load_state() if now else None
    then = saved[1]["made_of"] if saved else now
    for name in now:
        if name in then and then[name] != now[name]:
            say(f"warning: {name} has changed since {folder.path} was trained")


def from_weights(
    model: str, weights: str, data: str, sets: Iterable[str] = (), n: int | None = None
) -> TrainedNetworks:
    """A network with weights from a file, measured on the test images (the first n) of a data set.

    model, data: as in the settings model.name and data.name; sets: assignments over the default settings
    Raises FileNotFoundError, and ValueError for weights that do not fit.
    """
    chosen = [f'model.name="{model}"', f'data.name="{data}"']
    return _load(_first(resolve(sets=[*chosen, *sets]), n), {model: weights})


def source_network(path: str | os.PathLike[str], victim: TrainedNetworks, which: str) -> Layer:
    """The network of another run, to craft images on that the victim is tested with.

    Raises ValueError unless both were trained on images that were prepared in the same way.
    """
    source = from_run(path)
    ours = victim.dataset
    theirs = source.dataset
    same = ours.name == theirs.name and ours.box == theirs.box and ours.x_test.shape[1:] == theirs.x_test.shape[1:]
    means = [np.zeros(()) if d.mean is None else d.mean for d in (ours, theirs)]
    if not same or not np.array_equal(means[0], means[1]):
        raise ValueError(
            f"{path}: its images are prepared in another way ({theirs}; here {ours}); an image crafted there means "
            "something else here. Train both with the same [data]"
        )
    return source.chosen(which)


def _first(config: Config, n: int | None) -> Config:
    """With the first n test images; the training images stay, because their mean is subtracted."""
    return config if n is None else dataclasses.replace(config, data=dataclasses.replace(config.data, n_test=n))


def _load(
    config: Config, files: dict[str, str], dataset: Dataset | None = None, run: Path | None = None
) -> TrainedNetworks:
    """run: the folder that holds what was given to `fit`."""
    if dataset is None:
        dataset = _images(config, run)
    nets = {}
    for name, file in files.items():
        nets[name] = _network(config, dataset, run)
        load_weights(nets[name], file)
    return TrainedNetworks(config, dataset, nets)


def _images(config: Config, run: Path | None) -> Dataset:
    if run is None or not is_given(config.data.name):
        return load_data(config)
    return given.images(run).subset(n_test=config.data.n_test)


def _network(config: Config, dataset: Dataset, run: Path | None) -> Layer:
    if run is None or not is_given(config.model.name):
        return build_net(config, dataset).eval()
    return given.network(run).to(config.run.device).eval()
