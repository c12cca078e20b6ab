"""For every test: Hypothesis finds wrong answers, not slow machines."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

# Time never decides whether a test passes: under load an example may take any time.
# A change is judged by the same examples each time; whoever works on it looks for new ones.
settings.register_profile(
    "tidemill", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize="CI" in os.environ
)
settings.load_profile("tidemill")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Used by `make goldens`; never by a check."""
    parser.addoption("--update-goldens", action="store_true", help="write the golden files anew")
