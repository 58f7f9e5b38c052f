"""`tinygrad2 check` and `tinygrad2 verify`: verdicts, exit codes, and learner code that misbehaves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest
import verify_campaigns as campaigns

from tinygrad2.cli import main
from tinygrad2.experiments import checking
from tinygrad2.experiments.checking import Unusable, as_text, check_file
from tinygrad2.verify import exercise

pytest_plugins = ["pytester"]

HEAD = "import numpy as np\nfrom tinygrad2.verify import derivation, exercise\n"
RIGHT = "@derivation(of='conv2d.db')\ndef my_db(g, x, w, b, stride, padding): return g.sum((0, 2, 3))\n"
WRONG = "@derivation(of='tanh')\ndef my_tanh(g, x): return g * (1 - np.tanh(x))\n"


@pytest.fixture
def file(tmp_path):
    """`file(text)`: the path of a learner's file."""

    def write(text: str, head: str = HEAD) -> str:
        path = tmp_path / "rules.py"
        path.write_text(head + text, encoding="utf-8")
        return str(path)

    return write


def test_all_right_is_exit_code_0(file, capsys) -> None:
    assert main(["check", file(RIGHT)]) == 0
    out = capsys.readouterr().out
    assert "my_db (conv2d.db)  right" in out
    assert "1 of 1 right" in out


def test_one_wrong_is_exit_code_1_and_named(file, capsys) -> None:
    assert main(["check", file(RIGHT + WRONG)]) == 1
    out = capsys.readouterr().out
    assert "The factor (1 + y) is missing" in out
    assert "1 of 2 right" in out


def test_derivations_are_chosen_by_name_and_reported_as_json(file, capsys) -> None:
    assert main(["check", file(RIGHT + WRONG), "-k", "tanh", "--json", "--seed", "3"]) == 1
    (report,) = json.loads(capsys.readouterr().out)
    assert report["name"] == "my_tanh (tanh)"
    assert report["mistakes"] == ["missing-factor"]


def test_order_two_asks_for_double_backwards(file) -> None:
    double = "@derivation(of='relu')\ndef dd(g, u, x): return 0 * x, np.where(x > 0, u, 0 * u)\n"
    assert main(["check", file(double), "--order", "2"]) == 0
    assert main(["check", file(RIGHT), "--order", "2"]) == 1


def test_helpers_may_stand_below_what_uses_them(file) -> None:
    assert check_file(
        file(
            "@derivation(of=np.tanh, inputs=(np.ones(2),))\ndef a(g, x): return h(g, x)\n"
            "def h(g, x): return g * (1 - np.tanh(x)**2)"
        )
    )[0].ok


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("while True: pass", "did not end within 3 s"),
        ("exit()", "SystemExit"),
        ("import os; os._exit(5)", "code 5"),
        ("import os, signal; os.kill(os.getpid(), 9)", "code -9"),
        ("raise KeyError('x')", "KeyError"),
        ("return my_tanh(g, x)", "RecursionError"),
        ("import subprocess; subprocess.run(['sleep', '100'])", "did not end within 3 s"),
    ],
)
@pytest.mark.skipif(os.name == "nt", reason="signals and sleep are POSIX")
def test_misbehaviour_is_that_derivations_failure_alone(file, body: str, said: str) -> None:
    bad = f"@derivation(of='tanh')\ndef my_tanh(g, x):\n    {body}\n"
    outcomes = check_file(file(bad + RIGHT), limit=3)
    assert [o.ok for o in outcomes] == [False, True]
    assert said in as_text(outcomes)


@pytest.mark.skipif(os.name == "nt", reason="memory is limited on POSIX only")
def test_a_rule_that_takes_all_memory_ends_itself(file) -> None:
    bad = "@derivation(of='tanh')\ndef a(g, x):\n    b = []\n    while True: b.append(np.empty(2**25))\n"
    (outcome,) = check_file(file(bad), limit=20)
    assert "MemoryError" in outcome.text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = (", "SyntaxError"),
        ("raise RuntimeError('no')", "RuntimeError: no (line 3)"),
        ("import sys; sys.exit(0)", "SystemExit"),
        ("", "declares no derivation"),
        ("import os; os._exit(0)", "code 0"),
        ("@derivation(of=3)\ndef f(g, x): pass", "of= takes the name"),
        ("@derivation(of='tanh', kind='x')\ndef f(g, x): pass", "kind must be"),
    ],
)
def test_a_file_that_cannot_be_used_is_exit_code_2(file, capsys, text: str, said: str) -> None:
    assert main(["check", file(text)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err


def test_missing_files_and_names_say_what_there_is(file, tmp_path) -> None:
    with pytest.raises(Unusable, match="there is no file"):
        check_file(tmp_path / "none.py")
    with pytest.raises(Unusable, match=r"there are: my_db \(conv2d\.db\)"):
        check_file(file(RIGHT), "tanh")


def test_an_unknown_exercise_is_an_error_of_the_file_with_the_nearest_name(file, capsys) -> None:
    assert main(["check", file(RIGHT + "@derivation(of='conv2d.dW')\ndef f(g, x): return g")]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "did you mean" in err
    assert "'conv2d.dw'" in err
    assert "line 5" in err


def test_a_bare_derivation_is_told_what_is_missing(file, capsys) -> None:
    for text in ("@derivation\ndef mine(g, x): return g", "@derivation()\ndef mine(g, x): return g"):
        assert main(["check", file(text)]) == 2
        err = capsys.readouterr().err
        assert '@derivation(of="relu")' in err
        assert "TypeError: @derivation must say what" in err
    assert "line 3" in err


def test_a_misspelt_option_is_an_error_of_the_file(file, capsys) -> None:
    for given, nearest in (("of='relu', oder=2", "order"), ("of=np.tanh, axis='n d'", "axes")):
        assert main(["check", file(f"@derivation({given})\ndef f(g, x): return g")]) == 2
        assert f"did you mean {nearest!r}?" in capsys.readouterr().err


def test_a_failure_is_titled_by_the_function_its_file_and_its_line(file, capsys) -> None:
    assert main(["check", file(RIGHT + WRONG)]) == 1
    assert "my_tanh (tanh), rules.py:5   WRONG at step" in capsys.readouterr().out
    assert main(["check", file("@derivation(of='tanh')\ndef my_tanh(g, x): raise SystemExit")]) == 1
    assert "my_tanh (tanh), rules.py:3   WRONG at step" in capsys.readouterr().out


def test_a_derivation_that_does_not_end_is_titled_so_too(file, capsys) -> None:
    forever = "@derivation(of='tanh')\ndef my_tanh(g, x):\n    while True: pass\n"
    assert main(["check", file(forever), "--timeout", "1.5"]) == 1
    assert "my_tanh (tanh), rules.py:3   WRONG: it did not end within 1.5 s" in capsys.readouterr().out


def test_a_timeout_must_be_positive(file, capsys) -> None:
    assert main(["check", file(RIGHT), "--timeout", "0"]) == 2
    assert "--timeout must be a positive number of seconds, got 0" in capsys.readouterr().err


def test_uncertified_counts_as_not_right_and_has_a_word_of_its_own(monkeypatch, file, capsys) -> None:
    def unsure(path, index, options):
        found = {"name": "f (tanh)", "of": "tanh", "where": "rules.py:3"}
        report = {"ok": False, "verdict": "uncertified", "reason": "lost in rounding", "text": "f   UNCERTIFIED"}
        return {"found": [found]} if index < 0 else {"found": [found], "report": report}

    monkeypatch.setattr(checking, "_run", unsure)
    assert main(["check", file("")]) == 1
    out = capsys.readouterr().out
    assert "f (tanh)  UNCERTIFIED  lost in rounding" in out
    assert "0 of 1 right, 1 uncertified" in out


def test_a_derivation_stays_a_function() -> None:
    from tinygrad2.verify import derivation

    @derivation(of="relu")
    def rule(g, x):
        """Mine."""
        return g * (x > 0)

    assert rule(2.0, 3.0) == 2.0
    assert rule.__doc__ == "Mine."
    assert rule.check()
    assert exercise("relu").check(rule)


def test_pytest_collects_derivations(pytester, monkeypatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    pytester.makepyfile(rules=HEAD + RIGHT + WRONG)
    installed = any(point.value == "tinygrad2.pytest_plugin" for point in entry_points(group="pytest11"))
    plugin = () if installed else ("-p", "tinygrad2.pytest_plugin")  # the tests also run from a bare checkout
    result = pytester.runpytest_subprocess(*plugin, "-p", "no:cacheprovider", "rules.py")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        ["*derivation my_tanh (tanh)*", "my_tanh (tanh), rules.py:5   WRONG*", "*The factor (1 + y) is missing*"]
    )


def test_random_learner_files_end_with_a_verdict_or_a_reason() -> None:
    if not hasattr(os, "fork"):
        pytest.skip("the campaign forks, which this system cannot")
    result = campaigns.files(campaigns.SUITE["files"])
    assert not result["hangs, crashes by signal"]


def test_a_run_is_verified_layer_by_layer(tmp_path, capsys) -> None:
    out = str(tmp_path / "run")
    sets = [
        "data.name=digits",
        "data.n_train=60",
        "data.n_test=20",
        "model.hidden=[6]",
        "reference.epochs=1",
        "defense.epochs=1",
    ]
    assert main(["train", *(p for s in sets for p in ("--set", s)), "--out", out]) == 0
    capsys.readouterr()
    assert main(["verify", out]) == 0
    text = capsys.readouterr().out
    assert "fc1" in text
    assert "0 skipped" in text


def test_checking_needs_neither_numba_nor_hypothesis() -> None:
    code = "import sys, tinygrad2.verify as v; v.exercise('relu').check(lambda g, x: g); "
    code += "print({'numba', 'hypothesis', 'pytest'} & {*sys.modules})"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[1], check=True
    )
    assert run.stdout.strip() == "set()"
