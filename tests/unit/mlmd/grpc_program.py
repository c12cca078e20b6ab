"""mlmd_program.py through a metadata server: `python grpc_program.py SIDE HOST PORT`, answers as JSON."""

import json
import sys

import mlmd_program

if __name__ == "__main__":
    side, host, port = sys.argv[1:]
    mlmd, pb = mlmd_program.load(side)
    store = mlmd.MetadataStore(pb.MetadataStoreClientConfig(host=host, port=int(port)))
    print(json.dumps([mlmd_program.run(mlmd, pb, store), mlmd_program.plain(store.get_artifacts())]))
