"""Experiments that can be named, stopped, resumed and reported: configuration, training loop, tables, figures."""

from tinygrad2.experiments.config import Config, recipes, resolve, to_toml
from tinygrad2.experiments.folder import Folder
from tinygrad2.experiments.train import Diverged, Interrupted, train

__all__ = ["Config", "Diverged", "Folder", "Interrupted", "recipes", "resolve", "to_toml", "train"]
