"""The guide to bringing one's own: its blocks and commands run, and a run that is killed ends with the same bits."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tinygrad2 import nn

ROOT = Path(__file__).parents[1]
GUIDE = (ROOT / "lessons" / "guide" / "bring-your-own.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"^```\w+\n# (\w+\.\w+)\n(.*?)^```", GUIDE, re.M | re.S))
LINES = "".join(re.findall(r"^```console\n(.*?)^```", GUIDE, re.M | re.S)).splitlines()
COMMANDS = [shlex.split(line) for line in LINES]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}


def run(folder: Path, command: list[str], code: int = 0) -> str:
    """What one command of the guide prints, in a process of its own."""
    program = {"python": [sys.executable], "tinygrad2": [sys.executable, "-m", "tinygrad2"]}[command[0]]
    argv = [*program, *command[1:]]
    ended = subprocess.run(argv, cwd=folder, env=ENVIRONMENT, capture_output=True, encoding="utf-8", timeout=120)
    assert ended.returncode == code, ended.stderr
    return ended.stdout + ended.stderr


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """The folder after all commands of the guide, and what they printed."""
    pytest.importorskip("matplotlib", reason="the commands draw figures")
    folder = tmp_path_factory.mktemp("guide")
    for name, text in FILES.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder, [run(folder, command) for command in COMMANDS]


def test_the_file_has_twenty_lines() -> None:
    assert len(FILES["mine.py"].splitlines()) <= 20


def test_the_penalty_helps_and_the_attack_hurts(done: tuple[Path, list[str]]) -> None:
    folder, printed = done
    rows = json.loads((folder / "runs/bars/result.json").read_text(encoding="utf-8"))["rows"]
    assert list(rows) == ["Reference", "slope"]
    assert rows["slope"]["accuracy"] > 0.9
    under = rows["slope"]["under"]["mine.py:nudge"]
    assert under["0.05"] < under["0.02"] < rows["slope"]["accuracy"]
    assert under["0.05"] > 0.1 + rows["Reference"]["under"]["mine.py:nudge"]["0.05"]
    assert "mine.py:nudge (epsilon 0.05, passes 4)" in printed[2]


def test_the_run_records_what_was_brought(done: tuple[Path, list[str]]) -> None:
    folder, _ = done
    brought = json.loads((folder / "runs/bars/result.json").read_text(encoding="utf-8"))["brought"]
    assert {Path(name).name for name in brought} == {"mine.py", "bars.npz"}
    assert all(re.fullmatch("[0-9a-f]{64}", value) for value in brought.values())


def test_python_leaves_the_same_kind_of_run(done: tuple[Path, list[str]]) -> None:
    folder, printed = done
    names = [{p.name for p in (folder / "runs" / run).iterdir()} for run in ("bars", "fit")]
    assert names[0] - names[1] == {"attack-nudge", "epsilons.png"}
    assert names[1] - names[0] == {"network.npz", "images.npz"}  # from which other commands build it again
    assert re.search(r"^slope +\d+\.\d\d %", printed[-1], re.M)


def test_a_changed_file_is_refused_at_resume_and_told_elsewhere(done: tuple[Path, list[str]], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(done[0], tmp_path / "copy"))
    for name in ("mine.py", "bars.npz"):
        whole = (folder / name).read_bytes()
        if name == "mine.py":
            (folder / name).write_bytes(whole + b"# changed\n")
        else:
            nn.save(folder / name, {**nn.load(folder / name), "box": [0.0, 1.5]})
        said = run(folder, ["tinygrad2", "train", "--out", "runs/bars", "--resume"], code=2)
        assert f"the run began in another way: {name} is " in said
        assert f"warning: {name} has changed since" in run(folder, ["tinygrad2", "evaluate", "runs/bars", "--n", "20"])
        (folder / name).write_bytes(whole)


KILLED = """
import os, signal, sys
from tinygrad2 import cli
from tinygrad2.experiments import training

step = training._Training._step

def deadly(self, phase, batch):
    if phase.name == "slope" and (self.state.epoch, self.state.step) == (2, 8):  # between two checkpoints
        os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
    return step(self, phase, batch)

training._Training._step = deadly
cli.main(sys.argv[1:])
"""


def test_a_run_that_is_killed_goes_on_to_the_same_bits(done: tuple[Path, list[str]]) -> None:
    folder, _ = done
    train = [*COMMANDS[1][1:-1], "runs/killed"]
    killed = subprocess.run([sys.executable, "-c", KILLED, *train], cwd=folder, env=ENVIRONMENT, capture_output=True)
    assert killed.returncode not in (0, 2), killed.stderr
    state = json.loads(str(nn.load(folder / "runs/killed/checkpoint.npz")["scalars"]))
    assert (state["phase"], state["epoch"], state["step"]) == (1, 2, 5)
    assert not (folder / "runs/killed/final.npz").exists()
    run(folder, ["tinygrad2", "train", "--out", "runs/killed", "--resume"])
    for name in ("reference.npz", "final.npz", "metrics.jsonl", "config.toml", "curves.png", "epsilons.png"):
        assert (folder / "runs/killed" / name).read_bytes() == (folder / "runs/bars" / name).read_bytes(), name
