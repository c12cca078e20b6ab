"""A client of Kubeflow Pipelines' REST API (v2beta1), with the standard library alone.

It knows pipelines, versions, runs, recurring runs and experiments as KFP has them, and no IR, no launcher, no
record: whoever calls it says what a run is called and what it is given. Paths and messages are those of
KFP's `backend/api/v2beta1/*.proto`.
"""

from __future__ import annotations

from tidemill.runners.kubeflow.client.address import Server
from tidemill.runners.kubeflow.client.client import Client
from tidemill.runners.kubeflow.client.request import Request
from tidemill.runners.kubeflow.client.wire import Rehearsal, Wire

__all__ = ["Client", "Rehearsal", "Request", "Server", "Wire"]
