"""Runs inside an interpreter that has ml-metadata 1.17.1: makes calls on its library, as a server would.

Each line of stdin is `NAME HEX`, a call and its request, or `new` for an empty store; each line of stdout the
status code and the response, in hex. Used by test_same_calls.py, never imported.
"""

import sys

from ml_metadata.metadata_store.pywrap.metadata_store_extension import metadata_store as library
from ml_metadata.proto import metadata_store_pb2 as pb


def make():
    config = pb.ConnectionConfig()
    config.fake_database.SetInParent()
    return library.CreateMetadataStore(config.SerializeToString(), pb.MigrationOptions().SerializeToString())


if __name__ == "__main__":
    store = make()
    for line in sys.stdin:
        if line == "new\n":
            store = make()
            continue
        name, _, request = line.strip().partition(" ")
        response, _, code = getattr(library, name)(store, bytes.fromhex(request))
        print(code, "" if code else response.hex(), flush=True)
