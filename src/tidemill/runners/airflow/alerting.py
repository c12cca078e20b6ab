"""Who is told when a run fails, succeeds or is late: notifiers of Airflow by their class, as plain data.

It needs no Airflow: what is said here is written to the DAG file. Secrets have no place in it; a notifier is
given the id of an Airflow connection.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tidemill.errors import DefinitionError, Problem, did_you_mean
from tidemill.types.json import canonical

FAILURE, SUCCESS, DEADLINE = "failure", "success", "deadline"
OCCASIONS = (FAILURE, SUCCESS, DEADLINE)
NOTIFIER = "notifier"
_CLASS = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
_SECRET = re.compile(
    r"(^|_)(password|passwd|secret|token|api_?key|webhook(_?url)?|private_?key)$", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Alert:
    """`Alert("airflow.providers.smtp.notifications.smtp.SmtpNotifier", {"to": "team@example.org"})`.

    The notifier is made when somebody is to be told, with these arguments. In its templates `{{ tidemill }}`
    holds what the run has to say: `message`, `run`, `state`, `failures` and so on; see `facts_of`.
    """

    notifier: str
    """Its class, dotted."""
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As a table of the TOML file has it."""
        return {NOTIFIER: self.notifier, **self.arguments}


@dataclass(frozen=True, slots=True, kw_only=True)
class Alerts:
    """Who is told of what. In a DAG file of one's own, a notifier object may stand in for an `Alert` in
    `failure` and `success`; those of `deadline` are made in Airflow's triggerer, from their class."""

    failure: Sequence[Any] = ()
    """When the run failed, whatever made it fail, once."""
    success: Sequence[Any] = ()
    deadline: Sequence[Alert] = ()
    """When the run is not complete at the deadline that the pipeline's schedule names."""

    def to_json(self) -> dict[str, list[dict[str, Any]]]:
        """Inverse of `alerts_of`, for alerts without notifier objects."""
        found = {name: [alert.to_json() for alert in getattr(self, name)] for name in OCCASIONS}
        return {name: alerts for name, alerts in found.items() if alerts}


def read_alerts(text: str, where: str) -> Alerts:
    """The alerts of a TOML file: tables `[[failure]]`, `[[success]]`, `[[deadline]]`, each with `notifier`
    and its arguments. DefinitionError that lists what is wrong."""
    try:
        return alerts_of(tomllib.loads(text), where)
    except tomllib.TOMLDecodeError as error:
        raise DefinitionError(f"the alerts are no TOML: {error}", where=where) from None


def alerts_of(data: Mapping[str, Any], where: str) -> Alerts:
    """The alerts that plain data describes; DefinitionError that lists what is wrong."""
    if problems := [*_problems(data, where)]:
        raise DefinitionError.of("alerts", problems)
    made = {
        name: tuple(
            Alert(table[NOTIFIER], {key: value for key, value in table.items() if key != NOTIFIER})
            for table in tables
        )
        for name, tables in data.items()
    }
    return Alerts(**made)


def looks_secret(name: str) -> bool:
    """Whether something of that name is a secret, which neither DAG files nor pods may hold."""
    return bool(_SECRET.search(name))


def _problems(data: Mapping[str, Any], where: str) -> Iterator[Problem]:
    for name, tables in data.items():
        if name not in OCCASIONS:
            yield Problem(f"there are no alerts on {name!r}", where, did_you_mean(name, OCCASIONS))
        elif not isinstance(tables, list) or not all(isinstance(table, Mapping) for table in tables):
            yield Problem(f"{name} is no list of tables", where, f"begin each alert with [[{name}]]")
        else:
            for table in tables:
                yield from _problems_of_one(name, table, where)


def _problems_of_one(name: str, table: Mapping[str, Any], where: str) -> Iterator[Problem]:
    notifier = table.get(NOTIFIER)
    if not isinstance(notifier, str) or not _CLASS.fullmatch(notifier):
        hint = "write its class, such as airflow.providers.smtp.notifications.smtp.SmtpNotifier"
        yield Problem(f"{name}: the notifier is {notifier!r}", where, hint)
    for key, value in table.items():
        if looks_secret(key):
            hint = (
                "put it into an Airflow connection, and name that: most notifiers have an argument for its id"
            )
            yield Problem(f"{name}: {key!r} is a secret, which everybody would read", where, hint)
        try:
            canonical(value)
        except (TypeError, ValueError) as error:
            yield Problem(
                f"{name}: {key!r} is not JSON: {error}", where, "write text, numbers, lists or tables"
            )
