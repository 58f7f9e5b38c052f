"""The training loop for Python: a network, images and an objective that are there already, in the folder of a run."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np

from tinygrad2.autodiff import Tensor
from tinygrad2.data import Dataset
from tinygrad2.experiments import given
from tinygrad2.experiments.brought import FROM_PYTHON, digest, digest_of
from tinygrad2.experiments.building import load_weights
from tinygrad2.experiments.config import from_values, label
from tinygrad2.experiments.folder import Folder
from tinygrad2.experiments.phases import Phase
from tinygrad2.experiments.report import Table, measure
from tinygrad2.experiments.settings import Config
from tinygrad2.experiments.trained import TrainedNetworks, title_of
from tinygrad2.experiments.training import Experiment, run
from tinygrad2.nn import Layer
from tinygrad2.robust import Penalty
from tinygrad2.robust.defenses import Defense, Objective

# What the arguments say already.
GIVEN = {"model.name", "model.weights", "model.two_logits", "data.name", "reference.weights"}
GIVEN |= {"defense.name", "penalty.name"}

Aim: TypeAlias = Objective | Defense | Callable[..., Tensor]


def fit(
    net: Layer,
    dataset: Dataset,
    objective: Aim | None = None,
    *,
    out: str | os.PathLike[str],
    epochs: int = 10,
    lr: float = 1e-3,
    optimizer: str = "adam",
    batch_size: int = 100,
    seed: int = 0,
    settings: Mapping[str, Any] | None = None,
    resume: bool = False,
) -> Table:
    """Train a network with checkpoints, curves and a report, as `tinygrad2 train` does. The network is changed.

    net: with logits (N, K); dataset: its images as they are
    objective: a penalty(trace) or penalty(trace, labels), an `Objective`, or a `Defense`; the cross-entropy if None
    out: the folder of the run; lr, optimizer: of the training; batch_size: images in a step
    seed: of the order of the images, and of a penalty's or defense's random choices
    settings: others by their names in `tinygrad2 list settings`, such as {"penalty.lam": 0.1, "eval.epsilons": [0.1]}
    resume: go on with a run that was stopped; give the same network, images and objective

    The test images and how the network is built are kept too, so that `tinygrad2 evaluate`, `attack` and `verify` take
    the run. A class of layers of your own must stand in a file that can be imported, not in the script itself.
    Result: the table of the run. Raises Interrupted after Ctrl-C, when all is saved.

    >>> from tempfile import mkdtemp
    >>> from tinygrad2 import experiments
    >>> digits = data.unit(data.load("digits").subset(n_train=100, n_test=30))
    >>> net = nn.Sequential(nn.Flatten(), nn.Linear(64, 10, rng=0))
    >>> table = experiments.fit(net, digits, robust.jacobian_frobenius, out=f"{mkdtemp()}/run", epochs=1)
    >>> list(table.rows)
    ['jacobian_frobenius']
    """
    config = _config(net, dataset, objective, settings or {}, epochs, lr, optimizer, batch_size, seed)
    folder = Folder(out)
    folder.check(config, resume)
    rng = np.random.default_rng(config.run.seed)
    phases = [
        Phase("reference", "reference", config.reference, Defense()),
        Phase(label(config), "defense", config.defense, _defense(objective, config, rng)),
    ]
    net.to(config.run.device)
    brought = _digests(net, dataset, objective)
    again = f"tg.experiments.fit(..., out={str(out)!r}, resume=True)"
    seconds = run(Experiment(config, dataset, net, phases, brought, again), folder, resume)
    load_weights(net.eval(), folder / "final.npz")
    given.keep(folder.path, net, dataset)
    return measure(folder, TrainedNetworks(config, dataset, {title_of(config): net}), seconds, brought)


def _config(
    net: Layer,
    dataset: Dataset,
    objective: Aim | None,
    settings: Mapping[str, Any],
    epochs: int,
    lr: float,
    optimizer: str,
    batch_size: int,
    seed: int,
) -> Config:
    """The settings of the run. What is given from Python has a name that only `fit` can read."""
    named = {} if objective is None else {_section(objective): f"{FROM_PYTHON}{_name(objective)}"}
    if taken := settings.keys() & GIVEN:
        raise ValueError(f"fit: {min(taken)} is what fit is given as an argument; leave it out of the settings")
    return from_values(
        {
            "model.name": f"{FROM_PYTHON}{type(net).__name__}",
            "data.name": f"{FROM_PYTHON}{dataset.name}",
            "data.pixels": "raw",
            "reference.epochs": 0,
            "defense.name": "none",
            "defense.epochs": epochs,
            "defense.lr": lr,
            "defense.optimizer": optimizer,
            "defense.weight_decay": 0.0,
            "defense.drops": (),
            "run.batch_size": batch_size,
            "run.seed": seed,
            **named,
            **settings,
        }
    )


def _section(objective: Aim) -> str:
    return "defense.name" if isinstance(objective, Defense) else "penalty.name"


def _name(objective: Aim) -> str:
    """What the run calls it: a function's name, or a class's."""
    function = _function(objective)
    return str(getattr(function, "__name__", type(objective).__name__))


def _function(objective: Aim) -> Any:
    """The function of a penalty, where there is one."""
    if isinstance(objective, Objective):
        return None if objective.penalty is None else _function(objective.penalty)
    return objective.function if isinstance(objective, Penalty) else objective


def _defense(objective: Aim | None, config: Config, rng: np.random.Generator) -> Defense:
    if isinstance(objective, Defense):
        return objective
    if objective is None or isinstance(objective, Objective):
        return Defense(objective, rng)
    penalty = objective if isinstance(objective, Penalty) else Penalty(objective)
    return Defense(Objective(penalty, lam=config.penalty.lam, reduction=config.penalty.fit), rng)


def _digests(net: Layer, dataset: Dataset, objective: Aim | None) -> dict[str, str]:
    """The hashes of what was given: layers and shapes, images, the source of the objective, the files of classes."""
    shapes = [f"{name} {a.shape} {a.dtype}" for name, a in net.state_dict().items()]
    arrays = (dataset.x_train, dataset.y_train, dataset.x_test, dataset.y_test)
    found = {
        "the network": digest("\n".join([repr(net), *shapes]).encode()),
        "the images": digest(*(np.ascontiguousarray(a).tobytes() for a in arrays)),
    }
    if objective is not None:
        found["the objective"] = digest(_source(objective).encode())
    return found | {name: digest_of(name) for name in given.files(net)}


def _source(objective: Aim) -> str:
    """The code of the objective, where Python can read it; otherwise its name."""
    function = _function(objective)
    try:
        return inspect.getsource(type(function) if isinstance(function, Defense) else function)
    except (OSError, TypeError):
        return _name(objective)
