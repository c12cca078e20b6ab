"""The table of calls is the protocol, errors are the same on both sides, addresses hold no secret."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any, get_type_hints

import pytest

from tidemill import errors
from tidemill.errors import DefinitionError, FencedError, RunnerError, StoreError, TidemillError
from tidemill.metadata.filter import FilterError
from tidemill.metadata.model import Run, RunState
from tidemill.metadata.remote import client, failures
from tidemill.metadata.remote.client import RemoteStore, Unreachable
from tidemill.metadata.remote.methods import CHANGES, methods, pack_error
from tidemill.metadata.remote.service import Service
from tidemill.metadata.sql import SqlStore
from tidemill.metadata.sql import open_store as open_database
from tidemill.metadata.store import MetadataStore
from tidemill.testing.store_stories import claim_node, start_run

PROTOCOL = sorted(name for name in vars(MetadataStore) if not name.startswith("_"))


class Here:
    """A transport to a service in this process."""

    where = "here"

    def __init__(self, store: MetadataStore) -> None:
        self.service = Service(store)
        self.asked: list[tuple[str, bytes]] = []

    def ask(self, method: str, body: bytes) -> bytes:
        self.asked.append((method, body))
        return self.service.call(method, body).body

    def close(self) -> None:
        return


@pytest.fixture
def database() -> Iterator[SqlStore]:
    with closing(open_database("memory://")) as store:
        yield store


@pytest.fixture
def here(database: SqlStore) -> Here:
    return Here(database)


@pytest.fixture
def store(here: Here) -> Any:
    return RemoteStore(here)


# --- the table -----------------------------------------------------------------------------------


def test_every_method_of_the_protocol_is_a_call() -> None:
    assert sorted([*methods(), "close"]) == PROTOCOL
    assert set(methods()) >= CHANGES


@pytest.mark.parametrize("name", PROTOCOL)
@pytest.mark.parametrize("kind", [RemoteStore, SqlStore])
def test_stores_have_the_methods_of_the_protocol(kind: type, name: str) -> None:
    """With the same arguments and types; no type checker sees those that are made from the table."""
    wanted, found = getattr(MetadataStore, name), getattr(kind, name)
    assert inspect.signature(found) == inspect.signature(wanted)
    assert get_type_hints(inspect.unwrap(found)) == get_type_hints(wanted)


def test_what_is_no_change_may_be_asked_of_a_store_that_is_read_only(
    store: Any, here: Here, tmp_path: Any
) -> None:
    """Each call with the simplest arguments: a change is refused on both sides, and nothing else is."""
    path = str(tmp_path / "m.db")
    with closing(open_database(path)) as made:
        run = start_run(made, "r1")
        claim = claim_node(made, "r1", "a")
    simplest: dict[str, Any] = {
        "run": run,
        "types": [],
        "version": "v",
        "pipeline": "p",
        "ir": "{}",
        "run_id": "r1",
        "owner": "o",
        "expected_owner": "o",
        "state": RunState.FAILED,
        "claim": claim,
        "node_id": "a",
        "ids": [],
        "limit": 0,
        "artifact_id": 1,
        "execution_ids": [],
        "execution_id": 1,
        "cache_key": "k",
        "output": "x",
        "spans": 1,
        "until": 1,
        "artifact_ids": [],
        "condition": "id = 1",
        "name": "p",
        "slots": 1,
        "text": "a",
    }
    from tidemill.metadata.model import ClaimRequest, Decision, NodeState, Publication
    from tidemill.metadata.retention import RetentionPolicy

    simplest["request"] = ClaimRequest(run_id="r1", node_id="a", component="c", owner="o")
    simplest["publication"] = Publication(state=NodeState.FAILED)
    simplest["decision"] = Decision(run_id="r1", node_id="a", granted=True, by="me")
    simplest["policy"] = RetentionPolicy(root="r", keep_last=1)
    with closing(open_database(path, read_only=True)) as reading:
        for name, method in methods().items():
            needed = [p for p in method.signature.parameters.values() if p.default is p.empty]
            arguments = {p.name: simplest[p.name] for p in needed}
            try:
                getattr(reading, name)(**arguments)
                refused = False
            except StoreError as error:
                refused = "read-only" in error.message
            assert refused == (name in CHANGES), name
            if refused:
                with pytest.raises(StoreError, match="read-only"):
                    getattr(RemoteStore(here, read_only=True), name)(**arguments)
    assert here.asked == []


def test_requests_leave_out_defaults(store: Any, here: Here) -> None:
    store.get_runs(limit=100)
    store.get_runs(pipeline="p", limit=5)
    assert [json.loads(body) for _, body in here.asked] == [{}, {"pipeline": "p", "limit": 5}]


def test_arguments_that_python_would_refuse(store: Any) -> None:
    with pytest.raises(TypeError):
        store.get_runs("taxi")
    with pytest.raises(TypeError):
        store.get_run()


def test_parameters_that_are_no_json_are_said_so(store: Any, here: Here) -> None:
    run = Run(id="r", pipeline="p", version="v", state=RunState.RUNNING, root="", parameters={"a": {1}})
    with pytest.raises(StoreError, match=r"run.parameters.a is not JSON"):
        store.create_run(run, [])
    assert here.asked == []


# --- what strangers send -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"x"',
        b"\xff\xfe",
        b'{"limit": NaN}',
        b'{"limit": 1e999}',
        b'{"limit": true}',
        b'{"limit": "1"}',
        b'{"limit": ' + b"9" * 5000 + b"}",
        b'{"__class__": "os.system"}',
        b"[" * 100_000,
        b'{"state": "DONE"}',
        b'{"limit": {"$float": "inf"}}',
        b"cos\nsystem\n(S'x'\ntR.",
    ],
)
def test_a_request_that_is_none_is_refused(here: Here, body: bytes) -> None:
    answer = here.service.call("get_runs", body)
    assert answer.status == 400
    assert json.loads(answer.body)["error"]["message"].startswith("the request of get_runs cannot be read")


@pytest.mark.parametrize("name", ["close", "database", "__init__", "_database", "get_rums", "", "x" * 500])
def test_a_method_that_is_none_is_not_called(here: Here, name: str) -> None:
    answer = here.service.call(name, b"{}")
    assert answer.status == 404
    assert len(answer.body) < 600


def test_what_goes_wrong_inside_is_not_told(caplog: pytest.LogCaptureFixture) -> None:
    """The text of an exception may hold anything; the log has it."""

    class Broken:
        def get_runs(self, **_: Any) -> Any:
            raise ValueError("secret")

    answer = Service(Broken()).call("get_runs", b"{}")
    assert answer.status == 500
    assert b"secret" not in answer.body
    assert "secret" in caplog.text


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"{}", b"[1]", b'{"answer": 5}', b'{"answer": [{"id": 1}]}']
)
def test_an_answer_that_is_none_is_refused(body: bytes) -> None:
    class Odd(Here):
        def __init__(self) -> None:
            return

        def ask(self, method: str, _: bytes) -> bytes:
            return body

    with pytest.raises(StoreError, match="cannot be read"):
        RemoteStore(Odd()).get_runs()


# --- errors --------------------------------------------------------------------------------------

ERRORS = [e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, TidemillError)]


@pytest.mark.parametrize("kind", ERRORS)
def test_an_error_is_the_same_on_both_sides(kind: type[TidemillError]) -> None:
    plain = json.loads(json.dumps(failures.to_plain(kind("what ü", where="where", hint="how"))))
    back = failures.from_plain(plain)
    assert type(back) is kind
    assert (back.message, back.where, back.hint) == ("what ü", "where", "how")


def test_a_filter_shows_its_mistake_on_both_sides(store: Any, database: SqlStore) -> None:
    shown = []
    for each in (store, database):
        with pytest.raises(FilterError) as caught:
            each.find_artifacts("type = 'Model' AND\n  stat = LIVE")
        shown.append((str(caught.value), caught.value.position, caught.value.exit_code))
    assert shown[0] == shown[1]


def test_errors_of_the_store_arrive(store: Any) -> None:
    with pytest.raises(RunnerError, match="no run 'r'"):
        claim_node(store, "r", "a")
    start_run(store, "r")
    stale = claim_node(store, "r", "a")
    claim_node(store, "r", "a")
    from tidemill.metadata.model import NodeState, Publication

    with pytest.raises(FencedError) as caught:
        store.publish(stale, Publication(state=NodeState.COMPLETE))
    assert caught.value.where == "run r"
    assert "not referenced" in caught.value.hint


@pytest.mark.parametrize(
    "plain",
    [
        None,
        [],
        {},
        {"code": 5},
        {"code": "NEW", "message": "m"},
        {"code": "FILTER", "message": "m"},
        {"code": "FILTER", "message": "m", "query": "q", "position": 9, "end": 9},
        {"code": "STORE", "message": ["m"]},
    ],
)
def test_an_error_of_another_version_is_an_error_still(plain: Any) -> None:
    assert type(failures.from_plain(plain)) is StoreError


def test_a_definition_error_has_its_problem() -> None:
    back = failures.from_plain(failures.to_plain(DefinitionError("m", where="w")))
    assert isinstance(back, DefinitionError)
    assert back.problems[0].what == "m"


# --- asking again --------------------------------------------------------------------------------


class Lossy(Here):
    """Loses the answers of calls, after the server has done them."""

    lost = 1

    def ask(self, method: str, body: bytes) -> bytes:
        answer = super().ask(method, body)
        if sum(name == method for name, _ in self.asked) <= self.lost:
            raise Unreachable("lost")
        return answer


def test_every_change_may_be_asked_again(database: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is done twice by the server and counts once."""
    lossy = Lossy(database)
    store: Any = RemoteStore(lossy)
    monkeypatch.setattr(store, "_reached", True)
    start_run(store, "r1")
    claim = claim_node(store, "r1", "a")
    assert (claim.granted, claim.attempt, claim.fence) == (True, 1, 1)
    assert store.take_run("r1", owner="me", expected_owner="driver")
    assert store.end_run("r1", RunState.FAILED, owner="me")
    assert len(store.get_executions("r1")) == 1
    asked = [name for name, _ in lossy.asked]
    for name in ("create_run", "claim", "take_run", "end_run", "get_executions"):
        assert asked.count(name) == 2
    ids = {json.loads(body)["request"]["request_id"] for name, body in lossy.asked if name == "claim"}
    assert len(ids) == 1


def test_a_claim_says_its_request_id(store: Any, here: Here) -> None:
    start_run(store, "r1")
    for node in ("a", "b"):
        claim_node(store, "r1", node)
    ids = [json.loads(body)["request"]["request_id"] for name, body in here.asked if name == "claim"]
    assert len(set(ids)) == 2
    assert all(len(i) == 32 for i in ids)


def test_patience_is_bounded(database: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "PATIENCE_SECONDS", 0.05)
    lossy = Lossy(database)
    lossy.lost = 1000
    store: Any = RemoteStore(lossy)
    monkeypatch.setattr(store, "_reached", True)
    with pytest.raises(StoreError, match=r"no answer in 0.05 s and \d+ attempts: lost"):
        store.get_runs()


def test_errors_fit_an_answer() -> None:
    assert json.loads(pack_error(failures.to_plain(StoreError("\ud800 ü"))))["error"]["message"] == "\ud800 ü"
