"""Old Airflow spellings and what to write on Airflow 3 instead: tables, checked by lint.py.

Each row was tried on Airflow 3.3.2 (imports, arguments) or is in its migration notes. Nothing here knows how
a file is read.
"""

from __future__ import annotations

from tidemill.runners.airflow.old_imports import IMPORTS
from tidemill.runners.airflow.old_row import GONE, IGNORED, Old

__all__ = [
    "CALLS", "CONTEXT", "DAG_ARGUMENTS", "DOTTED", "IMPORTS", "METHODS", "OPERATOR_ARGUMENTS", "PLUGIN",
    "TRIGGER_RULES", "Old",
]  # fmt: skip
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
    "use_task_execution_day": Old(GONE, "use_task_logical_date="),
    "use_task_execution_date": Old(GONE, "use_task_logical_date="),
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
    "conf": Old(GONE, "dag_run.conf, params, or airflow.configuration.conf"),
    "triggering_dataset_events": Old(GONE, "triggering_asset_events"),
    "prev_execution_date_success": Old(GONE, "prev_data_interval_start_success"),
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

FILLED = frozenset(CONTEXT) - {"conf"}
"""Those that mean Airflow's context as a name of a task's argument, too."""

METHODS: dict[str, Old] = {
    "get_dagrun": Old(GONE, 'context["dag_run"] or context["run_id"]'),
    "create_dagrun": Old(GONE, "TriggerDagRunOperator, or Airflow's API"),
    "external_trigger": Old(GONE, "dag_run.run_type"),
    "get_conn_uri": Old(GONE, "get_conn_value"),
    "register_dataset_change": Old(GONE, "register_asset_change"),
    "iter_datasets": Old(GONE, "iter_assets"),
    "iter_dataset_aliases": Old(GONE, "iter_asset_aliases"),
    "add_input_dataset": Old(GONE, "add_input_asset"),
    "add_output_dataset": Old(GONE, "add_output_asset"),
    "collected_datasets": Old(GONE, "collected_assets"),
    "create_datasets": Old(GONE, "create_assets"),
    "notify_dataset_created": Old(GONE, "notify_asset_created"),
    "notify_dataset_changed": Old(GONE, "notify_asset_changed"),
    "notify_dataset_alias_created": Old(GONE, "notify_asset_alias_created"),
    "is_authorized_dataset": Old(GONE, "is_authorized_asset"),
    "dataset_factories": Old(GONE, "asset_factories"),
    "dataset_uri_handlers": Old(GONE, "asset_uri_handlers"),
    "dataset_to_openlineage_converters": Old(GONE, "asset_to_openlineage_converters"),
    "initialize_providers_dataset_uri_resources": Old(GONE, "initialize_providers_asset_uri_resources"),
}
"""Attributes that are Airflow's alone: of task instances, runs, hooks, lineage, managers."""

CALLS: dict[str, dict[str, Old]] = {
    "Variable.get": {"default_var": Old(GONE, "default= (of airflow.sdk.Variable)")},
    "DatasetOrTimeSchedule": {"datasets": Old(GONE, "assets= (of AssetOrTimeSchedule)")},
    "TriggerDagRunOperator": {"execution_date": Old(GONE, "logical_date=")},
    "TaskHandler": {"filename_template": Old(GONE, "[logging] log_filename_template of the configuration")},
}
"""End of what is called -> its arguments."""

DOTTED: dict[str, Old] = {
    "hook.get_connections": Old(GONE, "get_connection"),
    "backend.get_connections": Old(GONE, "get_connection"),
}
"""End of a dotted name in small letters, where the attribute alone could be anybody's."""

PLUGIN: dict[str, Old] = {
    name: Old(GONE, "nothing: DAG files import them from their own module")
    for name in ("operators", "sensors", "hooks", "executors")
}
"""Attributes of a class that is an AirflowPlugin."""

LINK = Old(GONE, "def get_link(self, operator, *, ti_key)")
"""Of a BaseOperatorLink whose get_link is given a date."""
EXTRA = Old(GONE, "extra=, by its name")
"""Of an asset that is given a dict in second place, which is its URI now."""
BY_NAME = Old(GONE, "an Asset in the place of its URI")
"""Of events that are asked for by a URI."""
