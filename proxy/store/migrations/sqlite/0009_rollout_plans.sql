-- Plans of rollouts under a name, shared by agents. `plan` and `source` are JSON. A rollout that was started with one has a copy.
CREATE TABLE rollout_plans (
    name                    TEXT    NOT NULL PRIMARY KEY,
    plan                    TEXT    NOT NULL,
    source                  TEXT    NOT NULL,
    why                     TEXT    NOT NULL,
    updated_by              TEXT    NOT NULL,
    updated_at_microseconds INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
