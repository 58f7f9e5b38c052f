"""`tg.experiments.fit`: what Python gets is what the command line gets: checkpoints, resume, curves and a table."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad2 as tg
from tinygrad2 import experiments as ex
from tinygrad2 import nn, robust
from tinygrad2.cli import main
from tinygrad2.experiments import training

DIGITS = tg.data.unit(tg.data.load("digits").subset(200, 60))
SETTINGS = {"eval.n_curve": 0, "run.checkpoint_every": 2, "run.log_every": 1}


def network(width: int = 10) -> nn.Sequential:
    rng = np.random.default_rng(0)
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, width, rng=rng), nn.ReLU(), nn.Dropout(0.2, rng=rng), nn.Linear(width, 10, rng=rng)
    )


def smooth(trace: nn.Trace, labels: np.ndarray) -> tg.Tensor:
    return tg.mean(trace.jacobian() ** 2)


def fit(out: Path, objective: Any = smooth, **options: Any) -> ex.Table:
    given = {"net": network(), "dataset": DIGITS, "epochs": 3, "batch_size": 50, "settings": SETTINGS} | options
    return ex.fit(given.pop("net"), given.pop("dataset"), objective, out=out, **given)


def stop_after(monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    taken: list[int] = []
    step = training._Training._step

    def stopping(self: Any, *args: Any) -> str:
        taken.append(1)
        if len(taken) == steps:
            self.stop.append(2)  # as SIGINT does
        return step(self, *args)

    monkeypatch.setattr(training._Training, "_step", stopping)


def test_it_is_there_without_an_import_of_its_own() -> None:
    code = "import tinygrad2 as tg, sys; assert 'tinygrad2.experiments' not in sys.modules; tg.experiments.fit"
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": str(Path(__file__).parents[1])})


OBJECTIVES: dict[str, Callable[[], Any]] = {
    "no defense": lambda: None,
    "smooth": lambda: smooth,
    "jacobian_l1": lambda: robust.PENALTIES["jacobian_l1"],
    "Objective": lambda: robust.Objective(label_smoothing=0.1),
    "logit_margin": lambda: robust.Objective(robust.PENALTIES["logit_margin"], lam=0.1),
    "Parseval": lambda: robust.Parseval(rng=3),
}


@pytest.mark.parametrize("title", OBJECTIVES)
def test_a_run_stopped_at_any_step_goes_on_bit_for_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, title: str
) -> None:
    make = OBJECTIVES[title]
    net = network()
    table = fit(tmp_path / "whole", make(), net=net)
    assert list(table.rows) == [title]
    final = nn.load(tmp_path / "whole" / "final.npz")
    assert all(a.tobytes() == final[name].tobytes() for name, a in net.state_dict().items())
    stop_after(monkeypatch, 7)
    with pytest.raises(ex.Interrupted, match=r"go on with: tg\.experiments\.fit\(..., out=.*, resume=True\)"):
        fit(tmp_path / "parts", make())
    again = fit(tmp_path / "parts", make(), resume=True)
    assert str(again) == str(table)
    for name in ("final.npz", "metrics.jsonl", "config.toml", "curves.png"):
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def test_it_trains_as_the_command_line_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same network, images, settings and penalty: the same bits."""
    monkeypatch.chdir(tmp_path)
    text = (
        "import numpy as np\nimport tinygrad2 as tg\nfrom tinygrad2 import nn\n"
        "def net(rng):\n    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10, rng=rng))\n"
        "def smooth(trace):\n    return tg.mean(trace.jacobian() ** 2)\n"
    )
    Path("mine.py").write_text(text, encoding="utf-8")
    sets = [
        *("model.name=mine.py:net", "data.name=digits", "data.n_train=200", "data.n_test=60", "data.pixels=unit"),
        *("reference.epochs=0", "defense.epochs=3", "defense.optimizer=adam", "defense.lr=0.01", "defense.drops=[]"),
        *("defense.weight_decay=0", "run.batch_size=50", "eval.n_curve=0"),
    ]
    argv = ["train", *(part for s in sets for part in ("--set", s)), "--penalty", "mine.py:smooth", "--out", "line"]
    assert main(argv) == 0
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 10, rng=0))
    ex.fit(net, DIGITS, smooth_alone, out="python", epochs=3, lr=0.01, batch_size=50, settings={"eval.n_curve": 0})
    line, python = (nn.load(Path(run, "final.npz")) for run in ("line", "python"))
    assert {k: a.tobytes() for k, a in line.items()} == {k: a.tobytes() for k, a in python.items()}


def smooth_alone(trace: nn.Trace) -> tg.Tensor:
    return tg.mean(trace.jacobian() ** 2)


def test_the_run_goes_on_only_with_the_same(tmp_path: Path) -> None:
    out = tmp_path / "run"
    fit(out)
    with pytest.raises(FileExistsError, match=r"go on with it by --resume \(in Python: resume=True"):
        fit(out)
    other = tg.data.unit(tg.data.load("digits").subset(200, 61))
    with pytest.raises(ValueError, match="the run began in another way: the network is"):
        fit(out, net=network(11), resume=True)
    with pytest.raises(ValueError, match="the run began in another way: the images is"):
        fit(out, dataset=other, resume=True)
    with pytest.raises(ValueError, match=r"with another configuration: penalty\.name is python:smooth there"):
        fit(out, smooth_alone, resume=True)
    with pytest.raises(ValueError, match=r"with another configuration: defense\.lr is 0\.001 there"):
        fit(out, lr=0.1, resume=True)


def test_the_command_line_reads_what_it_can_and_says_what_it_cannot(
    tmp_path: Path, error: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    fit(out)
    assert main(["compare", str(out)]) == 0
    assert "smooth" in capsys.readouterr().out
    assert main(["report", str(out)]) == 0
    assert main(["evaluate", str(out)]) == 0
    line = error("train", "--out", out, "--resume")
    assert "was given to tg.experiments.fit, and only it can go on: fit(..., resume=True)" in line


def test_settings_are_those_of_the_command_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"unknown setting 'penalty\.lamb' \(did you mean 'penalty\.lam'\?\)"):
        fit(tmp_path / "run", settings={"penalty.lamb": 3})
    with pytest.raises(ValueError, match=r"fit: model\.name is what fit is given as an argument"):
        fit(tmp_path / "run", settings={"model.name": "mlp"})
    with pytest.raises(TypeError, match=r"defense\.epochs: expected an integer, got 1\.5"):
        fit(tmp_path / "run", epochs=1.5)
    assert not (tmp_path / "run").exists()
