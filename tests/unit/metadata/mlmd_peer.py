"""Runs inside an interpreter that has ml-metadata 1.17.1: makes, reads or extends a store, as JSON.

Called by tests as `python mlmd_peer.py ACTION FILE`, where FILE may be JSON that names a server, and ACTION
may be a number, the schema version to bring it back to. Tests import it for read() alone, which asks any
store with MLMD's interface.
"""

import json
import sys

try:
    from ml_metadata.metadata_store import metadata_store
    from ml_metadata.proto import metadata_store_pb2 as pb
except ImportError:  # read() needs neither
    metadata_store = pb = None


def config_of(path):
    config = pb.ConnectionConfig()
    if path.startswith("{"):
        kind, fields = json.loads(path).popitem()
        for name, value in fields.items():
            setattr(getattr(config, kind), name, value)
        return config
    config.sqlite.filename_uri = path
    config.sqlite.connection_mode = pb.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
    return config


def properties(values):
    return {
        name: [value.WhichOneof("value"), getattr(value, value.WhichOneof("value"))]
        for name, value in values.items()
    }


def type_of(found):
    base = found.DESCRIPTOR.fields_by_name["base_type"].enum_type.values_by_number[found.base_type].name
    return {"name": found.name, "id": found.id, "base": base, "properties": dict(found.properties)}


def node_of(found):
    return {
        "id": found.id,
        "type": found.type,
        "name": found.name,
        "properties": properties(found.properties),
        "custom_properties": properties(found.custom_properties),
        "create_time": found.create_time_since_epoch,
        "update_time": found.last_update_time_since_epoch,
    }


def read(store):
    """Everything MLMD's own API says is in the store."""
    contexts = store.get_contexts()
    executions = store.get_executions()
    return {
        "types": {
            "artifact": [type_of(t) for t in store.get_artifact_types()],
            "execution": [type_of(t) for t in store.get_execution_types()],
            "context": [type_of(t) for t in store.get_context_types()],
        },
        "artifacts": [{**node_of(a), "uri": a.uri, "state": a.state} for a in store.get_artifacts()],
        "executions": [{**node_of(e), "state": e.last_known_state} for e in executions],
        "contexts": [node_of(c) for c in contexts],
        "events": [
            {
                "artifact": e.artifact_id,
                "execution": e.execution_id,
                "type": e.type,
                "time": e.milliseconds_since_epoch,
                "path": [s.key if s.HasField("key") else s.index for s in e.path.steps],
            }
            for e in store.get_events_by_execution_ids([e.id for e in executions])
        ],
        "attributions": sorted([c.id, a.id] for c in contexts for a in store.get_artifacts_by_context(c.id)),
        "associations": sorted([c.id, e.id] for c in contexts for e in store.get_executions_by_context(c.id)),
        "parents": sorted([c.id, p.id] for c in contexts for p in store.get_parent_contexts_by_context(c.id)),
    }


def write(store):
    """What TFX would write with MLMD: a model under a context of its own, made from the first artifact."""
    model = pb.ArtifactType(name="ForeignModel", base_type=pb.ArtifactType.MODEL)
    model.properties["loss"] = pb.DOUBLE
    model.properties["shape"] = pb.STRUCT
    type_id = store.put_artifact_type(model)
    artifact = pb.Artifact(type_id=type_id, uri="file:///foreign", name="foreign", state=pb.Artifact.LIVE)
    artifact.properties["loss"].double_value = 0.25
    artifact.properties["shape"].struct_value.update({"rows": 3})
    artifact.custom_properties["final"].bool_value = True
    artifact.custom_properties["steps"].int_value = 7
    artifact.custom_properties["note"].string_value = "ä'\""
    execution = pb.Execution(
        type_id=store.put_execution_type(pb.ExecutionType(name="ForeignTrainer")),
        name="foreign execution",
        last_known_state=pb.Execution.COMPLETE,
    )
    used = pb.Event(type=pb.Event.INPUT)
    used.path.steps.add().key = "examples"
    used.path.steps.add().index = 0
    made = pb.Event(type=pb.Event.OUTPUT)
    made.path.steps.add().key = "model"
    made.path.steps.add().index = 0
    old = store.get_artifacts_by_id([1])
    context = pb.Context(type_id=store.put_context_type(pb.ContextType(name="foreign_context")), name="c")
    ids = store.put_execution(
        execution, [(old[0], used), (artifact, made)] if old else [(artifact, made)], [context]
    )
    return {"execution": ids[0], "artifacts": list(ids[1])}


if __name__ == "__main__":
    action, path = sys.argv[1:]
    if action.isdigit():
        metadata_store.downgrade_schema(config_of(path), int(action))
        print("{}")
        sys.exit()
    peer = metadata_store.MetadataStore(config_of(path), enable_upgrade_migration=action == "upgrade")
    actions = {"create": lambda store: {}, "read": read, "write": write, "upgrade": read}
    print(json.dumps(actions[action](peer), default=dict))
