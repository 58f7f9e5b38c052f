"""The benchmark's harness: sides agree before they are timed, what is missing is named, finished rows are kept.

Speed itself is not tested. Every run here is a process of its own, as small as it can be.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="the benchmark's images are scikit-learn's digits")

from benchmarks import rows, tables
from benchmarks.worker import SIDES, Unanswered

ROOT = Path(__file__).parent.parent
NO_PEERS = """
import sys
from importlib import util
real = util.find_spec
util.find_spec = lambda name, *a: None if name in ("torch", "jax", "autograd", "foolbox") else real(name, *a)
from benchmarks.__main__ import main
if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
"""


def options(output: Path, *more: str) -> list[str]:
    small = ["--models", "model_c", "--parts", "steps", "--repeats", "1", "--attacked", "0", "--threads", "1"]
    return [*small, "--output", str(output), *more]


def without_peers(tmp_path: Path, *more: str, **keywords) -> subprocess.Popen:
    """The command where no peer is installed."""
    script = tmp_path / "alone.py"
    script.write_text(NO_PEERS)
    return subprocess.Popen(
        [sys.executable, str(script), *options(tmp_path / "out.json", *more)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OPENBLAS_L2_SIZE": "512", "NUMBA_OPT": "3"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **keywords,
    )


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """What a run of two steps without any peer printed and wrote."""
    folder = tmp_path_factory.mktemp("benchmark")
    process = without_peers(folder, "--steps", "cross-entropy", "jacobian")
    printed, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    return folder, printed, errors


def test_a_run_writes_json_and_the_table_made_from_it(alone):
    folder, printed, _ = alone
    report = json.loads((folder / "out.json").read_text())
    assert list(report["steps"]["model_c"]) == ["cross-entropy", "jacobian"]
    assert report["environment"]["threads"] == 1
    for step, row in report["steps"]["model_c"].items():
        assert row["seconds"]["tinygrad2"] > 0
        assert tables.line("model_c", step, row) in printed
        assert tables.line("model_c", step, row) in (folder / "out.md").read_text()
    assert (folder / "out.md").read_text() == tables.markdown(report)


def test_variables_that_change_speed_are_reported_and_openblas_has_none(alone):
    folder, _, errors = alone
    variables = json.loads((folder / "out.json").read_text())["environment"]["variables"]
    assert [name for name in variables if name.startswith("OPENBLAS_")] == ["OPENBLAS_NUM_THREADS"]
    assert variables["NUMBA_OPT"] == "3"
    assert "OPENBLAS_L2_SIZE=512 is unset for this run" in errors
    text = (folder / "out.md").read_text()
    assert all(f"{name}={value}" in text for name, value in variables.items())


def test_a_missing_peer_is_named_with_what_it_needs(alone):
    folder, _, errors = alone
    for text in (errors, (folder / "out.md").read_text()):
        assert "JAX jit (needs jax)" in text
        assert "foolbox (needs torch, foolbox)" in text


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peak memory is read from Linux's /proc")
def test_peak_memory_holds_at_least_the_gradients_that_the_step_returns(alone):
    folder, *_ = alone
    row = json.loads((folder / "out.json").read_text())["steps"]["model_c"]["jacobian"]
    jacobian = 4 * 10 * 100 * 784
    assert jacobian < row["bytes"]["tinygrad2"] < 100 * jacobian


def test_resume_keeps_what_is_there_and_measures_the_rest(alone):
    folder, *_ = alone
    before = json.loads((folder / "out.json").read_text())["steps"]["model_c"]
    process = without_peers(folder, "--steps", "cross-entropy", "l1", "--resume")
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    after = json.loads((folder / "out.json").read_text())["steps"]["model_c"]
    assert {step: after[step] for step in before} == before
    assert set(after) == {*before, "l1"}


def test_resume_refuses_numbers_of_another_thread_count(alone):
    folder, *_ = alone
    process = without_peers(folder, "--threads", "3", "--resume")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "threads 1, here it is 3" in errors


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT to a process group")
def test_ctrl_c_keeps_the_finished_rows(tmp_path):
    process = without_peers(tmp_path, "--repeats", "100000", "--budget", "2", start_new_session=True)
    deadline = time.monotonic() + 120
    while not (tmp_path / "out.json").exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "--resume goes on" in errors
    kept = json.loads((tmp_path / "out.json").read_text())["steps"]["model_c"]
    assert 1 <= len(kept) < 6
    assert all(row["seconds"]["tinygrad2"] > 0 for row in kept.values())


class Claims:
    """A side that answers what it is told to."""

    ended = ""

    def __init__(
        self, name: str, value: float, gradient: list[float], error: str = "", first_seconds: float = 0.5
    ) -> None:
        self.name, self.error, self.steps = name, error, ("step",)
        self._answers = {"first": (value, np.array(gradient), first_seconds), "seconds": 1.0, "memory": 8}

    def ask(self, question: str, *arguments, limit: float):
        if self.error:
            raise Unanswered(self.error)
        return self._answers[question]


@pytest.mark.parametrize(
    ("value", "gradient"), [(1.0, [3.0, 4.1]), (1.001, [3.0, 4.0]), (1.0, [3.0, np.nan]), (np.nan, [3.0, 4.0])]
)
def test_a_peer_is_not_timed_where_value_or_gradient_differ(value, gradient):
    row = rows.row([Claims("tinygrad2", 1.0, [3.0, 4.0]), Claims("JAX jit", value, gradient)], "step", 1, 1.0)
    assert row["seconds"] == {"tinygrad2": 1.0}
    assert row["left_out"]["JAX jit"].startswith(rows.DISAGREES)


def test_a_peer_that_cannot_take_the_step_is_left_out_with_its_reason():
    sides = [Claims("tinygrad2", 1.0, [1.0]), Claims("torch.compile", 1.0, [1.0], "no double backward")]
    row = rows.row(sides, "step", 1, 1.0)
    assert row["left_out"] == {"torch.compile": "no double backward"}
    assert row["seconds"] == {"tinygrad2": 1.0}


def test_the_ratio_is_the_best_peers_over_ours():
    seconds = {"tinygrad2": 2.0, "slow": 9.0, "fast": 3.0}
    assert rows.best_peer(seconds) == "fast"
    assert rows.ratio(seconds) == 1.5
    assert rows.ratio({"tinygrad2": 2.0}) is None


# torch.compile takes minutes, and its functions are those of torch.func; foolbox takes no step.
@pytest.mark.parametrize("name", sorted(SIDES.keys() - {"tinygrad2", "torch.compile", "foolbox"}))
def test_every_peer_computes_what_this_project_computes(name):
    """Value and gradient of all its steps, on a small network with every kind of layer that the networks have."""
    if lacking := [package for package in SIDES[name].needs if find_spec(package) is None]:
        pytest.skip(f"needs {', '.join(lacking)}")
    from importlib import import_module

    from benchmarks.ours import Tinygrad2
    from tinygrad2 import nn

    rng = np.random.default_rng(0)
    net = nn.Sequential(
        conv1=nn.Conv2d(1, 3, 3, 2, "same", rng=0), relu1=nn.ReLU(), conv2=nn.Conv2d(3, 4, 3, rng=1),
        pool=nn.MaxPool2d(2), flatten=nn.Flatten(), fc=nn.Linear(16, 10, rng=2),
    )  # fmt: skip
    x, labels = rng.standard_normal((6, 1, 11, 11)).astype("f"), rng.integers(0, 10, 6)
    sides = [
        Tinygrad2(net, x, labels),
        getattr(import_module(f"benchmarks.{SIDES[name].module}"), SIDES[name].name)(net, x, labels),
    ]
    ours, theirs = (side.steps() for side in sides)
    assert set(theirs) <= set(ours)
    for step in theirs:
        assert theirs[step]() == pytest.approx(ours[step](), rel=1e-4)
        np.testing.assert_allclose(sides[1].gradient(), sides[0].gradient(), rtol=1e-3, atol=1e-4)


def test_a_side_with_a_slow_first_call_is_timed_by_it_alone():
    sides = [Claims("tinygrad2", 1.0, [1.0]), Claims("HIPS autograd", 1.0, [1.0], first_seconds=9.0)]
    row = rows.row(sides, "step", 5, 0.2)
    assert row["seconds"] == {"tinygrad2": 1.0, "HIPS autograd": 9.0}
    assert row["bytes"] == {"tinygrad2": 8}
