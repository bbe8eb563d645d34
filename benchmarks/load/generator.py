"""The load generator's process: one JSON description of a load on stdin, one JSON result on stdout.

A process of its own, so that the report's code and its garbage never disturb a measurement, and so that its core can be
chosen. Run: `python -m benchmarks.load.generator`. What there is to choose from is in calls.py and streams.py.
"""

import gc
import json
import sys

from benchmarks.load import calls, streams
from benchmarks.load.files import raise_file_limit

MODES = {
    "closed_loop": calls.closed_loop,
    "fixed_rate": calls.fixed_rate,
    "watched_versions": calls.watched_versions,
    "relayed_events": streams.relayed_events,
    "first_events": streams.first_events,
    "held_streams": streams.held_streams,
    "slow_readers": streams.slow_readers,
}


def main() -> None:
    """Run one load."""
    raise_file_limit()
    spec = json.load(sys.stdin)
    gc.collect()
    gc.disable()
    json.dump(MODES[spec["mode"]](spec), sys.stdout)


if __name__ == "__main__":
    main()
