"""From a lesson's source to the notebook that students open: `python -m tinygrad2.lessons.build lessons`.

A source is a Python file in jupytext's percent format. Cells have tags: "setup" (what the exercises need), "exercise",
"hint", "solution", "answer", "picture" (code that draws, shown folded). For students, solutions move to the end, and
hints, answers and solutions fold.
Needs jupytext (the extra "lessons").
"""

from __future__ import annotations

import argparse
import ast
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TAGS = {"setup", "exercise", "hint", "solution", "answer", "picture"}
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


class LessonError(ValueError):
    """A source that is not a lesson: the message names the file, the cell and what to do."""


@dataclass(frozen=True)
class Cell:
    """A cell of a source. kind: "code" or "markdown". tag: one of TAGS, or ""."""

    kind: str
    text: str
    tag: str
    place: str

    def error(self, message: str) -> LessonError:
        """The error that says where."""
        return LessonError(f"{self.place}: {message}")


@dataclass(frozen=True)
class Source:
    """A lesson's source, read and checked. name: "01_tape". exercises, solutions: name of the function -> its cell."""

    name: str
    cells: list[Cell]
    exercises: dict[str, Cell]
    solutions: dict[str, Cell]

    def student(self, solutions: bool = True) -> dict[str, Any]:
        """The notebook for students: blanks, folded hints, and at the end the solutions, folded (or none)."""
        cells = [_shown(self, cell) for cell in _numbered(self.cells) if cell.tag != "solution"]
        if solutions:
            folded = [_folded(f"Solution: {name}", _fenced(cell.text)) for name, cell in self.solutions.items()]
            cells.append(_cell("markdown", "\n\n".join(["## Solutions", *folded])))
        return _notebook(cells)

    def teacher(self) -> dict[str, Any]:
        """The notebook with every exercise solved in its place; it runs from start to end."""
        solved = iter(self.solutions.values())
        cells = [next(solved) if cell.tag == "exercise" else cell for cell in self.cells if cell.tag != "solution"]
        return _notebook([_shown(self, cell) for cell in _numbered(cells)])


def read(path: Path) -> Source:
    """Read a source and check its form. Raises LessonError; ImportError where jupytext is missing."""
    try:
        import jupytext
    except ImportError:
        raise ImportError("building a lesson needs jupytext: pip install 'tinygrad2[lessons]'") from None
    found = jupytext.read(path, fmt="py:percent").cells
    cells = [_read_cell(cell, f"{path.name}, cell {i}") for i, cell in enumerate(found, 1)]
    exercises: dict[str, Cell] = {}
    solutions: dict[str, Cell] = {}
    hinted: set[str] = set()
    for cell in cells:
        if cell.tag == "exercise":
            exercises[_blank(cell)] = cell
        elif cell.tag in ("hint", "solution"):
            name = next(reversed(exercises), None)
            if name is None:
                raise cell.error(f"a {cell.tag} comes before the first exercise")
            if cell.tag == "hint":
                hinted.add(name)
            else:
                _fits(cell, exercises[name], name)
                solutions[name] = cell
    for name, cell in exercises.items():
        if name not in solutions:
            raise cell.error(f"the exercise {name} has no cell with the tag solution after it")
        if name not in hinted:
            raise cell.error(f"the exercise {name} has no cell with the tag hint after it")
    return Source(path.stem, cells, exercises, solutions)


def sources(folder: Path) -> list[Path]:
    """The sources of the lessons in a folder, in order."""
    return sorted(folder.glob("[0-9][0-9]_*.py"))


def as_text(notebook: dict[str, Any]) -> str:
    """The notebook as the text of its file."""
    import nbformat

    return str(nbformat.writes(nbformat.from_dict(notebook))) + "\n"


def build(folder: Path, out: Path, solutions: bool = True) -> list[Path]:
    """Write the student notebook of every source in a folder. Result: the files that changed."""
    out.mkdir(parents=True, exist_ok=True)
    return [path for path, text in drifted(folder, out, solutions) if path.write_text(text, encoding="utf-8")]


def drifted(folder: Path, out: Path, solutions: bool = True) -> Iterator[tuple[Path, str]]:
    """The student notebooks that are missing or not as their source says, each with the text that it must have."""
    for path in sources(folder):
        notebook = out / f"{path.stem}.ipynb"
        text = as_text(read(path).student(solutions))
        if not notebook.is_file() or notebook.read_text(encoding="utf-8") != text:
            yield notebook, text


def main(argv: Sequence[str] | None = None) -> int:
    """The command. Result: 1 with --check where a notebook is not as its source says, else 0."""
    parser = argparse.ArgumentParser(prog="python -m tinygrad2.lessons.build", description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, help="the folder of the sources, NN_name.py")
    parser.add_argument("--out", type=Path, help="where the notebooks go (default: student/ in the folder)")
    parser.add_argument("--no-solutions", action="store_true", help="leave the solutions out, for a class")
    parser.add_argument("--check", action="store_true", help="write nothing; say which notebooks are not up to date")
    args = parser.parse_args(argv)
    out = args.out or args.folder / "student"
    try:
        if args.check:
            stale = [path for path, _ in drifted(args.folder, out, not args.no_solutions)]
            for path in stale:
                print(f"{path} is not what its source says: run python -m tinygrad2.lessons.build {args.folder}")
            return 1 if stale else 0
        for path in build(args.folder, out, not args.no_solutions):
            print(f"written: {path}")
    except (LessonError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _read_cell(cell: Any, place: str) -> Cell:
    tags = cell.metadata.get("tags", [])
    unknown = [tag for tag in tags if tag not in TAGS]
    if unknown or len(tags) > 1:
        raise LessonError(f"{place}: a cell has one tag of {', '.join(sorted(TAGS))}, or none; it has {tags}")
    return Cell(cell.cell_type, cell.source, tags[0] if tags else "", place)


def _blank(cell: Cell) -> str:
    """The name of the exercise: of the function in the cell, which must raise NotImplementedError and be checked."""
    name = _function(cell).name
    if "raise NotImplementedError" not in cell.text:
        raise cell.error(f"the exercise {name} must say raise NotImplementedError where the answer goes")
    if cell.text.rstrip().split("\n")[-1] != f"lesson.check({name})":
        raise cell.error(f"the last line must be lesson.check({name})")
    return name


def _function(cell: Cell) -> ast.FunctionDef:
    found = [node for node in ast.parse(cell.text).body if isinstance(node, ast.FunctionDef)]
    if not found:
        raise cell.error("a cell with this tag defines a function")
    return found[-1]


def _fits(solution: Cell, exercise: Cell, name: str) -> None:
    """The solution is the exercise with another body."""
    if _frame(solution) != _frame(exercise):
        raise solution.error(f"the solution of {name} must begin and end as its exercise: decorator, name, arguments")


def _frame(cell: Cell) -> tuple[str, str]:
    node = _function(cell)
    signature = ast.dump(ast.FunctionDef(node.name, node.args, [], node.decorator_list, None))
    return signature, cell.text.rstrip().split("\n")[-1]


def _numbered(cells: Sequence[Cell]) -> Iterator[Cell]:
    """The cells, with the hints of each exercise numbered: a hint's tag becomes "Hint 1"."""
    n = 0
    for cell in cells:
        n = n + 1 if cell.tag == "hint" else 0 if cell.tag in ("exercise", "solution") else n
        yield Cell(cell.kind, cell.text, f"Hint {n}", cell.place) if cell.tag == "hint" else cell


def _shown(source: Source, cell: Cell) -> dict[str, Any]:
    """A cell of a notebook. What folds is HTML that needs no script."""
    if cell.tag.startswith("Hint "):
        return _cell(cell.kind, _folded(cell.tag, cell.text), ["hint"])
    if cell.tag == "answer":
        return _cell(cell.kind, _folded("Answer", cell.text), ["answer"])
    if cell.tag in ("exercise", "solution"):
        return _cell(cell.kind, cell.text, [cell.tag], _graded(_function(cell).name))
    if cell.tag == "picture":
        return _cell(cell.kind, cell.text, ["picture"], {"jupyter": {"source_hidden": True}})
    return _cell(cell.kind, cell.text, [cell.tag] if cell.tag else [])


def _graded(name: str) -> dict[str, Any]:
    """What nbgrader reads: the cell holds an answer of the student."""
    return {
        "nbgrader": {
            "grade": False, "grade_id": name, "locked": False, "schema_version": 3, "solution": True, "task": False
        }
    }  # fmt: skip


def _folded(title: str, text: str) -> str:
    return f"<details><summary>{title}</summary>\n\n{text}\n\n</details>"


def _fenced(code: str) -> str:
    return f"```python\n{code}\n```"


def _cell(kind: str, text: str, tags: Sequence[str] = (), more: dict[str, Any] | None = None) -> dict[str, Any]:
    metadata = {**({"tags": list(tags)} if tags else {}), **(more or {})}
    empty: dict[str, Any] = {"execution_count": None, "outputs": []} if kind == "code" else {}
    return {"cell_type": kind, "metadata": metadata, "source": text, **empty}


def _notebook(cells: list[dict[str, Any]]) -> dict[str, Any]:
    """A notebook of format 4.5. The ids are numbers: they must not change from one build to the next."""
    numbered = [{"id": f"cell-{i}", **cell} for i, cell in enumerate(cells, 1)]
    metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    return {"cells": numbered, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


if __name__ == "__main__":
    sys.exit(main())
