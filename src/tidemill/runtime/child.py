"""The executor process: gets an order, runs user code, answers on a file descriptor.

Two lines of JSON are said there: one when the executor function is called, one with the answer.

`perform` is the whole of it, and is also what runs when a node is not isolated. It must stay light:
every isolated node pays for its imports.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from tidemill.errors import ExecutorError, InvalidOutput, StorageError, TidemillError
from tidemill.runtime import classify, crashpoint, fingerprint
from tidemill.runtime.order import Answer, Order, OrderedArtifact
from tidemill.runtime.values import read_value, write_value
from tidemill.storage.manifest import seal, storage_error
from tidemill.storage.uri import local_path
from tidemill.types.artifact import Artifact, ValueArtifact
from tidemill.types.source import FileSet


def perform(order: Order, started: Callable[[], None] = lambda: None) -> Answer:
    """Run the executor and seal its outputs. Never raises for what user code does.

    `started` is called when everything is ready, just before the executor function.
    """
    began, seconds = 0.0, 0.0
    try:
        arguments, outputs = _arguments(order)
        function = _load(order.executor)
        function = getattr(function, "function", function)
        started()
        began = time.monotonic()
        try:
            result = function(**arguments)
        finally:
            seconds = time.monotonic() - began
        crashpoint.reach("child.executed")
        _keep_returned(order, outputs, result)
        sealed = {name: _sealed(order, name, outputs[name]) for name in order.outputs}
        crashpoint.reach("child.sealed")
        return Answer(outputs=sealed, began=began, seconds=seconds)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        return dataclasses.replace(_failed(order, error), began=began, seconds=seconds)


# --- calling --------------------------------------------------------------------------------------


def _arguments(order: Order) -> tuple[dict[str, Any], dict[str, Artifact]]:
    """What to call the executor with, and the output artifacts among it."""
    if order.code_root and order.code_root not in sys.path:
        sys.path.insert(0, order.code_root)
    arguments: dict[str, Any] = {name: _parameter(value) for name, value in order.parameters.items()}
    for name, given in order.inputs.items():
        artifacts = [_artifact(a, read=True) for a in given.artifacts]
        arguments[name] = artifacts if given.many else (artifacts[0] if artifacts else None)
    outputs = {}
    for name, output in order.outputs.items():
        _path(output.artifact).mkdir(parents=True)
        outputs[name] = _artifact(output.artifact, read=False)
        if not output.returned:
            arguments[name] = outputs[name]
    return arguments, outputs


def _artifact(ordered: OrderedArtifact, *, read: bool) -> Artifact:
    cls = cast("type[Artifact]", _load(ordered.python))
    artifact = cls(
        ordered.uri,
        path=_path(ordered),
        id=ordered.id,
        name=ordered.name,
        digest=ordered.digest,
        properties=ordered.properties,
        custom_properties=ordered.custom_properties,
    )
    if read and isinstance(artifact, ValueArtifact):
        artifact.value = read_value(ordered.type, artifact.path)
    return artifact


def _path(ordered: OrderedArtifact) -> Path:
    return Path(ordered.path) if ordered.path else local_path(ordered.uri)


def _parameter(value: Any) -> Any:
    match value:
        case {"$function": str() as ref}:
            function = _load(ref)
            return getattr(function, "function", function)
        case {"$files": dict() as files}:
            return FileSet.from_json(files)
        case {"$plain": plain}:
            return plain
        case list():
            return [_parameter(item) for item in value]
        case dict():
            return {key: _parameter(item) for key, item in value.items()}
    return value


def _load(ref: str) -> Any:
    """The object `module:qualname`."""
    module_name, _, qualname = ref.partition(":")
    try:
        found: Any = importlib.import_module(module_name)
        for name in qualname.split("."):
            found = getattr(found, name)
    except (ImportError, AttributeError) as error:
        raise ExecutorError(
            f"{ref} cannot be imported: {type(error).__name__}: {error}",
            hint="install what it needs where the node runs, and check that the module can be imported there",
        ) from error
    return found


# --- outputs --------------------------------------------------------------------------------------


def _keep_returned(order: Order, outputs: dict[str, Artifact], result: Any) -> None:
    """Write what the executor returned into the outputs that are returned."""
    returned = [name for name, output in order.outputs.items() if output.returned]
    if not returned:
        if result is not None:
            raise InvalidOutput(
                f"the component returned {type(result).__name__}, but declares no such output"
            )
        return
    values = {returned[0]: result} if returned == ["result"] else result
    if not isinstance(values, dict) or set(values) != set(returned):
        got = sorted(values) if isinstance(values, dict) else type(values).__name__
        raise InvalidOutput(f"the component must return a dict with {sorted(returned)}, got {got}")
    for name, value in values.items():
        artifact = outputs[name]
        write_value(cast("type[ValueArtifact]", type(artifact)), value, artifact.path, name=name)
        if isinstance(value, (int, float, str)) and len(str(value)) <= 200:
            artifact.custom_properties["value"] = value


def _sealed(order: Order, name: str, artifact: Artifact) -> OrderedArtifact:
    """The output as it will be published. Its uri may have been set by the executor."""
    ordered = order.outputs[name].artifact
    if isinstance(artifact, ValueArtifact) and not order.outputs[name].returned:
        write_value(type(artifact), artifact.value, artifact.path, name=name)
    try:
        manifest = seal(_path(ordered) if artifact.uri == ordered.uri else local_path(artifact.uri))
    except StorageError as error:
        if isinstance(error.__cause__, OSError):
            raise
        raise InvalidOutput(f"output {name!r}: {error.message}", hint=error.hint) from error
    return OrderedArtifact(
        type=ordered.type,
        python=ordered.python,
        uri=artifact.uri,
        digest=manifest.digest,
        properties=artifact.properties,
        custom_properties={**artifact.custom_properties, "bytes": manifest.size},
    )


def _failed(order: Order, error: BaseException) -> Answer:
    """The answer for an exception, with the traceback in the log unless the error explains itself."""
    raised = error
    if isinstance(error, OSError) and error.errno is not None and not isinstance(error, FileNotFoundError):
        named = storage_error(error, Path(str(error.filename or "the output")))
        if "disk is full" in named.message:
            error = named
    explained = isinstance(error, TidemillError)
    text = f"{error}\n" if explained else "".join(traceback.format_exception(_without_own_frames(error)))
    with contextlib.suppress(OSError):  # the log may be on the very disk that is full
        sys.stderr.write(text)
    verdict = classify.classify(error, order.rules, order.no_retry_on)
    return Answer(
        failure_kind=verdict.kind,
        message=str(error) if explained else f"{error}{_place(error)}",
        exception="" if explained else type(error).__name__,
        fingerprint=fingerprint.of_exception(verdict.kind, raised, order.code_root),
        backoff=verdict.backoff,
    )


def _without_own_frames(error: BaseException) -> BaseException:
    """Drop the frames of this file: users look for their own code."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    return error.with_traceback(trace)


def _place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return f"\n  at   {frames[-1].filename}:{frames[-1].lineno}" if frames else ""


# --- the process ----------------------------------------------------------------------------------


def serve(answer_fd: int) -> int:
    """Perform the one order on stdin, answer on `answer_fd`; the exit status."""
    order = Order.from_json(json.loads(sys.stdin.buffer.readline()))
    threading.Thread(target=_die_with_parent, daemon=True).start()
    return answer_order(order, answer_fd)


def answer_order(order: Order, answer_fd: int) -> int:
    """Perform an order and answer on `answer_fd`; the exit status."""
    os.set_inheritable(answer_fd, False)
    crashpoint.reach("child.started")
    sys.path[:] = [p for p in sys.path if p]
    if order.workdir:
        os.chdir(order.workdir)
    answer = perform(order, lambda: say(answer_fd, {"started": True}))
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    say(answer_fd, {"answer": answer.to_json()})
    return 0


def say(descriptor: int, message: dict[str, Any]) -> None:
    """Tell whoever watches, in one line: `{"started": true}` once, then `{"answer": {...}}`."""
    data = json.dumps(message).encode() + b"\n"
    while data:
        data = data[os.write(descriptor, data) :]


def _die_with_parent() -> None:
    """Stdin stays open as long as the launcher lives; its end means nobody waits for us any more."""
    # The descriptor itself, not sys.stdin: user code may close or replace that.
    while os.read(0, 4096):
        pass
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(serve(int(sys.argv[1])))
