-- What agents say of calls that no version can be applied to, and what rollouts are judged on.

-- What becomes of an agent's call that its version could have had a say in, but has not: `refuse` or `pass`.
ALTER TABLE agents ADD COLUMN unapplied TEXT NOT NULL DEFAULT 'refuse' CHECK (unapplied IN ('refuse', 'pass'));

-- A rollout's plan is frozen with it; null: it began before there were plans, and nothing judges it.
ALTER TABLE rollouts ADD COLUMN plan TEXT;

-- What a rollout is judged on, as it was when its last tick was closed: replaced tick by tick.
CREATE TABLE rollout_evidence (
    agent                   TEXT    NOT NULL,
    rollout                 TEXT    NOT NULL,
    progress                TEXT    NOT NULL,
    tallies                 TEXT    NOT NULL,
    updated_at_microseconds INTEGER NOT NULL,
    PRIMARY KEY (agent, rollout),
    FOREIGN KEY (agent, rollout) REFERENCES rollouts (agent, id)
) STRICT;
