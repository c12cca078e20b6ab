"""What KFP's refusals mean, and what people can do about them.

KFP answers errors in three forms: gRPC's status as JSON, `error_message` of its upload server, and, on newer
versions, plain text. Its upload server says little more than that it failed.
"""

from __future__ import annotations

import json
from typing import Any

from tidemill.errors import RunnerError

_ALREADY_EXISTS = 6
"""gRPC's code for it."""
_MOST = 600
"""Characters of an answer that an error repeats: KFP wraps its messages in one another, the reason last."""


class NotFound(RunnerError):
    """KFP has nothing of that name or id."""

    code = "KUBEFLOW_NOT_FOUND"


class AlreadyThere(RunnerError):
    """KFP has something of that name already."""

    code = "KUBEFLOW_EXISTS"


class Refused(RunnerError):
    """KFP understood the request and will not do it."""

    code = "KUBEFLOW_REFUSED"


class Unreachable(RunnerError):
    """KFP could not be asked, or did not answer."""

    code = "KUBEFLOW_UNREACHABLE"


_HINTS = {
    400: "what was sent does not fit; for a pipeline, tidemill lint-kfp FILE says what KFP would refuse",
    401: "name a token: --token-file FILE, or set TIDEMILL_KUBEFLOW_TOKEN_FILE",
    403: "the account behind the token may not do this in that namespace; name another with --namespace",
    404: "list what there is with tidemill kubeflow pipelines, runs or schedules; ids are per server",
    405: "the address is another service's, or KFP is older than 2.0",
    409: "choose another name, or use what is there",
    413: "the file is larger than what a gateway or the server takes (KFP: 32 MiB)",
    500: "the server's own log says more: kubectl logs -n kubeflow deploy/ml-pipeline; for an upload, "
    "tidemill lint-kfp FILE says what KFP would refuse",
}


def failure_of(what: str, where: str, status: int, reason: str, body: bytes) -> RunnerError:
    """The error for an answer that is none of success; `what` was asked, `where` is method and URL."""
    said = message_of(body)
    text = f"Kubeflow Pipelines would not {what}: {status} {reason}"
    text += f": {said}" if said else ""
    kind: type[RunnerError] = Refused
    code = _code(body)
    if status == 404:
        kind = NotFound
    elif code == _ALREADY_EXISTS or (status == 409 and not code) or "already exist" in said.lower():
        kind = AlreadyThere
    hint = _HINTS.get(status, "")
    if status == 409 and kind is Refused:
        hint = "what is asked does not fit the state it is in now: tidemill kubeflow status RUN"
    if status in (301, 302, 303, 307, 308):
        hint = "a login page answered: name a token, or the address of the API server itself"
    return kind(text, where=where, hint=hint)


def message_of(body: bytes) -> str:
    """What an error's body says, in one line; "" when it says nothing that can be read."""
    text = body.decode("utf-8", "replace").strip()
    found = _said(text)
    line = " ".join(found.split())
    return line if len(line) <= _MOST else line[: _MOST // 2] + " ... " + line[-_MOST // 2 :]


def _code(body: bytes) -> int:
    """gRPC's code in an error; 0 for none. KFP's "bad request" is gRPC's ABORTED, which HTTP calls 409."""
    try:
        found = json.loads(body)
    except ValueError:
        return 0
    code = found.get("code") if isinstance(found, dict) else 0
    return code if isinstance(code, int) else 0


def _said(text: str) -> str:
    try:
        answer: Any = json.loads(text)
    except ValueError:
        return "" if text.startswith("<") else text
    if not isinstance(answer, dict):
        return text
    for name in ("error_message", "message", "error"):
        if isinstance(answer.get(name), str) and answer[name]:
            return str(answer[name])
    return ""


def log_failure(body: bytes) -> str:
    """What went wrong when a log was read: KFP then sends its error as the log, with status 200."""
    if not body.startswith(b'{"error_message"'):
        return ""
    return message_of(body)
