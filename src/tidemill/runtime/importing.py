"""Importers: files made elsewhere become an artifact, where they lie.

Nothing is written beside them: the list of files with their hashes goes into the record's digest, and
whether they still are what they were is found by hashing them again.
"""

from __future__ import annotations

from tidemill.errors import ResolutionError
from tidemill.ir.model import NodeIR, PipelineIR
from tidemill.metadata.model import Artifact, ArtifactState, PropertyValue
from tidemill.runtime.resolve import DIGEST, Resolved
from tidemill.storage import mirror
from tidemill.storage.manifest import Manifest, damage, survey
from tidemill.storage.uri import is_local, local_path

IMPORTED = "tidemill.imported"
"""Custom property of an artifact that was imported: 1."""


def content_of(uri: str) -> Manifest:
    """The files at a URI. ResolutionError when there are none."""
    path = local_path(uri)
    if not path.exists():
        raise ResolutionError(f"there is nothing to import at {uri}", hint="check the importer's uri")
    return survey(path)


def outputs(node: NodeIR, resolved: Resolved, pipeline: PipelineIR) -> dict[str, list[Artifact]]:
    """The artifact of an importer."""
    (output,) = node.outputs
    declared = next(t.properties for t in pipeline.artifact_types if t.name == output.type)
    uri = str(resolved.parameters["uri"])
    manifest = content_of(uri)
    given: dict[str, PropertyValue] = dict(resolved.parameters["properties"])
    made = Artifact(
        type=output.type,
        uri=str(local_path(uri)),
        state=ArtifactState.LIVE,
        properties={name: value for name, value in given.items() if name in declared},
        custom_properties={
            **{name: value for name, value in given.items() if name not in declared},
            DIGEST: manifest.digest,
            "bytes": manifest.size,
            IMPORTED: 1,
        },
    )
    return {output.name: [made]}


def changed(artifact: Artifact) -> str:
    """How the files of an imported artifact differ from what was imported; empty when they do not."""
    path = local_path(artifact.uri)
    if not path.exists():
        return f"{path} is gone"
    if survey(path).digest != artifact.custom_properties.get(DIGEST):
        return f"{path} has other bytes than when it was imported"
    return ""


def wrong_with(artifact: Artifact) -> str:
    """What is wrong with the files of an artifact, imported or our own; empty when nothing is."""
    if IMPORTED in artifact.custom_properties:
        return changed(artifact)
    if is_local(artifact.uri):
        return damage(local_path(artifact.uri))
    return mirror.damage(artifact.uri, str(artifact.custom_properties.get(DIGEST, "")))
