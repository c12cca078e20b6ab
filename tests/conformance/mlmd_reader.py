"""Runs inside an interpreter that has ml-metadata: reads whole stores, each named by a line on stdin.

Started by tests as `python mlmd_reader.py`; never imported by them. One process reads many stores, because
its imports cost more than all of them.
"""

import json
import sys

from ml_metadata.metadata_store import metadata_store
from ml_metadata.proto import metadata_store_pb2 as pb


def connect(path):
    config = pb.ConnectionConfig()
    config.sqlite.filename_uri = path
    config.sqlite.connection_mode = pb.SqliteMetadataSourceConfig.READONLY
    return metadata_store.MetadataStore(config)


def properties(values):
    return {name: getattr(value, value.WhichOneof("value")) for name, value in values.items()}


def plain(found, state, **more):
    return {
        "id": found.id,
        "type": found.type,
        "name": found.name,
        "state": state,
        "properties": properties(found.properties),
        "custom_properties": properties(found.custom_properties),
        **more,
    }


def read(store):
    executions = [
        plain(e, e.last_known_state, contexts=[c.id for c in store.get_contexts_by_execution(e.id)])
        for e in store.get_executions()
    ]
    runs = {c.id: c.name for c in store.get_contexts_by_type("pipeline_run")}
    artifacts = [
        plain(a, a.state, runs=[runs[c.id] for c in store.get_contexts_by_artifact(a.id) if c.id in runs])
        for a in store.get_artifacts()
    ]
    events = [
        {
            "artifact": e.artifact_id,
            "execution": e.execution_id,
            "type": e.type,
            "path": [s.key if s.HasField("key") else s.index for s in e.path.steps],
        }
        for e in store.get_events_by_execution_ids([e["id"] for e in executions])
    ]
    contexts = [{"id": c.id, "type": c.type, "name": c.name} for c in store.get_contexts()]
    return {"executions": executions, "artifacts": artifacts, "events": events, "contexts": contexts}


for line in sys.stdin:
    print(json.dumps(read(connect(line.strip()))), flush=True)
