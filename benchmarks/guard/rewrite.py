"""Writes what a call costs now as the figures the cost guard compares with: `python -m benchmarks.guard.rewrite`.

`--where` prints instead which functions the instructions go to. The test that compares is tests/test_cost_guard.py.
"""

import argparse
import json
from pathlib import Path

from benchmarks.guard.counting import count_all, instructions_by_function, python_version

STORED = Path(__file__).resolve().parents[2] / "tests" / "cost_guard.json"
_SHOWN = 45


def main() -> None:
    """Rewrite, or show where."""
    parser = argparse.ArgumentParser(description="Rewrite the figures of the cost guard.")
    parser.add_argument("--where", action="store_true", help="print instructions by function, write nothing")
    if parser.parse_args().where:
        for streamed in (False, True):
            _show(streamed)
        return
    stored = json.loads(STORED.read_text()) if STORED.exists() else {}
    stored[python_version()] = count_all()
    STORED.write_text(json.dumps(stored, indent=2, sort_keys=True) + "\n")
    print(json.dumps(stored[python_version()], indent=2))


def _show(streamed: bool) -> None:
    found = instructions_by_function(streamed=streamed)
    total = sum(found.values())
    print(f"\n{'a stream of 20 events' if streamed else 'a plain call'}: {total:,} instructions")
    for name, count in found.most_common(_SHOWN):
        print(f"{count:8,} {count / total:6.1%}  {name}")


if __name__ == "__main__":
    main()
