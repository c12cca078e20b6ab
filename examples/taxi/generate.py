"""Write a CSV file of made-up taxi trips, with the columns of TFX's Chicago taxi sample.

    python examples/taxi/generate.py trips.csv --rows 20000 --seed 1

The same arguments give the same bytes. The label, `tips > 0.2 * fare`, can be learned: card payers tip,
more so at night and on long trips. Real files have gaps, so these have: no census tracts for many trips,
no company for a third. The options at the end spoil a file on purpose, to see what notices it.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np

COMPANIES = ["Taxi Affiliation Services", "Blue Ribbon Taxi", "Choice Taxi", "KOAM Taxi", "Top Cab"]
PAYMENTS = ["Cash", "Credit Card", "No Charge", "Unknown"]
COLUMNS = [
    "pickup_community_area", "fare", "trip_start_month", "trip_start_hour", "trip_start_day",
    "trip_start_timestamp", "pickup_latitude", "pickup_longitude", "dropoff_latitude", "dropoff_longitude",
    "trip_miles", "pickup_census_tract", "dropoff_census_tract", "payment_type", "company", "trip_seconds",
    "dropoff_community_area", "tips",
]  # fmt: skip
YEAR_START, YEAR_SECONDS = 1_388_534_400, 365 * 86_400
"""2014-01-01 UTC, and the length of that year."""


def trips(rows: int, seed: int, *, skew: float = 1.0, new_category: bool = False) -> dict[str, list[object]]:
    """Columns of `rows` trips; "" where there is no value.

    skew: factor on all miles, and so on fares and seconds. new_category: a tenth pays by an app.
    """
    rng = np.random.default_rng(seed)
    start = YEAR_START + rng.integers(0, YEAR_SECONDS // 900, rows) * 900
    when = start.astype("M8[s]")
    hour = (start // 3600) % 24
    miles = np.round(rng.lognormal(0.6, 1.0, rows) * skew, 1)
    fare = np.round(3.25 + 2.0 * miles + rng.exponential(1.0, rows), 2)
    areas = rng.choice(
        [8, 32, 28, 6, 7, 76, 56, 3], (rows, 2), p=[0.3, 0.25, 0.1, 0.1, 0.1, 0.05, 0.05, 0.05]
    )
    payment = rng.choice(PAYMENTS, rows, p=[0.58, 0.39, 0.02, 0.01]).astype(object)
    company = rng.choice(COMPANIES, rows, p=[0.5, 0.2, 0.15, 0.1, 0.05]).astype(object)
    inclination = np.where(payment == "Credit Card", 0.6, -6.0) + 0.8 * ((hour < 5) | (hour > 19))
    inclination += 0.5 * np.log1p(miles) - 0.6 * (company == "Top Cab")
    tipped = rng.random(rows) < 1 / (1 + np.exp(-inclination))
    tips = np.round(fare * np.where(tipped, rng.uniform(0.21, 0.3, rows), 0.0), 2)
    if new_category:
        payment[rng.random(rows) < 0.1] = "Mobile"
    tracts = 17_031_000_000 + areas * 10_000
    columns: dict[str, list[object]] = {
        "pickup_community_area": areas[:, 0].tolist(),
        "fare": fare.tolist(),
        "trip_start_month": (when.astype("M8[M]").astype(int) % 12 + 1).tolist(),
        "trip_start_hour": hour.tolist(),
        "trip_start_day": ((start // 86_400 + 4) % 7 + 1).tolist(),
        "trip_start_timestamp": start.tolist(),
        "trip_miles": miles.tolist(),
        "payment_type": payment.tolist(),
        "company": _with_gaps(company.tolist(), rng.random(rows) < 0.34),
        "trip_seconds": (60 * np.round(2 + 3.5 * miles)).astype(int).tolist(),
        "dropoff_community_area": _with_gaps(areas[:, 1].tolist(), rng.random(rows) < 0.03),
        "tips": tips.tolist(),
    }
    for side, end in enumerate(("pickup", "dropoff")):
        gaps = rng.random(rows) < 0.3
        columns[f"{end}_latitude"] = _with_gaps((41.8 + areas[:, side] / 500).round(4).tolist(), gaps)
        columns[f"{end}_longitude"] = _with_gaps((-87.6 - areas[:, side] / 700).round(4).tolist(), gaps)
        columns[f"{end}_census_tract"] = _with_gaps(tracts[:, side].tolist(), rng.random(rows) < 0.6)
    return columns


def write(path: Path, columns: dict[str, list[object]], *, missing_column: str = "") -> None:
    """Write the columns as CSV in their usual order, without `missing_column`."""
    names = [name for name in COLUMNS if name != missing_column]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(names)
        writer.writerows(zip(*(columns[name] for name in names), strict=True))


def _with_gaps(values: list[object], gaps: np.ndarray) -> list[object]:
    return ["" if gap else value for value, gap in zip(values, gaps.tolist(), strict=True)]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Write a CSV file of made-up taxi trips.")
    parser.add_argument("path", type=Path)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--skew", type=float, default=1.0, help="factor on all miles")
    parser.add_argument("--new-category", action="store_true", help="a tenth of the trips is paid by an app")
    parser.add_argument("--missing-column", default="", choices=["", *COLUMNS])
    given = parser.parse_args()
    columns = trips(given.rows, given.seed, skew=given.skew, new_category=given.new_category)
    write(given.path, columns, missing_column=given.missing_column)
    print(f"{given.path}: {given.rows} trips")


if __name__ == "__main__":
    main()
