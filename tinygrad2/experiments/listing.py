"""What is here: versions, devices, threads, data, and all names that commands take."""

from __future__ import annotations

import importlib.util
import inspect
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tinygrad2.data import LOADERS
from tinygrad2.data.cifar10 import FILE as CIFAR10
from tinygrad2.data.mnist import FILES
from tinygrad2.data.speech import FILE as SPEECH
from tinygrad2.experiments.brought import Catalogue
from tinygrad2.experiments.catalogues import ATTACKS, DATA, DEFENSES, MODELS, PENALTIES
from tinygrad2.experiments.config import FIELDS, recipe_summary, recipes
from tinygrad2.experiments.report import versions
from tinygrad2.kernels import describe_gpu, why_no_cuda_kernels, why_no_gpu, why_no_numba
from tinygrad2.nn import OPTIMIZERS, schedules
from tinygrad2.nn.layer import nearest
from tinygrad2.robust import metrics
from tinygrad2.robust.attacks.deepfool import MODES
from tinygrad2.verify.book import BOOK

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def info() -> str:
    """Versions, devices, threads, data sets, and every name that commands take, as text."""
    rows = {
        "versions": ", ".join(f"{name} {version}" for name, version in versions().items() if name != "cores"),
        "GPU": why_no_gpu() or describe_gpu(),
        "GPU kernels": why_no_cuda_kernels() or "work",
        "Numba": why_no_numba() or "works",
        "threads": ", ".join(
            [f"{os.cpu_count()} cores", *(f"{v}={os.environ[v]}" for v in THREADS if v in os.environ)]
        ),
        "data folder": _data_folder(),
        "data sets": ", ".join(f"{name} ({_state(name)})" for name in LOADERS),
        "models": ", ".join(MODELS),
        "attacks": ", ".join(ATTACKS),
        "modes": ", ".join(MODES),
        "defenses": ", ".join(DEFENSES),
        "penalties": ", ".join(PENALTIES),
        "optimizers": ", ".join(OPTIMIZERS),
        "recipes": ", ".join(recipes()),
    }
    width = max(map(len, rows))
    return "\n".join(f"{name:{width}}  {value}" for name, value in rows.items())


def kinds() -> dict[str, Mapping[str, str]]:
    """Everything that can be named: kind → name → one line about it."""
    return {
        "attacks": _named(ATTACKS),
        "penalties": _named(PENALTIES),
        "defenses": _named(DEFENSES),
        "metrics": {name: _first_line(getattr(metrics, name)) for name in metrics.__all__},
        "models": _named(MODELS),
        "optimizers": _summaries(OPTIMIZERS),
        "schedules": {f.__name__: _first_line(f) for f in (schedules.step, schedules.plateau, schedules.settled)},
        "data sets": _named(DATA),
        "recipes": {name: recipe_summary(name) for name in recipes()},
    }


def listing(kind: str | None = None) -> str:
    """All that can be named, or one kind of it, each with one line of explanation, as text.

    kind: such as "attacks", or "settings", or "exercises". Raises ValueError for an unknown kind, with the nearest.
    """
    named = kinds()
    found = {**named, "settings": {key: field.summary for key, field in FIELDS.items()}, "exercises": _exercises()}
    if kind is not None and kind not in found:
        raise ValueError(f"unknown kind {kind!r}{nearest(kind, found)}; known: {', '.join(found)}")
    blocks = []
    for title in named if kind is None else [kind]:
        width = max(map(len, found[title]))
        blocks.append("\n".join([title, *(f"  {name:{width}}  {line}" for name, line in found[title].items())]))
    return "\n\n".join(blocks)


def _named(catalogue: Catalogue) -> dict[str, str]:
    """Our own names, and those of installed packages."""
    own = {name: getattr(value, "summary", None) or _first_line(value) for name, value in catalogue.known.items()}
    return own | {name: f"of the installed {entry.value}" for name, entry in catalogue.installed.items()}


def _summaries(named: Mapping[str, Any]) -> dict[str, str]:
    return {name: _first_line(value) for name, value in named.items()}


def _first_line(value: Any) -> str:
    return (inspect.getdoc(value) or "").partition("\n")[0]


def _exercises() -> dict[str, str]:
    """Name, difficulty, orders and task of each derivation that can be practised."""
    return {name: f"{ex.difficulty:6}  order {ex.order:4}  {ex.task}" for name, ex in BOOK.items()}


def _data_folder() -> str:
    folder = os.environ.get("TINYGRAD2_DATA")
    if not folder:
        return "TINYGRAD2_DATA is not set"
    return folder if Path(folder).is_dir() else f"TINYGRAD2_DATA is {folder!r}, which is not a folder"


def _state(name: str) -> str:
    """Whether a data set can be loaded without a download."""
    if name == "mnist":
        folder = Path(os.environ.get("TINYGRAD2_DATA") or ".", "mnist")
        here = all((folder / file).is_file() or (folder / f"{file}.gz").is_file() for file in FILES)
        return "in the data folder" if here else "to be downloaded"
    if file := {"cifar10": CIFAR10, "speech": SPEECH}.get(name):
        here = Path(os.environ.get("TINYGRAD2_DATA") or ".", file).is_file()
        return "in the data folder" if here else f"needs {file} in the data folder"
    return "there" if importlib.util.find_spec("sklearn") else "needs scikit-learn: pip install 'tinygrad2[lab]'"
