"""The command `tinygrad2`: argparse subcommands, nothing else; the work is done in experiments/.

Exit codes: 0 done, 2 the user can put it right (a line says how; TINYGRAD2_DEBUG=1: the traceback), 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from tinygrad2 import experiments as ex

USER_ERRORS = (ValueError, TypeError, OSError, ImportError)


def main(argv: list[str] | None = None) -> int:
    """Run one command. Result: the exit code."""
    args = parser().parse_args(argv)
    try:
        return args.command(args) or 0
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


def train(args: argparse.Namespace) -> None:
    """Train, or resume; then the table."""
    given = args.recipe or args.config or args.set
    if args.resume and not args.out:
        raise ValueError("--resume needs the folder of the run to go on with: --out RUN")
    config = (
        ex.Folder(args.out).config() if args.resume and not given else ex.resolve(args.recipe, args.config, args.set)
    )
    name = args.recipe or (Path(args.config).stem if args.config else "default")
    ex.train(config, args.out or Path("runs", name), args.resume)


def parser() -> argparse.ArgumentParser:
    """All commands with their help."""
    top = argparse.ArgumentParser(prog="tinygrad2", formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    p = commands.add_parser("train")
    p.add_argument("config", nargs="?")
    p.add_argument("--recipe")
    p.add_argument("--set", action="append", default=[])
    p.add_argument("--out")
    p.add_argument("--resume", action="store_true")
    p.set_defaults(command=train)
    return top
