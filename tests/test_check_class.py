"""`tinygrad2 check FOLDER --csv OUT.csv`: a line for every learner and derivation, and what the class gets wrong."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tinygrad2.cli import main
from tinygrad2.experiments import checking_class
from tinygrad2.experiments.checking_class import Row, by_exercise, by_mistake, learner_files

HEAD = "import numpy as np\nfrom tinygrad2.verify import derivation\n"
TANH = "@derivation(of='tanh')\ndef my_tanh(g, x): return {}\n"
RELU = "@derivation(of='relu')\ndef my_relu(g, x): return {}\n"
FILES = {
    "ann.py": TANH.format("g * (1 - np.tanh(x) ** 2)") + RELU.format("g * (x > 0)"),
    "ben.py": TANH.format("-g * (1 - np.tanh(x) ** 2)") + RELU.format("-g * (x > 0)"),
    "group/cleo.py": TANH.format("-g * (1 - np.tanh(x) ** 2)") + RELU.format("np.cos(g) * (x > 0)"),
    "dan.py": "import os; os._exit(3)\n",
    "_helpers.py": "raise RuntimeError\n",
    ".ipynb_checkpoints/ann.py": "raise RuntimeError\n",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("class")
    for name, text in FILES.items():
        path = root / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(HEAD + text, encoding="utf-8")
    return root


def read(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8-sig") as stream:
        return list(csv.DictReader(stream))


def test_a_folder_is_a_table_and_a_summary(folder, tmp_path, capsys) -> None:
    out = tmp_path / "class.csv"
    assert main(["check", str(folder), "--csv", str(out)]) == 1
    rows = read(out)
    cleo = str(Path("group", "cleo.py"))
    assert [(r["file"], r["of"], r["verdict"]) for r in rows] == [
        ("ann.py", "tanh", "right"),
        ("ann.py", "relu", "right"),
        ("ben.py", "tanh", "wrong"),
        ("ben.py", "relu", "wrong"),
        ("dan.py", "", "unusable"),
        (cleo, "tanh", "wrong"),
        (cleo, "relu", "wrong"),
    ]
    assert [r["mistakes"] for r in rows if r["of"] == "tanh"] == ["", "sign", "sign"]
    assert "code 3" in rows[4]["sentence"]
    text = capsys.readouterr().out
    assert [line.split() for line in text.split("\n") if line.startswith(("exercise ", "tanh ", "sign "))] == [
        ["exercise", "right", "wrong", "uncertified", "mistakes"],
        ["tanh", "1", "2", "0", "sign", "2"],
        ["sign", "2", "tanh,", "relu"],
    ]
    assert "1 of 4 files cannot be used" in text


def test_one_file_may_be_a_table_too(folder, tmp_path) -> None:
    out = tmp_path / "one.csv"
    assert main(["check", str(folder / "ann.py"), "--csv", str(out), "-k", "relu"]) == 0
    assert [(r["file"], r["derivation"]) for r in read(out)] == [("ann.py", "my_relu (relu)")]


def test_hidden_and_private_files_are_no_learners(folder) -> None:
    found = [str(path.relative_to(folder)) for path in learner_files(folder)]
    assert found == ["ann.py", "ben.py", "dan.py", str(Path("group", "cleo.py"))]


def test_an_empty_folder_and_a_wrong_use_are_exit_code_2(folder, tmp_path, capsys) -> None:
    assert main(["check", str(tmp_path)]) == 2
    assert "there is no Python file" in capsys.readouterr().err
    assert main(["check", str(tmp_path / "none"), "--csv", str(tmp_path / "out.csv")]) == 2
    assert "there is no folder" in capsys.readouterr().err
    assert main(["check", str(folder), "--json"]) == 2
    assert "--json is for one file" in capsys.readouterr().err
    assert main(["check", str(folder), "--csv", str(tmp_path / "no" / "such" / "out.csv")]) == 2


def test_a_learners_text_is_never_a_formula(tmp_path) -> None:
    row = Row("=1+1.py", "f", "relu", "", "wrong", "", "", "@SUM(A1)", 0.0)
    with checking_class._table(str(tmp_path / "out.csv")) as write:
        write(row)
    (found,) = read(tmp_path / "out.csv")
    assert found["file"] == "'=1+1.py"
    assert found["sentence"] == "'@SUM(A1)"


def test_mistakes_are_counted_once_a_file() -> None:
    rows = [Row("a.py", "f", "relu", "", "wrong", kinds, "", "", 0.0) for kinds in ("sign; mask", "sign", "")]
    assert by_mistake(rows)[1:] == [("mask", "1", "relu"), ("not named", "1", "relu"), ("sign", "1", "relu")]
    assert by_exercise(rows)[1] == ("relu", "0", "3", "0", "sign 2, mask 1, not named 1")


@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C is sent as a POSIX signal")
def test_ctrl_c_keeps_what_is_done(tmp_path) -> None:
    (tmp_path / "a.py").write_text(HEAD + RELU.format("g * (x > 0)"), encoding="utf-8")
    (tmp_path / "b.py").write_text(HEAD + TANH.format("max(iter(int, 1))"), encoding="utf-8")  # never ends
    out = tmp_path / "out.csv"
    command = [sys.executable, "-m", "tinygrad2", "check", str(tmp_path), "--csv", str(out)]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[1],
        preexec_fn=_listens_to_ctrl_c,
    )
    try:
        while not (out.is_file() and len(read(out)) == 1):
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        text, said = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "my_relu (relu)" in text
    assert "interrupted; 1 of 2 files are checked; they are in" in said
    assert [(r["file"], r["verdict"]) for r in read(out)] == [("a.py", "right")]


def _listens_to_ctrl_c() -> None:
    """A shell that runs the tests in the background (`make test &`) has them, and all they start, ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
