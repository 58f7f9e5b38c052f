"""Every lesson runs: solved from start to end, unsolved up to its exercises; the exercises know wrong from right.

`make test-lessons`. The kernels run in empty folders, with the environment of this process.
"""

from __future__ import annotations

import importlib.util
import linecache
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from tinygrad2.lessons.build import Source, read, sources

LESSONS = Path(__file__).parents[1]
SECONDS = 60  # of a lesson, on two cores
NAMES = [path.stem for path in sources(LESSONS)]


def source(name: str) -> Source:
    return read(LESSONS / f"{name}.py")


def run(notebook: dict[str, Any], folder: Path, errors: bool) -> tuple[list[Any], float]:
    """The cells after the run, and the seconds it took without the start of the kernel."""
    nb = nbformat.from_dict(notebook)
    client = NotebookClient(nb, timeout=4 * SECONDS, allow_errors=errors, resources={"metadata": {"path": folder}})
    with client.setup_kernel():
        start = time.monotonic()
        for i, cell in enumerate(nb.cells):
            if cell.cell_type == "code":
                client.execute_cell(cell, i)
        return nb.cells, time.monotonic() - start


@pytest.mark.parametrize("name", NAMES)
def test_the_solved_lesson_runs_from_start_to_end(name: str, tmp_path: Path) -> None:
    lesson = source(name)
    cells, seconds = run(lesson.teacher(), tmp_path, errors=False)
    print(f"{name}: {seconds:.1f} s")
    assert seconds < SECONDS
    for cell in cells:
        outputs = cell.get("outputs", [])
        assert not any(o.get("name") == "stderr" for o in outputs), outputs  # no warning either
        if "solution" in cell.metadata.get("tags", []):
            (report,) = (o.data["text/plain"] for o in outputs if "data" in o)
            assert "RIGHT" in report, report
        for shown in (o.data for o in outputs if "data" in o):
            assert "image/png" not in shown, f"a picture without a text alternative: use picture(): {cell.source}"


@pytest.mark.parametrize("name", NAMES)
def test_the_unsolved_lesson_stops_at_its_exercises_and_nowhere_else(name: str, tmp_path: Path) -> None:
    cells, _ = run(source(name).student(), tmp_path, errors=True)
    for cell in cells:
        errors = [o for o in cell.get("outputs", []) if o.output_type == "error"]
        if "exercise" in cell.metadata.get("tags", []):
            assert [o.ename for o in errors] == ["NotImplementedError"], cell.source
            assert "has no answer yet" in errors[0].evalue
        else:
            assert not errors, errors


@pytest.fixture(scope="module", params=NAMES)
def lesson(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Any, Any]]:
    """The source, the names that its setup and its solutions define, and the answers that come with it."""
    found = source(request.param)
    here = Path.cwd()
    os.chdir(tmp_path_factory.mktemp(found.name))  # the progress is noted there
    names: dict[str, Any] = {"__name__": "lesson"}
    try:
        for cell in found.cells:
            if cell.tag in ("setup", "solution"):
                linecache.cache[cell.place] = (len(cell.text), None, cell.text.splitlines(True), cell.place)
                exec(compile(cell.text, cell.place, "exec"), names)  # the checker quotes the lines, as in a notebook
        yield found, names, answers(found.name)
    finally:
        os.chdir(here)


def answers(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"answers_{name}", LESSONS / "answers" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def judge(names: dict[str, Any], exercise: str, rule: Any) -> Any:
    """The report on an answer, as the lesson's own check gives it."""
    return names["lesson"].check(replace(names[exercise], rule=rule))


def test_each_exercise_has_answers_of_both_kinds(lesson: tuple[Any, Any, Any]) -> None:
    found, _, given = lesson
    assert len(found.exercises) >= 4
    assert list(given.RIGHT) == list(given.WRONG) == list(found.exercises)
    for exercise in found.exercises:
        assert len(given.RIGHT[exercise]) >= 2
        assert len(given.WRONG[exercise]) >= 3


def test_right_answers_are_accepted_however_they_are_written(lesson: tuple[Any, Any, Any]) -> None:
    found, names, given = lesson
    for exercise in found.exercises:
        for rule in given.RIGHT[exercise]:
            report = judge(names, exercise, rule)
            assert report.ok, f"{found.name}, {exercise}: {report}"


def test_wrong_answers_are_rejected_with_the_sentence_that_helps(lesson: tuple[Any, Any, Any]) -> None:
    found, names, given = lesson
    unnamed = []
    for exercise in found.exercises:
        for sentence, rule in given.WRONG[exercise]:
            report = judge(names, exercise, rule)
            assert not report.ok, f"{found.name}, {exercise}: a wrong answer was accepted"
            if sentence not in str(report):
                unnamed.append(f"{exercise}: expected {sentence!r} in\n{report}")
    assert not unnamed, "\n\n".join(unnamed)
