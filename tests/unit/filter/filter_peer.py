"""Runs inside an interpreter that has ml-metadata 1.17.1: answers filter queries on a store, as JSON.

Called as `python filter_peer.py FILE` with a list of [kind, query] on stdin, where kind is artifacts,
executions or contexts; never imported by tests. Answers a list of {ids, cpu, wall} or {error}.
"""

import json
import sys
import time

from ml_metadata import ListOptions
from ml_metadata.errors import StatusError
from ml_metadata.metadata_store import metadata_store
from ml_metadata.proto import metadata_store_pb2 as pb


def connect(path):
    config = pb.ConnectionConfig()
    config.sqlite.filename_uri = path
    config.sqlite.connection_mode = pb.SqliteMetadataSourceConfig.READONLY
    return metadata_store.MetadataStore(config)


def answer(store, kind, query):
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        found = getattr(store, f"get_{kind}")(list_options=ListOptions(filter_query=query))
    except StatusError as error:
        return {"error": str(error)}
    spent = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}
    return {"ids": sorted(node.id for node in found), **spent}


if __name__ == "__main__":
    peer = connect(sys.argv[1])
    print(json.dumps([answer(peer, kind, query) for kind, query in json.load(sys.stdin)]))
