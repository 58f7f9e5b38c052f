"""The command `tinygrad2`: argparse subcommands, nothing else; the work is done in experiments/ and verify/.

Exit codes: 0 done, 1 a check found something wrong, 2 the user can put it right (a line says how; TINYGRAD2_DEBUG=1:
the traceback), 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from io import TextIOWrapper
from itertools import count
from pathlib import Path
from textwrap import dedent
from typing import Any

from tinygrad2 import __version__, robust
from tinygrad2 import experiments as ex
from tinygrad2.experiments import checking, checking_class
from tinygrad2.lessons import copy
from tinygrad2.verify import verify_network

USER_ERRORS = (ValueError, TypeError, OSError, ImportError, MemoryError, OverflowError)
FLAGS: dict[type, dict[str, Any]] = {
    bool: {"action": argparse.BooleanOptionalAction},
    tuple: {"type": float, "nargs": 2, "metavar": ("LO", "HI")},
    float: {"type": float, "metavar": "X"},
    int: {"type": int, "metavar": "N"},
    str: {"metavar": "NAME"},
}
EXAMPLES = {
    "lessons": """
        examples:
          tinygrad2 lessons course                copy the notebooks into course/
          tinygrad2 lessons course                again: which exercises are solved

        Each lesson stands alone. The first exercise takes about five minutes, and a wrong answer gets a sentence that
        says what is wrong with it. Teachers: tinygrad2 check FOLDER --csv OUT.csv checks what a class has handed in.
        """,
    "demo": """
        examples:
          tinygrad2 demo                          half a minute, no download; writes runs/demo
          tinygrad2 demo --seed 1 --out one       other first weights and order of the images

        It trains a small network on 8 x 8 digits, fine-tunes it with Deep Defense, and prints for both how accurate
        they are, how large a perturbation they need (ρ₂), and how they fare under the fast gradient sign method.
        """,
    "train": """
        examples:
          tinygrad2 train --recipe deep-defense-mlp                 the paper's; writes runs/deep-defense-mlp
          tinygrad2 train --recipe demo --set defense.lam=5 --set defense.c=25 --out runs/lam5
          tinygrad2 train my.toml                                   settings from a file
          tinygrad2 train --out runs/lam5 --resume                  go on after Ctrl-C or a crash: the same bits
          tinygrad2 train --set model.name=mine.py:net --set data.name=mine.npz --penalty mine.py:slope

        mine.py:net is the function `net` in your file mine.py. The file is code and runs with your rights: name only
        files that you trust, in the settings of a run that you were given too. Its SHA-256 is kept in the run, and
        --resume refuses a changed file. An .npz file holds x_train, y_train, x_test, y_test, and maybe box and classes.
        A folder with a folder of images for each class is a data set too, with --set data.size=32.

        The folder of the run gets config.toml (every setting), metrics.jsonl, checkpoint.npz, reference.npz,
        final.npz, result.json, curves.png and perturbations.png.
        """,
    "evaluate": """
        examples:
          tinygrad2 evaluate runs/demo                              the table of a run once more
          tinygrad2 evaluate runs/demo --saturating --mode corrected
          tinygrad2 evaluate --model lenet --weights lenet-reference.npz --data mnist --n 1000
        """,
    "attack": """
        examples:
          tinygrad2 attack runs/demo --attack deepfool --p inf
          tinygrad2 attack runs/demo --net reference --attack fgsm --epsilon 20 --box 0 255
          tinygrad2 attack runs/demo --attack pgd --epsilon 20 --probe 200     does the gradient mislead the attack?
          tinygrad2 attack runs/demo --attack jsma --box 0 255 --resume        go on after Ctrl-C: the same bits
          tinygrad2 attack runs/demo --attack fgsm --epsilon 20 --from runs/other    black box: crafted on another net
          tinygrad2 attack runs/demo --attack mine.py:walk --epsilon 20 --option passes=3    your own
          tinygrad2 attack runs/demo --attack bim --epsilon 20 --targets next    also a class, least-likely, file.npy
          tinygrad2 attack --model lenet --weights lenet-reference.npz --data mnist --n 500 --attack deepfool

        It writes adversarial.png and adversarial.npz: images, adversarial, labels, classes before and after, norms,
        iterations, and mean, which added to images gives pixels 0-255. epsilon is in the units of the images, as the
        output says. Nothing is clipped unless --box names the range of the pixels.
        """,
    "compare": """
        examples:
          tinygrad2 compare runs/none-0 runs/none-1 runs/l1-0 runs/l1-1      runs that differ in their seed alone: a row
          tinygrad2 compare runs/none-* runs/l1-* --markdown
          tinygrad2 compare runs/* --out runs/table                           writes table.md and table.png

        Mean ± standard deviation over the seeds; Wilcoxon's test on the seeds that a row has in common with the first.
        """,
    "report": """
        examples:
          tinygrad2 report runs/demo                            writes runs/demo/report.html
          tinygrad2 report runs/demo --out demo.html

        The page is one file that holds its pictures; it needs no network. Attacks on the run are in it too.
        """,
    "list": """
        examples:
          tinygrad2 list
          tinygrad2 list penalties
          tinygrad2 list settings             what --set can set: meaning, bounds or choices, default
          tinygrad2 list exercises            derivations to practise: difficulty, order, what is to be derived
        """,
    "check": """
        examples:
          tinygrad2 check my_rules.py                   every @tinygrad2.verify.derivation(of=...) in the file
          tinygrad2 check my_rules.py -k conv --seed 1  those with conv in their name, at other random points
          tinygrad2 check my_rules.py --json            the reports for a program
          tinygrad2 check class/ --csv class.csv        for teachers: every file in the folder, a line per derivation,
                                                        and which mistakes the class makes; Ctrl-C keeps what is done

        Exit code 0: all right, 1: a derivation is wrong or uncertified, 2: the file cannot be used (in a folder: 1).
        Each derivation runs in a process of its own, for a minute or --timeout; a crash or an endless loop is that
        derivation's failure. The file runs with your rights.
        """,
    "verify": """
        examples:
          tinygrad2 verify runs/demo                    every layer of both networks of a run
          tinygrad2 verify --model mine.py:net --weights mine-weights.npz --data mine.npz

        Layer by layer, on test images: reverse layer against tape, both orders against differences, distance to the
        nearest kink, dtype. On two images unless --n says more. Exit code 1 if a layer is wrong.
        """,
    "info": """
        example:
          tinygrad2 info
        """,
}


def main(argv: list[str] | None = None) -> int:
    """Run one command. Result: the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that has no ρ shows a question mark
    args = parser().parse_args(argv)
    try:
        return int(args.command(args) or 0)
    except ex.Interrupted as stopped:
        print(f"tinygrad2: interrupted; {stopped}", file=sys.stderr)
        return 130
    except KeyboardInterrupt:
        print("tinygrad2: interrupted", file=sys.stderr)
        return 130
    except USER_ERRORS as error:
        if os.environ.get("TINYGRAD2_DEBUG") == "1":
            raise
        print(f"tinygrad2: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2


def demo(args: argparse.Namespace) -> None:
    """Train, fine-tune, compare, draw: on data that needs no download."""
    ex.require_figures()
    config = ex.resolve("demo", sets=[f"run.seed={args.seed}"])
    _train(config, args.out or _fresh(Path("runs", "demo")), resume=False)


def train(args: argparse.Namespace) -> None:
    """Train a reference network, and from there on with a defense (by itself: Deep Defense)."""
    if args.resume and not args.out:
        raise ValueError("--resume needs the folder of the run to go on with: --out RUN")
    chosen = ex.defended(args.defense, args.penalty) if args.defense or args.penalty else []
    seed = [] if args.seed is None else [f"run.seed={args.seed}"]
    sets = [*chosen, *seed, *args.set]
    given = args.recipe or args.config or sets
    config = ex.resolve(args.recipe, args.config, sets) if given or not args.resume else ex.Folder(args.out).config()
    names = [args.recipe or (Path(args.config).stem if args.config else "default"), ex.label(config) if chosen else ""]
    _train(config, args.out or Path("runs", "-".join(filter(None, names))), args.resume)


def evaluate(args: argparse.Namespace) -> None:
    """Accuracy, ρ₂ and accuracy under FGS of the networks of a run, or of one with weights from a file."""
    start = time.monotonic()
    mode = [f'eval.mode="{args.mode}"'] if args.mode else []
    trained = _networks(args, [*mode, *(["eval.saturating=true"] if args.saturating else [])])
    print(ex.table(trained.nets, trained.dataset, trained.config.eval))
    print(f"{time.monotonic() - start:.1f} s, peak memory {_memory()}")


def attack(args: argparse.Namespace) -> None:
    """Attack the test images, and keep the images that fool the network."""
    own = [text for text in args.set if "." not in text.partition("=")[0]]  # settings of a run have a dot
    args.set = [text for text in args.set if text not in own]
    options = {name: getattr(args, name) for name in ex.attack_options()} | ex.parse_options([*args.option, *own])
    plan = ex.AttackPlan(args.attack, ex.choose(args.attack, options), args.seed, args.batch_size, args.probe)
    trained = _networks(args)
    out = Path(args.out or Path(args.run or "runs", f"attack-{ex.short(args.attack)}"))
    start = time.monotonic()
    source = (args.source, ex.source_network(args.source, trained, args.net)) if args.source else None
    print(ex.attack(trained.chosen(args.net), trained.dataset, plan, out, args.resume, source))
    print(f"{time.monotonic() - start:.1f} s; written: {out / 'adversarial.npz'}, {out / 'adversarial.png'}")


def compare(args: argparse.Namespace) -> None:
    """Finished runs in one table: mean ± standard deviation over seeds, and whether differences could be chance."""
    found = ex.compare(args.runs)
    print(found.markdown() if args.markdown else found)
    if args.out:
        print(f"written: {', '.join(map(str, ex.save_comparison(found, args.out)))}")


def report(args: argparse.Namespace) -> None:
    """A finished run as one HTML page: settings, curves, table, pictures and diagnostics."""
    print(f"written: {ex.write_page(args.run, args.out)}")


def list_(args: argparse.Namespace) -> None:
    """Every attack, penalty, defense, model, data set, recipe ..., each with a one-line explanation."""
    print(ex.listing(args.what))


def check(args: argparse.Namespace) -> int:
    """Check the derivations that a file declares: right or wrong, where, and what the mistake is."""
    if Path(args.file, "config.toml").is_file():
        raise ValueError(f"{args.file} is the folder of a run; check its networks by: tinygrad2 verify {args.file}")
    options = checking.Options(args.k, args.order, args.seed, args.timeout)
    if args.csv or Path(args.file).is_dir():
        if args.json:
            raise ValueError("--json is for one file; for a folder give --csv OUT.csv")
        return checking_class.main(args.file, options, args.csv)
    return checking.main(args.file, options, args.json)


def verify(args: argparse.Namespace) -> int:
    """Check every layer of the networks of a run against measured derivatives."""
    trained = _networks(args)
    reports = [verify_network(net, trained.dataset.x_test[: args.n]) for net in trained.nets.values()]
    for name, report in zip(trained.nets, reports, strict=True):
        print(f"{name}\n{report}\n")
    return 0 if all(report.ok for report in reports) else 1


def info(args: argparse.Namespace) -> None:
    """Versions, devices, data found, and every name that the other commands take."""
    print(ex.info())


def lessons(args: argparse.Namespace) -> None:
    """Copy the course into a folder, as notebooks. What is there stays; it shows which exercises are solved."""
    print(*copy.listed(copy.copy_course(Path(args.folder))), sep="\n")
    print(f"\nOpen them with: jupyter lab {args.folder}   (pip install 'tinygrad2[lessons]' installs it)")


COMMANDS = (demo, train, evaluate, attack, compare, report, check, verify, lessons, list_, info)


def parser() -> argparse.ArgumentParser:
    """All commands with their help."""
    top = argparse.ArgumentParser(
        prog="tinygrad2",
        description="The backward pass is a network you can read, run, differentiate again, and check.",
        epilog="tinygrad2 COMMAND --help shows examples. Start with: tinygrad2 demo",
    )
    top.add_argument("--version", action="version", version=f"tinygrad2 {__version__}")
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    made = {command.__name__.rstrip("_"): _command(commands, command) for command in COMMANDS}

    made["check"].add_argument("file", metavar="FILE.py", help="a Python file, or a folder of them; they are run")
    made["check"].add_argument("-k", metavar="NAME", help="only derivations with this in their name")
    made["check"].add_argument("--order", type=int, choices=(1, 2), help="2: check double backwards")
    made["check"].add_argument("--seed", type=int, metavar="N", help="of the random points (default: 0)")
    made["check"].add_argument("--json", action="store_true", help="print the reports as JSON")
    made["check"].add_argument("--csv", metavar="OUT.csv", help="write a table with a line per file and derivation")
    made["check"].add_argument(
        "--timeout", type=float, default=checking.LIMIT, metavar="SECONDS", help="for each derivation (default: 60)"
    )
    made["lessons"].add_argument("folder", metavar="DIR", help="folder of the course; made if it is not there")

    p = made["compare"]
    p.add_argument("runs", nargs="+", metavar="RUN", help="folders of finished runs")
    p.add_argument("--markdown", action="store_true", help="print the table in Markdown")
    p.add_argument("--out", metavar="NAME", help="write NAME.md and NAME.png")
    p = made["report"]
    p.add_argument("run", metavar="RUN", help="the folder of a finished run")
    p.add_argument("--out", metavar="FILE.html", help="file to write (default: report.html in the run)")
    made["list"].add_argument("what", nargs="?", metavar="KIND", help="one kind only, such as penalties")

    made["demo"].add_argument(
        "--out", metavar="DIR", help="folder to write to (default: runs/demo, or runs/demo-2 ...)"
    )
    made["demo"].add_argument("--seed", type=int, default=0, metavar="N", help="of weights and order (default: 0)")

    p = made["train"]
    p.add_argument("config", nargs="?", metavar="CONFIG.toml", help="settings, over those of the recipe")
    p.add_argument("--recipe", metavar="NAME", help=" | ".join(ex.recipes()))
    p.add_argument("--defense", metavar="NAME", help="a defense, a penalty, or both joined by +; see tinygrad2 list")
    p.add_argument("--penalty", metavar="NAME", help="a penalty, with or without --defense")
    p.add_argument("--seed", type=int, metavar="N", help="of weights, order and random choices: run.seed")
    _settings(p)
    p.add_argument("--out", metavar="DIR", help="folder of the run (default: runs/ and the recipe's name)")
    p.add_argument("--resume", action="store_true", help="go on with the run in --out")

    for name in ("evaluate", "attack", "verify"):
        p = made[name]
        p.add_argument("run", nargs="?", metavar="RUN", help="the folder of a finished run")
        p.add_argument("--model", metavar="NAME", help="without a run: the network")
        p.add_argument("--weights", metavar="FILE", help="without a run: its parameters, .npz or .safetensors")
        p.add_argument("--data", metavar="NAME", help="without a run: the data set")
        p.add_argument("--n", type=int, metavar="N", help="only the first N test images")
        _settings(p, "; without a dot an option of the attack: steps=20" if name == "attack" else "")
    made["verify"].set_defaults(n=2)
    p = made["evaluate"]
    p.add_argument("--mode", metavar="MODE", help="DeepFool's norms: coded (as the authors' code) or corrected")
    p.add_argument("--saturating", action="store_true", help="let p - 1 round to 0 in FGS, as usual float32 code does")
    p = made["attack"]
    p.add_argument("--attack", required=True, metavar="NAME", help=" | ".join(robust.ATTACKS))
    for option in ex.attack_options().values():
        p.add_argument(option.flag, dest=option.name, help=option.help, **FLAGS[option.kind])
    p.add_argument(
        "--option", action="append", default=[], metavar="a=1", help="an option of your own attack, as TOML; repeatable"
    )
    p.add_argument("--seed", type=int, default=0, metavar="N", help="of the attack's random choices (default: 0)")
    p.add_argument("--batch-size", type=int, default=100, metavar="N", help="images at once (default: 100)")
    p.add_argument("--probe", type=int, default=0, metavar="N", help="search the first N images for gradient masking")
    p.add_argument("--from", dest="source", metavar="RUN", help="craft on that run's network, test on this one")
    p.add_argument("--net", choices=("final", "reference"), default="final", help="which network of the run")
    p.add_argument("--out", metavar="DIR", help="folder to write to (default: attack-NAME in the run)")
    p.add_argument("--resume", action="store_true", help="go on with an attack that was stopped; repeat its options")
    return top


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], command: Callable[[argparse.Namespace], int | None]
) -> argparse.ArgumentParser:
    name = command.__name__.rstrip("_")
    doc = command.__doc__ or ""
    raw = argparse.RawDescriptionHelpFormatter
    epilog = dedent(EXAMPLES[name])
    if name == "train":
        epilog += "\n" + ex.listing("settings")
    p = commands.add_parser(name, help=doc, description=doc, epilog=epilog, formatter_class=raw)
    p.set_defaults(command=command)
    return p


def _settings(p: argparse.ArgumentParser, more: str = "") -> None:
    p.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="a.b=1",
        help="one setting, as TOML; may be repeated; see tinygrad2 list settings" + more,
    )


def _train(config: ex.Config, out: str | Path, resume: bool) -> None:
    ex.Folder(out).check(config, resume)
    dataset = ex.load_data(config)
    seconds = ex.train(config, out, resume, dataset)
    print(ex.finish(config, out, seconds, dataset))
    spent = ", ".join(f"{name} {s:.0f} s" for name, s in seconds.items())
    print(f"{spent}; peak memory {_memory()}; all is in {out}")


def _networks(args: argparse.Namespace, sets: Sequence[str] = ()) -> ex.TrainedNetworks:
    if args.run:
        if args.model or args.weights or args.data:
            raise ValueError("give either the folder of a run, or --model, --weights and --data, not both")
        return ex.from_run(args.run, args.n, [*args.set, *sets])
    missing = [flag for flag in ("model", "weights", "data") if not getattr(args, flag)]
    if missing:
        raise ValueError(
            f"give the folder of a run, or --model, --weights and --data; missing: --{', --'.join(missing)}"
        )
    return ex.from_weights(args.model, args.weights, args.data, [*args.set, *sets], args.n)


def _memory() -> str:
    peak = ex.peak_memory_mib()
    return "unknown on this system" if peak is None else f"{peak:,.0f} MiB"


def _fresh(path: Path) -> Path:
    """The path, or with the first number that makes it new."""
    return next(p for i in count(1) if not (p := path if i == 1 else path.with_name(f"{path.name}-{i}")).exists())
