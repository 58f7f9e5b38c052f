"""A real process that is interrupted or killed in the middle of an epoch, and goes on: not one bit differs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tinygrad2 import nn

ROOT = Path(__file__).parents[1]
SETTINGS = [
    "data.name=digits", "data.n_train=600", "data.n_test=100", "model.hidden=[40]",
    "run.batch_size=10", "run.log_every=7", "run.checkpoint_every=10",
    "reference.epochs=1", "defense.epochs=15", "defense.lr=5e-5", "eval.n_curve=50",  # long enough to be caught at work
]  # fmt: skip
TRAIN = ["train", *(part for setting in SETTINGS for part in ("--set", setting))]
COMPARED = (
    "config.toml",
    "metrics.jsonl",
    "checkpoint.npz",
    "reference.npz",
    "final.npz",
    "curves.png",
    "perturbations.png",
)


def start(*argv: str) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
    command = [sys.executable, "-m", "tinygrad2", *argv]
    flags = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)  # Windows: so that Ctrl-C reaches the child alone
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", env=environment, creationflags=flags
    )


def finish(process: subprocess.Popen[str], code: int) -> tuple[str, str]:
    out, err = process.communicate(timeout=300)
    assert process.returncode == code, err
    assert "Traceback" not in err
    return out, err


def wait_for_fine_tuning(process: subprocess.Popen[str], out: Path, lines: int = 4) -> None:
    """Until the second phase has logged that many lines."""
    journal, deadline = out / "metrics.jsonl", time.monotonic() + 100
    while not journal.exists() or journal.read_text(encoding="utf-8").count('"phase": "deep-defense"') < lines:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "the second phase did not begin"
        time.sleep(0.01)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    out = tmp_path_factory.mktemp("resume") / "whole"
    finish(start(*TRAIN, "--out", str(out)), 0)
    return out


def assert_same(run: Path, whole: Path) -> None:
    for name in COMPARED:
        if name == "checkpoint.npz":  # it holds the wall time
            a, b = nn.load(run / name), nn.load(whole / name)
            scalars = [json.loads(str(arrays.pop("scalars"))) for arrays in (a, b)]
            assert all(scalar.pop("seconds").keys() == {"reference", "deep-defense"} for scalar in scalars)
            assert scalars[0] == scalars[1]
            assert {k: v.tobytes() for k, v in a.items()} == {k: v.tobytes() for k, v in b.items()}
        else:
            assert (run / name).read_bytes() == (whole / name).read_bytes(), name
    a, b = (json.loads((folder / "result.json").read_text(encoding="utf-8")) for folder in (run, whole))
    assert {k: v for k, v in a.items() if k not in ("seconds", "peak_memory_mib")} == {
        k: v for k, v in b.items() if k not in ("seconds", "peak_memory_mib")
    }
    assert {p.name for p in run.iterdir()} == {p.name for p in whole.iterdir()}  # nothing half-written is left


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot send these signals to another process")
def test_an_interrupted_run_saves_says_how_to_go_on_and_goes_on_bit_for_bit(uninterrupted, tmp_path):
    out = tmp_path / "run"
    process = start(*TRAIN, "--out", str(out))
    for number, lines in ((signal.SIGINT, 2), (signal.SIGTERM, 8)):
        wait_for_fine_tuning(process, out, lines)
        process.send_signal(number)
        _, err = finish(process, 130)
        expected = f"tinygrad2: interrupted; all is saved; go on with: tinygrad2 train --out {out} --resume"
        assert err.splitlines()[-1] == expected
        assert json.loads(str(nn.load(out / "checkpoint.npz")["scalars"]))["phase"] == 1
        assert not (out / "final.npz").exists()
        process = start("train", "--out", str(out), "--resume")
    finish(process, 0)
    assert_same(out, uninterrupted)


def test_a_run_that_is_killed_twice_goes_on_bit_for_bit(uninterrupted, tmp_path):
    out = tmp_path / "run"
    process = start(*TRAIN, "--out", str(out))
    wait_for_fine_tuning(process, out)
    process.kill()
    process.communicate()
    assert not (out / "final.npz").exists()
    (out / ".checkpoint.npz.abc123").write_bytes(b"half of a checkpoint")  # what a kill in mid-write leaves
    with (out / "metrics.jsonl").open("ab") as journal:
        journal.write(b'{"kind": "steps", "pha')
    process = start("train", "--out", str(out), "--resume")
    before = (out / "checkpoint.npz").stat().st_mtime_ns
    while (out / "checkpoint.npz").stat().st_mtime_ns == before:
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.kill()
    process.communicate()
    finish(start("train", "--out", str(out), "--resume"), 0)
    assert_same(out, uninterrupted)


def test_a_folder_in_use_is_refused_and_free_again_after_a_kill(tmp_path):
    out = tmp_path / "run"
    process = start(*TRAIN, "--out", str(out), "--set", "defense.epochs=1000")
    try:
        wait_for_fine_tuning(process, out)
        _, err = finish(start("train", "--out", str(out), "--resume"), 2)
        assert "in use by another process" in err
    finally:
        process.kill()
        process.communicate()
    process = start("train", "--out", str(out), "--resume")
    time.sleep(0.1)
    process.kill()
    _, err = process.communicate()
    assert "in use" not in err
