"""Five nights of the recommender, by the public commands only: what ran, what it measured, what it decided.

    python examples/recommender/demo.py

Each night one more day is simulated and the pipeline runs for it. One of the days is bad: ExampleValidator
must stop it, nothing may be pushed, and no later night may train on it. The exit code is 0 when that is
what happened, whatever the models turned out to be worth, and 1 when something broke.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any, NoReturn

from simulate import simulate_day

REPOSITORY = Path(__file__).resolve().parents[2]
PIPELINE = "examples/recommender/pipeline.py"
FIRST_DAY = date(2026, 3, 2)
INTRODUCTION = """\
Each night the pipeline reads the day that ended, checks it, trains on the last three good days, and
compares the new model with the champion, the one in service, on what people took that evening.
"""
HEADER = "day         ran  cached  failed  recall@10  NDCG@10  champion's  x popular  outcome"


@dataclass(frozen=True, kw_only=True)
class Night:
    """What came of one day."""

    day: str
    bad: bool
    run: str
    seconds: float
    states: dict[str, str]
    """State of each node that was launched."""
    blocked: list[str]
    failures: dict[str, dict[str, str]]
    """Failed node -> class of failure (`kind`) and what it said (`message`)."""
    metrics: dict[str, float] = field(default_factory=dict)
    champion: dict[str, float] | None = None
    """The same metrics of the champion, on the same rows."""
    blessed: bool = False
    reason: str = ""
    pushed_version: str = ""
    serving: str = ""
    """The version in service after the night."""

    @property
    def stopped_by_validation(self) -> bool:
        """Whether ExampleValidator said no, and nothing else went wrong."""
        return {node: failure["kind"] for node, failure in self.failures.items()} == {
            "ExampleValidator": "VALIDATION"
        }

    @property
    def broken(self) -> str:
        """What must not happen and did; empty when the night went as its data says."""
        if self.bad and not self.stopped_by_validation:
            return "the bad day was not stopped by ExampleValidator"
        if self.bad and self.pushed_version:
            return "something was pushed although the day was bad"
        if not self.bad and (self.failures or self.blocked):
            return f"a good day failed; see: tidemill runs show {self.run}"
        if self.blessed != bool(self.pushed_version):
            return "a model was pushed without a blessing, or blessed and not pushed"
        return ""


class Shop:
    """Where the demo keeps its files, and how it calls tidemill there."""

    def __init__(self, root: Path) -> None:
        inside = root.is_relative_to(REPOSITORY)
        self.root = str(root.relative_to(REPOSITORY)) if inside else str(root)
        self.data = REPOSITORY / self.root / "recommender" / "data"
        self.serving = REPOSITORY / self.root / "recommender" / "serving"
        usual = self.root == ".tidemill"
        paths = [f"{name}={self.root}/recommender/{name}" for name in ("data", "serving")]
        self.params = [] if usual else [word for path in paths for word in ("--param", path)]
        self.options = [] if usual else ["--root", self.root]

    def night(self, day: date, *, bad: bool) -> Night:
        """Run the pipeline for a day and collect what it left in the record."""
        started = time.perf_counter()
        ended = self.tidemill("run", PIPELINE, "--date", day.isoformat(), *self.params)
        seconds = time.perf_counter() - started
        failed = {name: node for name, node in ended["nodes"].items() if node["failure"]}
        current = self.serving / "current.json"
        return Night(
            day=day.isoformat(),
            bad=bad,
            run=ended["run"],
            seconds=round(seconds, 2),
            states={name: node["state"] for name, node in ended["nodes"].items()},
            blocked=ended["blocked"],
            failures={n: {"kind": f["failure"], "message": f["message"]} for n, f in failed.items()},
            serving=json.loads(current.read_bytes())["version"] if current.exists() else "",
            **self.findings(ended["run"]),
        )

    def findings(self, run: str) -> dict[str, Any]:
        """Metrics, verdict and pushed version of a run, as far as it came."""
        listed = self.tidemill("artifacts", "list", "--run", run, "--limit", "1000")
        found = {artifact["type"]: artifact for artifact in listed}
        known: dict[str, Any] = {}
        if "ModelEvaluation" in found:
            folder = Path(found["ModelEvaluation"]["uri"].removeprefix("file://"))
            measured = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))
            known |= {"metrics": measured["model"], "champion": measured["baseline"]}
        if "ModelBlessing" in found:
            said = found["ModelBlessing"]["custom_properties"]
            known |= {"blessed": said["blessed"] == 1, "reason": said["reason"]}
        if "PushedModel" in found:
            said = found["PushedModel"]["custom_properties"]
            known["pushed_version"] = str(said.get("pushed_version", "")) if said["pushed"] == 1 else ""
        return known

    def tidemill(self, *words: str) -> Any:
        """What a command prints with --json; ends the demo with its own words when it prints none."""
        command = [sys.executable, "-m", "tidemill.cli.main", *words, *self.options, "--json"]
        ended = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
        if ended.returncode not in (0, 1) or not ended.stdout:
            give_up(f"tidemill {' '.join(words)} ended with status {ended.returncode}:\n{ended.stderr}")
        return json.loads(ended.stdout)


def give_up(why: str) -> NoReturn:
    """End with status 1."""
    print(why, file=sys.stderr)
    sys.exit(1)


def row(night: Night) -> str:
    """One line of the table."""
    count = Counter(night.states.values())
    shown = [number(night.metrics, "recall@10", 3), number(night.metrics, "ndcg@10", 3)]
    shown += [number(night.champion or {}, "ndcg@10", 3), number(night.metrics, "lift_over_popularity", 1)]
    numbers = f"{shown[0]:>9}  {shown[1]:>7}  {shown[2]:>10}  {shown[3]:>9}"
    return (
        f"{night.day}  {count['COMPLETE']:>3}  {count['CACHED']:>6}  {count['FAILED']:>6}  {numbers}"
        f"  {outcome(night)}"
    )


def number(metrics: dict[str, float], name: str, digits: int) -> str:
    """A metric, or a dash where it was not measured."""
    return f"{metrics[name]:.{digits}f}" if name in metrics else "-"


def outcome(night: Night) -> str:
    """The end of the night in a few words."""
    if night.failures:
        return f"stopped by {', '.join(night.failures)}; nothing pushed"
    if night.blessed and night.states["Pusher"] == "COMPLETE" and night.serving != night.pushed_version:
        return f"blessed, kept as {night.pushed_version}; the newer {night.serving} stays in service"
    if night.blessed:
        return f"blessed, pushed as {night.pushed_version}"
    return "not blessed, nothing pushed"


def details(night: Night) -> list[str]:
    """Why the night ended as it did, where the table does not say it."""
    if night.failures:
        lines = [line for failure in night.failures.values() for line in failure["message"].splitlines()]
        errors = [line.strip() for line in lines if line.startswith("  error:")]
        shown = lines[:1] + sorted(errors, key=lambda line: " in eval/" in line)[:4]
        return [line if len(line) <= 104 else f"{line[:101]}..." for line in shown]
    return [] if night.blessed else [night.reason]


def summary(nights: list[Night], seconds: float) -> list[str]:
    """What the nights add up to."""
    count = Counter(state for night in nights for state in night.states.values())
    lines = [f"{len(nights)} nights in {seconds:.0f} s; in service: {nights[-1].serving or 'nothing'}."]
    if count["CACHED"] and not count["COMPLETE"]:
        lines.append(f"All cache hits: {count['CACHED']} nodes reused, none ran anew.")
        again = sorted({name for night in nights for name in night.failures})
        if again:
            lines.append(f"{', '.join(again)} looked at the bad day again, for failures are never reused.")
    return lines


def next_steps(shop: Shop, newest: Night) -> list[str]:
    """Commands that show more."""
    root = " ".join(["", *shop.options])
    params = " ".join(["", *shop.params])
    tidemill, demo = command("tidemill"), f"{command('python')} examples/recommender/demo.py"
    return [
        "Look further:",
        f"  {tidemill} runs list{root}",
        f"  {tidemill} runs show {newest.run}{root}",
        f"  {tidemill} lineage {newest.run} --format mermaid{root}",
        f"  {tidemill} explain {PIPELINE} --date {newest.day} --param factors=16{params}{root}",
        "Change the story:",
        f"  {demo} --drift 0 --root {shop.root}/calm    # tastes never change",
        f"  {demo} --bad-day 2 --root {shop.root}/early # the second day is bad",
    ]


def command(name: str) -> str:
    """How to call a program of this environment from here: by name if it is active, else by its path."""
    here = Path(sys.executable).with_name(name)
    found = shutil.which(name)
    if found and Path(found).resolve() == here.resolve():
        return name
    return str(here.relative_to(Path.cwd())) if here.is_relative_to(Path.cwd()) else str(here)


def main() -> int:
    """Simulate, run, tell."""
    parser = argparse.ArgumentParser(description="Five nights of the recommender pipeline, one of them bad.")
    parser.add_argument("--days", type=int, default=5, help="nights to run (default 5)")
    parser.add_argument(
        "--bad-day", type=int, default=4, metavar="N", help="which is bad; 0: none (default 4)"
    )
    parser.add_argument("--drift", type=float, default=1.0, help="speed of changing tastes (default 1)")
    parser.add_argument("--root", type=Path, default=REPOSITORY / ".tidemill", help="pipeline root")
    parser.add_argument("--json", action="store_true", dest="as_json", help="print JSON, for programs")
    given = parser.parse_args()
    if given.days < 1 or not 0 <= given.bad_day <= given.days or given.drift < 0:
        parser.error("--days must be at least 1, --bad-day from 0 to --days, --drift at least 0")
    shop = Shop(given.root.resolve())
    started = time.perf_counter()
    nights = []
    if not given.as_json:
        print(f"{INTRODUCTION}\n{HEADER}", flush=True)
    for index in range(given.days):
        day, bad = FIRST_DAY + timedelta(days=index), index + 1 == given.bad_day
        simulate_day(day, shop.data, drift=given.drift, bad=bad)
        nights.append(shop.night(day, bad=bad))
        if not given.as_json:
            lines = [row(nights[-1]), *(f"            {line}" for line in details(nights[-1]))]
            print("\n".join(lines), flush=True)
    seconds = time.perf_counter() - started
    broken = [f"{night.day}: {night.broken}" for night in nights if night.broken]
    if given.as_json:
        print(
            json.dumps(
                {"nights": [asdict(n) for n in nights], "seconds": seconds, "broken": broken}, indent=2
            )
        )
    else:
        print("\n".join(["", *summary(nights, seconds), "", *next_steps(shop, nights[-1])]))
    for line in broken:
        print(f"broken: {line}", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
