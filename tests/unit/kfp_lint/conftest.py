"""Tests of the linter for Kubeflow share the pipeline in `good_kfp`."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
