"""For every test: Hypothesis finds wrong answers, not slow machines."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# Time never decides whether a test passes: under load an example may take any time.
settings.register_profile("tidemill", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tidemill")
