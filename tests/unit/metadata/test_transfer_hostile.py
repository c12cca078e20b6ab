"""Files of the record that are cut, wrong or evil: one clear error, and nothing is written."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tidemill.errors import StoreError
from tidemill.metadata.sql import SqlStore, open_store
from tidemill.testing import transfer_stories as stories
from tidemill.types.json import canonical

Change = Callable[[list[dict[str, Any]]], Any]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("whole")
    store = open_store(str(folder / "metadata.db"))
    stories.write_history(store)
    data = bytes(stories.exported(store, folder / "all"))
    store.close()
    return data


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStore]:
    store = open_store(str(tmp_path / "metadata.db"))
    yield store
    store.close()


def sealed(lines: list[bytes]) -> bytes:
    """Lines with a last one that fits them."""
    sha = hashlib.sha256(b"".join(lines)).hexdigest()
    return b"".join(lines) + canonical({"end": {"lines": len(lines) + 1, "sha256": sha}}) + b"\n"


def refused(store: SqlStore, path: Path, data: bytes) -> str:
    """The one error that an import ends with."""
    before = dict(store.statistics())
    path.write_bytes(data)
    with pytest.raises(StoreError) as told:
        store.import_record(path)
    assert dict(store.statistics()) == before
    assert len(str(told.value)) < 2000
    return str(told.value)


def first(records: list[dict[str, Any]], kind: str, **fields: Any) -> dict[str, Any]:
    """The first record of a kind in which the fields are so."""
    found = (r[kind] for r in records if kind in r)
    return next(body for body in found if all(body.get(k) == v for k, v in fields.items()))


def put(kind: str, name: str, value: Any) -> Change:
    """A change of one field of the first record of a kind."""
    return lambda records: first(records, kind).update({name: value})


CHANGES: dict[str, tuple[Change, str]] = {
    "version": (lambda r: r[0].update({"tidemill_record": 2}), "this tidemill reads 1"),
    "no version": (lambda r: r[0].update({"tidemill_record": True}), "this tidemill reads 1"),
    "another file": (lambda r: r.__setitem__(0, {"other": 1}), "not one of tidemill's"),
    "unknown kind": (lambda r: r.insert(1, {"artefact": {}}), "did you mean 'artifact'?"),
    "unknown field": (put("artifact", "stat", "LIVE"), "did you mean 'state'?"),
    "missing field": (lambda r: first(r, "run").pop("context"), "the run lacks the field 'context'"),
    "not an object": (lambda r: r.insert(1, {"type": 3}), "the type is not a JSON object"),
    "two keys": (lambda r: r.insert(1, {"type": {}, "run": {}}), "one key"),
    "order": (lambda r: r.append(r.pop(2)), "a type stands after a node"),
    "numbering": (put("artifact", "id", 7), "this is artifact 1 of the file, but it says 7"),
    "unknown type": (put("artifact", "type", "Modle"), "type 'Modle', which no earlier line is"),
    "type of another kind": (put("artifact", "type", "pipeline"), "which no earlier line is"),
    "undeclared property": (put("artifact", "properties", {"sapn": 3}), "declares no property 'sapn'"),
    "twice": (lambda r: r.insert(1, r[1]), "stands twice in the file"),
    "unknown context": (put("artifact", "contexts", [99]), "refers to context 99"),
    "negative context": (put("execution", "contexts", [-1]), "is negative"),
    "context 0": (put("execution", "contexts", [0]), "refers to context 0"),
    "unknown artifact": (put("event", "artifact", 99), "refers to artifact 99"),
    "unknown execution": (put("event", "execution", 99), "refers to execution 99"),
    "unknown parent": (put("context", "parents", [99]), "refers to context 99"),
    "own parent": (put("context", "parents", [1]), "parents of each other"),
    "circle": (
        lambda r: (put("context", "parents", [2])(r), first(r, "context", id=2).update(parents=[1])),
        "parents of each other",
    ),
    "a run of another context": (put("run", "context", 1), "refers to a context that is not its own"),
    "a node of no run": (put("node", "run", "r9"), "refers to run 'r9'"),
    "a node of no execution": (put("node", "execution", 99), "refers to execution 99"),
    "state": (put("artifact", "state", "ALIVE"), "'state' of the artifact is none of"),
    "node state": (put("node", "state", "NEW"), "is none of RUNNING"),
    "huge number": (put("artifact", "custom_properties", {"a": 2**63}), "64 bits"),
    "huge time": (put("artifact", "create_time", 2**70), "64 bits"),
    "huge double": (put("artifact", "custom_properties", {"a": {"double": 10**400}}), "too large"),
    "no double": (put("artifact", "custom_properties", {"a": {"double": "nan"}}), "not a property's value"),
    "no value": (put("artifact", "custom_properties", {"a": [1]}), "not a property's value"),
    "no base64": (put("artifact", "custom_properties", {"a": {"proto": "?"}}), "not base64"),
    "half a pair": (put("artifact", "uri", "\ud800"), "half of a surrogate pair"),
    "a number as text": (put("artifact", "uri", 3), "'uri' of the artifact is not a text"),
    "true as number": (put("event", "artifact", True), "not a whole number"),
    "huge index": (put("event", "path", [2**31]), "too large for an index"),
    "path in a run": (put("run", "pipeline", "../../etc"), "not one segment of a path"),
    "path in a node": (put("node", "node", ".."), "not one segment of a path"),
    "path in a version": (put("version", "pipeline", "a\\b"), "not one segment of a path"),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_a_wrong_record_is_told(store: SqlStore, tmp_path: Path, whole: bytes, name: str) -> None:
    change, said = CHANGES[name]
    records = [json.loads(line) for line in whole.splitlines()[:-1]]
    change(records)
    data = sealed([json.dumps(r).encode() + b"\n" for r in records])
    message = refused(store, tmp_path / "file", data)
    assert said in message
    assert "line" in message


def test_what_is_no_such_file(store: SqlStore, tmp_path: Path, whole: bytes) -> None:
    lines = whole.splitlines(keepends=True)
    cases = {
        b"": "cut short",
        b"\x00\xff\xfe": "not JSON",
        b"{}\n": "one key",
        b"[" * 100_000: "not JSON",
        b'{"tidemill_record": 1' + b"0" * 5000 + b"}": "not JSON",
        b'{"tidemill_record": 1, "tidemill_record": 1}\n': "twice",
        b'{"tidemill_record": NaN}\n': "not JSON",
        b"".join(lines[:-1]): "cut short",
        whole[:-30]: "not JSON",
        whole + b"\n": "something follows",
        whole + lines[-1]: "something follows",
        b"".join([*lines[:3], *lines[4:]]): "line",
        whole.replace(b"file:///e", b"file:///f"): "changed or damaged",
        b"SQLite format 3\x00": "not JSON",
    }  # fmt: skip
    for data, said in cases.items():
        assert said in refused(store, tmp_path / "file", data), data[:40]
    with pytest.raises(StoreError, match="cannot read"):
        store.import_record(tmp_path / "nothing")
    with pytest.raises(StoreError, match="cannot read"):
        store.import_record(tmp_path)


def test_the_same_node_twice_in_a_file(store: SqlStore, tmp_path: Path, whole: bytes) -> None:
    """Found when it is stored, and then undone."""
    records = [json.loads(line) for line in whole.splitlines()[:-1]]
    last = max((i for i, r in enumerate(records) if "execution" in r))
    again = {"execution": {**records[last]["execution"], "id": records[last]["execution"]["id"] + 1}}
    records.insert(last + 1, again)
    data = sealed([json.dumps(r).encode() + b"\n" for r in records])
    refused(store, tmp_path / "file", data)


def test_any_damage_is_an_error_or_nothing(store: SqlStore, tmp_path: Path, whole: bytes) -> None:
    """Bytes changed, lines swapped: never anything but one error."""
    dice = random.Random(7)
    lines = whole.splitlines(keepends=True)[:-1]
    path = tmp_path / "file"
    for _ in range(300):
        mutated = list(lines)
        at = dice.randrange(len(mutated))
        line = bytearray(mutated[at])
        for _ in range(dice.randint(1, 3)):
            line[dice.randrange(len(line))] = dice.choice(b'{}[]",:0129eE-.\\nt \x00\xc3')
        mutated[at] = bytes(line)
        if dice.random() < 0.2:
            mutated.insert(dice.randrange(1, len(mutated)), mutated.pop(dice.randrange(1, len(mutated))))
        path.write_bytes(sealed(mutated))
        before = dict(store.statistics())
        try:
            store.import_record(path)
        except StoreError:
            assert dict(store.statistics()) == before
