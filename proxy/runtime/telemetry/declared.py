"""Every family of /metrics, once: name, kind, help, labels, and what becomes of it where several processes have a part in it.

Belongs here: nothing but the table. What happens to a family is told in metrics.py and run_series.py, how processes are merged in
workers/merged_metrics.py. Labels never name users, runs or keys, and each has a bounded set of values.
"""

from typing import Final, Literal, NamedTuple

Kind = Literal["counter", "gauge", "histogram"]
#: How values of several processes become one. sum: each has a part; greatest: the worst counts; owner: the process that has the
#: store knows it, or it is the same for all; each: they do not become one, each process has series of its own (PROCESS_LABEL).
Merge = Literal["sum", "greatest", "owner", "each"]
#: On a host with several processes it says which one a series of `each` is of: `owner`, `worker-1` and so on.
PROCESS_LABEL: Final = "process"


class Declared(NamedTuple):
    """One family. A counter's samples have `_total` behind its name."""

    name: str
    kind: Kind
    merge: Merge
    help: str
    labels: tuple[str, ...] = ()


#: Whose run it was: versions that labels or pins reach, models that versions name; anything else is `other`.
RUN_LABELS: Final = ("agent", "version", "arm", "provider", "model")
_CAP: Final = ("cap", "scope", "window", "unit")

_ALL: Final = (
    # Runs, by version (run_series.py).
    Declared("switchback_runs", "counter", "sum", "Finished runs, by how they ended.", (*RUN_LABELS, "result", "status_class", "error_class")),
    Declared("switchback_run_duration_seconds", "histogram", "sum", "From the call's arrival to the end of its answer.", RUN_LABELS),
    Declared("switchback_time_to_first_byte_seconds", "histogram", "sum", "From the call's arrival to the first byte of the provider's answer.", RUN_LABELS),
    Declared("switchback_proxy_overhead_seconds", "histogram", "sum", "What a forwarded call took beside its time at the provider."),
    Declared("switchback_tokens", "counter", "sum", "Tokens that providers reported, by kind.", (*RUN_LABELS, "kind")),
    Declared("switchback_cost_usd", "counter", "sum", "Cost in US dollars.", RUN_LABELS),
    Declared("switchback_unmetered_runs", "counter", "sum", "Runs that may have cost money, and nobody here can tell how much.", ("agent", "provider")),
    Declared("switchback_finishes", "counter", "sum", "Why answers ended, as the model said; refused: it would not answer.", (*RUN_LABELS, "finish")),
    Declared("switchback_tool_calls", "counter", "sum", "Tool calls that answers asked for.", RUN_LABELS),
    Declared("switchback_outcomes", "counter", "owner", "Facts told about runs later, by name and whether they hold.", ("agent", "version", "name", "value")),
    Declared("switchback_answers_not_judged", "counter", "sum", "Finished answers that validators should have judged and did not, by reason.", ("agent", "reason")),
    Declared("switchback_webhook_deliveries", "counter", "owner", "Tries to tell a webhook's endpoint, by what came of them.", ("endpoint", "result")),
    # Calls, and what stops them.
    Declared("switchback_runs_in_flight", "gauge", "owner", "Calls being served now."),
    Declared("switchback_refusals", "counter", "sum", "Calls refused by the proxy, by code.", ("agent", "code")),
    Declared("switchback_upstream_errors", "counter", "sum", "Failures of a provider's connection, by reason.", ("provider", "reason")),
    Declared("switchback_switch_active", "gauge", "owner", "Kill switches that are on, by what they are about.", ("scope", "mode")),
    Declared("switchback_switch_observed", "counter", "sum", "Calls a switch in mode observe would have met."),
    Declared("switchback_ignored_variables", "counter", "sum", "Variables sent that the prompt does not declare."),
    Declared("switchback_cap_warnings", "counter", "sum", "Calls past a cap that only warns.", _CAP),
    Declared(
        "switchback_cap_charged_by_crashes_ratio", "gauge", "owner",
        "What crashes charged in a cap's window without a call, of its limit; counters of users together.", _CAP,
    ),
    Declared("switchback_cap_remaining_ratio", "gauge", "owner", "What is left of a cap in its window, 0 to 1.", _CAP),
    Declared("switchback_holds_outstanding", "gauge", "owner", "Ledger rows held and not settled."),
    # Releases.
    Declared("switchback_label_info", "gauge", "owner", "Always 1: the version that a label serves.", ("agent", "label", "version")),
    Declared("switchback_rollout_share_ratio", "gauge", "owner", "Share of an arm of a running rollout beside stable, 0 to 1.", ("agent", "label", "arm")),
    Declared("switchback_rollbacks", "counter", "owner", "Rollbacks, by what caused them.", ("agent", "cause")),
    Declared("switchback_shadow_copies", "counter", "sum", "Calls that were to be copied for a candidate in the shadow: made, or why not.", ("agent", "result")),
    Declared("switchback_drill_timestamp_seconds", "gauge", "owner", "When a rollback of the agent was last rehearsed, UTC.", ("agent",)),
    Declared("switchback_drill_duration_seconds", "gauge", "owner", "What it took then until the candidate answered no more; NaN where it still did, or answered nothing after the order.", ("agent",)),
    Declared("switchback_drill_passed", "gauge", "owner", "1 where the candidate was gone in the end, else 0.", ("agent",)),
    # The proxy itself.
    Declared("switchback_snapshot_revision", "gauge", "owner", "Revision of the snapshot traffic is decided on."),
    Declared("switchback_snapshot_loaded_timestamp_seconds", "gauge", "owner", "When it was loaded, UTC."),
    Declared("switchback_store_up", "gauge", "owner", "1 while the store takes writes."),
    Declared("switchback_recorder_queue_length", "gauge", "sum", "Runs waiting to be written."),
    Declared("switchback_recorder_dropped", "counter", "sum", "Runs dropped because the queue was full."),
    Declared("switchback_event_loop_lag_seconds", "gauge", "greatest", "How late the event loop woke at the last check."),
    Declared("switchback_conversation_evictions", "counter", "owner", "Conversations whose arm was forgotten."),
    Declared("switchback_worker_restarts", "counter", "owner", "Workers started again after they ended unasked."),
    Declared("switchback_build_info", "gauge", "owner", "Always 1.", ("version",)),
    # What the client library tells of the process (Linux), under the names that every dashboard knows.
    # Decision (2026-11-29): a series a process. The limit of descriptors is a process's, so that a sum over all of them hid the one
    # that is at its limit; memory that processes share was in a sum as often as there are processes. Who wants a sum has `sum`.
    Declared("process_cpu_seconds", "counter", "each", "User and system CPU time."),
    Declared("process_resident_memory_bytes", "gauge", "each", "Resident memory, with pages that processes share."),
    Declared("process_virtual_memory_bytes", "gauge", "each", "Virtual memory."),
    Declared("process_open_fds", "gauge", "each", "Open file descriptors."),
    Declared("process_max_fds", "gauge", "each", "How many may be open."),
    Declared("process_start_time_seconds", "gauge", "each", "When the process started, UTC."),
)  # fmt: skip
DECLARED: Final = {family.name: family for family in _ALL}
