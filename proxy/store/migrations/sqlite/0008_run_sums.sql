-- What runs come to, by UTC hour and by UTC day, version, label, rollout, step and arm, for reports: added up from what is recorded,
-- and kept when runs are pruned. Version 0, step -1 and '' stand for none; `sums` is core/reports' document.
CREATE TABLE run_sums (
    agent              TEXT    NOT NULL,
    span_microseconds  INTEGER NOT NULL,
    start_microseconds INTEGER NOT NULL,
    version            INTEGER NOT NULL,
    label              TEXT    NOT NULL,
    rollout            TEXT    NOT NULL,
    step               INTEGER NOT NULL,
    arm                TEXT    NOT NULL,
    sums               TEXT    NOT NULL,
    PRIMARY KEY (agent, span_microseconds, start_microseconds, version, label, rollout, step, arm)
) STRICT;

-- Between which numbers the runs are in the sums. Those that were recorded before are added beside traffic, the newest first.
CREATE TABLE run_sum_marks (
    summed_from INTEGER NOT NULL,
    summed_to   INTEGER NOT NULL
) STRICT;

INSERT INTO run_sum_marks SELECT COALESCE(MAX(number), 0) + 1, COALESCE(MAX(number), 0) FROM run_records;
