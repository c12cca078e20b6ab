"""Everything one server can be asked, in one object."""

from __future__ import annotations

import re
from typing import Any

from tidemill.errors import RunnerError
from tidemill.runners.kubeflow.client.experiments import Experiments
from tidemill.runners.kubeflow.client.pipelines import Pipelines
from tidemill.runners.kubeflow.client.request import API, Request
from tidemill.runners.kubeflow.client.runs import Runs
from tidemill.runners.kubeflow.client.schedules import Schedules
from tidemill.runners.kubeflow.client.wire import Sender

OLDEST = (2, 5)
"""KFP before it drops retries and requests of resources, starts no exit nodes after a failure, and makes an
invalid workflow of a loop with something behind it: decision 0041."""


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

    def too_old(self) -> str:
        """The server's version if it is too old for what we compile; "" if not, or if it does not say."""
        try:
            tag = str(self.health().get("tag_name", ""))
        except RunnerError:
            return ""
        match = re.match(r"v?(\d+)\.(\d+)", tag)
        return tag if match and (int(match[1]), int(match[2])) < OLDEST else ""

    def health(self) -> dict[str, Any]:
        """What the server says of itself: `tag_name`, `multi_user` and the like."""
        return self._send.send(Request(method="GET", path=f"{API}/healthz", what="say what it is"))
