"""The server runs nobody's code: it unpickles nothing, and imports nothing once it answers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import difflib, json, pickle, sys, urllib.error, urllib.request
from tidemill.metadata.sql import open_store
from tidemill.server.serving import HttpServer
from tidemill.metadata.open import open_store as open_any
from tidemill.testing.store_stories import claim_node, end_node, model, start_run

seen = []

def hook(event, arguments):
    if event in ("pickle.find_class", "exec", "os.system", "subprocess.Popen"):
        seen.append([event, str(arguments)[:200]])
    if event == "import" and str(arguments[0]).partition(".")[0] not in sys.stdlib_module_names:
        seen.append([event, str(arguments[0])])

def attack(method, body):
    request = urllib.request.Request(f"{server.address}/api/v1/metadata/{method}", body,
                                     {"content-type": "application/json"})
    try:
        urllib.request.urlopen(request).read()
    except urllib.error.HTTPError as error:
        error.read()

class Bomb:
    def __reduce__(self):
        return (__import__, ("userland",))

store = open_store("memory://")
server = HttpServer(store)
server.start()
client = open_any(server.address)
start_run(client, "warm")
end_node(client, "warm", "a", outputs={"x": [model()]})
client.find_artifacts("id = 1")
sys.addaudithook(hook)
client.put_pipeline_version("v", "p", json.dumps({"nodes": [{"executor": "userland:run"}]}))
start_run(client, "r1")
end_node(client, "r1", "a", outputs={"x": [model("userland.py")]}, message="import userland")
client.findings()
client.get_pipeline_version("v")
for body in (pickle.dumps(Bomb()), json.dumps({"run_id": "userland"}).encode(),
             b'{"__reduce__": ["userland"]}', json.dumps({"py/object": "userland.Bomb"}).encode()):
    for method in ("get_run", "publish", "userland.run", "create_run", "..%2fuserland"):
        attack(method, body)
client.close()
server.stop()
store.close()
print(json.dumps([seen, "userland" in sys.modules]))
"""


def test_nothing_that_is_sent_is_run_or_imported(tmp_path: Path) -> None:
    (tmp_path / "userland.py").write_text("raise SystemExit('imported')")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=120, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [[], False]


def test_the_server_is_far_from_what_runs_code() -> None:
    """Neither the launcher, nor the definition language, nor components, nor data libraries are loaded."""
    code = "import sys, tidemill.server.serving; print(*sorted(m for m in sys.modules if 'tidemill' in m))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    rooms = {name.split(".")[1] for name in done.stdout.split() if "." in name}
    assert rooms <= {"errors", "types", "metadata", "listener", "server"}, rooms
