"""Inputs of a component that is run alone: artifacts, paths and plain values.

A path becomes an artifact by being copied, a plain value by being written; each by a small node before
the component's, so that lineage says where it came from.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tidemill.dsl.channel import Channel
from tidemill.dsl.component import Component
from tidemill.dsl.location import caller
from tidemill.dsl.node import Node
from tidemill.dsl.options import NodeOptions
from tidemill.dsl.resolver import LatestBlessed, RollingWindow
from tidemill.dsl.signature import InputSpec, Output
from tidemill.errors import DataError, DefinitionError
from tidemill.storage.manifest import NAME
from tidemill.types.artifact import Artifact, ValueArtifact

_SPLIT = "Split-"


def imported(component: Component[..., Any], name: str, spec: InputSpec, value: Any) -> Any:
    """What to pass for an input: artifacts and outputs as they are, a node's output for anything else."""
    if spec.many and isinstance(value, (list, tuple)):
        return [_one(component, f"{name}_{i}", spec, item) for i, item in enumerate(value)]
    return None if value is None else _one(component, name, spec, value)


def _one(component: Component[..., Any], name: str, spec: InputSpec, value: Any) -> Any:
    if isinstance(value, (Artifact, Channel, LatestBlessed, RollingWindow, Node)):
        return value
    if issubclass(spec.type, ValueArtifact):
        return _node(keep_value, name, spec.type, value=value).outputs["result"]
    if isinstance(value, (str, os.PathLike)):
        path = Path(value).expanduser().absolute()
        if not path.exists():
            raise DefinitionError(
                f"input {name!r} of {component.name}: there is nothing at {path}", where=caller(),
                hint="pass an artifact of an earlier result, or the path of a file or folder",
            )  # fmt: skip
        return _node(import_files, name, spec.type, source=str(path)).outputs["imported"]
    raise DefinitionError(
        f"input {name!r} of {component.name} takes {spec.type.TYPE_NAME}, got {type(value).__name__}",
        where=caller(), hint="pass an artifact of an earlier result, or a path",
    )  # fmt: skip


def _node(function: Callable[..., Any], name: str, type: type[Artifact], **parameters: Any) -> Node[Any]:
    """A node of a component whose output has the type that is asked for."""
    made: Component[..., Any] = Component(
        _declared(function, type), f"{__name__}:{function.__name__}", caller(), {}
    )
    # Never reused by its parameters: what lies at a path may have changed. What comes of it is.
    return made(**parameters).with_id(f"import_{name}").with_options(NodeOptions(cache=False))


def _declared(function: Callable[..., Any], type: type[Artifact]) -> Callable[..., Any]:
    """A function with the signature of `function` for this type."""
    if issubclass(type, ValueArtifact):

        def keep(value: Any) -> Any: ...

        keep.__annotations__ = {"value": Any, "return": Any if type.VALUE_TYPE is object else type.VALUE_TYPE}
        keep.__name__ = keep.__qualname__ = function.__name__
        return keep

    def take(source: str, imported: Any) -> None: ...

    take.__annotations__ = {"source": str, "imported": Output[type], "return": None}  # type: ignore[misc,valid-type]  # made at run time
    take.__name__ = take.__qualname__ = function.__name__
    return take


# --- the work -------------------------------------------------------------------------------------


def keep_value(value: Any) -> Any:
    """Give the value, which becomes the artifact's."""
    return value


def import_files(source: str, imported: Artifact) -> None:
    """Copy a file, or what is inside a folder, into the artifact. DataError when it is empty or gone."""
    path = Path(source)
    if path.is_dir():
        shutil.copytree(path, imported.path, dirs_exist_ok=True, ignore=shutil.ignore_patterns(NAME))
    elif path.is_file():
        shutil.copyfile(path, imported.path / path.name)
    if not any(imported.path.iterdir()):
        raise DataError(f"there is nothing to import at {path}")
    splits = sorted(p.name.removeprefix(_SPLIT) for p in imported.path.glob(f"{_SPLIT}*") if p.is_dir())
    if splits and hasattr(type(imported), "splits"):
        imported.splits = splits  # type: ignore[attr-defined]  # asked for above
