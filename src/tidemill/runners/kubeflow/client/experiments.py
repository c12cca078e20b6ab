"""Experiments: KFP's groups of runs, by name."""

from __future__ import annotations

from typing import Any

from tidemill.errors import did_you_mean
from tidemill.runners.kubeflow.client.failures import AlreadyThere, NotFound
from tidemill.runners.kubeflow.client.pipelines import equals, listed
from tidemill.runners.kubeflow.client.request import API, Request
from tidemill.runners.kubeflow.client.wire import Sender


class Experiments:
    """Experiments of one server."""

    def __init__(self, send: Sender) -> None:
        self._send = send
        self._path = f"{API}/experiments"

    def all(self) -> list[dict[str, Any]]:
        """Every experiment, newest first."""
        query = {"namespace": self._send.server.namespace, "sort_by": "created_at desc"}
        return list(listed(self._send, self._path, "experiments", query, "list experiments"))

    def find(self, name: str) -> dict[str, Any] | None:
        """An experiment by its name; None where there is none."""
        query = {"namespace": self._send.server.namespace, "filter": equals("name", name)}
        what = f"find the experiment {name}"
        return next(iter(listed(self._send, self._path, "experiments", query, what)), None)

    def get(self, name: str) -> dict[str, Any]:
        """An experiment by its name. NotFound says which there are."""
        found = self.find(name)
        if found is None:
            known = [str(e.get("display_name", "")) for e in self.all()]
            raise NotFound(f"there is no experiment {name!r}", where=self._send.server.url,
                           hint=did_you_mean(name, known))  # fmt: skip
        return found

    def sure(self, name: str) -> dict[str, Any]:
        """An experiment by its name, made where there is none."""
        there = None if self._send.rehearsal else self.find(name)
        if there is not None:
            return there
        body = {"display_name": name}
        if self._send.server.namespace:
            body["namespace"] = self._send.server.namespace
        request = Request(
            method="POST", path=self._path, what=f"make the experiment {name}", body=body, repeatable=False,
            unless=f"there is an experiment {name}",
            assumed={"experiment_id": f"<id-of-{name}>", "display_name": name},
        )  # fmt: skip
        try:
            return self._send.send(request, found=lambda: self.find(name))
        except AlreadyThere:  # somebody beside us was faster
            return self.get(name)
