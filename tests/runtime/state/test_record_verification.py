"""The proof over the database file: every byte of what the log speaks about is held by it, and a head kept outside holds the rest."""

import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest

from proxy.core.proof.audit import AuditDraft, seal
from proxy.core.proof.audit_proof import AuditHead
from proxy.core.proof.record_proof import BrokenRow, RecordProof
from proxy.core.snapshot import Agent
from proxy.runtime.releasing.release_commands import VersionDraft
from proxy.runtime.state.record_verification import HeadLog, proofs
from proxy.store.sqlite.store import SqliteStore
from tests.edges.admin.composition import NOON, Commands, SetClock, commands
from tests.runtime.whole_history import told

WRITTEN_ONCE = ("audit", "versions", "releases", "release_arms", "components")
CHANGING = ("agents", "rollouts", "switches", "caps", "tokens", "protections", "proposals", "rollout_plans")
TABLES = (*WRITTEN_ONCE, *CHANGING)
KEYS = {
    "agents": ("name",),
    "rollouts": ("agent", "id"),
    "switches": ("id",),
    "caps": ("id",),
    "tokens": ("id",),
    "protections": ("agent", "label"),
    "proposals": ("agent", "id"),
    "rollout_plans": ("name",),
    "audit": ("number",),
    "versions": ("agent", "number"),
    "releases": ("agent", "number"),
    "release_arms": ("agent", "release", "position"),
    "components": ("hash",),
}


@pytest.fixture
async def control(tmp_path: Path) -> AsyncIterator[Commands]:
    async with commands(tmp_path) as made:
        await told(made)
        yield made


async def verdict(store: Any, known_head: AuditHead | None = None) -> RecordProof:
    async for proof in proofs(store, known_head):
        last = proof
    assert last.is_finished
    return last


@contextmanager
def raw(database: Path) -> Iterator[sqlite3.Connection]:
    """The file without its guards, as somebody with the sqlite3 command would have it."""
    with closing(sqlite3.connect(database, isolation_level=None)) as plain:
        plain.row_factory = sqlite3.Row
        triggers = plain.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for trigger in triggers:
            plain.execute(f"DROP TRIGGER {trigger['name']}")
        plain.execute("PRAGMA ignore_check_constraints = ON")
        yield plain


def altered(value: Any, taken: set[Any]) -> Iterator[Any]:
    """The value with one byte changed: the first, one in the middle (so that it is no UTF-8), the last; one bit of a number;
    something where there was nothing."""
    if value is None:
        yield from (b"x", 1)
    elif isinstance(value, int):
        yield next(value ^ (1 << bit) for bit in range(63) if value ^ (1 << bit) not in taken)
    else:
        content = value.encode()
        for place, mask in {0: 1, len(content) // 2: 0x80, len(content) - 1: 1}.items() if content else ():
            yield content[:place] + bytes([content[place] ^ mask]) + content[place + 1 :]
        if not content:
            yield b"x"


@dataclass(frozen=True)
class Tampering:
    """One column of one row, and what it is changed to; text as bytes."""

    table: str
    row: dict[str, Any]
    column: str
    wrong: int | bytes

    def key(self) -> dict[str, Any]:
        return {name: self.row[name] for name in KEYS[self.table]}

    def apply(self, plain: sqlite3.Connection) -> None:
        self._set(plain, self.wrong, self.key())

    def undo(self, plain: sqlite3.Connection) -> None:
        changed = {self.column: self.wrong} if self.column in KEYS[self.table] else {}
        self._set(plain, self.row[self.column], self.key() | changed)

    def _set(self, plain: sqlite3.Connection, value: Any, key: dict[str, Any]) -> None:
        place = " AND ".join(f"{name} IS {as_text(part)}" for name, part in key.items())
        statement = f"UPDATE {self.table} SET {self.column} = {as_text(value)} WHERE {place}"
        assert plain.execute(statement, [value, *key.values()]).rowcount == 1

    def is_named_by(self, broken: BrokenRow) -> bool:
        """The table, and the key as it was or as it is; an entry that is moved breaks the chain where it stands or stood."""
        if self.table == "audit":
            return broken.table == "audit" and broken.key["number"] <= self.row["number"]
        if (self.table, self.column) == ("components", "number"):
            left_and_found = [{"number": self.row["number"]}, {"number": self.wrong}]
            return broken.table == "components" and dict(broken.key) in left_and_found
        left_and_found = [self.key(), {**self.key(), self.column: text_of(self.wrong)}]
        return broken.table == self.table and dict(broken.key) in left_and_found


def as_text(value: Any) -> str:
    return "CAST(? AS TEXT)" if isinstance(value, bytes) else "?"


def text_of(value: int | bytes) -> int | str:
    return value if isinstance(value, int) else value.decode("utf-8", "surrogateescape")


def tamperings(plain: sqlite3.Connection, table: str) -> Iterator[Tampering]:
    """Every column of every row."""
    rows = [dict(row) for row in plain.execute(f"SELECT * FROM {table}")]
    types = {row["name"]: row["type"] for row in plain.execute(f"PRAGMA table_info({table})")}
    for row in rows:
        for column, value in row.items():
            for wrong in altered(value, {other[column] for other in rows}):
                if (types[column] == "INTEGER") == isinstance(wrong, int):
                    yield Tampering(table, row, column, wrong)


@pytest.mark.parametrize("table", TABLES)
async def test_a_byte_changed_anywhere_in_a_row_the_log_speaks_about_is_found_and_named(
    control: Commands, table: str
) -> None:
    sound = (await verdict(control.store)).document()
    assert sound["ok"]
    with raw(control.database) as plain:
        columns = {row["name"] for row in plain.execute(f"PRAGMA table_info({table})")}
        todo = list(tamperings(plain, table))
        assert {one.column for one in todo} == columns
        for one in todo:
            one.apply(plain)
            broken = (await verdict(control.store)).first_broken
            assert broken is not None, one
            assert one.is_named_by(broken), (one, broken)
            one.undo(plain)
    assert (await verdict(control.store)).document() == sound


@pytest.mark.parametrize("table", TABLES)
async def test_a_row_that_is_gone_is_found(control: Commands, table: str) -> None:
    with raw(control.database) as plain:
        for row in plain.execute(f"SELECT * FROM {table}").fetchall():
            names, marks = ", ".join(row.keys()), ", ".join("?" * len(row))
            place = " AND ".join(f"{name} = ?" for name in KEYS[table])
            plain.execute(f"DELETE FROM {table} WHERE {place}", [row[name] for name in KEYS[table]])
            is_last_entry = table == "audit" and row["what"] == "runs.quarantined"
            # What is cut at the end leaves nothing to find, but for a head kept outside.
            assert (await verdict(control.store)).document()["ok"] == is_last_entry, dict(row)
            plain.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", tuple(row))
    assert (await verdict(control.store)).document()["ok"]


@pytest.mark.parametrize(
    ("statement", "table", "key"),
    [
        (
            "INSERT INTO versions SELECT agent, 4, parent, bundle_hash, prompt, model, tools, retrieval, policy, author, "
            "message, tested_against, source, created_at_microseconds FROM versions WHERE agent = 'a' AND number = 3",
            "versions",
            {"agent": "a", "number": 4},
        ),
        (
            "INSERT INTO releases SELECT agent, 99, kind, label, arm_count, salt, rollout, who, approved_by, why, evidence, "
            "undoes, created_at_microseconds FROM releases WHERE agent = 'a' AND number = 1",
            "releases",
            {"agent": "a", "number": 10},
        ),
        (
            "INSERT INTO release_arms SELECT agent, release, 1, name, version, ranges FROM release_arms WHERE agent = 'a' AND release = 1",
            "release_arms",
            {"agent": "a", "release": 1, "position": 1},
        ),
        (
            "INSERT INTO switches SELECT 'sw_x', scope, mode, reply_text, fallback_version, cut_streams, why, created_by, "
            "created_at_microseconds, NULL, NULL, NULL FROM switches LIMIT 1",
            "switches",
            {"id": "sw_x"},
        ),
        (
            "INSERT INTO tokens SELECT 'tok_x', name, role, CASE substr(sha256, 1, 1) WHEN 'e' THEN 'f' ELSE 'e' END || "
            "substr(sha256, 2), created_by, created_at_microseconds, NULL, NULL, NULL FROM tokens LIMIT 1",
            "tokens",
            {"id": "tok_x"},
        ),
        (
            "INSERT INTO rollouts SELECT agent, 'r3', 3, 'other', salt, state, step, eligible, created_by, why, "
            "created_at_microseconds, ended_at_microseconds, plan FROM rollouts WHERE agent = 'b' AND number = 2",
            "rollouts",
            {"agent": "b", "number": 3},
        ),
        ("INSERT INTO protections VALUES ('a', 'prod', 'admin', 0, 0)", "protections", {"agent": "a", "label": "prod"}),
        (
            "INSERT INTO rollout_plans SELECT 'other', plan, source, why, updated_by, updated_at_microseconds FROM rollout_plans",
            "rollout_plans",
            {"name": "other"},
        ),
        ("DELETE FROM protections", "protections", {"agent": "b", "label": "staging"}),
        ("UPDATE labels SET version = 2 WHERE agent = 'a'", "labels", {"agent": "a", "label": "prod"}),
        ("DELETE FROM labels WHERE agent = 'a'", "labels", {"agent": "a", "label": "prod"}),
        (
            "INSERT INTO labels SELECT agent, 'staging', version, release FROM labels WHERE agent = 'a'",
            "labels",
            {"agent": "a", "label": "staging"},
        ),
        (
            "INSERT INTO labels SELECT agent, 'other', version, release FROM labels WHERE agent = 'a'",
            "labels",
            {"agent": "a", "label": "other"},
        ),
    ],
)
async def test_what_no_entry_speaks_about_is_found(
    control: Commands, statement: str, table: str, key: dict[str, Any]
) -> None:
    with raw(control.database) as plain:
        plain.execute(statement)
    broken = (await verdict(control.store)).first_broken
    assert broken is not None
    assert (broken.table, dict(broken.key)) == (table, key)


async def test_an_index_that_leads_to_another_component_is_found(control: Commands) -> None:
    """The file edited below SQL: the hash is found in the index, but the table has other content there."""
    with raw(control.database) as plain:
        (first, second) = plain.execute("SELECT number, hash FROM components WHERE kind = 'prompt' LIMIT 2").fetchall()
        table = plain.execute("SELECT sql FROM sqlite_master WHERE name = 'components'").fetchone()[0]
        plain.execute("PRAGMA writable_schema = ON")
        # Without its index, rows are swapped and the index is not told.
        without = table.replace("NOT NULL UNIQUE", "NOT NULL")
        index = dict(
            plain.execute("SELECT * FROM sqlite_master WHERE tbl_name = 'components' AND type = 'index'").fetchone()
        )
        plain.execute("DELETE FROM sqlite_master WHERE name = ?", (index["name"],))
        plain.execute("UPDATE sqlite_master SET sql = ? WHERE name = 'components'", (without,))
    with raw(control.database) as plain:
        plain.execute("PRAGMA writable_schema = ON")
        for number, other in ((first["number"], -1), (second["number"], first["number"]), (-1, second["number"])):
            plain.execute("UPDATE components SET number = ? WHERE number = ?", (other, number))
        plain.execute("UPDATE sqlite_master SET sql = ? WHERE name = 'components'", (table,))
        plain.execute("INSERT INTO sqlite_master VALUES (?, ?, ?, ?, ?)", tuple(index.values()))
    broken = (await verdict(control.store)).first_broken
    assert broken is not None
    assert (broken.table, broken.key) == ("components", {"hash": first["hash"]})


async def test_a_byte_flipped_in_the_file_itself_is_found(control: Commands) -> None:
    with raw(control.database) as plain:
        plain.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    await control.store.close()
    content = control.database.read_bytes()
    prompt = orjson.dumps("two\n\x1b[31m")[1:-1]
    for what in (prompt, b"rollout.promoted", b"kb-2"):
        place = content.index(what) + len(what) - 1
        broken = content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
        control.database.write_bytes(broken)
        # It is no copy that is older than what was opened before: nothing tells of that one.
        control.database.with_name(f"{control.database.name}-identity").unlink()
        store = SqliteStore(control.database)
        await store.open()
        assert (await verdict(store)).first_broken is not None, what
        await store.close()


async def test_a_file_that_cannot_be_read_on_is_a_verdict_and_no_error(control: Commands) -> None:
    with raw(control.database) as plain:
        root = plain.execute("SELECT rootpage FROM sqlite_master WHERE name = 'components'").fetchone()[0]
        size = plain.execute("PRAGMA page_size").fetchone()[0]
        plain.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    await control.store.close()
    with control.database.open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(b"\xee" * size)
    store = SqliteStore(control.database)
    await store.open()
    broken = (await verdict(store)).first_broken
    await store.close()
    assert broken is not None
    assert (broken.table, broken.reason) == ("database", "the file is damaged (SQLITE_CORRUPT)")


async def test_a_chain_rewritten_or_cut_holds_by_itself_and_fails_against_a_head_kept_outside(
    control: Commands,
) -> None:
    head = (await verdict(control.store)).head
    assert (await verdict(control.store, head)).document()["ok"]
    with raw(control.database) as plain:
        row = dict(plain.execute("SELECT * FROM audit ORDER BY number DESC LIMIT 1").fetchone())
        assert row["what"] == "runs.quarantined"
        plain.execute("DELETE FROM audit WHERE number = ?", (row["number"],))
        assert (await verdict(control.store)).document()["ok"]
        cut = await verdict(control.store, head)
        assert cut.first_broken is not None
        assert "cut at the end" in cut.first_broken.reason
        draft = AuditDraft(who="eve", what="nothing", subject="-", why="", at_microseconds=NOON)
        sealed = seal(draft, row["number"], row["previous"])
        columns = {**row, "who": "eve", "what": "nothing", "subject": "-", "why": "", "after": None}
        columns |= {"hash": sealed.hash, "at_microseconds": NOON}
        plain.execute(f"INSERT INTO audit VALUES ({', '.join('?' * len(columns))})", list(columns.values()))
    assert (await verdict(control.store)).document()["ok"]
    rewritten = await verdict(control.store, head)
    assert rewritten.first_broken is not None
    assert (rewritten.first_broken.key, rewritten.entries_are_done) == ({"number": head.number}, False)
    assert "rewritten" in rewritten.first_broken.reason
    assert (await verdict(control.store, AuditHead(0, "f" * 64))).document()["ok"] is False


async def test_a_log_longer_than_a_stretch_is_proved_while_it_grows(control: Commands) -> None:
    releases = control.releases
    await releases.create_agent("ann", Agent(name="c"), "")
    for number in range(260):
        draft = VersionDraft(components={"prompt": {"text": str(number)}}, parent=number or None, message="")
        await releases.create_version("ann", "c", draft)
    stretches: list[RecordProof] = []
    async for stretch in proofs(control.store):
        stretches.append(stretch)
        if len(stretches) == 1:
            await releases.move_label("ann", "c", "prod", 7, "while it is proved")
    assert len(stretches) > 2
    proof = stretches[-1]
    assert proof.document()["ok"]
    assert proof.versions == {"a": 3, "b": 2, "c": 260}
    assert proof.head.number == (await control.store.audit(None, 1)).items[0].number


async def test_the_head_is_logged_once_a_day(control: Commands) -> None:
    lines: list[bytes] = []
    clock = SetClock()
    log = HeadLog(control.store, lines.append, clock)
    for _ in range(3):
        await log.beat()
    clock.now += 12 * 3_600_000_000
    await log.beat()
    head = (await control.store.audit(None, 1)).items[0]
    assert [orjson.loads(line) for line in lines] == [
        {
            "ts": moment,
            "level": "info",
            "event": "audit_head",
            "number": head.number,
            "hash": head.hash,
            "at": "2026-11-20T12:00:00.000000Z",
        }
        for moment in ("2026-11-20T12:00:00.000000Z", "2026-11-21T00:00:00.000000Z")
    ]


async def test_an_empty_log_has_no_head_and_holds(tmp_path: Path) -> None:
    lines: list[bytes] = []
    async with commands(tmp_path) as made:
        await HeadLog(made.store, lines.append, made.clock).beat()
        assert (await verdict(made.store)).document() == {
            "ok": True,
            "entries": 0,
            "first_broken": None,
            "head": {"number": 0, "hash": "0" * 64},
        }
    assert lines == []
