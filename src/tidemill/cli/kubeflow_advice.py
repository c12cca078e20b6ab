"""`tidemill kubeflow advise`."""

from __future__ import annotations

COMMANDS = ()
