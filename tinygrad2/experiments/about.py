"""What is here: versions, devices, threads, data, and all names that commands take."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

from tinygrad2.data import LOADERS
from tinygrad2.data.cifar10 import FILE as CIFAR10
from tinygrad2.data.mnist import FILES
from tinygrad2.data.speech import FILE as SPEECH
from tinygrad2.experiments.config import recipes
from tinygrad2.experiments.report import versions
from tinygrad2.kernels import why_no_gpu, why_no_numba
from tinygrad2.nn import OPTIMIZERS
from tinygrad2.nn.models import MODELS
from tinygrad2.robust.attacks.deepfool import MODES
from tinygrad2.robust.attacks.registry import ATTACKS

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def info() -> str:
    """The answer to "what do I have, and what can I call it"."""
    rows = {
        "versions": ", ".join(f"{name} {version}" for name, version in versions().items() if name != "cores"),
        "GPU": why_no_gpu() or "works",
        "Numba": why_no_numba() or "works",
        "threads": ", ".join(
            [f"{os.cpu_count()} cores", *(f"{v}={os.environ[v]}" for v in THREADS if v in os.environ)]
        ),
        "data folder": _data_folder(),
        "data sets": ", ".join(f"{name} ({_state(name)})" for name in LOADERS),
        "models": ", ".join(MODELS),
        "attacks": ", ".join(ATTACKS),
        "modes": ", ".join(MODES),
        "optimizers": ", ".join(OPTIMIZERS),
        "recipes": ", ".join(recipes()),
    }
    width = max(map(len, rows))
    return "\n".join(f"{name:{width}}  {value}" for name, value in rows.items())


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
