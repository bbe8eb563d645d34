"""Databases of earlier schemas, as the programs of their time left them."""

import lzma
from pathlib import Path

_FOLDER = Path(__file__).parent


def fixtures() -> dict[int, Path]:
    """The packed database of each schema by its number."""
    return {int(path.name.split("-")[1].split(".")[0]): path for path in sorted(_FOLDER.glob("schema-*.db.xz"))}


def unpack(schema: int, database: Path) -> None:
    """Put the database of this schema in the place of `database`."""
    database.write_bytes(lzma.decompress(fixtures()[schema].read_bytes()))
