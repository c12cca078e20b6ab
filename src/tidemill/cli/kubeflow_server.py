"""What every `tidemill kubeflow` command does alike: find the server, rehearse, and say what came of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar

import click

from tidemill.cli.output import json_option, print_json
from tidemill.runners.kubeflow.client import Client, Rehearsal, Wire
from tidemill.runners.kubeflow.client.address import server_from

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Told:
    """What a command has to say: `facts` for programs, `show` prints the same for people."""

    facts: Any
    show: Callable[[], None]
    code: int = 0
    """Exit code."""


def told(facts: Any, line: str, code: int = 0) -> Told:
    """What is said in one line."""
    return Told(facts, lambda: click.echo(line), code)


def asks(function: F) -> F:
    """A command that only reads: it gets a `client` and answers with Told."""
    return _options(function, changes=False)


def changes(function: F) -> F:
    """A command that changes something on the server: with --dry-run it prints what it would send."""
    return _options(function, changes=True)


def _options(function: F, *, changes: bool) -> F:
    @wraps(function)
    def wrapper(
        *args: Any, server: str, token_file: str, ca: str, namespace: str, seconds: float, as_json: bool,
        dry_run: bool = False, **kwargs: Any,
    ) -> None:  # fmt: skip
        found = server_from(server, token_file=token_file, ca=ca, namespace=namespace, seconds=seconds)
        if dry_run:
            rehearsal = Rehearsal(found)
            function(*args, client=Client(rehearsal), **kwargs)
            print_json(rehearsal.shown())
            return
        answer = function(*args, client=Client(Wire(found)), **kwargs)
        assert isinstance(answer, Told)
        if as_json:
            print_json(answer.facts)
        else:
            answer.show()
        if answer.code:
            raise click.exceptions.Exit(answer.code)

    wrapped: Any = json_option(wrapper)
    if changes:
        wrapped = click.option(
            "--dry-run", is_flag=True, help="Print what would be sent, without secrets, and send nothing."
        )(wrapped)
    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    return wrapped  # type: ignore[no-any-return]  # same function with other options, as click wants it


_OPTIONS = (
    click.option(
        "--server", default="", metavar="URL",
        help="Where KFP's API is, without /apis.  [default: TIDEMILL_KUBEFLOW or KF_PIPELINES_ENDPOINT]",
    ),
    click.option(
        "--token-file", default="", metavar="FILE",
        help="Holds the token to show; read anew each time.  [default: TIDEMILL_KUBEFLOW_TOKEN_FILE, "
        "KF_PIPELINES_SA_TOKEN_PATH, or where Kubernetes mounts it]",
    ),
    click.option("--ca", default="", metavar="FILE", help="Trust this authority, PEM, for TLS."),
    click.option("--namespace", default="", metavar="NAME", help="Namespace, where there are several users."),
    click.option(
        "--timeout", "seconds", default=30.0, show_default=True, metavar="SECONDS",
        help="Longest wait for a connection, and for an answer.",
    ),
)  # fmt: skip
