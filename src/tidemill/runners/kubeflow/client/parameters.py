"""Parameters of a run, as its version declares them. What KFP would refuse, or misread, is refused here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tidemill.errors import DefinitionError, Problem, did_you_mean

MOST_BYTES = 10_000
"""`MAX_PARAMETER_BYTES` of KFP's backend/src/common/util/consts.go: all parameters of a run together."""
_KINDS: Mapping[str, tuple[type, ...]] = {
    "NUMBER_INTEGER": (int,), "NUMBER_DOUBLE": (int, float), "BOOLEAN": (bool,), "STRING": (str,),
    "LIST": (list,), "STRUCT": (dict,),
}  # fmt: skip


def declared(spec: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The parameters that a pipeline spec asks for, by name."""
    root: Mapping[str, Any] = spec.get("root") or {}
    inputs: Mapping[str, Any] = root.get("inputDefinitions") or {}
    return dict(inputs.get("parameters") or {})


def typed(spec: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, Any]:
    """Values for a run from words of a command line. DefinitionError lists everything that is wrong.

    Without a spec (a rehearsal has none) each word is taken as JSON, else as text.
    """
    if not spec:
        return {name: _json_or_text(word) for name, word in sorted(given.items())}
    known = declared(spec)
    problems: list[Problem] = []
    found: dict[str, Any] = {}
    for name, word in sorted(given.items()):
        if name not in known:
            problems.append(Problem(f"there is no parameter {name!r}", "", did_you_mean(name, known)))
            continue
        kind = str(known[name].get("parameterType", "STRING"))
        value = word if kind == "STRING" else _json_or_text(word)
        if not _fits(value, kind):
            problems.append(Problem(f"parameter {name} is {kind}, and {word!r} is none"))
        found[name] = value
    for name, declaration in sorted(known.items()):
        needed = "defaultValue" not in declaration and not declaration.get("isOptional", False)
        if needed and name not in given:
            problems.append(
                Problem(f"parameter {name} has no default and is not given", "", f"-p {name}=VALUE")
            )
    if problems:
        raise DefinitionError.of("the parameters of the run", problems)
    size = len(json.dumps(found, separators=(",", ":")))
    if size > MOST_BYTES:
        raise DefinitionError(
            f"the parameters of the run have {size} bytes together, and KFP takes {MOST_BYTES}",
            hint="put what is large into a file that a node reads, and hand over its place",
        )
    return found


def _fits(value: Any, kind: str) -> bool:
    kinds = _KINDS.get(kind)
    if kinds is None:
        return True
    return isinstance(value, kinds) and (kind == "BOOLEAN" or not isinstance(value, bool))


def _json_or_text(word: str) -> Any:
    try:
        return json.loads(word)
    except ValueError:
        return word
