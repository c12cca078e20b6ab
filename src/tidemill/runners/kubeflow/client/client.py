"""Everything one server can be asked, in one object."""

from __future__ import annotations

from typing import Any

from tidemill.runners.kubeflow.client.experiments import Experiments
from tidemill.runners.kubeflow.client.pipelines import Pipelines
from tidemill.runners.kubeflow.client.request import API, Request
from tidemill.runners.kubeflow.client.runs import Runs
from tidemill.runners.kubeflow.client.schedules import Schedules
from tidemill.runners.kubeflow.client.wire import Sender


class Client:
    """`Client(Wire(server))` asks a server; `Client(Rehearsal(server))` keeps what would be asked."""

    def __init__(self, send: Sender) -> None:
        self.pipelines = Pipelines(send)
        self.runs = Runs(send)
        self.schedules = Schedules(send)
        self.experiments = Experiments(send)
        self._send = send

    @property
    def url(self) -> str:
        """Of the server."""
        return self._send.server.url

    @property
    def sends(self) -> bool:
        """Whether anything is sent: not in a rehearsal."""
        return not self._send.rehearsal

    def health(self) -> dict[str, Any]:
        """What the server says of itself: `tag_name`, `multi_user` and the like."""
        return self._send.send(Request(method="GET", path=f"{API}/healthz", what="say what it is"))
