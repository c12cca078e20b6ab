"""Write a CSV file of sensor readings for each of some days.

    python examples/spans/write_days.py .tidemill/spans/data --days 6

The same arguments give the same bytes. On the fourth day one sensor is two degrees off.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import random
from pathlib import Path

FIRST = datetime.date(2026, 3, 2)
SENSORS = ("north", "south", "roof")


def write(folder: Path, days: int) -> None:
    """`readings-2026-03-02.csv` and so on: time, sensor, degrees."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(days):
        day = FIRST + datetime.timedelta(days=number)
        chance = random.Random(day.toordinal())
        with (folder / f"readings-{day}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["time", "sensor", "degrees"])
            for hour in range(24):
                for sensor in SENSORS:
                    off = 2.0 if number == 3 and sensor == "roof" else 0.0
                    degrees = 8 + number / 2 - abs(hour - 14) / 2 + chance.gauss(0, 0.5) + off
                    writer.writerow([f"{day}T{hour:02}:00:00", sensor, f"{degrees:.2f}"])


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Write CSV files of sensor readings.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--days", type=int, default=6)
    given = parser.parse_args()
    write(given.folder, given.days)
    print(f"{given.folder}: {given.days} days from {FIRST}")


if __name__ == "__main__":
    main()
