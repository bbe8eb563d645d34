-- The first schema. Times are UTC microseconds, money nano-dollars, JSON is canonical (core/canonical.py), components as their authors wrote them.
--
-- Append-only tables (components, versions, releases, release_arms, audit) are held by triggers, for every program that
-- opens the file: no UPDATE, no DELETE, and inserts only where the next row belongs. Checks before an insert are what
-- stops INSERT OR REPLACE, whose implied delete fires no delete trigger by default; WITHOUT ROWID leaves no second key
-- through which a row could be replaced, and of a component both keys are checked.

CREATE TABLE meta (
    only_row     INTEGER PRIMARY KEY CHECK (only_row = 1),
    installation TEXT    NOT NULL,
    revision     INTEGER NOT NULL,
    writes_tried INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE agents (
    name                    TEXT    NOT NULL PRIMARY KEY,
    description             TEXT    NOT NULL,
    default_label           TEXT    NOT NULL,
    allow_latest            INTEGER NOT NULL,
    archived                INTEGER NOT NULL,
    created_at_microseconds INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- In the order they came, so that a new one goes to the end of the file; in a table ordered by hash a prompt of 1 KB takes 4 KB
-- and every new one another place.
CREATE TABLE components (
    number  INTEGER NOT NULL PRIMARY KEY CHECK (number > 0),
    hash    TEXT    NOT NULL UNIQUE,
    kind    TEXT    NOT NULL,
    content TEXT    NOT NULL
) STRICT;

CREATE TABLE versions (
    agent                   TEXT    NOT NULL REFERENCES agents (name),
    number                  INTEGER NOT NULL,
    parent                  INTEGER,
    bundle_hash             TEXT    NOT NULL,
    prompt                  TEXT    NOT NULL REFERENCES components (hash),
    model                   TEXT    NOT NULL REFERENCES components (hash),
    tools                   TEXT    NOT NULL REFERENCES components (hash),
    retrieval               TEXT    NOT NULL REFERENCES components (hash),
    policy                  TEXT    NOT NULL REFERENCES components (hash),
    author                  TEXT    NOT NULL,
    message                 TEXT    NOT NULL,
    tested_against          TEXT    NOT NULL,
    source                  TEXT    NOT NULL,
    created_at_microseconds INTEGER NOT NULL,
    PRIMARY KEY (agent, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE rollouts (
    agent                   TEXT    NOT NULL REFERENCES agents (name),
    id                      TEXT    NOT NULL,
    number                  INTEGER NOT NULL,
    label                   TEXT    NOT NULL,
    salt                    TEXT    NOT NULL,
    state                   TEXT    NOT NULL,
    step                    INTEGER NOT NULL,
    eligible                TEXT    NOT NULL,
    created_by              TEXT    NOT NULL,
    why                     TEXT    NOT NULL,
    created_at_microseconds INTEGER NOT NULL,
    ended_at_microseconds   INTEGER,
    PRIMARY KEY (agent, id),
    UNIQUE (agent, number)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX rollouts_active ON rollouts (agent, label) WHERE state IN ('running', 'paused');

CREATE TABLE releases (
    agent                   TEXT    NOT NULL REFERENCES agents (name),
    number                  INTEGER NOT NULL,
    kind                    TEXT    NOT NULL,
    label                   TEXT    NOT NULL,
    arm_count               INTEGER NOT NULL CHECK (arm_count > 0),
    salt                    TEXT,
    rollout                 TEXT,
    who                     TEXT    NOT NULL,
    approved_by             TEXT,
    why                     TEXT    NOT NULL,
    evidence                TEXT    NOT NULL,
    undoes                  INTEGER,
    created_at_microseconds INTEGER NOT NULL,
    PRIMARY KEY (agent, number),
    FOREIGN KEY (agent, rollout) REFERENCES rollouts (agent, id) DEFERRABLE INITIALLY DEFERRED,
    FOREIGN KEY (agent, undoes) REFERENCES releases (agent, number)
) STRICT, WITHOUT ROWID;

CREATE INDEX releases_by_label ON releases (agent, label, number);
CREATE INDEX releases_by_rollout ON releases (agent, rollout, number) WHERE rollout IS NOT NULL;

-- `ranges` is a JSON array of half-open bucket ranges, [[0, 10000]].
CREATE TABLE release_arms (
    agent    TEXT    NOT NULL,
    release  INTEGER NOT NULL,
    position INTEGER NOT NULL,
    name     TEXT    NOT NULL,
    version  INTEGER NOT NULL,
    ranges   TEXT    NOT NULL,
    PRIMARY KEY (agent, release, position),
    FOREIGN KEY (agent, release) REFERENCES releases (agent, number),
    FOREIGN KEY (agent, version) REFERENCES versions (agent, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE labels (
    agent   TEXT    NOT NULL REFERENCES agents (name),
    name    TEXT    NOT NULL,
    version INTEGER NOT NULL,
    release INTEGER NOT NULL,
    PRIMARY KEY (agent, name),
    FOREIGN KEY (agent, version) REFERENCES versions (agent, number),
    FOREIGN KEY (agent, release) REFERENCES releases (agent, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE switches (
    id                      TEXT    NOT NULL PRIMARY KEY,
    scope                   TEXT    NOT NULL,
    mode                    TEXT    NOT NULL,
    reply_text              TEXT,
    fallback_version        INTEGER,
    cut_streams             INTEGER NOT NULL,
    why                     TEXT    NOT NULL,
    created_by              TEXT    NOT NULL,
    created_at_microseconds INTEGER NOT NULL,
    expires_at_microseconds INTEGER,
    ended_by                TEXT,
    ended_at_microseconds   INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX switches_on ON switches (created_at_microseconds) WHERE ended_at_microseconds IS NULL;

CREATE TABLE caps (
    id                      TEXT    NOT NULL PRIMARY KEY,
    scope                   TEXT    NOT NULL,
    window                  TEXT    NOT NULL,
    unit                    TEXT    NOT NULL,
    limit_amount            INTEGER NOT NULL,
    at_limit                TEXT    NOT NULL,
    why                     TEXT    NOT NULL,
    created_by              TEXT    NOT NULL,
    created_at_microseconds INTEGER NOT NULL,
    ended_by                TEXT,
    ended_at_microseconds   INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX caps_in_force ON caps (created_at_microseconds) WHERE ended_at_microseconds IS NULL;

-- The spend ledger: holds that are, or were, open; and batches of holds that were written when they had ended. The keys begin
-- with the counter, so that a counter's sum is one range of each table; ids of attempts sort by time, so that what a counter gets
-- is appended.
CREATE TABLE hold_rows (
    cap                       TEXT    NOT NULL REFERENCES caps (id),
    window_start_microseconds INTEGER NOT NULL,
    part                      TEXT    NOT NULL,
    attempt                   TEXT    NOT NULL,
    unit                      TEXT    NOT NULL,
    amount                    INTEGER NOT NULL,
    placed_at_microseconds    INTEGER NOT NULL,
    spent                     INTEGER,
    settled_by                TEXT,
    settled_at_microseconds   INTEGER,
    PRIMARY KEY (cap, window_start_microseconds, part, attempt)
) STRICT, WITHOUT ROWID;

CREATE TABLE settled_batches (
    cap                       TEXT    NOT NULL REFERENCES caps (id),
    window_start_microseconds INTEGER NOT NULL,
    part                      TEXT    NOT NULL,
    first_attempt             TEXT    NOT NULL,
    unit                      TEXT    NOT NULL,
    spent                     INTEGER NOT NULL,
    -- A list of [attempt, amount, placed at, spent, settled by, settled at].
    entries                   TEXT    NOT NULL,
    PRIMARY KEY (cap, window_start_microseconds, part, first_attempt)
) STRICT, WITHOUT ROWID;

-- Every hold of every attempt.
CREATE VIEW holds AS
SELECT
    cap, window_start_microseconds, part, attempt, unit, amount, placed_at_microseconds, spent, settled_by, settled_at_microseconds
FROM hold_rows
UNION ALL
SELECT
    cap, window_start_microseconds, part,
    json_extract(entry.value, '$[0]'), unit, json_extract(entry.value, '$[1]'), json_extract(entry.value, '$[2]'),
    json_extract(entry.value, '$[3]'), json_extract(entry.value, '$[4]'), json_extract(entry.value, '$[5]')
FROM settled_batches CROSS JOIN json_each(settled_batches.entries) AS entry;

-- What the process that owns this file may hold beyond its rows. Whatever is left here when it did not stop cleanly is charged.
CREATE TABLE leases (
    cap                       TEXT    NOT NULL REFERENCES caps (id),
    window_start_microseconds INTEGER NOT NULL,
    part                      TEXT    NOT NULL,
    unit                      TEXT    NOT NULL,
    amount                    INTEGER NOT NULL CHECK (amount > 0),
    PRIMARY KEY (cap, window_start_microseconds, part)
) STRICT, WITHOUT ROWID;

-- What runs have in common: lanes are few, so that a run's own row is half as long. Two may be alike.
CREATE TABLE run_lanes (
    lane                            INTEGER PRIMARY KEY,
    kind                            TEXT    NOT NULL,
    version                         INTEGER,
    bundle_hash                     TEXT,
    effective_hash                  TEXT,
    label                           TEXT,
    release                         INTEGER,
    rollout                         TEXT,
    step                            INTEGER,
    arm                             TEXT,
    reason                          TEXT,
    subject_kind                    TEXT    NOT NULL,
    in_analysis                     INTEGER NOT NULL,
    wire                            TEXT    NOT NULL,
    operation                       TEXT    NOT NULL,
    provider                        TEXT,
    model_asked                     TEXT,
    model_answered                  TEXT,
    status                          INTEGER NOT NULL,
    outcome                         TEXT    NOT NULL,
    error_class                     TEXT,
    finish                          TEXT,
    refusal                         INTEGER NOT NULL,
    streamed                        INTEGER NOT NULL,
    price_id                        TEXT,
    usage_source                    TEXT    NOT NULL,
    dropped_parameters              TEXT    NOT NULL,
    tool_calls                      TEXT    NOT NULL,
    tool_call_count                 INTEGER NOT NULL
) STRICT;

-- One proxied call a row, the rest of it in its lane; what is null was not known. Neither prompt nor answer text is ever here.
-- `number` is the order in which runs were recorded.
CREATE TABLE run_records (
    number                          INTEGER PRIMARY KEY,
    lane                            INTEGER NOT NULL,
    id                              TEXT    NOT NULL UNIQUE,
    parent_run                      TEXT,
    agent                           TEXT    NOT NULL,
    bucket                          INTEGER,
    user                            TEXT,
    conversation                    TEXT,
    tags                            TEXT    NOT NULL,
    input_tokens                    INTEGER,
    cached_tokens                   INTEGER,
    cache_write_tokens              INTEGER,
    output_tokens                   INTEGER,
    reasoning_tokens                INTEGER,
    cost_nanodollars                INTEGER,
    estimated_cost_nanodollars      INTEGER,
    time_to_first_byte_microseconds INTEGER,
    duration_microseconds           INTEGER NOT NULL,
    provider_duration_microseconds  INTEGER,
    started_at_microseconds         INTEGER NOT NULL,
    request_id                      TEXT,
    trace_id                        TEXT,
    quarantined                     INTEGER NOT NULL
) STRICT;

CREATE INDEX runs_by_start ON run_records (started_at_microseconds);
-- The lane is at its end, so that what is asked of a version or an outcome is sorted out without looking at the runs.
CREATE INDEX runs_by_agent ON run_records (agent, started_at_microseconds, number, lane);

-- Whole runs. The join's order is written down: without CROSS it would be the planner's to choose, who knows no numbers of rows.
CREATE VIEW runs AS SELECT * FROM run_records CROSS JOIN run_lanes USING (lane);

-- Which runs are whose, by segments of 4,096 runs: users and conversations come in no order, so that an index on them would
-- write a page of its own for nearly every run. A segment is sorted in when it is full; runs after the last one are looked
-- through. Segment 3 has the runs numbered 12,289 to 16,384.
CREATE TABLE run_segments (
    segment                      INTEGER PRIMARY KEY,
    earliest_start_microseconds  INTEGER NOT NULL,
    latest_start_microseconds    INTEGER NOT NULL
) STRICT;

CREATE INDEX run_segments_by_latest_start ON run_segments (latest_start_microseconds);

CREATE TABLE run_owners (
    segment INTEGER NOT NULL,
    kind    TEXT    NOT NULL CHECK (kind IN ('conversation', 'user')),
    owner   TEXT    NOT NULL,
    run     INTEGER NOT NULL,
    PRIMARY KEY (segment, kind, owner, run)
) STRICT, WITHOUT ROWID;

-- Tries that a run does not tell of itself: of several, or where the provider's status was not what the client was answered.
-- A run without any here made one of provider_duration_microseconds, none where that is null.
CREATE TABLE attempts (
    run                     TEXT    NOT NULL,
    number                  INTEGER NOT NULL,
    provider                TEXT    NOT NULL,
    model                   TEXT,
    status                  INTEGER,
    error_class             TEXT,
    started_at_microseconds INTEGER NOT NULL,
    duration_microseconds   INTEGER NOT NULL,
    cost_nanodollars        INTEGER,
    PRIMARY KEY (run, number)
) STRICT, WITHOUT ROWID;

-- How many runs took how long, by bucket of core/latency.py; version 0 stands for calls without one.
CREATE TABLE latency_histograms (
    agent             TEXT    NOT NULL,
    version           INTEGER NOT NULL,
    hour_microseconds INTEGER NOT NULL,
    bucket            INTEGER NOT NULL,
    count             INTEGER NOT NULL,
    PRIMARY KEY (agent, version, hour_microseconds, bucket)
) STRICT, WITHOUT ROWID;

CREATE TABLE conversation_pins (
    agent                   TEXT    NOT NULL,
    conversation            TEXT    NOT NULL,
    rollout                 TEXT    NOT NULL,
    arm                     TEXT    NOT NULL,
    pinned_at_microseconds  INTEGER NOT NULL,
    expires_at_microseconds INTEGER NOT NULL,
    PRIMARY KEY (agent, conversation, rollout)
) STRICT, WITHOUT ROWID;

CREATE INDEX conversation_pins_by_expiry ON conversation_pins (expires_at_microseconds);

-- Later facts about a run; `value` is JSON.
CREATE TABLE outcomes (
    id                       TEXT    NOT NULL PRIMARY KEY,
    run                      TEXT    NOT NULL,
    name                     TEXT    NOT NULL,
    value                    TEXT    NOT NULL,
    severity                 TEXT,
    why                      TEXT    NOT NULL,
    recorded_by              TEXT    NOT NULL,
    recorded_at_microseconds INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX outcomes_by_run ON outcomes (run);

-- `sha256` is over the token's text, which is kept nowhere.
CREATE TABLE tokens (
    id                      TEXT    NOT NULL PRIMARY KEY,
    name                    TEXT    NOT NULL,
    role                    TEXT    NOT NULL,
    sha256                  TEXT    NOT NULL UNIQUE,
    created_by              TEXT    NOT NULL,
    created_at_microseconds INTEGER NOT NULL,
    revoked_by              TEXT,
    revoked_at_microseconds INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX tokens_by_time ON tokens (created_at_microseconds, id);

-- The rules of protected labels; a label needs not be set to have them.
CREATE TABLE protections (
    agent               TEXT    NOT NULL REFERENCES agents (name),
    label               TEXT    NOT NULL,
    who_may_move        TEXT    NOT NULL,
    evaluation_required INTEGER NOT NULL,
    approval_required   INTEGER NOT NULL,
    PRIMARY KEY (agent, label)
) STRICT, WITHOUT ROWID;

-- Changes that wait for a second person. `orders` is JSON: what else the action needs.
CREATE TABLE proposals (
    agent                   TEXT    NOT NULL REFERENCES agents (name),
    id                      TEXT    NOT NULL,
    number                  INTEGER NOT NULL,
    action                  TEXT    NOT NULL,
    label                   TEXT    NOT NULL,
    before                  INTEGER,
    version                 INTEGER NOT NULL,
    if_release              INTEGER NOT NULL,
    orders                  TEXT    NOT NULL,
    proposed_by             TEXT    NOT NULL,
    why                     TEXT    NOT NULL,
    evidence                TEXT    NOT NULL,
    created_at_microseconds INTEGER NOT NULL,
    state                   TEXT    NOT NULL CHECK (state IN ('waiting', 'approved', 'rejected', 'stale')),
    decided_by              TEXT,
    decided_why             TEXT,
    decided_at_microseconds INTEGER,
    PRIMARY KEY (agent, id),
    UNIQUE (agent, number),
    FOREIGN KEY (agent, version) REFERENCES versions (agent, number)
) STRICT, WITHOUT ROWID;

CREATE INDEX proposals_waiting ON proposals (agent, label, number) WHERE state = 'waiting';
CREATE INDEX proposals_by_state ON proposals (agent, state, number);

-- `before`, `after` and `evidence` are JSON; `hash` follows the rule published in core/audit.py.
CREATE TABLE audit (
    number          INTEGER NOT NULL PRIMARY KEY,
    format          INTEGER NOT NULL,
    who             TEXT    NOT NULL,
    what            TEXT    NOT NULL,
    subject         TEXT    NOT NULL,
    why             TEXT    NOT NULL,
    before          TEXT,
    after           TEXT,
    evidence        TEXT    NOT NULL,
    previous        TEXT    NOT NULL,
    hash            TEXT    NOT NULL,
    at_microseconds INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TRIGGER components_no_update BEFORE UPDATE ON components
BEGIN SELECT RAISE(ABORT, 'components are append-only'); END;
CREATE TRIGGER components_no_delete BEFORE DELETE ON components
BEGIN SELECT RAISE(ABORT, 'components are append-only'); END;
CREATE TRIGGER components_next_number BEFORE INSERT ON components
WHEN NEW.number IS NOT 1 + (SELECT COALESCE(MAX(number), 0) FROM components)
    OR EXISTS (SELECT 1 FROM components WHERE hash = NEW.hash)
BEGIN SELECT RAISE(ABORT, 'components are append-only: this one exists, or is not the next'); END;

CREATE TRIGGER versions_no_update BEFORE UPDATE ON versions
BEGIN SELECT RAISE(ABORT, 'versions are append-only'); END;
CREATE TRIGGER versions_no_delete BEFORE DELETE ON versions
BEGIN SELECT RAISE(ABORT, 'versions are append-only'); END;
CREATE TRIGGER versions_next_number BEFORE INSERT ON versions
WHEN NEW.number IS NOT 1 + (SELECT COALESCE(MAX(number), 0) FROM versions WHERE agent = NEW.agent)
BEGIN SELECT RAISE(ABORT, 'versions are append-only: not the next number'); END;

CREATE TRIGGER releases_no_update BEFORE UPDATE ON releases
BEGIN SELECT RAISE(ABORT, 'releases are append-only'); END;
CREATE TRIGGER releases_no_delete BEFORE DELETE ON releases
BEGIN SELECT RAISE(ABORT, 'releases are append-only'); END;
CREATE TRIGGER releases_next_number BEFORE INSERT ON releases
WHEN NEW.number IS NOT 1 + (SELECT COALESCE(MAX(number), 0) FROM releases WHERE agent = NEW.agent)
BEGIN SELECT RAISE(ABORT, 'releases are append-only: not the next number'); END;

CREATE TRIGGER release_arms_no_update BEFORE UPDATE ON release_arms
BEGIN SELECT RAISE(ABORT, 'release arms are append-only'); END;
CREATE TRIGGER release_arms_no_delete BEFORE DELETE ON release_arms
BEGIN SELECT RAISE(ABORT, 'release arms are append-only'); END;
CREATE TRIGGER release_arms_complete BEFORE INSERT ON release_arms
WHEN NEW.position IS NOT (SELECT COUNT(*) FROM release_arms WHERE agent = NEW.agent AND release = NEW.release)
    OR NEW.position >= (SELECT arm_count FROM releases WHERE agent = NEW.agent AND number = NEW.release)
BEGIN SELECT RAISE(ABORT, 'release arms are append-only: this release has all of its arms'); END;

CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END;
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END;
CREATE TRIGGER audit_next_number BEFORE INSERT ON audit
WHEN NEW.number IS NOT 1 + (SELECT COALESCE(MAX(number), 0) FROM audit)
BEGIN SELECT RAISE(ABORT, 'audit is append-only: not the next number'); END;

-- Of a token only its revocation changes, of a proposal only its decision, and each of them once.
CREATE TRIGGER tokens_revoked_once BEFORE UPDATE ON tokens
WHEN OLD.revoked_at_microseconds IS NOT NULL OR NEW.revoked_at_microseconds IS NULL
    OR (NEW.id, NEW.name, NEW.role, NEW.sha256, NEW.created_by, NEW.created_at_microseconds)
        IS NOT (OLD.id, OLD.name, OLD.role, OLD.sha256, OLD.created_by, OLD.created_at_microseconds)
BEGIN SELECT RAISE(ABORT, 'tokens change only by their revocation'); END;
CREATE TRIGGER tokens_no_delete BEFORE DELETE ON tokens
BEGIN SELECT RAISE(ABORT, 'tokens are kept'); END;
CREATE TRIGGER tokens_no_replace BEFORE INSERT ON tokens
WHEN EXISTS (SELECT 1 FROM tokens WHERE id = NEW.id OR sha256 = NEW.sha256)
BEGIN SELECT RAISE(ABORT, 'tokens are kept: this one exists'); END;

CREATE TRIGGER proposals_decided_once BEFORE UPDATE ON proposals
WHEN OLD.state IS NOT 'waiting' OR NEW.state IS 'waiting' OR NEW.decided_at_microseconds IS NULL
    OR (NEW.agent, NEW.id, NEW.number, NEW.action, NEW.label, NEW.before, NEW.version, NEW.if_release, NEW.orders,
            NEW.proposed_by, NEW.why, NEW.evidence, NEW.created_at_microseconds)
        IS NOT (OLD.agent, OLD.id, OLD.number, OLD.action, OLD.label, OLD.before, OLD.version, OLD.if_release, OLD.orders,
            OLD.proposed_by, OLD.why, OLD.evidence, OLD.created_at_microseconds)
BEGIN SELECT RAISE(ABORT, 'proposals change only by their decision'); END;
CREATE TRIGGER proposals_no_delete BEFORE DELETE ON proposals
BEGIN SELECT RAISE(ABORT, 'proposals are kept'); END;
CREATE TRIGGER proposals_next_number BEFORE INSERT ON proposals
WHEN NEW.number IS NOT 1 + (SELECT COALESCE(MAX(number), 0) FROM proposals WHERE agent = NEW.agent)
    OR EXISTS (SELECT 1 FROM proposals WHERE agent = NEW.agent AND id = NEW.id)
BEGIN SELECT RAISE(ABORT, 'proposals are kept: not the next number'); END;
