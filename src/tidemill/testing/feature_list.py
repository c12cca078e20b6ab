"""The features of the three engines, an entry each: what `docs/engines.md` is written from.

`Feature(NAME, scenario=...)` takes its cells from the runner suites. Otherwise a cell is `yes(TEST)`, which
pytest must collect, or a reason why not; `Once(TEST, REASON)` becomes yes when another change brings the
test.
`make features` runs this module.
"""

from __future__ import annotations

from pathlib import Path

from tidemill.testing.features import Feature, Once, never, notimpl, notyet, page, yes

_E2E = "tests/e2e"
_AIRFLOW = "tests/golden/test_golden_airflow.py"
_SCHEDULER = "tests/conformance/test_airflow_scheduler.py"
_DATA = "tests/conformance/test_airflow_data.py"
_WAITING = "tests/conformance/test_airflow_waiting.py"
_SITE = "tests/conformance/test_airflow_data_site.py"
_PODS = "tests/unit/runners/test_airflow_pod_options.py"
_AGAIN = "tests/unit/runners/test_engine_again.py"
_KFP_GOLDEN = "tests/golden/test_golden_kubeflow.py"
_KFP_CHECK = "tests/unit/runners/test_kubeflow_check.py"
_KFP_ENTRY = "tests/unit/runners/test_kubeflow_entry.py"
_KFP_COMMANDS = "tests/unit/runners/kubeflow/test_commands.py"
_KFP_RULES = "tests/unit/kfp_lint/test_rules.py"
_STORIES = "tests/conformance/test_kubeflow_stories.py"
_WORKFLOWS = "tests/conformance/test_kubeflow_workflows.py"

_NO_DAEMON = notimpl("nothing here starts runs by itself yet: cron, or another engine")
_NO_PODS = never("there are no pods")
_OTHERS_QUEUE = never("the engine has a queue of its own")

SECTIONS: dict[str, tuple[Feature, ...]] = {
    "The graph": (
        Feature("Nodes one after another", scenario="linear"),
        Feature("Nodes beside each other", scenario="diamond"),
        Feature("Optional inputs", scenario="optional_input"),
        Feature("Sub-pipelines", scenario="sub_pipeline"),
        Feature("Parameters of nodes known at run time", scenario="dynamic_parameter"),
        Feature("Runtime parameters of every kind", scenario="runtime_values"),
        Feature("Import of files made elsewhere", scenario="importing"),
        Feature("Resolvers: windows of spans, latest artifacts", scenario="resolvers"),
        Feature("The champion of the day, blessed or not", scenario="champions"),
    ),
    "Conditions, loops, exit nodes": (
        Feature("Conditions", scenario="condition"),
        Feature("Conditions in conditions", scenario="nested_conditions"),
        Feature("Skipped inputs and what follows", scenario="skips"),
        Feature("Joins after what was skipped or failed", scenario="join_after_skip"),
        Feature("Loops over given items", scenario="loop_literal"),
        Feature("Loops over a node's output, none of them too", scenario="loop_output"),
        Feature("Loops over artifacts", scenario="loop_artifacts"),
        Feature("Loops in loops", scenario="nested_loops"),
        Feature("Limits of parallel iterations", scenario="loop_parallelism"),
        Feature("Failures in loops", scenario="loop_failure"),
        Feature("Failures in loops in loops", scenario="nested_failure"),
        Feature("Exit nodes", scenario="exit_handler"),
        Feature("Trigger rules", scenario="triggers"),
    ),
    "Runs": (
        Feature("The cache across runs and engines", scenario="cache"),
        Feature("A failure ends the run, and what can still run does", scenario="failure"),
        Feature("Retries by failure class", scenario="retry"),
        Feature("The cache after a retry", scenario="retry_then_cached"),
        Feature("Parts of a pipeline on a base run", scenario="partial"),
        Feature("Approvals, granted or not", scenario="gates"),
        Feature("Cancel", scenario="cancel"),
        Feature("Cancel in a loop", scenario="cancel_in_loop"),
        Feature("Time limits", scenario="timeout"),
        Feature(
            "A pipeline root in an object store",
            local=yes("tests/e2e/test_remote_root.py::test_a_second_machine_goes_on"),
            airflow=notimpl("the launcher is the same; no test on Airflow shows it"),
            kubeflow=notimpl("the launcher is the same; no test on Kubeflow shows it"),
        ),
        Feature(
            "A killed engine goes on where it stopped",
            local=yes(f"{_E2E}/test_queue.py::test_the_next_worker_takes_over_what_a_killed_one_left"),
            airflow=Once(
                f"{_SCHEDULER}::test_a_scheduler_that_is_killed_with_its_group"
                "_leaves_one_published_execution",
                "Airflow does; no test shows it",
            ),
            kubeflow=Once(
                f"{_STORIES}::test_a_pod_that_dies_is_followed_by_one_that_publishes_once",
                "Argo does; no test shows it",
            ),
        ),
        Feature(
            "A task that is killed ends its executor",
            local=yes(f"{_E2E}/test_attempts.py::test_what_an_executor_started_ends_with_it"),
            airflow=yes(f"{_SCHEDULER}::test_a_task_that_is_killed_in_airflow_ends_its_executor_and_its_run"),
            kubeflow=Once(
                f"{_STORIES}::test_a_pod_that_ignores_its_end_is_killed_and_its_node_closed", "not written"
            ),
        ),
        Feature(
            "Retry of what failed in an earlier run",
            local=yes(f"{_E2E}/test_part.py::test_retry_does_what_did_not_succeed"),
            airflow=Once(
                f"{_WAITING}::test_failed_tasks_that_are_cleared_are_a_run_of_their_own",
                "by tidemill retry, on this machine",
            ),
            kubeflow=notimpl(
                "tidemill retry drives it on this machine; KFP's own retry of a run repeats tasks"
            ),
        ),
        Feature(
            "Queue of runs and workers",
            local=yes(f"{_E2E}/test_queue.py::test_a_worker_drives_what_was_queued"),
            airflow=_OTHERS_QUEUE,
            kubeflow=_OTHERS_QUEUE,
        ),
        Feature(
            "Pools of slots shared by runs",
            local=yes(f"{_E2E}/test_queue.py::test_workers_share_the_slots_of_a_pool"),
            airflow=Once(f"{_AGAIN}::test_a_pool_is_waited_for_until_there_is_room", "not shown"),
            kubeflow=notyet("KFP has no limit across runs but the cluster's quotas"),
        ),
    ),
    "Schedules and data": (
        Feature(
            "Schedules: cron with zone, data intervals",
            local=_NO_DAEMON,
            airflow=Once(
                f"{_DATA}::test_each_day_has_one_run_at_the_midnight_that_ends_it"
                "_also_when_the_clocks_change",
                "cron only",
            ),
            kubeflow=Once(
                f"{_KFP_COMMANDS}::test_schedules_and_the_way_back", "recurring runs are made by hand"
            ),
        ),
        Feature(
            "Backfills",
            local=yes(f"{_E2E}/test_backfill.py::test_each_date_runs_once_and_oldest_first"),
            airflow=Once(f"{_DATA}::test_a_backfill_of_airflows_own_has_one_run_for_each_date", "not shown"),
            kubeflow=notimpl("a run for each date can be submitted; no command does"),
        ),
        Feature(
            "Outputs as assets that start others",
            local=_NO_DAEMON,
            airflow=Once(
                (
                    f"{_SITE}::test_an_artifact_of_one_pipeline_starts_another",
                    f"{_DATA}::test_outputs_are_events_of_assets_unless_they_were_skipped",
                ),
                "not written",
            ),
            kubeflow=notyet("KFP has no events"),
        ),
        Feature(
            "Runs that start when data arrives",
            local=_NO_DAEMON,
            airflow=Once(
                (
                    f"{_SITE}::test_files_of_each_new_day_start_a_run_of_that_day",
                    f"{_DATA}::test_the_trigger_tells_of_each_new_span_once_and_keeps_no_secret",
                ),
                "not written",
            ),
            kubeflow=notyet("KFP has no sensors"),
        ),
        Feature(
            "What is new in the sources",
            local=yes(f"{_E2E}/test_sources.py::test_new_late_and_changed_files_are_seen"),
            airflow=never("a question to the record; asked on any machine"),
            kubeflow=never("a question to the record; asked on any machine"),
        ),
    ),
    "Where nodes run": (
        Feature(
            "A process of its own for each node",
            local=yes(f"{_E2E}/test_attempts.py::test_user_code_is_never_imported_by_the_runner"),
            airflow=yes("tests/conformance/test_runner_airflow.py::TestDagTest::test_scenario"),
            kubeflow=Once(
                "tests/conformance/test_runner_kubeflow.py::TestEmulator::test_scenario", "not written"
            ),
        ),
        Feature(
            "A virtual environment of the node's own",
            local=yes(
                f"{_E2E}/test_environments.py::test_an_environment_is_made_once_and_holds_what_was_asked_for"
            ),
            airflow=yes(
                "tests/conformance/test_runner_airflow.py::test_nodes_run_in_other_interpreters_and_pods_are_what_kubernetes_gets"
            ),
            kubeflow=notimpl("the node's image holds what it needs"),
        ),
        Feature(
            "A container of the node's own",
            local=yes(f"{_E2E}/test_containers.py::test_a_node_runs_in_a_real_container"),
            airflow=yes(
                "tests/conformance/test_airflow_containers.py::test_a_node_runs_in_its_container_and_nothing_of_it_stays"
            ),
            kubeflow=Once(f"{_KFP_ENTRY}::test_a_node_inside_its_image_starts_no_container", "not written"),
        ),
        Feature(
            "Options of pods: resources, selectors, tolerations, secrets, volumes",
            local=_NO_PODS,
            airflow=yes(f"{_PODS}::test_the_pod_has_image_variables_and_resources_and_no_secret"),
            kubeflow=Once(f"{_KFP_GOLDEN}::test_everything_that_kubernetes_can_be_asked_for", "not written"),
        ),
        Feature(
            "More memory after a node was killed for it",
            local=yes(f"{_E2E}/test_failures.py::test_a_node_that_was_killed_for_memory_gets_more"),
            airflow=notimpl("the next try has the pod of the first"),
            kubeflow=notyet("a pod's limits are fixed when the workflow is made"),
        ),
        Feature(
            "Requests of resources learnt from runs",
            local=never("nothing is requested"),
            airflow=notimpl("for Kubeflow only"),
            kubeflow=Once(
                "tests/unit/runners/kubeflow/test_learn.py::test_the_file_says_what_was_learnt_and_compiles",
                "not written",
            ),
        ),
        Feature(
            "Images built, or appended to without a daemon",
            local=_NO_PODS,
            airflow=Once(
                "tests/unit/images/test_image_command.py::test_the_same_input_gives_the_same_digest",
                "not written",
            ),
            kubeflow=Once(
                "tests/unit/images/test_image_command.py::test_the_same_input_gives_the_same_digest",
                "not written",
            ),
        ),
    ),
    "Around runs": (
        Feature(
            "Compiled without the engine installed",
            local=never("nothing is compiled"),
            airflow=yes(f"{_AIRFLOW}::test_the_room_needs_no_airflow"),
            kubeflow=Once(f"{_KFP_GOLDEN}::test_every_pipeline_can_be_written", "not written"),
        ),
        Feature(
            "Equal pipelines give equal files",
            local=never("nothing is compiled"),
            airflow=yes(f"{_AIRFLOW}::test_the_dag_file_is_the_golden_one"),
            kubeflow=Once(
                f"{_KFP_GOLDEN}::test_the_same_bytes_in_another_folder_with_other_hashes", "not written"
            ),
        ),
        Feature(
            "No secret in what is compiled",
            local=never("nothing is compiled"),
            airflow=yes(f"{_AIRFLOW}::test_a_password_never_stands_in_a_dag_file"),
            kubeflow=Once(f"{_KFP_CHECK}::test_the_rule_is_named", "not written"),
        ),
        Feature(
            "What the engine would refuse is refused when compiled",
            local=never("nothing is compiled"),
            airflow=yes(f"{_AIRFLOW}::test_what_airflow_cannot_take_is_said_at_once"),
            kubeflow=Once(f"{_KFP_CHECK}::test_the_rule_is_named", "not written"),
        ),
        Feature(
            "A linter for anybody's files",
            local=never("there are no files"),
            airflow=yes("tests/unit/runners/test_airflow_lint.py::test_the_command"),
            kubeflow=yes(f"{_KFP_RULES}::test_a_mutation_breaks_its_rule_and_no_other"),
        ),
        Feature(
            "Approvals on the engine's own page",
            local=never("there is no page: tidemill approve"),
            airflow=Once(
                f"{_WAITING}::test_an_approval_is_given_on_the_page_or_by_the_command", "tidemill approve"
            ),
            kubeflow=notyet("KFP has no page for it: tidemill approve"),
        ),
        Feature(
            "Waiting without holding a slot",
            local=never("a wait costs nothing"),
            airflow=Once(
                f"{_WAITING}::test_the_time_of_a_retry_is_waited_for_by_the_triggerer_until_a_cancel",
                "the task waits in its slot",
            ),
            kubeflow=notyet("a pod is all that can wait there"),
        ),
        Feature(
            "Alerts and deadlines",
            local=notimpl("exit nodes only"),
            airflow=Once(
                (
                    f"{_SITE}::test_who_is_to_be_told_of_a_failure_or_success_is_told_what_the_record_says",
                    "tests/unit/runners/test_airflow_alerting.py::test_a_file_says_who_is_told_of_what",
                ),
                "exit nodes only",
            ),
            kubeflow=notimpl("exit nodes, and a deadline for the run"),
        ),
        Feature(
            "Links from the engine to run, artifacts and lineage",
            local=never("there is no page"),
            airflow=Once(f"{_SITE}::test_tasks_and_runs_lead_to_the_pages_of_the_record", "not written"),
            kubeflow=notimpl("artifacts carry our ids as metadata"),
        ),
        Feature(
            "Metrics and pages in the engine's viewers",
            local=never("there is no page: tidemill artifacts page"),
            airflow=notyet("Airflow shows no artifacts"),
            kubeflow=Once(
                f"{_KFP_ENTRY}::test_an_evaluation_has_its_numbers_and_its_page_shown", "not written"
            ),
        ),
        Feature(
            "Upload, runs, versions and rollback from the command line",
            local=never("nothing is uploaded"),
            airflow=never("files are put into a folder"),
            kubeflow=Once(f"{_KFP_COMMANDS}::test_from_a_file_to_a_run_and_back", "not written"),
        ),
        Feature(
            "Scenarios in real containers",
            local=yes(f"{_E2E}/test_containers.py::test_a_node_runs_in_a_real_container"),
            airflow=yes("tests/conformance/test_airflow_kubernetes.py::TestInPods::test_scenario"),
            kubeflow=Once(
                "tests/conformance/test_kubeflow_containers.py::TestContainers::test_scenario", "not written"
            ),
        ),
        Feature(
            "Judged by the engine's own code",
            local=never("it is the engine"),
            airflow=Once(
                (f"{_SCHEDULER}::TestScheduler::test_scenario", f"{_SCHEDULER}::test_scenario"), "not shown"
            ),
            kubeflow=Once(f"{_WORKFLOWS}::test_what_argo_would_run_is_what_we_mean", "not written"),
        ),
    ),
}
"""Rows by section."""


def main() -> None:
    """Write the page of the checkout that this is run in."""
    root = Path.cwd()
    (root / "docs" / "engines.md").write_text(page(SECTIONS, root), encoding="utf-8")


if __name__ == "__main__":
    main()
