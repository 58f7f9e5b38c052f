"""Pictures of what happens: a run step by step, networks and their reverses, tapes, Jacobians, mistakes."""

from tinygrad2.view.encode import NotKept
from tinygrad2.view.record import Record, replay
from tinygrad2.view.steps import Steps, load, steps

__all__ = ["NotKept", "Record", "Steps", "load", "replay", "steps"]
