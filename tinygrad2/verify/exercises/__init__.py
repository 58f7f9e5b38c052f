"""The exercises. Importing the room registers all; `exercise(name)` finds one, `exercises()` lists the names."""

# isort: off
from tinygrad2.verify.exercises import elementwise, linear, windows, normal, double, jacobians
from tinygrad2.verify.exercises.core import Exercise, Worked, exercise, exercises

# isort: on

__all__ = [
    "Exercise",
    "Worked",
    "double",
    "elementwise",
    "exercise",
    "exercises",
    "jacobians",
    "linear",
    "normal",
    "windows",
]
