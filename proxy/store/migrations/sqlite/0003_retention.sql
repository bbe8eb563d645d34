-- Which lanes the runs of a full segment have, and between which numbers: what is asked of an outcome, arm or version is looked for
-- only where it is. Of segments that were full before, it is worked out beside traffic (lanes_sorted 0 until then).
ALTER TABLE run_segments ADD COLUMN lanes_sorted INTEGER NOT NULL DEFAULT 0;

CREATE TABLE run_segment_lanes (
    segment   INTEGER NOT NULL,
    lane      INTEGER NOT NULL,
    agent     TEXT    NOT NULL,
    first_run INTEGER NOT NULL,
    last_run  INTEGER NOT NULL,
    PRIMARY KEY (segment, lane, agent)
) STRICT, WITHOUT ROWID;

CREATE INDEX runs_quarantined ON run_records (started_at_microseconds) WHERE quarantined = 1;

-- What is left of runs that were pruned: their sums by UTC day. Version 0 and arm '' stand for none.
CREATE TABLE run_days (
    agent                      TEXT    NOT NULL,
    day_microseconds           INTEGER NOT NULL,
    version                    INTEGER NOT NULL,
    arm                        TEXT    NOT NULL,
    kind                       TEXT    NOT NULL,
    outcome                    TEXT    NOT NULL,
    runs                       INTEGER NOT NULL,
    input_tokens               INTEGER NOT NULL,
    cached_tokens              INTEGER NOT NULL,
    cache_write_tokens         INTEGER NOT NULL,
    output_tokens              INTEGER NOT NULL,
    reasoning_tokens           INTEGER NOT NULL,
    cost_nanodollars           INTEGER NOT NULL,
    estimated_cost_nanodollars INTEGER NOT NULL,
    PRIMARY KEY (agent, day_microseconds, version, arm, kind, outcome)
) STRICT, WITHOUT ROWID;

-- What is left of holds that ended long ago: one sum per counter and way they ended. A counter's sum is these, hold_rows and
-- settled_batches together.
CREATE TABLE carried_sums (
    cap                       TEXT    NOT NULL REFERENCES caps (id),
    window_start_microseconds INTEGER NOT NULL,
    part                      TEXT    NOT NULL,
    settled_by                TEXT    NOT NULL,
    unit                      TEXT    NOT NULL,
    holds                     INTEGER NOT NULL,
    amount                    INTEGER NOT NULL,
    spent                     INTEGER NOT NULL,
    PRIMARY KEY (cap, window_start_microseconds, part, settled_by)
) STRICT, WITHOUT ROWID;
