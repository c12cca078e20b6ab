"""Old places of what DAG files import from Airflow, and the new ones: tables, checked by lint.py.

Each row was tried on Airflow 3.3.2. Names that the rules AIR301 to AIR321 of ruff know are all here; where a
whole package went, a row of the package stands for what no other row names.
"""

from __future__ import annotations

from collections.abc import Iterator

from tidemill.runners.airflow.old_row import GONE, WARNS, Old

_SDK = "airflow.sdk"
_STANDARD = "airflow.providers.standard"
_EMPTY = f"{_STANDARD}.operators.empty.EmptyOperator"
_ASSETS = "the same of assets: dataset is called asset now"

_PROVIDERS = {
    "amazon": "hooks.S3_hook operators.gcs_to_s3 operators.google_api_to_s3_transfer "
    "operators.redshift_to_s3_operator operators.s3_file_transform_operator "
    "operators.s3_to_redshift_operator sensors.s3_key_sensor",
    "apache-druid": "hooks.druid_hook operators.hive_to_druid",
    "apache-hdfs": "hooks.webhdfs_hook sensors.web_hdfs_sensor",
    "apache-hive": "hooks.hive_hooks macros.hive operators.hive_operator "
    "operators.hive_stats_operator operators.hive_to_mysql operators.hive_to_samba_operator "
    "operators.mssql_to_hive operators.mysql_to_hive operators.s3_to_hive_operator "
    "sensors.hive_partition_sensor sensors.metastore_partition_sensor "
    "sensors.named_hive_partition_sensor",
    "apache-pig": "hooks.pig_hook operators.pig_operator",
    "celery": "config_templates.default_celery executors.celery_executor",
    "cncf-kubernetes": "executors.kubernetes_executor_types kubernetes",
    "common-sql": "hooks.dbapi hooks.dbapi_hook operators.check_operator operators.druid_check_operator "
    "operators.presto_check_operator operators.sql sensors.sql sensors.sql_sensor",
    "docker": "hooks.docker_hook operators.docker_operator",
    "fab": "api.auth.backend auth.managers.fab www.security",
    "http": "hooks.http_hook operators.http_operator sensors.http_sensor",
    "jdbc": "hooks.jdbc_hook",
    "mysql": "hooks.mysql_hook operators.presto_to_mysql",
    "oracle": "hooks.oracle_hook",
    "papermill": "operators.papermill_operator",
    "postgres": "hooks.postgres_hook",
    "presto": "hooks.presto_hook",
    "samba": "hooks.samba_hook",
    "slack": "hooks.slack_hook operators.slack_operator",
    "smtp": "operators.email_operator",
    "sqlite": "hooks.sqlite_hook",
    "zendesk": "hooks.zendesk_hook",
}
"""Provider -> modules of `airflow` that went there."""

_MOVED = {
    f"{_STANDARD}.operators": "python bash branch empty trigger_dagrun datetime latest_only weekday",
    f"{_STANDARD}.hooks": "filesystem package_index subprocess",
    f"{_STANDARD}.triggers": "external_task file temporal",
}
"""Package in the standard provider -> modules that are still found, with a warning, in the one of old."""

_REMOVED = {
    f"{_STANDARD}.operators": "python_operator bash_operator latest_only_operator:latest_only "
    "dagrun_operator:trigger_dagrun",
    f"{_STANDARD}.sensors": "external_task_sensor:external_task",
}
"""The same, of modules that are gone; after the colon where they are now."""


def _rows() -> Iterator[tuple[str, Old]]:
    for provider, modules in _PROVIDERS.items():
        package = f"airflow.providers.{provider.replace('-', '.')}"
        for module in modules.split():
            yield f"airflow.{module}", Old(GONE, f"{package}, of apache-airflow-providers-{provider}")
    for table, state in ((_MOVED, WARNS), (_REMOVED, GONE)):
        for package, modules in table.items():
            kind = package.rpartition(".")[2]
            for word in modules.split():
                old, _, new = word.partition(":")
                name = (new or old).removesuffix("_operator")
                yield f"airflow.{kind}.{old}", Old(state, f"{package}.{name}")


IMPORTS: dict[str, Old] = {
    **dict(_rows()),
    "airflow.DAG": Old(WARNS, f"{_SDK}.DAG"),
    "airflow.Dataset": Old(WARNS, f"{_SDK}.Asset"),
    **{f"airflow.PY{version}": Old(GONE, "sys.version_info") for version in (36, 37, 38, 39, 310, 311, 312)},
    "airflow.models.DAG": Old(WARNS, f"{_SDK}.DAG"),
    "airflow.models.dag": Old(WARNS, f"{_SDK}.DAG"),
    "airflow.models.BaseOperator": Old(WARNS, f"{_SDK}.BaseOperator"),
    "airflow.models.baseoperator": Old(WARNS, f"{_SDK}.BaseOperator, {_SDK}.chain"),
    "airflow.models.baseoperatorlink": Old(WARNS, f"{_SDK}.BaseOperatorLink"),
    "airflow.models.abstractoperator": Old(WARNS, f"nothing of it is public: {_SDK}.BaseOperator, perhaps"),
    "airflow.models.Connection": Old(WARNS, f"{_SDK}.Connection"),
    "airflow.models.Variable": Old(WARNS, f"{_SDK}.Variable"),
    "airflow.models.Param": Old(WARNS, f"{_SDK}.Param"),
    "airflow.models.ParamsDict": Old(GONE, f"{_SDK}.definitions.param.ParamsDict"),
    "airflow.models.DagParam": Old(GONE, f"{_SDK}.definitions.param.DagParam"),
    "airflow.models.param": Old(WARNS, f"{_SDK}.Param"),
    "airflow.models.xcom_arg": Old(WARNS, f"{_SDK}.XComArg"),
    "airflow.operators.dummy_operator": Old(GONE, _EMPTY),
    "airflow.operators.dummy": Old(GONE, _EMPTY),
    "airflow.operators.subdag": Old(GONE, f"{_SDK}.TaskGroup"),
    "airflow.operators.subdag_operator": Old(GONE, f"{_SDK}.TaskGroup"),
    "airflow.operators.python.get_current_context": Old(WARNS, f"{_SDK}.get_current_context"),
    "airflow.operators.email": Old(WARNS, "airflow.providers.smtp.operators.smtp"),
    "airflow.operators": Old(GONE, "the provider package of that system, or the module that defines it"),
    "airflow.sensors.base": Old(WARNS, f"{_SDK}.BaseSensorOperator"),
    "airflow.sensors.base_sensor_operator": Old(GONE, f"{_SDK}.BaseSensorOperator"),
    "airflow.sensors": Old(WARNS, f"{_STANDARD}.sensors"),
    "airflow.contrib": Old(GONE, "the provider package of that system"),
    "airflow.hooks.base_hook": Old(GONE, f"{_SDK}.BaseHook"),
    "airflow.hooks.base": Old(WARNS, f"{_SDK}.BaseHook"),
    "airflow.hooks": Old(GONE, "the provider package of that system, or the module that defines it"),
    "airflow.triggers.external_task.TaskStateTrigger": Old(
        GONE, f"{_STANDARD}.triggers.external_task.WorkflowTrigger"
    ),
    "airflow.decorators": Old(WARNS, _SDK),
    "airflow.macros": Old(WARNS, f"{_SDK}.execution_time.macros"),
    "airflow.notifications.basenotifier": Old(WARNS, f"{_SDK}.BaseNotifier"),
    "airflow.io.path": Old(WARNS, f"{_SDK}.ObjectStoragePath"),
    "airflow.io": Old(WARNS, f"{_SDK}.io"),
    "airflow.datasets": Old(GONE, f"{_SDK}.Asset, and what is named after it"),
    "airflow.timetables.datasets": Old(GONE, f"{_SDK}.AssetOrTimeSchedule (3.1: airflow.timetables.assets)"),
    "airflow.listeners.spec.dataset": Old(GONE, "airflow.listeners.spec.asset"),
    "airflow.lineage.entities": Old(GONE, f"{_SDK}.Asset in inlets and outlets"),
    "airflow.lineage.hook.DatasetLineageInfo": Old(GONE, f"{_SDK}.lineage.AssetLineageInfo"),
    **{
        f"airflow.providers.{name}": Old(GONE, _ASSETS)
        for name in (
            "amazon.aws.datasets",
            "common.io.datasets",
            "google.datasets",
            "mysql.datasets",
            "postgres.datasets",
            "trino.datasets",
            "openlineage.utils.utils.DatasetInfo",
            "openlineage.utils.utils.translate_airflow_dataset",
            "amazon.aws.auth_manager.avp.entities.AvpEntities.DATASET",
        )
    },
    "airflow.security.permissions.RESOURCE_DATASET": Old(GONE, "airflow.security.permissions.RESOURCE_ASSET"),
    "airflow.secrets.cache": Old(WARNS, f"{_SDK}.execution_time.cache"),
    "airflow.secrets.local_filesystem.load_connections": Old(
        GONE, "airflow.secrets.local_filesystem.load_connections_dict"
    ),
    "airflow.utils.task_group": Old(WARNS, f"{_SDK}.TaskGroup"),
    "airflow.utils.trigger_rule": Old(WARNS, f"{_SDK}.TriggerRule"),
    "airflow.utils.dates": Old(GONE, 'a fixed date: pendulum.datetime(2024, 1, 1, tz="UTC")'),
    "airflow.utils.timezone": Old(WARNS, f"{_SDK}.timezone"),
    "airflow.utils.decorators.apply_defaults": Old(GONE, "nothing: operators do it by themselves"),
    "airflow.utils.decorators": Old(WARNS, f"nothing of it is public: decorators of {_SDK}"),
    "airflow.utils.setup_teardown": Old(WARNS, f"{_SDK}.setup, {_SDK}.teardown"),
    "airflow.utils.dag_parsing_context": Old(GONE, f"{_SDK}.get_parsing_context"),
    "airflow.utils.dag_cycle_tester.test_cycle": Old(GONE, "dag.check_cycle()"),
    "airflow.utils.db.create_session": Old(GONE, "nothing for tasks: they have no access to the database"),
    "airflow.utils.file.TemporaryDirectory": Old(GONE, "tempfile.TemporaryDirectory"),
    "airflow.utils.file.mkdirs": Old(GONE, "pathlib.Path(...).mkdir(parents=True)"),
    "airflow.utils.helpers.chain": Old(GONE, f"{_SDK}.chain"),
    "airflow.utils.helpers.cross_downstream": Old(GONE, f"{_SDK}.cross_downstream"),
    "airflow.utils.log.secrets_masker": Old(GONE, f"{_SDK}.log.mask_secret"),
    "airflow.utils.state.SHUTDOWN": Old(GONE, "nothing"),
    "airflow.utils.state.terminating_states": Old(GONE, "nothing"),
    "airflow.utils.xcom": Old(WARNS, "airflow.models.xcom"),
    "airflow.executors.sequential_executor": Old(GONE, "the LocalExecutor, which works on SQLite too"),
    "airflow.executors.debug_executor": Old(GONE, "dag.test()"),
    "airflow.executors.dask_executor": Old(
        GONE, "another executor: apache-airflow-providers-daskexecutor ended"
    ),
    "airflow.api_connexion": Old(GONE, "airflow.api_fastapi.core_api.security"),
    "airflow.auth.managers": Old(GONE, "airflow.api_fastapi.auth.managers"),
    "airflow.metrics.validators": Old(GONE, "[metrics] metrics_allow_list of the configuration"),
    **{
        f"airflow.configuration.{name}": Old(GONE, f"airflow.configuration.conf.{name}")
        for name in (
            "as_dict",
            "get",
            "getboolean",
            "getfloat",
            "getint",
            "has_option",
            "remove_option",
            "set",
        )
    },
    "airflow.www": Old(GONE, "a plugin with a FastAPI app"),
    "tfx.orchestration.airflow": Old(GONE, "tidemill.runners.airflow.AirflowDagRunner"),
}
"""Module, or module and name -> what became of it. The longest that fits counts."""
