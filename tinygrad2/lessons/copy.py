"""The course as people get it: the student notebooks, copied into a folder of their own, with what is solved there."""

from __future__ import annotations

import ast
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tinygrad2.lessons.progress import Progress

INSTALLED = Path(__file__).parent / "student"  # in a wheel
SOURCES = Path(__file__).parents[2] / "lessons" / "student"  # in the project's own folder


class Copied(NamedTuple):
    """A lesson in the reader's folder. state: "new", or "kept" where it was there."""

    path: Path
    state: str
    solved: int
    exercises: int


def notebooks() -> list[Path]:
    """The student notebooks, in the order of the course. FileNotFoundError where there are none."""
    folder = INSTALLED if INSTALLED.is_dir() else SOURCES
    found = sorted(folder.glob("*.ipynb"))
    if not found:
        raise FileNotFoundError(f"no lessons in {folder}: install the package anew, or run make build-lessons")
    return found


def copy_course(folder: Path) -> Iterator[Copied]:
    """Copy the notebooks that are not in the folder yet. What is there is never changed: it may hold solutions.

    folder: it is made if it is not there. Raises FileExistsError where a file has its name.
    """
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"{folder} is a file; choose another name for the folder of the course")
    folder.mkdir(parents=True, exist_ok=True)
    progress = Progress(folder)
    for source in notebooks():
        target = folder / source.name
        state = "kept" if target.exists() else "new"
        if state == "new":
            new = target.with_suffix(".new")
            shutil.copyfile(source, new)
            new.replace(target)
        yield Copied(target, state, len(progress.solved(source.stem)), len(exercises(source)))


def exercises(notebook: Path) -> list[str]:
    """The names of a student notebook's exercises: the functions of the cells that are marked as such."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    marked = ["".join(c["source"]) for c in cells if "exercise" in c["metadata"].get("tags", [])]
    return [node.name for text in marked for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)]


def listed(course: Iterator[Copied]) -> Iterator[str]:
    """A line for each lesson: what was done with it, and how many of its exercises are solved."""
    for lesson in course:
        yield f"{lesson.state:5}  {lesson.path.name:24}  {lesson.solved} of {lesson.exercises} exercises solved"
