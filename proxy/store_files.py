"""What the command does with a store that no server has open: looking through it, and putting a backup in its place.

The second module that knows concrete stores, beside the composition root. Both verbs take the ownership lock of the home's
database, so that a running server is never written beside; with a server the way is the admin API.
"""

from pathlib import Path
from typing import Any

from proxy.core.errors import Refusal
from proxy.settings import Settings
from proxy.store.files.snapshot_file import FILE_NAME as LAST_KNOWN_GOOD
from proxy.store.sqlite.restoring import CheckedDatabase, check, check_own, owned, restore

__all__ = ["Refusal", "check_store", "restore_store"]


def check_store(settings: Settings, file: Path | None) -> dict[str, Any]:
    """What is found in `file`, or in the home's own database. Raises Refusal, `store_in_use` while a server has that one."""
    database = settings.database_path
    if file is not None and not (file.exists() and database.exists() and file.samefile(database)):
        return _document(file, check(file))
    with owned(database):
        return _document(database, check_own(database))


def restore_store(settings: Settings, file: Path, with_log: bool | None) -> dict[str, Any]:
    """Put `file` in the place of the home's database. Raises Refusal, `store_in_use` while a server has it."""
    database = settings.database_path
    source = file if file.exists() or file.parent != Path() else settings.home / file
    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    with owned(database):
        checked, kept = restore(source, database, with_log, [settings.home / LAST_KNOWN_GOOD])
    return {**_document(source, checked), "database": str(database), "set_aside": [str(path) for path in kept]}


def _document(file: Path, checked: CheckedDatabase) -> dict[str, Any]:
    identity = checked.inspection.identity
    proof = None if checked.proof is None else checked.proof.document()
    return {
        "file": str(file),
        "ok": checked.is_sound,
        "findings": list(checked.findings),
        "schema_version": checked.inspection.schema_version,
        "installation": None if identity is None else identity.installation,
        "revision": None if identity is None else identity.revision,
        "audit_head": checked.inspection.audit_head.document(),
        "audit": proof,
    }
