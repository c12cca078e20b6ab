"""Opening stores by config, errors by code, retries, and what a store leaves behind."""

from __future__ import annotations

import gc
import threading
from pathlib import Path
from typing import Any

import pytest

from tidemill.errors import StoreError, TidemillError
from tidemill.metadata.model import Artifact, NodeState
from tidemill.metadata.sql import open_store
from tidemill.mlmd import ListOptions, MetadataStore, OrderByField, downgrade_schema, errors
from tidemill.mlmd import metadata_store_pb2 as pb
from tidemill.mlmd import metadata_store_service_pb2 as service
from tidemill.mlmd.connection import Connection, _mysql_url, _postgresql_url, status_of
from tidemill.testing.store_stories import end_node, start_run

MODES = pb.SqliteMetadataSourceConfig


def sqlite(path: Path | str, mode: int = MODES.READWRITE_OPENCREATE) -> Any:
    return pb.ConnectionConfig(sqlite=MODES(filename_uri=str(path), connection_mode=mode))


def test_a_file_is_made_and_found_again(folder: Path) -> None:
    path = folder / "a store.db"
    first = MetadataStore(sqlite(path))
    type_id = first.put_artifact_type(pb.ArtifactType(name="x"))
    first.close()
    first.close()
    for again in (sqlite(path), sqlite(path, MODES.READWRITE), sqlite(f"file:{folder}/a%20store.db"),
                  pb.ConnectionConfig(sqlite=MODES(filename_uri=str(path)))):  # fmt: skip
        store = MetadataStore(again)
        assert store.get_artifact_type("x").id == type_id
        store.close()


def test_read_only(folder: Path) -> None:
    path = folder / "store.db"
    MetadataStore(sqlite(path)).close()
    store = MetadataStore(sqlite(path, MODES.READONLY))
    assert store.get_artifacts() == []
    with pytest.raises(errors.StatusError, match="read-only"):
        store.put_artifact_type(pb.ArtifactType(name="x"))
    store.close()


@pytest.mark.parametrize("mode", [MODES.READONLY, MODES.READWRITE])
def test_a_missing_file_is_not_made(folder: Path, mode: int) -> None:
    with pytest.raises(RuntimeError) as caught:  # MLMD raises RuntimeError
        MetadataStore(sqlite(folder / "none.db", mode))
    assert isinstance(caught.value, errors.StatusError)
    assert list(folder.iterdir()) == []


def test_a_missing_folder_is_not_made(folder: Path) -> None:
    """A path with a slip of the pen is no new database."""
    with pytest.raises(errors.ConnectionFailedError, match=r"the folder of .* does not exist"):
        MetadataStore(sqlite(folder / "sub" / "none.db", MODES.READWRITE_OPENCREATE))
    assert list(folder.iterdir()) == []


def test_configs_that_name_nothing() -> None:
    with pytest.raises(RuntimeError, match="Unset"):
        MetadataStore(pb.ConnectionConfig())
    with pytest.raises(ValueError, match="needs a ConnectionConfig"):
        MetadataStore("sqlite:///x.db")
    with pytest.raises(ValueError, match="upgraded"):
        MetadataStore(pb.MetadataStoreClientConfig(), enable_upgrade_migration=True)


def test_other_databases_become_addresses() -> None:
    mysql = pb.MySQLDatabaseConfig(host="db", port=3306, database="ml/md", user="u@x", password="p:/")
    mysql.ssl_options.ca = "/ca.pem"
    assert _mysql_url(mysql) == "mysql://u%40x:p%3A%2F@db:3306/ml%2Fmd?ssl_ca=%2Fca.pem"
    postgresql = pb.PostgreSQLDatabaseConfig(host="db", port="5432", dbname="mlmd", user="u")
    postgresql.ssloption.sslmode = "require"
    assert _postgresql_url(postgresql) == "postgresql://u@db:5432/mlmd?sslmode=require"
    mysql.ssl_options.cipher = "x"
    postgresql.ssloption.sslpassword = "x"
    for make, config in ((_mysql_url, mysql), (_postgresql_url, postgresql)):
        with pytest.raises(errors.UnimplementedError):
            make(config)


@pytest.mark.parametrize("config", [pb.ConnectionConfig(fake_database={}), pb.ConnectionConfig(sqlite={})])
def test_stores_in_memory_are_apart_and_leave_nothing(config: Any) -> None:
    first, second = MetadataStore(config), MetadataStore(config)
    first.put_artifact_type(pb.ArtifactType(name="x"))
    assert second.get_artifact_types() == []
    found: list[str] = []
    thread = threading.Thread(target=lambda: found.append(first.get_artifact_type("x").name))
    thread.start()
    thread.join()
    assert found == ["x"]  # every thread sees the same one
    places = [store._connection.database.dialect.path.parent for store in (first, second)]
    assert all(place.exists() for place in places)
    first.close()
    del second
    gc.collect()
    assert not any(place.exists() for place in places)


def test_it_is_the_record_of_tidemill(folder: Path) -> None:
    """A run that tidemill recorded, through MLMD's interface."""
    path = folder / "metadata.db"
    record = open_store(str(path))
    start_run(record, "r1")
    end_node(record, "r1", "gen", outputs={"x": [Artifact(type="Model", uri="file:///m")]})
    end_node(record, "r1", "bad", state=NodeState.FAILED, message="boom")
    record.close()
    store = MetadataStore(sqlite(path))
    (artifact,) = store.get_artifacts()
    assert (artifact.type, artifact.uri, artifact.state) == ("Model", "file:///m", pb.Artifact.LIVE)
    run = store.get_context_by_type_and_name("pipeline_run", "r1")
    states = [e.last_known_state for e in store.get_executions_by_context(run.id)]
    assert sorted(states) == [pb.Execution.COMPLETE, pb.Execution.FAILED]
    (event,) = store.get_events_by_artifact_ids([artifact.id])
    assert [step.WhichOneof("value") for step in event.path.steps] == ["key", "index"]
    store.close()


def test_all_codes_have_a_class() -> None:
    for code in range(1, 17):
        error = errors.make_exception("what", code)
        assert (type(error), error.error_code) == (errors.exception_type_from_error_code(code), code)
        assert isinstance(error, errors.StatusError)
        assert isinstance(error, TidemillError)
        assert (error.message, str(error)) == ("what", "what")
    assert type(errors.make_exception("what", 99)) is errors.UnknownError
    assert len({errors.exception_type_from_error_code(code) for code in range(1, 17)}) == 16
    with pytest.raises(KeyError):
        errors.exception_type_from_error_code(0)


@pytest.mark.parametrize(
    ("retries", "failures", "ok"), [(None, 4, True), (None, 5, False), (1, 1, False), (3, 2, True)]
)
def test_aborted_calls_are_made_again(retries: int | None, failures: int, ok: bool) -> None:
    config = pb.ConnectionConfig(fake_database={})
    if retries is not None:
        config.retry_options.max_num_retries = retries
    mine = MetadataStore(config)
    real, calls = mine._connection, []

    def call(method: str, request: Any, response: Any) -> None:
        calls.append(method)
        if len(calls) <= failures:
            raise errors.AbortedError("somebody else")
        real.call(method, request, response)

    mine._connection = Connection(call, real.close, real.database)
    if ok:
        assert mine.put_artifact_type(pb.ArtifactType(name="x")) == 10
        assert len(calls) == failures + 1
    else:
        with pytest.raises(errors.AbortedError):
            mine.put_artifact_type(pb.ArtifactType(name="x"))
    mine.close()


def test_errors_of_the_store_have_a_code() -> None:
    class IntegrityError(Exception):
        """What every driver calls it, by PEP 249."""

    error = StoreError("refused")
    error.__cause__ = IntegrityError("UNIQUE")
    request = service.PutExecutionRequest()
    assert type(status_of(error, request)) is errors.AlreadyExistsError
    assert type(status_of(StoreError("the disk is full"), request)) is errors.InternalError


def test_downgrade_to_what_there_is_not(folder: Path) -> None:
    config = sqlite(folder / "store.db")
    MetadataStore(config).close()
    downgrade_schema(config, 10)
    for version in (-1, 11):
        with pytest.raises(errors.InvalidArgumentError, match="downgrade"):
            downgrade_schema(config, version)
    for nothing in (pb.ConnectionConfig(fake_database={}), pb.ConnectionConfig(sqlite={})):
        with pytest.raises(errors.InvalidArgumentError, match="nothing to downgrade"):
            downgrade_schema(nothing, 9)
    with pytest.raises(errors.FailedPreconditionError, match="no metadata store"):
        downgrade_schema(sqlite(folder / "none.db"), 9)
    assert not (folder / "none.db").exists()


@pytest.mark.parametrize("version", range(10))
def test_down_and_up_again(folder: Path, version: int) -> None:
    """As in MLMD: an older database is refused unless its upgrade is enabled."""
    config = sqlite(folder / "store.db")
    store = MetadataStore(config)
    type_id = store.put_artifact_type(pb.ArtifactType(name="x", properties={"n": pb.INT}))
    artifact = pb.Artifact(type_id=type_id, uri="u", properties={"n": pb.Value(int_value=7)})
    store.put_artifacts([artifact])
    store.close()
    downgrade_schema(config, version)
    with pytest.raises(RuntimeError, match="chema migration is disabled") as caught:
        MetadataStore(config)
    assert f"schema version {version}" in str(caught.value)
    reader = sqlite(folder / "store.db", MODES.READONLY)
    if version >= 6:
        store = MetadataStore(reader)
        assert store.get_artifacts()[0].properties["n"].int_value == 7
        store.close()
    else:
        with pytest.raises(RuntimeError, match="chema migration is disabled"):
            MetadataStore(reader)
    store = MetadataStore(config, enable_upgrade_migration=True)
    (found,) = store.get_artifacts()
    assert (found.id, found.uri, found.properties["n"].int_value) == (1, "u", 7)
    store.put_artifacts([artifact])
    store.close()
    MetadataStore(config, enable_upgrade_migration=True).close()
    files = {path.name for path in folder.iterdir()}
    assert files == {"store.db", "store.db-turns"}, "no backup, as in MLMD"


@pytest.mark.parametrize("version", range(6, 10))
def test_questions_to_an_older_database(folder: Path, version: int) -> None:
    """Filters, pages, lineage and external ids, of a database that is read as it is."""
    config = sqlite(folder / "store.db")
    store = MetadataStore(config)
    type_id = store.put_artifact_type(pb.ArtifactType(name="x", properties={"n": pb.INT}))
    trainer = store.put_execution_type(pb.ExecutionType(name="t"))
    run = store.put_context_type(pb.ContextType(name="run"))
    artifacts = [
        pb.Artifact(type_id=type_id, uri=f"u{n}", properties={"n": pb.Value(int_value=n)}) for n in range(5)
    ]
    pairs = [(a, pb.Event(type=pb.Event.OUTPUT)) for a in artifacts]
    store.put_execution(pb.Execution(type_id=trainer), pairs, [pb.Context(type_id=run, name="r")])
    store.close()
    downgrade_schema(config, version)
    before = (folder / "store.db").read_bytes()
    store = MetadataStore(sqlite(folder / "store.db", MODES.READONLY))
    for query, uris in (
        ("properties.n.int_value > 2", {"u3", "u4"}),
        ("uri LIKE 'u%' AND contexts_a.name = 'r' AND properties.n.int_value = 1", {"u1"}),
        ("events_0.type = OUTPUT AND external_id = 'none'", set()),
    ):
        found = store.get_artifacts(ListOptions(filter_query=query))
        assert {a.uri for a in found} == uris
    paged = store.get_artifacts(ListOptions(limit=2, order_by=OrderByField.ID, is_asc=False))
    assert [a.uri for a in paged] == ["u4", "u3"]
    options = pb.LineageSubgraphQueryOptions(
        starting_artifacts={"filter_query": "uri = 'u1'"}, max_num_hops=2
    )
    graph = store.get_lineage_subgraph(options)
    assert (len(graph.artifacts), len(graph.executions), len(graph.events)) == (5, 1, 5)
    with pytest.raises(errors.NotFoundError):
        store.get_artifacts_by_external_ids(["none"])
    assert [t.name for t in store.get_artifact_types()] == ["x"]
    store.close()
    assert (folder / "store.db").read_bytes() == before


def test_runs_stand_in_the_way_of_the_oldest_versions(folder: Path) -> None:
    record = open_store(str(folder / "metadata.db"))
    start_run(record, "r1")
    record.close()
    config = sqlite(folder / "metadata.db")
    with pytest.raises(errors.FailedPreconditionError, match="record of 1 runs"):
        downgrade_schema(config, 5)
    downgrade_schema(config, 6)
    MetadataStore(config, enable_upgrade_migration=True).close()
    record = open_store(str(folder / "metadata.db"))
    assert [r.id for r in record.get_runs()] == ["r1"]
    record.close()
