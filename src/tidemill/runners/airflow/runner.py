"""From a pipeline, or a compiled one, to the DAG that Airflow finds in a DAG file.

Heavy modules are loaded by the calls, not by the import: see ahead.py.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from tidemill.errors import RunnerError
from tidemill.runners.airflow import ahead, names
from tidemill.runners.airflow.defaults import MOST_MAPPED, RESULTS

if TYPE_CHECKING:
    from airflow.sdk import DAG

    from tidemill.ir.model import PipelineIR
    from tidemill.runners.airflow.alerting import Alerts
    from tidemill.runners.airflow.options import Given

    class Pipeline(Protocol):
        """A pipeline object of the definition language, which this room must not know."""

        name: str


METADATA, ROOT = "TIDEMILL_METADATA", "TIDEMILL_ROOT"
"""Environment variables of the workers that stand in for what a DAG file leaves out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AirflowDagRunner:
    """Makes DAGs of pipelines. In a file of Airflow's dags folder, one line is enough:

        dag = AirflowDagRunner().run(my_pipeline)

    metadata: URL of the metadata store, or `airflow://CONNECTION_ID`; by default TIDEMILL_METADATA, else a
        database in the root. root: the pipeline root; by default TIDEMILL_ROOT. options: what Airflow alone
        is told of nodes, by patterns of their ids: {"train*": AirflowOptions(pool="gpus")}. max_map_length:
        the installation's core.max_map_length, which says how many iterations a loop may have.
    assets: which outputs are Airflow's assets: results, which no other node takes; all; none; or names,
        NODE.OUTPUT or NODE. alerts: who is told when a run fails, succeeds or is late.
    """

    metadata: str = ""
    root: str = ""
    workdir: str = ""
    options: Given = field(default_factory=dict)
    max_map_length: int = MOST_MAPPED
    assets: str | Sequence[str] = RESULTS
    alerts: Alerts | None = None

    def run(self, pipeline: Pipeline | PipelineIR, *, code_root: str | Path = "", **dag_options: Any) -> DAG:
        """The DAG of a pipeline, or of its IR. `code_root` is where its modules are imported from, by default
        where those of the pipeline were; `dag_options` are Airflow's own.

        A pipeline is compiled here, so its modules are imported whenever Airflow parses the file; the file
        that `tidemill compile --to airflow` writes imports none. DefinitionError for a pipeline that is
        wrong, or that Airflow cannot take.
        """
        ahead.begin(names.dag_id(pipeline.name))
        from tidemill.ir.model import PipelineIR
        from tidemill.runners.airflow.files import check, check_alerts
        from tidemill.runners.airflow.options import check_places, options_of
        from tidemill.runners.base.task import Settings
        from tidemill.runtime.root import absolute, default_metadata

        if isinstance(pipeline, PipelineIR):
            ir, found = pipeline, str(Path.cwd())
        else:
            above = importlib.import_module("tidemill.interactive")  # this room must not know the definitions
            ir, found = above.compile_now(pipeline)
        check(ir, self.max_map_length)
        of_nodes = options_of(ir, self.options)
        check_alerts(ir, self.alerts)
        root = absolute(self.root or os.environ.get(ROOT, ".tidemill"))
        metadata = self.metadata or os.environ.get(METADATA, "") or default_metadata(root)
        if not metadata:
            raise RunnerError(
                f"the root {root} cannot hold the record", hint=f"set {METADATA}, or metadata=URL"
            )
        elsewhere = [node_id for node_id, options in of_nodes.items() if options.python or options.pod]
        ahead.settle(ir, metadata, elsewhere)
        check_places(ir, of_nodes, metadata=metadata, root=root)
        settings = Settings(
            ir=ir, metadata=metadata, root=root, workdir=self.workdir,
            code_root=str(Path(code_root or found).resolve()),
        )  # fmt: skip
        from tidemill.runners.airflow.dag import build_dag

        return build_dag(settings, assets=self.assets, alerts=self.alerts, of_nodes=of_nodes, **dag_options)


def load_dag(
    file: str | Path, *, code_root: str | Path, metadata: str = "", root: str = "", workdir: str = "",
    options: Given | None = None, max_map_length: int = MOST_MAPPED, assets: str | Sequence[str] = RESULTS,
    alerts: Mapping[str, Any] | None = None, **dag_options: Any,
) -> DAG:  # fmt: skip
    """The DAG of the pipeline whose IR `tidemill compile --to airflow` wrote to `file`."""
    ahead.begin(Path(file).stem)  # as the file is called that was written; else it begins a little later
    from tidemill.runners.airflow.alerting import alerts_of
    from tidemill.runners.base.task import read_ir

    told = alerts_of(alerts, "alerts") if alerts else None
    runner = AirflowDagRunner(
        metadata=metadata, root=root, workdir=workdir, options=options or {}, max_map_length=max_map_length,
        assets=assets, alerts=told,
    )  # fmt: skip
    return runner.run(read_ir(Path(file)), code_root=code_root, **dag_options)
