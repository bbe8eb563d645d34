"""What an attack found, as one row of the table: a bar, the figure reached, whether it holds.

A bar that several attacks look at (one and several workers) holds only where all of them say so.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

#: Bars that take another kind of proof, and where that is.
ELSEWHERE = {
    "B3": "tests/edges, tests/runtime",
    "B8": "tests/hostile/test_provider_streams.py",
    "B9": "tests/hostile/test_provider_streams.py, test_providers.py",
    "B10": "tests/hostile/test_clients.py, test_providers.py",
    "B16": "tests/hostile/test_raw.py, tests/nginx",
    "B17": "tests/hostile/test_canaries.py",
    "B18": "tests/edges",
    "B19": "no proof yet",
    "B20": "tests/store/test_old_databases.py",
    "B21": "no PostgreSQL yet",
    "B24": "requirements.lock",
}
BARS = {
    "B1": "store faults: calls served, admin writes ≤ 5 s",
    "B2": "cold start without the store ≤ 2 s",
    "B3": "no half-applied change",
    "B4": "kill switch in force ≤ 100 ms, answered ≤ 1 s",
    "B5": "500 at once against a cap of 10",
    "B6": "what has no price passes no hard cap",
    "B7": "clients that leave",
    "B8": "streams byte for byte",
    "B9": "broken streams are seen as broken",
    "B10": "every wait has a deadline",
    "B11": "memory ≤ 100 × the input",
    "B12": "loop blocked ≤ 50 ms",
    "B13": "`kill -9`: nothing acknowledged lost, start ≤ 2 s",
    "B14": "SIGTERM drains",
    "B15": "raw catalogue",
    "B16": "no smuggling",
    "B17": "no secret leaks",
    "B18": "admin refuses strangers",
    "B19": "API contract",
    "B20": "upgrade",
    "B21": "PostgreSQL outage",
    "B22": "wall clock jumps",
    "B23": "descriptors run out",
    "B24": "supply chain",
}


class Figure(NamedTuple):
    """`reached` is for people; `holds` None: it could not be measured on this machine, and `reached` says why."""

    bar: str
    reached: str
    holds: bool | None


def table(figures: Sequence[Figure]) -> Iterable[str]:
    """The rows of all bars in Markdown; those nobody measured say where their proof is."""
    yield "| bar | what | reached | holds |"
    yield "|---|---|---|---|"
    for bar, what in BARS.items():
        found = [figure for figure in figures if figure.bar == bar]
        if not found:
            where = ELSEWHERE.get(bar)
            yield f"| {bar} | {what} | not measured here{f': {where}' if where else ''} | – |"
            continue
        measured = [figure.holds for figure in found if figure.holds is not None]
        holds = "–" if not measured else "yes" if all(measured) else "**no**"
        yield f"| {bar} | {what} | {'; '.join(figure.reached for figure in found)} | {holds} |"
