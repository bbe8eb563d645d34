-- Where chains of responses began that their provider keeps, by the ids that it gave them (core/calls/chains.py). Not what was said in
-- them. `rollout` and `arm` are NULL for one that began outside of a rollout. Bounded, and dropped after a month.
CREATE TABLE response_chains (
    agent                 TEXT    NOT NULL,
    chain                 TEXT    NOT NULL,
    label                 TEXT    NOT NULL,
    version               INTEGER NOT NULL,
    rollout               TEXT,
    arm                   TEXT,
    noted_at_microseconds INTEGER NOT NULL,
    PRIMARY KEY (agent, chain)
) STRICT, WITHOUT ROWID;

CREATE INDEX response_chains_by_age ON response_chains (noted_at_microseconds);
