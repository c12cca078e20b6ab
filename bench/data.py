"""The goals of the standard components, measured: ratios beside what they are compared with.

    python bench/data.py [--only P3 P4] [--rows N] [--json]

Each part is a module `data_<part>.py` beside this file with a function for each of its goals. `--rows` makes
the tables smaller for a first look; figures to be quoted come from the sizes each line names. A peer that is
not installed is left out, and its line says so.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from goals import Goal

Measure = Callable[[int | None], Goal]
"""Called with the number of rows that `--rows` asked for, or None for the goal's own size."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", nargs="+", metavar="P", help="these goals, such as P3 P4")
    parser.add_argument("--rows", type=int, help="rows of the tables, in place of each goal's own size")
    parser.add_argument("--json", action="store_true", help="print JSON, one line for each goal")
    options = parser.parse_args()
    for number, measure in sorted(measures(), key=lambda item: int(item[0][1:])):
        if options.only and number not in options.only:
            continue
        goal = measure(options.rows)
        line = json.dumps({**dataclasses.asdict(goal), "met": goal.met}) if options.json else str(goal)
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


def measures() -> Iterator[tuple[str, Measure]]:
    """Every goal that a part measures, by number; each part lists them in its GOALS."""
    for path in sorted(Path(__file__).parent.glob("data_*.py")):
        goals: dict[str, Measure] = importlib.import_module(path.stem).GOALS
        yield from goals.items()


if __name__ == "__main__":
    main()
