"""What a run_fn is given, under the name by which users import it; made in `tidemill.training.fn_args`."""

from __future__ import annotations

from tidemill.data.dataset import Dataset
from tidemill.training.fn_args import FnArgs

__all__ = ["Dataset", "FnArgs"]
