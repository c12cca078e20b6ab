"""Retry policies, as users write them: budgets, backoff, and rules for exceptions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

LONGEST_PATTERN = 200
"""Characters of a rule's regular expression. Longer ones are programs, and nobody reviews them."""
_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_BUDGETS = ("user", "transient", "timeout", "memory", "infrastructure")


@dataclass(frozen=True, slots=True)
class Rule:
    """How an exception is to be treated.

    `exception` names its type or one of its bases: `HTTPError`, or `requests.exceptions.HTTPError`.
    With `match`, a regular expression, it also needs to be found in the message. The first rule that
    fits counts.
    """

    exception: str
    match: str = ""
    treat: str = "transient"
    """`transient`: another attempt may help. `permanent`: it cannot."""
    backoff: float | timedelta | None = None
    """Seconds in place of the policy's backoff."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """How often each group of failures is tried again, and after how long.

    The wait before the n-th retry of a group is random between 0 and min(cap, backoff * factor**(n-1)).
    """

    user: int = 0
    """Exceptions that the executor raised, other than the ones below."""
    transient: int = 3
    """What passes by itself: connections, busy services, `TransientError`, rules that say so."""
    timeout: int = 0
    """Attempts that were too slow or silent."""
    memory: int = 2
    """Attempts that needed more memory than they were given; each retry gets half as much again."""
    infrastructure: int = 3
    """Processes that were killed or vanished, and storage that failed."""
    backoff: float | timedelta = 1.0
    factor: float = 2.0
    cap: float | timedelta = 600.0
    rules: Sequence[Rule] = ()
    no_retry_on: Sequence[str | type[BaseException]] = ()
    """Exceptions that no retry can help, as types or by name."""


def name_of(exception: str | type[BaseException]) -> str:
    """The name that a rule gives an exception by."""
    if isinstance(exception, str):
        return exception
    return f"{exception.__module__}.{exception.__qualname__}".removeprefix("builtins.")


def problems_of(retry: Retry) -> list[str]:
    """What is wrong with a policy, as sentences; amounts are judged by options.py."""
    found = []
    rules: object = retry.rules
    if not isinstance(rules, (list, tuple)) or not all(isinstance(rule, Rule) for rule in rules):
        found.append(f'retry.rules is {rules!r}; write [Rule("HTTPError", match="503"), ...]')
    else:
        for rule in rules:
            found += _rule_problems(rule)
    names: object = retry.no_retry_on
    if not isinstance(names, (list, tuple)):
        return [*found, f"retry.no_retry_on is {names!r}; write a list of exceptions"]
    for name in names:
        is_type = isinstance(name, type) and issubclass(name, BaseException)
        if not (is_type or (isinstance(name, str) and _NAME.fullmatch(name))):
            found.append(f"retry.no_retry_on: {name!r} is no exception; write ValueError or its name")
    return found


def _rule_problems(rule: Rule) -> list[str]:
    found = []
    name: object = rule.exception
    pattern: object = rule.match
    shown = f"retry rule {name!r}"
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        found.append(f'{shown}: name the exception, such as "HTTPError" or "package.errors.HTTPError"')
    if rule.treat not in ("transient", "permanent"):
        found.append(f'{shown}: treat is {rule.treat!r}; write "transient" or "permanent"')
    if not isinstance(pattern, str):
        return [*found, f"{shown}: match is {pattern!r}; write a regular expression as a str"]
    if len(pattern) > LONGEST_PATTERN:
        found.append(f"{shown}: match has {len(pattern)} characters; {LONGEST_PATTERN} are the most")
    try:
        re.compile(pattern)
    except re.error as error:
        found.append(f"{shown}: match {pattern!r} is no regular expression: {error}")
    return found


def amounts_of(retry: Retry) -> dict[str, tuple[object, type]]:
    """Every amount of a policy by its name, with the kind that options.py judges it as."""
    amounts: dict[str, tuple[object, type]] = {f"retry.{n}": (getattr(retry, n), int) for n in _BUDGETS}
    amounts["retry.backoff"] = (retry.backoff, timedelta)
    amounts["retry.factor"] = (retry.factor, float)
    amounts["retry.cap"] = (retry.cap, timedelta)
    rules: object = retry.rules
    for rule in rules if isinstance(rules, (list, tuple)) else ():
        if isinstance(rule, Rule) and rule.backoff is not None:
            amounts[f"retry rule {rule.exception!r}: backoff"] = (rule.backoff, timedelta)
    return amounts
