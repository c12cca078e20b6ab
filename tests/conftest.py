"""For every test: Hypothesis finds wrong answers, not slow machines."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

# Time never decides whether a test passes: under load an example may take any time.
settings.register_profile("tidemill", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tidemill")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Used by `make goldens`; never by a check."""
    parser.addoption("--update-goldens", action="store_true", help="write the golden files anew")
