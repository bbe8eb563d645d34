"""The data path as the control path sees it: how much is under way, and what can be broken off.

In one process it is request_path's RequestPath, with several the owner's Workers.
"""

from typing import Protocol

from proxy.core.switches import Switch


class DataPath(Protocol):
    """Where calls are served."""

    @property
    def in_flight(self) -> int: ...
    def cut(self, switch: Switch) -> object:
        """Break off the calls in flight that a switch matches."""
        ...
