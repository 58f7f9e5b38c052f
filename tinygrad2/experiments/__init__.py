"""Experiments that can be named, stopped, resumed and reported: configuration, training loop, tables, figures."""

from tinygrad2.experiments.attack_options import AttackPlan, attack_options, choose
from tinygrad2.experiments.attack_report import AttackReport
from tinygrad2.experiments.attack_run import attack
from tinygrad2.experiments.brought import short
from tinygrad2.experiments.building import load_data
from tinygrad2.experiments.compare import Comparison, compare
from tinygrad2.experiments.compare import save as save_comparison
from tinygrad2.experiments.config import defended, label, parse_options, recipes, resolve, to_toml
from tinygrad2.experiments.figures import require as require_figures
from tinygrad2.experiments.fit import fit
from tinygrad2.experiments.folder import Folder
from tinygrad2.experiments.interrupts import Interrupted
from tinygrad2.experiments.listing import info, listing
from tinygrad2.experiments.page import write_page
from tinygrad2.experiments.report import Table, finish, peak_memory_mib, table
from tinygrad2.experiments.settings import Config
from tinygrad2.experiments.trained import TrainedNetworks, from_run, from_weights, source_network
from tinygrad2.experiments.training import Diverged, train

__all__ = [
    "AttackPlan",
    "AttackReport",
    "Comparison",
    "Config",
    "Diverged",
    "Folder",
    "Interrupted",
    "Table",
    "TrainedNetworks",
    "attack",
    "attack_options",
    "choose",
    "compare",
    "defended",
    "finish",
    "fit",
    "from_run",
    "from_weights",
    "info",
    "label",
    "listing",
    "load_data",
    "parse_options",
    "peak_memory_mib",
    "recipes",
    "require_figures",
    "resolve",
    "save_comparison",
    "short",
    "source_network",
    "table",
    "to_toml",
    "train",
    "write_page",
]
