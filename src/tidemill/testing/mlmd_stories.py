"""Databases as TFX and Kubeflow Pipelines write them with MLMD, made through `tidemill.mlmd`."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tidemill.metadata.retention import Place
from tidemill.metadata.sql import SqlStore
from tidemill.metadata.sql.mlmd_pruning import MlmdRecord
from tidemill.mlmd import MetadataStore
from tidemill.mlmd import metadata_store_pb2 as pb
from tidemill.storage import removal

MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else tempfile.gettempdir()
E, A, V = pb.Execution, pb.Artifact, pb.Event


def opened(path: Path) -> MetadataStore:
    """The MLMD interface on a file."""
    config = pb.ConnectionConfig()
    config.sqlite.filename_uri = str(path)
    config.sqlite.connection_mode = pb.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
    return MetadataStore(config)


def record_of(store: SqlStore) -> MlmdRecord:
    """Retention on a store, with places as prune sees them."""

    def place(uri: str) -> Place:
        path, sure = removal.place(uri)
        return Place(path=path, sure=sure)

    return MlmdRecord(store.database, place)


class MlmdStory:
    """Writes runs; types of contexts are TFX's, or Kubeflow's with `kubeflow`."""

    def __init__(self, store: MetadataStore, root: str, *, kubeflow: bool = False) -> None:
        self.store, self.root, self.kubeflow = store, root, kubeflow
        self.run_type, self.pipeline_type = (
            ("system.PipelineRun", "system.Pipeline") if kubeflow else ("pipeline_run", "pipeline")
        )
        self.artifact_type = store.put_artifact_type(pb.ArtifactType(name="Model"))

    def context(self, type: str, name: str) -> pb.Context:
        """A context, stored or new."""
        found = self.store.get_context_by_type_and_name(type, name)
        if found is None:
            type_id = self.store.put_context_type(pb.ContextType(name=type))
            (id,) = self.store.put_contexts([pb.Context(type_id=type_id, name=name)])
            (found,) = self.store.get_contexts_by_id([id])
        return found

    def execute(
        self, run: str, pipeline: str, node: str = "Trainer", *, inputs: tuple[int, ...] = (),
        outputs: tuple[str | int, ...] = (), state: int = E.COMPLETE, of: str = "Trainer",
        also: tuple[tuple[str, str], ...] = (),
    ) -> list[int]:  # fmt: skip
        """One execution in the contexts of its run; outputs are new URIs, or artifacts out of the cache."""
        names = [(self.pipeline_type, pipeline), (self.run_type, run), *also]
        if not self.kubeflow:
            key = f"{run}{node}{len(self.store.get_executions())}"
            names += [("node", f"{pipeline}.{node}"), ("execution_cache", key)]
        contexts = [self.context(type, name) for type, name in names]
        if self.kubeflow:
            parents = {c.id for c in self.store.get_parent_contexts_by_context(contexts[1].id)}
            if contexts[0].id not in parents:
                self.store.put_parent_contexts(
                    [pb.ParentContext(child_id=contexts[1].id, parent_id=contexts[0].id)]
                )
        pairs = []
        for number, (kind, what) in enumerate(
            [(V.INPUT, i) for i in inputs] + [(V.OUTPUT, o) for o in outputs]
        ):
            event = V(type=kind)
            event.path.steps.add().key = "model"
            event.path.steps.add().index = number
            if isinstance(what, int):
                (artifact,) = self.store.get_artifacts_by_id([what])
            else:
                artifact = A(type_id=self.artifact_type, uri=what, state=A.LIVE)
                artifact.custom_properties["note"].string_value = what
            pairs.append((artifact, event))
        type_id = self.store.put_execution_type(pb.ExecutionType(name=of))
        execution = E(type_id=type_id, last_known_state=state)
        execution.custom_properties["steps"].int_value = 3
        _, ids, _ = self.store.put_execution(execution, pairs, contexts, force_reuse_context=True)
        return list(ids)[len(inputs) :]
