"""Old Airflow spellings and what to write on Airflow 3 instead: tables, checked by lint.py.

Each row was tried on Airflow 3.3.2 (imports, arguments) or is in its migration notes. Nothing here knows how
a file is read.
"""

from __future__ import annotations

from dataclasses import dataclass

GONE, WARNS, IGNORED = "gone", "deprecated", "ignored"


@dataclass(frozen=True, slots=True)
class Old:
    """What became of a spelling, and what takes its place."""

    state: str
    """gone: fails; deprecated: works, with a warning or silently; ignored: accepted, does nothing."""
    instead: str


_SDK = "airflow.sdk"
_STANDARD = "airflow.providers.standard"
_EMPTY = f"{_STANDARD}.operators.empty.EmptyOperator"

IMPORTS: dict[str, Old] = {
    "airflow.DAG": Old(WARNS, f"{_SDK}.DAG"),
    "airflow.Dataset": Old(WARNS, f"{_SDK}.Asset"),
    "airflow.models.DAG": Old(WARNS, f"{_SDK}.DAG"),
    "airflow.models.dag": Old(WARNS, f"{_SDK}.DAG"),
    "airflow.models.BaseOperator": Old(WARNS, f"{_SDK}.BaseOperator"),
    "airflow.models.baseoperator": Old(WARNS, f"{_SDK}.BaseOperator, {_SDK}.chain"),
    "airflow.models.param": Old(WARNS, f"{_SDK}.Param"),
    "airflow.models.xcom_arg": Old(WARNS, f"{_SDK}.XComArg"),
    "airflow.operators.dummy_operator": Old(GONE, _EMPTY),
    "airflow.operators.dummy": Old(GONE, _EMPTY),
    "airflow.operators.python_operator": Old(GONE, f"{_STANDARD}.operators.python"),
    "airflow.operators.bash_operator": Old(GONE, f"{_STANDARD}.operators.bash"),
    "airflow.operators.subdag": Old(GONE, f"{_SDK}.TaskGroup"),
    "airflow.operators.subdag_operator": Old(GONE, f"{_SDK}.TaskGroup"),
    "airflow.operators.empty": Old(WARNS, f"{_STANDARD}.operators.empty"),
    "airflow.operators.python": Old(WARNS, f"{_STANDARD}.operators.python"),
    "airflow.operators.bash": Old(WARNS, f"{_STANDARD}.operators.bash"),
    "airflow.operators.branch": Old(WARNS, f"{_STANDARD}.operators.branch"),
    "airflow.operators.trigger_dagrun": Old(WARNS, f"{_STANDARD}.operators.trigger_dagrun"),
    "airflow.sensors.base": Old(WARNS, f"{_SDK}.BaseSensorOperator"),
    "airflow.sensors": Old(WARNS, f"{_STANDARD}.sensors"),
    "airflow.contrib": Old(GONE, "the provider package of that system"),
    "airflow.hooks.base_hook": Old(GONE, f"{_SDK}.BaseHook"),
    "airflow.decorators": Old(WARNS, _SDK),
    "airflow.utils.task_group": Old(WARNS, f"{_SDK}.TaskGroup"),
    "airflow.utils.trigger_rule": Old(WARNS, f"{_SDK}.TriggerRule"),
    "airflow.notifications.basenotifier": Old(WARNS, f"{_SDK}.BaseNotifier"),
    "airflow.io.path": Old(WARNS, f"{_SDK}.ObjectStoragePath"),
    "airflow.datasets": Old(GONE, f"{_SDK}.Asset"),
    "airflow.utils.dates": Old(GONE, 'a fixed date: pendulum.datetime(2024, 1, 1, tz="UTC")'),
    "airflow.utils.decorators.apply_defaults": Old(GONE, "nothing: operators do it by themselves"),
    "airflow.utils.helpers.chain": Old(GONE, f"{_SDK}.chain"),
    "airflow.executors.sequential_executor": Old(GONE, "the LocalExecutor, which works on SQLite too"),
    "airflow.executors.debug_executor": Old(GONE, "dag.test()"),
    "airflow.www": Old(GONE, "a plugin with a FastAPI app"),
    "airflow.kubernetes": Old(GONE, "airflow.providers.cncf.kubernetes"),
    "airflow.lineage.entities": Old(GONE, f"{_SDK}.Asset in inlets and outlets"),
    "tfx.orchestration.airflow": Old(GONE, "tidemill.runners.airflow.AirflowDagRunner"),
}
"""Module, or module and name -> what became of it. The longest that fits counts."""

DAG_ARGUMENTS: dict[str, Old] = {
    "schedule_interval": Old(GONE, "schedule="),
    "timetable": Old(GONE, "schedule="),
    "default_view": Old(GONE, "nothing"),
    "orientation": Old(GONE, "nothing"),
    "concurrency": Old(GONE, "max_active_tasks="),
    "fail_stop": Old(GONE, "fail_fast="),
    "full_filepath": Old(GONE, "nothing"),
    "sla_miss_callback": Old(IGNORED, "deadline=DeadlineAlert(...)"),
}
"""Of DAG(...) and @dag(...)."""

OPERATOR_ARGUMENTS: dict[str, Old] = {
    "provide_context": Old(GONE, "nothing: the context is always given"),
    "task_concurrency": Old(GONE, "max_active_tis_per_dag="),
    "sla": Old(IGNORED, "deadline=DeadlineAlert(...) of the DAG"),
}
"""Of operators, and in default_args."""

UNMISTAKABLE = {"schedule_interval", "provide_context", "task_concurrency", "sla_miss_callback"}
"""Names that mean Airflow's arguments in any dict: settings are often kept in one."""

TRIGGER_RULES: dict[str, Old] = {
    "dummy": Old(GONE, "always"),
    "none_failed_or_skipped": Old(GONE, "none_failed_min_one_success"),
}

CONTEXT: dict[str, Old] = {
    "execution_date": Old(GONE, "logical_date, which a run by hand may lack, or data_interval_start"),
    "prev_execution_date": Old(GONE, "data_interval_start of the run before"),
    "next_execution_date": Old(GONE, "data_interval_end"),
    "prev_ds": Old(GONE, "prev_data_interval_start_success"),
    "prev_ds_nodash": Old(GONE, "prev_data_interval_start_success"),
    "next_ds": Old(GONE, "data_interval_end | ds"),
    "next_ds_nodash": Old(GONE, "data_interval_end | ds_nodash"),
    "tomorrow_ds": Old(GONE, "macros.ds_add(ds, 1)"),
    "tomorrow_ds_nodash": Old(GONE, "macros.ds_add(ds, 1)"),
    "yesterday_ds": Old(GONE, "macros.ds_add(ds, -1)"),
    "yesterday_ds_nodash": Old(GONE, "macros.ds_add(ds, -1)"),
}
"""Keys of a task's context, in code and in templates."""

METHODS: dict[str, Old] = {"get_dagrun": Old(GONE, 'context["dag_run"] or context["run_id"]')}
"""Of a task instance."""
