"""The lessons' form and tools. `make test-lessons` runs the lessons themselves."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import tinygrad2 as tg
from tinygrad2.lessons import Lesson, Progress, picture, task
from tinygrad2.lessons.build import LessonError, as_text, build, drifted, main, read, sources

ROOT = Path(__file__).parents[1]
LESSONS = ROOT / "lessons"

SOURCE = """# %% [markdown]
# # A lesson

# %% tags=["setup"]
import tinygrad2 as tg
from tinygrad2.lessons import Lesson

lesson = Lesson("90_example")


# %% tags=["exercise"]
@tg.derivation(of="tanh")
def slope(g, x):
    raise NotImplementedError


lesson.check(slope)

# %% [markdown] tags=["hint"]
# Think of y.

# %% [markdown] tags=["hint"]
# It is $1 - y^2$.


# %% tags=["solution"]
@tg.derivation(of="tanh")
def slope(g, x):
    return g * (1 - tg.tanh(x) ** 2)


lesson.check(slope)

# %% [markdown] tags=["answer"]
# Forty-two.
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "90_example.py").write_text(SOURCE, encoding="utf-8")
    return tmp_path


# --- sources and notebooks


def test_the_student_notebooks_are_what_their_sources_say() -> None:
    assert sources(LESSONS)
    stale = [path.name for path, _ in drifted(LESSONS, LESSONS / "student")]
    assert not stale, f"run make build-lessons, and commit {stale}"
    notebooks = {path.stem for path in (LESSONS / "student").glob("*.ipynb")}
    assert notebooks == {path.stem for path in sources(LESSONS)}


def test_students_get_blanks_and_the_solutions_folded_at_the_end(folder: Path) -> None:
    *cells, last = read(folder / "90_example.py").student()["cells"]
    code = "\n".join(cell["source"] for cell in cells)
    assert "raise NotImplementedError" in code
    assert "1 - tg.tanh" not in code
    assert "<details><summary>Hint 2</summary>\n\nIt is $1 - y^2$.\n\n</details>" in code
    assert "<details><summary>Answer</summary>\n\nForty-two." in code
    assert last["source"].startswith("## Solutions\n\n<details><summary>Solution: slope</summary>")
    assert "1 - tg.tanh(x) ** 2" in last["source"]


def test_a_class_gets_no_solutions(folder: Path) -> None:
    assert main([str(folder), "--out", str(folder / "class"), "--no-solutions"]) == 0
    assert "1 - tg.tanh" not in (folder / "class" / "90_example.ipynb").read_text(encoding="utf-8")


def test_the_teachers_notebook_has_the_solution_in_place_of_the_blank(folder: Path) -> None:
    code = "\n".join(cell["source"] for cell in read(folder / "90_example.py").teacher()["cells"])
    assert "NotImplementedError" not in code
    assert code.count("1 - tg.tanh(x) ** 2") == 1


def test_a_notebook_is_valid_has_no_outputs_and_is_built_the_same_each_time(folder: Path) -> None:
    nbformat = pytest.importorskip("nbformat")
    notebook = read(folder / "90_example.py").student()
    text = as_text(notebook)
    assert text == as_text(read(folder / "90_example.py").student())
    nbformat.validate(nbformat.reads(text, as_version=4))
    assert not any(cell.get("outputs") for cell in json.loads(text)["cells"])


def test_a_changed_source_is_seen(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert [path.name for path in build(folder, folder / "student")] == ["90_example.ipynb"]
    assert not build(folder, folder / "student")
    assert main([str(folder), "--check"]) == 0
    (folder / "90_example.py").write_text(SOURCE.replace("Think", "Think again"), encoding="utf-8")
    assert main([str(folder), "--check"]) == 1
    assert "90_example.ipynb is not what its source says" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('tags=["hint"]', 'tags=["hnit"]', "cell 4: a cell has one tag of"),
        ('tags=["exercise"]', 'tags=["exercise", "hint"]', "a cell has one tag of"),
        ("    raise NotImplementedError", "    return g", "must say raise NotImplementedError"),
        ("\n\nlesson.check(slope)\n\n# %% [markdown] tags", "\n\n# %% [markdown] tags", "the last line must be"),
        ('tags=["solution"]', "", "has no cell with the tag solution"),
        ('tags=["hint"]', "", "has no cell with the tag hint"),
        ("def slope(g, x):\n    return", "def slope(x, g):\n    return", "must begin and end as its exercise"),
        ('tags=["setup"]', 'tags=["solution"]', "comes before the first exercise"),
    ],
)
def test_a_source_of_another_form_is_refused(folder: Path, old: str, new: str, message: str) -> None:
    assert old in SOURCE
    (folder / "90_example.py").write_text(SOURCE.replace(old, new), encoding="utf-8")
    with pytest.raises(LessonError, match=message):
        read(folder / "90_example.py")


# --- what runs in a lesson


def test_an_exercise_without_an_answer_says_so_and_is_not_noted(tmp_path: Path) -> None:
    lesson = Lesson("90_example", Progress(tmp_path))

    @tg.derivation(of="tanh")
    def slope(g, x):
        raise NotImplementedError

    with pytest.raises(NotImplementedError, match="slope has no answer yet"):
        lesson.check(slope)
    assert lesson.progress.read() == {}


def test_a_wrong_answer_then_a_right_one(tmp_path: Path) -> None:
    lesson = Lesson("90_example", Progress(tmp_path))

    @tg.derivation(of="tanh")
    def slope(g, x):
        return g * np.tanh(x)

    assert not lesson.check(slope).ok
    assert lesson.progress.solved("90_example") == []
    slope.rule = lambda g, x: g * (1 - np.tanh(x) ** 2)
    assert lesson.check(slope).ok
    assert lesson.progress.read() == {"90_example": {"slope": {"solved": True, "checks": 2}}}


def test_a_progress_file_that_is_broken_is_named(tmp_path: Path) -> None:
    (tmp_path / "progress.json").write_text("{", encoding="utf-8")
    with pytest.raises(ValueError, match=r"progress\.json cannot be read as JSON; delete it"):
        Progress(tmp_path).read()


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (lambda x: x / 2, "root(9.0) gives 4.5\nThe square is x."),
        (lambda x: -(x**0.5), "root(4.0) gives -2.0\nA root is not negative."),
        (lambda x: None, "root(4.0) gives None\nA root is not negative."),
        (lambda x: 1 / 0, "root(4.0)\nIt breaks: ZeroDivisionError: division by zero"),
    ],
)
def test_a_task_says_the_first_thing_that_does_not_hold(rule, said: str) -> None:
    holds = {"A root is not negative.": lambda y, x: y >= 0, "The square is x.": lambda y, x: abs(y * y - x) < 1e-9}
    root = task(cases=[(4.0,), (9.0,)], holds=holds)(lambda x: x**0.5)
    root.name = "root"
    assert root.check()
    root.rule = rule
    report = root.check()
    assert not report
    assert str(report).endswith(said)
    assert "✗ wrong" in report._repr_html_()


def test_what_a_learner_returns_cannot_be_markup() -> None:
    name = task(cases=[("<b>",)], holds={"<i>": lambda y, x: False})(lambda x: x)
    page = name.check()._repr_html_()
    assert "<i>" not in page.replace("<b>", "", 1)
    assert "&lt;i&gt;" in page


def test_a_picture_has_words() -> None:
    figure = pytest.importorskip("matplotlib.figure").Figure(figsize=(1, 1))
    shown = picture(figure, 'A "square".')
    assert repr(shown) == '[picture: A "square".]'
    assert 'alt="A &quot;square&quot;."' in shown._repr_html_()
    with pytest.raises(ValueError, match="text alternative"):
        picture(figure, " ")
