"""Experiments that can be named, stopped, resumed and reported: configuration, training loop, tables, figures."""

from tinygrad2.experiments.about import info
from tinygrad2.experiments.attacks import ATTACKS, Outcome, attack, prepare
from tinygrad2.experiments.attacks import check as check_attack
from tinygrad2.experiments.attacks import save as save_attack
from tinygrad2.experiments.config import defended, label, recipes, resolve, to_toml
from tinygrad2.experiments.figures import require as require_figures
from tinygrad2.experiments.folder import Folder
from tinygrad2.experiments.report import Table, finish, peak_memory_mib, table
from tinygrad2.experiments.settings import Config
from tinygrad2.experiments.subject import Subject, from_run, from_weights
from tinygrad2.experiments.training import Diverged, Interrupted, train

__all__ = [
    "ATTACKS",
    "Config",
    "Diverged",
    "Folder",
    "Interrupted",
    "Outcome",
    "Subject",
    "Table",
    "attack",
    "check_attack",
    "defended",
    "finish",
    "from_run",
    "from_weights",
    "info",
    "label",
    "peak_memory_mib",
    "prepare",
    "recipes",
    "require_figures",
    "resolve",
    "save_attack",
    "table",
    "to_toml",
    "train",
]
