"""Random load with random kills: many small runs on one store, whose processes are killed as they go.

    python bench/chaos.py [--minutes N] [--seed N] [--folder DIR]

Runners are started on the command line; every few moments one of them, or a process of one of its nodes,
is killed with SIGKILL, and the same command is given again. In the end `tidemill doctor --deep` must be
content, every command must have a complete run, and the ledger that the components kept outside of the
record must agree with it: nothing lost, nothing twice.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from tidemill.metadata.model import ExecutionState, RunState
from tidemill.metadata.sql import SqlStore, open_store

PIPELINES = Path(__file__).with_name("chaos_pipelines.py")
AT_ONCE = 3
MOST_STARTS = 60
"""Of one command; more means that it will never end."""


@dataclass
class Command:
    """One pipeline with one seed, started as often as it takes."""

    pipeline: str
    seed: int
    starts: int = 0
    process: subprocess.Popen[bytes] | None = None
    done: bool = False
    hit: bool = False
    """Whether a process below it was killed, so that it may end with any error of its own."""


@dataclass
class Chaos:
    """The load, and who kills."""

    folder: Path
    luck: random.Random
    commands: list[Command] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    def run(self, seconds: float) -> None:
        """Load and kills for so long, then no more of either until all is done."""
        end = time.monotonic() + seconds
        kill_at = time.monotonic() + 1.0
        while not self.problems:
            now = time.monotonic()
            self.reap()
            open_ones = [c for c in self.commands if not c.done]
            if now >= end and not open_ones:
                return
            if now < end and len(open_ones) < AT_ONCE:
                name = self.luck.choice(["chain", "loop"])
                self.commands.append(Command(name, len(self.commands)))
                open_ones.append(self.commands[-1])
            for command in open_ones:
                if command.process is None:
                    self.start(command)
            if kill_at <= now < end:
                self.kill_somebody()
                kill_at = now + self.luck.uniform(0.5, 4.0)
            time.sleep(0.02)

    def start(self, command: Command) -> None:
        """Give the command, for the first time or again."""
        command.starts += 1
        if command.starts > MOST_STARTS:
            self.problems.append(f"{command.pipeline} {command.seed} does not end")
        words = [
            sys.executable, "-m", "tidemill.cli.main", "run", f"{PIPELINES}:{command.pipeline}", "--json",
            "--root", str(self.folder / "root"), "-p", f"ledger={self.folder / 'ledger'}",
            "-p", f"seed={command.seed}",
        ]  # fmt: skip
        with (self.folder / "output").open("ab") as output:
            command.process = subprocess.Popen(words, stdout=output, stderr=output, cwd=self.folder)

    def reap(self) -> None:
        """Look who ended, and how."""
        for command in self.commands:
            if command.process is None or (status := command.process.poll()) is None:
                continue
            command.process = None
            command.done = status == 0
            self.counts[f"runners that ended with status {status}"] += 1
            allowed = (0, 1, -signal.SIGKILL, *((2, 3, 4) if command.hit else ()))
            command.hit = False
            if status not in allowed:
                last = (self.folder / "output").read_text(encoding="utf-8", errors="replace")[-2000:]
                self.problems.append(f"{command.pipeline} {command.seed} ended with {status}:\n{last}")

    def kill_somebody(self) -> None:
        """A runner, or a process below one."""
        runners = [c for c in self.commands if c.process is not None]
        if not runners:
            return
        command = self.luck.choice(runners)
        assert command.process is not None
        victim, kind = command.process.pid, "runners"
        below = descendants(victim)
        if below and self.luck.random() < 0.6:
            victim, kind, command.hit = self.luck.choice(below), "processes below runners", True
        with contextlib.suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)
            self.counts[f"{kind} killed"] += 1


def descendants(pid: int) -> list[int]:
    """Processes below one."""
    children: dict[int, list[int]] = defaultdict(list)
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                children[int(fields[1])].append(int(entry.name))
    found, pending = [], [pid]
    while pending:
        below = children[pending.pop()]
        found += below
        pending += below
    return found


# --- what must hold -------------------------------------------------------------------------------


def check(chaos: Chaos) -> list[str]:
    """Everything that is lost, or there twice."""
    root = chaos.folder / "root"
    doctor = [sys.executable, "-m", "tidemill.cli.main", "doctor", "--deep", "--root", str(root)]
    looked = subprocess.run(doctor, capture_output=True, text=True)
    wrong = [f"doctor: {looked.stdout}{looked.stderr}"] if looked.returncode else []
    store = open_store(f"sqlite:///{root / 'metadata.db'}", read_only=True)
    try:
        runs = store.get_runs(limit=1_000_000)
        complete = Counter((r.pipeline, r.parameters["seed"]) for r in runs if r.state is RunState.COMPLETE)
        for command in chaos.commands:
            if complete[command.pipeline, command.seed] < 1:
                wrong.append(f"{command.pipeline} {command.seed} has no complete run")
        chaos.counts["runs"] = len(runs)
        chaos.counts["complete runs"] = sum(complete.values())
        wrong += [f"run {r.id} is still RUNNING" for r in runs if r.state is RunState.RUNNING]
        wrong += check_ledger(chaos, store, [r.id for r in runs])
    finally:
        store.close()
    return wrong


def check_ledger(chaos: Chaos, store: SqlStore, runs: list[str]) -> list[str]:
    """Against the record: what won ended once, and nothing began after it."""
    lines = (chaos.folder / "ledger").read_text(encoding="utf-8").splitlines()
    events = [(line.split()[0], int(line.rsplit("/", 1)[1])) for line in lines]
    executions = {e.id: e for run in runs for e in store.get_executions(run)}
    wrong = [f"the ledger knows execution {i}, the record does not" for _, i in events if i not in executions]
    place = {i: e.name.rsplit("/", 1)[0] for i, e in executions.items()}
    won: dict[str, int] = {}
    for i, e in executions.items():
        if e.state is ExecutionState.COMPLETE and e.type == "work":
            if place[i] in won:
                wrong.append(f"{place[i]} is complete twice")
            won[place[i]] = i
    ends = Counter(i for what, i in events if what == "end")
    wrong += [f"{where}: the winner ended {ends[i]} times" for where, i in won.items() if ends[i] != 1]
    over: set[str] = set()
    for what, i in events:
        where = place.get(i, "")
        if what == "begin" and where in over:
            wrong.append(f"{where} began again after it was done")
        if what == "end" and won.get(where) == i:
            over.add(where)
    chaos.counts["executions"] = len(executions)
    chaos.counts["nodes done"] = len(won)
    chaos.counts["work that was lost and done again"] = sum(ends.values()) - len(won)
    return wrong


def main() -> int:
    """Run and report; 1 when something is lost or there twice."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30, help="how long (default 30)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of luck (default: the time)")
    parser.add_argument("--folder", default=None, help="where to work (default: temporary files)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        chaos = Chaos(Path(name), random.Random(options.seed))
        chaos.run(options.minutes * 60)
        wrong = [*chaos.problems, *([] if chaos.problems else check(chaos))]
        for command in chaos.commands:
            if command.process is not None:
                command.process.kill()
                command.process.wait()
    sys.stdout.write(f"seed {options.seed}, {options.minutes:g} minutes, {len(chaos.commands)} commands\n")
    for what, count in sorted(chaos.counts.items()):
        sys.stdout.write(f"  {what}: {count}\n")
    sys.stdout.write("\n".join(["WRONG:", *wrong[:20]]) + "\n" if wrong else "nothing lost, nothing twice\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
