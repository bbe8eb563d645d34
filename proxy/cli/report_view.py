"""How reports are shown to people: a table of versions and arms, then outcomes, differences and what happened when.

What nobody knows is said as such, never shown as 0 %.
"""

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from proxy.cli.admin_client import Document
from proxy.cli.diff_view import GROUPS
from proxy.cli.showing import Columns, member

_BARS = "▁▂▃▄▅▆▇█"
_UNKNOWN = "unknown"
_VERDICTS = {
    "worse": "worse",
    "better": "better",
    "no_difference_shown": "no difference shown",
    "not_enough_traffic": "not enough traffic",
}


def rate_text(rate: Document | None) -> str:
    """`31 of 412, 7.5 % (5.3 to 10.5)`."""
    if rate is None or rate.get("rate") is None:
        return f"{_UNKNOWN} (no runs)"
    low, high = cast("list[float]", rate["interval"])
    counts = f"{rate['count']:,} of {rate['of']:,}"
    return f"{counts}, {rate['rate'] * 100:.1f} % ({low * 100:.1f} to {high * 100:.1f})"


def _rate(name: str) -> Callable[[Document], str]:
    def shown(row: Document) -> str:
        return rate_text(row["rates"].get(name))

    return shown


def _quantiles(name: str) -> Callable[[Document], str]:
    def shown(row: Document) -> str:
        found = row[name]
        if found["p50_ms"] is None:
            return _UNKNOWN
        return f"{found['p50_ms']:,.0f} / {found['p95_ms']:,.0f} ms"

    return shown


def _usd(name: str) -> Callable[[Document], str]:
    def shown(row: Document) -> str:
        amount = row["cost"][name]
        return _UNKNOWN if amount is None else f"${amount:,.6f}"

    return shown


def _users(row: Document) -> str:
    return "over 60,000" if row["users"] is None else f"{row['users']:,}"


def _tokens(row: Document) -> str:
    mean = row["output_tokens"]["mean"]
    return _UNKNOWN if mean is None else f"{mean:,.0f}"


REPORT: Columns = {
    "VERSION": member("version"),
    "ARM": member("arm"),
    "RUNS": member("runs"),
    "USERS": _users,
    "ERRORS": _rate("errors"),
    "REFUSALS": _rate("refusals"),
    "P50 / P95": _quantiles("latency"),
    "FIRST BYTE": _quantiles("first_byte"),
    "A RUN": _usd("per_run_usd"),
    "A SUCCESS": _usd("per_success_usd"),
    "TOKENS OUT": _tokens,
}


def report_lines(found: Document) -> Iterator[str]:
    """What stands below the table."""
    rows = cast("list[Document]", found["rows"])
    if not rows:
        yield "no runs in this time"
    for row in rows:
        name = _name(row)
        yield from (f"{name}: {line}" for line in _kinds_of_errors(row))
        yield from (f"{name}: {line}" for line in _outcomes(row))
        if row.get("against_stable") is not None:
            yield from (f"{name}: {line}" for line in difference_lines(row["against_stable"]))
        yield f"{name}: runs {_spark(found, row, _runs)}  errors {_spark(found, row, _error_rate)} by {found['by']}"
    yield from _window_lines(found["window"])


def comparison_lines(found: Document, diff: Document) -> Iterator[str]:
    """What stands below two versions: outcomes, the difference of their runs, and what they differ in."""
    for side in ("stable", "candidate"):
        yield from (f"version {found[side]['version']}: {line}" for line in _outcomes(found[side]))
    yield from (f"version {found['candidate']['version']}: {line}" for line in difference_lines(found["difference"]))
    yield f"contents differ in: {', '.join(_changed(diff)) or 'nothing'}; see switchback diff"
    yield from _window_lines(found["window"])


def difference_lines(difference: Document) -> Iterator[str]:
    """`errors worse: 1.90 times stable's odds (1.20 to 3.10), 31 of 412 against 44 of 7,961, evidence 2,310 to 1`."""
    if not difference["blocks"]:
        yield "nothing ran beside it, so that there is nothing to compare it with"
        return
    for metric, told in cast("dict[str, Document]", difference["metrics"]).items():
        if told["effect"] is None:
            effect = "how much is not known"
        else:
            low, high = told["interval"]
            what = "odds" if told["candidate"]["bad"] is not None else "mean"
            effect = f"{told['effect']:.2f} times the other's {what} ({low:.2f} to {high:.2f})"
        counts = f"{_side(told['candidate'])} against {_side(told['stable'])}"
        yield f"{metric} {_VERDICTS[told['verdict']]}: {effect}, {counts}, evidence {told['evidence']}"
    if not difference["is_randomised"]:
        yield "not drawn by a rollout: those who had the one version may be others than those who had the other"


def report_csv(found: Document) -> str:
    """A line for each version and arm; members of members have dotted names, series are left out."""
    rows = [dict(_flat({name: of for name, of in row.items() if name != "series"})) for row in found["rows"]]
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, names, restval="", lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def sparkline(values: Sequence[float | None]) -> str:
    """One character a value, the highest in full; a blank where nothing is known."""
    most = max((value for value in values if value is not None), default=0.0)
    return "".join(
        " " if value is None else _BARS[0] if most <= 0 else _BARS[min(7, int(value / most * 7.999))]
        for value in values
    )


def _name(row: Document) -> str:
    version = "no version" if row["version"] is None else f"version {row['version']}"
    return version if row["arm"] is None else f"{version} ({row['arm']})"


def _kinds_of_errors(row: Document) -> Iterator[str]:
    kinds = [
        f"{name.partition('.')[2]} {rate['count']:,}"
        for name, rate in row["rates"].items()
        if name.startswith("errors.") and rate["count"]
    ]
    if kinds:
        yield f"errors by kind: {', '.join(kinds)}"
    if row["blocked_runs"]:
        yield f"{row['blocked_runs']:,} more calls were refused by a switch, cap or key"


def _outcomes(row: Document) -> Iterator[str]:
    for name, told in cast("dict[str, Document]", row["outcomes"]).items():
        parts: list[str] = []
        if told["flags"] is not None:
            parts.append(f"true {rate_text(told['flags'])}")
        if told["numbers"]:
            bounds = "" if told["interval"] is None else " ({:.3f} to {:.3f})".format(*told["interval"])
            parts.append(f"mean {told['mean']:.3f}{bounds} of {told['numbers']:,}")
        if told["other"]:
            parts.append(f"told {told['other']:,} times")
        yield f"{name}: {', '.join(parts)}"


def _side(side: Document) -> str:
    return f"{side['runs']:,} runs" if side["bad"] is None else f"{side['bad']:,} of {side['runs']:,}"


def _changed(diff: Document) -> Iterator[str]:
    for group in GROUPS:
        yield from (str(change.get("path")) for change in cast("list[Document]", diff.get(group) or []))
    if diff.get("prompt"):
        yield "prompt"


def _runs(point: Document) -> float | None:
    return float(point["runs"])


def _error_rate(point: Document) -> float | None:
    rate = point["errors"]["rate"]
    return None if rate is None else float(rate)


def _spark(found: Document, row: Document, read: Any) -> str:
    """From the first point that any row has to the last; a blank where this one has none."""
    starts = sorted(point["start"] for other in found["rows"] for point in other["series"])
    length = timedelta(hours=1) if found["by"] == "hour" else timedelta(days=1)
    points = {_moment(point["start"]): point for point in row["series"]}
    at, last, values = _moment(starts[0]), _moment(starts[-1]), list[float | None]()
    while at <= last:
        values.append(read(points[at]) if at in points else None)
        at += length
    return f"|{sparkline(values)}|"


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _window_lines(window: Document) -> Iterator[str]:
    yield f"runs begun from {window['since'][:19]}Z until {window['until'][:19]}Z"
    if window["unfilled_before"] is not None:
        yield f"not all of it yet: runs from before {window['unfilled_before'][:19]}Z are still being added up"


def _flat(document: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in document.items():
        if isinstance(value, dict):
            yield from _flat(cast("dict[str, Any]", value), f"{prefix}{name}.")
        elif isinstance(value, list):
            low, high = cast("list[Any]", value)
            yield from ((f"{prefix}{name}.low", low), (f"{prefix}{name}.high", high))
        else:
            yield prefix + name, value
