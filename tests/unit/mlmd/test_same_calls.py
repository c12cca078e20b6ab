"""Any calls, in any order: ml-metadata 1.17.1 and tidemill.mlmd answer alike, or refuse with the same code.

Needs an interpreter with ml-metadata 1.17.1, see test_mlmd_interop.py. Requests are generated, good ones and
bad ones, over a few ids, names and types, so that they meet; what is known to differ (0012) is left out.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from hypothesis import given, settings
from hypothesis import strategies as st

from tidemill.mlmd import MetadataStore, errors
from tidemill.mlmd import metadata_store_pb2 as pb
from tidemill.mlmd import metadata_store_service_pb2 as service

PEER = Path(__file__).with_name("calls_peer.py")
KINDS = ("artifact", "execution", "context")
DECLARED = {"p": pb.INT, "Q": pb.STRING, "ä b": pb.DOUBLE, "s": pb.STRUCT, "b": pb.BOOLEAN}
FIRST = {"artifact": 10, "execution": 12, "context": 14}
"""The id of the first of two types of each kind; 1 to 9 are MLMD's own."""
TIMES = ("create_time_since_epoch", "last_update_time_since_epoch", "milliseconds_since_epoch")
Call = tuple[str, Any]

ids = st.sampled_from([1, 1, 2, 3, 0, -1, 99])
names = st.sampled_from(["a", "b", "A", "it's", "%", "a\\b", "ä"])
values = st.one_of(
    st.builds(pb.Value, int_value=st.sampled_from([0, 1, -1, 2**63 - 1, -(2**63)])),
    st.builds(pb.Value, string_value=st.sampled_from(["", "x", "'\"\n", "ä"])),
    st.builds(pb.Value, double_value=st.sampled_from([0.0, 1.5, -1e308, 0.1])),
    st.builds(pb.Value, bool_value=st.booleans()),
)
MASK = ("uri", "name", "state", "external_id", "properties", "custom_properties.k", "properties.p", "nope")


@st.composite
def nodes(draw: st.DrawFn, kind: str) -> Any:
    """A new node or an update, of a type that is there or not, with properties that it declares or not."""
    made = getattr(pb, kind.capitalize())()
    if draw(st.integers(0, 2)) == 0:
        made.id = draw(ids)
    if not made.HasField("id") or draw(st.booleans()):
        made.type_id = FIRST[kind] + draw(st.sampled_from([0, 0, 0, 1, 1, 2, 80]))
    if kind == "context" or draw(st.booleans()):
        made.name = draw(names)
    if draw(st.integers(0, 4)) == 0:
        made.external_id = draw(st.sampled_from(["e", "f"]))
    if kind == "artifact":
        made.uri = draw(st.sampled_from(["", "u", "U", "ä"]))
        made.state = draw(st.integers(0, 6))
    for name in draw(st.lists(st.sampled_from([*DECLARED, "nope"]), max_size=1)):
        made.properties[name].CopyFrom(draw(values))
    for name in draw(st.lists(st.sampled_from(["k", "x.y", "`"]), max_size=2, unique=True)):
        made.custom_properties[name].CopyFrom(draw(values))
    return made


@st.composite
def events(draw: st.DrawFn) -> Any:
    made = pb.Event(type=draw(st.sampled_from([3, 4, 4, 1, 0])))
    made.artifact_id, made.execution_id = draw(ids), draw(ids)
    if draw(st.booleans()):
        made.path.steps.add(key="k")
        made.path.steps.add(index=draw(st.integers(-1, 1)))
    return made


@st.composite
def puts(draw: st.DrawFn) -> Call:
    """A call that stores one thing."""
    kind = draw(st.sampled_from(KINDS))
    title = kind.capitalize()
    match draw(st.sampled_from(["node", "node", "node", "type", "event", "link", "parent", "execution"])):
        case "node":
            request = getattr(service, f"Put{title}sRequest")(**{f"{kind}s": [draw(nodes(kind))]})
            request.update_mask.paths.extend(draw(st.lists(st.sampled_from(MASK), max_size=2)))
            return f"Put{title}s", request
        case "type":
            properties = draw(st.dictionaries(st.sampled_from(["p", "Q", "new"]), st.integers(0, 3)))
            new = getattr(pb, f"{title}Type")(
                name=draw(st.sampled_from(["T0", "T2", ""])), properties=properties
            )
            options = {"can_add_fields": draw(st.booleans()), "can_omit_fields": draw(st.booleans())}
            return f"Put{title}Type", getattr(service, f"Put{title}TypeRequest")(
                **{f"{kind}_type": new}, **options
            )
        case "event":
            return "PutEvents", service.PutEventsRequest(events=[draw(events())])
        case "link":
            link = pb.Attribution(artifact_id=draw(ids), context_id=draw(ids))
            return "PutAttributionsAndAssociations", service.PutAttributionsAndAssociationsRequest(
                attributions=[link]
            )
        case "parent":
            pair = pb.ParentContext(parent_id=draw(ids), child_id=draw(ids))
            return "PutParentContexts", service.PutParentContextsRequest(parent_contexts=[pair])
    request = service.PutExecutionRequest(execution=draw(nodes("execution")))
    for _ in range(draw(st.integers(0, 2))):
        request.artifact_event_pairs.add(
            artifact=draw(nodes("artifact")), event=pb.Event(type=pb.Event.OUTPUT)
        )
    request.contexts.extend(draw(st.lists(nodes("context"), max_size=1)))
    for option in ("reuse_context_if_already_exist", "reuse_artifact_if_already_exist_by_external_id"):
        setattr(request.options, option, draw(st.booleans()))
    return "PutExecution", request


@st.composite
def gets(draw: st.DrawFn) -> Call:
    """A question about what may be there."""
    kind = draw(st.sampled_from(KINDS))
    title = kind.capitalize()
    match draw(st.sampled_from(["ids", "name", "external", "types", "list", "events", "linked"])):
        case "ids":
            asked = {f"{kind}_ids": draw(st.lists(ids, max_size=3))}
            return f"Get{title}sByID", getattr(service, f"Get{title}sByIDRequest")(**asked)
        case "name":
            asked = {"type_name": draw(st.sampled_from(["T0", "T1", "none"])), f"{kind}_name": draw(names)}
            return f"Get{title}ByTypeAndName", getattr(service, f"Get{title}ByTypeAndNameRequest")(**asked)
        case "external":
            asked = {"external_ids": draw(st.lists(st.sampled_from(["e", "f", "g", ""]), max_size=2))}
            return f"Get{title}sByExternalIds", getattr(service, f"Get{title}sByExternalIdsRequest")(**asked)
        case "types":
            asked = {"type_ids": draw(st.lists(st.integers(8, 17), max_size=3))}
            return f"Get{title}TypesByID", getattr(service, f"Get{title}TypesByIDRequest")(**asked)
        case "events":
            return "GetEventsByExecutionIDs", service.GetEventsByExecutionIDsRequest(
                execution_ids=draw(st.lists(ids, max_size=2))
            )
        case "linked":
            return "GetArtifactsByContext", service.GetArtifactsByContextRequest(context_id=draw(ids))
    request = getattr(service, f"Get{title}sRequest")()
    request.options.max_result_size = draw(st.sampled_from([1, 2, 100]))
    request.options.order_by_field.field = pb.ListOperationOptions.OrderByField.ID
    request.options.order_by_field.is_asc = draw(st.booleans())
    request.options.filter_query = draw(
        st.sampled_from(
            ["", "id > 1", "name = 'a' OR id = 2", "type = 'T0'", "custom_properties.k.int_value > 0"]
        )
    )
    return f"Get{title}s", request


@pytest.fixture(scope="module")
def ask_peer(request: pytest.FixtureRequest) -> Iterator[Callable[[str], str]]:
    """Send a line to the real library; the line that it answers, if it does."""
    python = request.getfixturevalue("mlmd_python")
    with subprocess.Popen(
        [python, str(PEER)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as peer:
        assert peer.stdin is not None
        assert peer.stdout is not None
        asks, answers = peer.stdin, peer.stdout

        def ask(line: str) -> str:
            asks.write(f"{line}\n")
            asks.flush()
            return "" if line == "new" else answers.readline()

        yield ask
        asks.close()


@settings(max_examples=60, deadline=None)
@given(calls=st.lists(st.one_of(puts(), puts(), gets()), min_size=1, max_size=20))
def test_any_calls(ask_peer: Callable[[str], str], calls: list[Call]) -> None:
    ask_peer("new")
    config = pb.ConnectionConfig()
    config.fake_database.SetInParent()
    with closing(MetadataStore(config)) as store:
        for name, request in [*types(), *calls]:
            ours, theirs = answer(store, name, request), peers_answer(ask_peer, name, request)
            if name == "PutExecution" and 0 not in {ours[0], theirs[0]}:
                continue  # of mistakes in several nodes, each may tell another
            assert ours == theirs, (name, str(request))


def types() -> Iterator[Call]:
    """Two types of each kind, with the ids that FIRST says."""
    for kind in KINDS:
        title = kind.capitalize()
        for name in ("T0", "T1"):
            new = getattr(pb, f"{title}Type")(name=name, properties=DECLARED)
            yield f"Put{title}Type", getattr(service, f"Put{title}TypeRequest")(**{f"{kind}_type": new})


def answer(store: MetadataStore, name: str, request: Any) -> tuple[int, Any]:
    """Status and answer of a call on our store."""
    try:
        return 0, plain(store._call(name, request))
    except errors.StatusError as error:
        return error.error_code, None


def peers_answer(ask: Callable[[str], str], name: str, request: Any) -> tuple[int, Any]:
    """The same of the real library."""
    code, _, response = ask(f"{name} {request.SerializeToString().hex()}").strip().partition(" ")
    message = getattr(service, f"{name}Response")
    return int(code), plain(message.FromString(bytes.fromhex(response))) if code == "0" else None


def plain(message: Any) -> Any:
    """A message without times and tokens; events have no order."""
    found = timeless(MessageToDict(message, preserving_proto_field_name=True))
    found.pop("next_page_token", None)
    if "events" in found:
        found["events"].sort(key=repr)
    return found


def timeless(found: Any) -> Any:
    if isinstance(found, list):
        return [timeless(one) for one in found]
    if isinstance(found, dict):
        return {name: timeless(value) for name, value in sorted(found.items()) if name not in TIMES}
    return found
