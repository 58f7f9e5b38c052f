"""The README does what it says: every snippet and every command in it is run."""

import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MEASURED = (ROOT / "benchmarks/results/steps.md").read_text(encoding="utf-8")


def blocks(kind):
    return re.findall(rf"^```{kind}\n(.*?)^```", README, re.M | re.S)


def words(text):
    """Lines without the spaces that only align them."""
    return "\n".join(" ".join(line.split()) for line in text.strip().splitlines())


def commands():
    lines = [line for block in blocks("console") for line in block.splitlines() if line.strip()]
    return [shlex.split(line, comments=True) for line in lines]


def test_the_tour_runs_as_one_script_and_prints_what_it_shows(capsys):
    pytest.importorskip("sklearn", reason="the last part of the tour trains on scikit-learn's digits")
    exec(compile("\n".join(blocks("python")), "README.md", "exec"), {})
    printed = capsys.readouterr().out
    for shown in (block for block in blocks("text") if "reverse ↑" in block or "Diagnosis" in block):
        assert words(shown) in words(printed)
    assert "(3, 3)" in printed
    assert "(10, 5, 1, 8, 8) (4, 1, 3, 3)" in printed
    before, after = re.findall(r"\(([\d.]+), np\.float\d+\(([\d.]+)\)\)", printed)
    assert float(after[1]) > 1.3 * float(before[1]), "fine-tuning must make the smallest perturbations larger"


def test_the_commands_of_the_tour_run_one_after_the_other(tmp_path):
    pytest.importorskip("sklearn", reason="the commands train on scikit-learn's digits")
    pytest.importorskip("matplotlib", reason="the commands draw figures")
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
    tour = [c for c in commands() if c[0] == "tinygrad2"]
    names = "check train evaluate attack verify train compare report list info"
    assert [c[1] for c in tour] == names.split()
    for name, text in re.findall(r"^```python\n# (\w+\.py)\n(.*?)^```", README, re.M | re.S):
        (tmp_path / name).write_text(text, encoding="utf-8")
    for _, *arguments in tour:
        command = [sys.executable, "-m", "tinygrad2", *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, encoding="utf-8")
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "runs/c15/perturbations.png").stat().st_size > 10_000


def test_the_two_commands_are_those_that_every_change_is_checked_with():
    makes = [" ".join(c) for c in commands() if c[0] == "make"]
    assert makes == ["make demo", "make test"]
    checked = (ROOT / ".ci" / "run").read_text()
    for command in makes:
        assert re.search(rf"^alone {command}$", checked, re.M), f".ci/run does not run {command!r}"


def test_the_commands_without_make_are_those_of_the_makefile():
    makefile = (ROOT / "Makefile").read_text()
    plain = [" ".join(c) for c in commands() if c[0].startswith((".venv", "python3"))]
    assert plain[0] == "python3 -m venv .venv"
    assert "$(PYTHON) -m venv .venv" in makefile
    for command in plain[1:]:
        part = command.removeprefix(".venv/bin/")
        if "pip install" not in part:
            assert f"$(BIN)/{part}" in makefile, f"the Makefile has no {part!r}"
        else:
            extra = re.search(r"\[(\w+)\]", part).group(1)
            assert f".venv/.with-{extra}" in makefile


def test_every_file_that_the_readme_links_to_exists():
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", README):
        assert (ROOT / target).is_file(), target


def test_recipes_and_help_that_the_readme_names_exist():
    from tinygrad2 import experiments

    assert set(re.findall(r"--recipe ([\w-]+)", README)) == set(experiments.recipes())


def test_the_papers_are_those_of_the_citation_file_and_of_the_package_index():
    urls = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]
    cited = re.findall(r"^    (?:url|doi): (\S+)$", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), re.M)
    papers = re.findall(r"^\| \[.*?\]\((\S+)\)\.", README, re.M)
    assert len(papers) == 5
    assert papers == list(urls.values())
    assert [p.removeprefix("https://doi.org/") for p in papers] == cited


def test_the_table_of_speed_is_made_of_measured_ratios():
    def rows(text):
        lines = (line.strip("|").split("|") for line in text.splitlines() if line.startswith("| "))
        return [[cell.strip() for cell in line] for line in lines]

    (table,) = re.findall(r"^\| step \|.*?\n\n", README, re.M | re.S)
    (_, *names), *shown = rows(table)
    networks = [name.lower().replace(" ", "_") for name in names]
    measured = {}
    for network, step, _, _, ratio, *_ in rows(MEASURED.partition("\n## ")[0]):
        measured.setdefault(step, {})[network] = ratio
    del measured["step"]
    assert {step: dict(zip(networks, ratios, strict=True)) for step, *ratios in shown} == measured
