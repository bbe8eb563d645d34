"""Answers: switches and caps."""

from typing import NotRequired

from proxy.core.spending.caps import CapDocument, CapStateDocument
from proxy.core.switches import SwitchDocument


class SwitchSet(SwitchDocument):
    """A switch in force. `warnings`: what of its scope matches nothing that is known. `journalled` is there while the store is
    away: whether the change is on disk beside it."""

    warnings: list[str]
    journalled: NotRequired[bool]
    warning: NotRequired[str]


class SwitchEnded(SwitchDocument):
    """A switch that is gone; `still_on` are others that keep calls which it met too."""

    removed: bool
    still_on: list[SwitchDocument]


class CapSet(CapStateDocument):
    """A cap in force. `warnings`: what of its scope matches nothing that is known."""

    warnings: list[str]


class CapEnded(CapDocument):
    """A cap that is gone."""

    removed: bool
