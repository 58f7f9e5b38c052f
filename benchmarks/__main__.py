"""Time and memory of the steps of five papers on five networks, beside every peer that is installed, in one run.

All sides start from the same parameters and batch. A peer is timed only where its value and gradient agree with ours;
the exit code is 1 where one disagrees. Each side runs in a process of its own, and they take turns. The ratio is that
of the shortest times, the best peer's over this project's: more than 1 is faster. Finished rows are on disk at once:
after Ctrl-C, --resume measures the others.

Steps: cross-entropy; the penalties on the input gradient, on one cotangent of ones (l1), on the logit margin, on the
whole Jacobian; the Deep Defense objective; and the DeepFool attack. Parts: steps; growth, the Jacobian penalty against
batch, classes, depth and image size; overhead, of one small operation and of batch normalisation.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import setting, tables
from benchmarks.growth import growth
from benchmarks.overhead import overhead
from benchmarks.rows import DISAGREES, row, start
from benchmarks.worker import missing
from tinygrad2.experiments.interrupts import stop_requests

STEPS = ("cross-entropy", "input gradient", "l1", "logit margin", "jacobian", "deep defense", "deepfool")
PARTS = ("steps", "growth", "overhead")
OUTPUT = Path(__file__).parent / "results" / "steps.json"

Report = dict[str, Any]


def steps(report: Report, options: argparse.Namespace, save: Callable[[], None]) -> None:
    """A row for each network and step that the report does not have yet."""
    wanted = [step for step in options.steps if step != "deepfool" or options.attacked]
    print(tables.HEAD, flush=True)
    for model in options.models:
        rows = report["steps"].setdefault(model, {})
        for step in rows:
            print(tables.line(model, step, rows[step]))
        todo = [step for step in wanted if step not in rows]
        if not todo:
            continue
        batch = setting.MODELS[model]
        workers = start(setting.problem(model, batch, options.attacked))
        try:
            for step in todo:
                budget = options.budget * (5 if step == "deepfool" else 1)
                rows[step] = row(workers, step, options.repeats, budget)
                save()
                print(tables.line(model, step, rows[step]), flush=True)
                for name, reason in rows[step]["left_out"].items():
                    print(f"  {name} left out: {reason}", file=sys.stderr, flush=True)
        finally:
            for worker in workers:
                worker.close()


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="(default: all)")
    parser.add_argument("--models", nargs="+", choices=setting.MODELS, default=list(setting.MODELS), help="(all)")
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=STEPS, metavar="STEP", help="(default: all)")
    parser.add_argument("--repeats", type=int, default=8, help="turns of each side (default: %(default)s)")
    parser.add_argument(
        "--budget", type=float, default=2, help="seconds of turns a row and side (default: %(default)s)"
    )
    parser.add_argument("--threads", type=int, default=2, help="of each side (default: %(default)s)")
    parser.add_argument("--attacked", type=int, default=1000, help="images that DeepFool attacks; 0: leave it out")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="a .json; .md and .svg beside it (%(default)s)")
    parser.add_argument("--resume", action="store_true", help="keep the rows that the output has")
    options = parser.parse_args(arguments)
    if min(options.repeats, options.threads) < 1 or options.attacked < 0:
        parser.error("expected at least 1 repeat and 1 thread, and no negative number of images")
    return options


def begin(options: argparse.Namespace) -> Report:
    """A new report, or the one on disk with --resume; SystemExit where that was measured with other versions."""
    report: Report = {
        "environment": setting.environment(options.threads),
        "missing": missing(),
        "batch": setting.MODELS,
        "attacked": options.attacked,
        "steps": {},
        "growth": {},
        "overhead": {},
    }
    if not (options.resume and options.output.exists()):
        return report
    kept: Report = json.loads(options.output.read_text())
    for key in ("cpu", "packages", "threads", "variables"):
        then = kept["environment"][key]
        now = report["environment"][key]
        if then != now:
            raise SystemExit(f"--resume: {options.output} has {key} {then}, here it is {now}; run without --resume")
    return kept


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark; see --help."""
    options = parse(arguments)
    for name, value in setting.set_threads(options.threads).items():
        print(f"{name}={value} is unset for this run", file=sys.stderr)
    report = begin(options)
    for name, lack in report["missing"].items():
        print(f"missing peer: {name} ({lack})", file=sys.stderr)

    def save() -> None:
        with stop_requests() as stop:  # Ctrl-C amid the files, or amid what draws them, could end in any error
            report["load_after"] = setting.load()
            tables.write(options.output, report)
        if stop:
            raise KeyboardInterrupt

    try:
        for part in options.parts:
            {"steps": steps, "growth": growth, "overhead": overhead}[part](report, options, save)
        save()
    except KeyboardInterrupt:
        print(f"stopped; {options.output} has the finished rows, --resume goes on", file=sys.stderr)
        return 130
    print(f"load {report['environment']['load']} before, {report['load_after']} after; written to {options.output}")
    return int(any(DISAGREES in reason for *_, reason in tables.left_out(report)))


if __name__ == "__main__":
    sys.exit(main())
