"""Releases with their arms as one JSON object each, for files kept beside the store: the rows of rows/values.py, put together."""

from collections.abc import Mapping
from typing import Any

from proxy.core.releasing.releases import Release
from proxy.core.snapshot import Arm
from proxy.store.rows.columns import Columns, json_text
from proxy.store.rows.values import arm_of, release_columns, release_of


def arm_line(arm: Arm) -> Columns:
    return {"name": arm.name, "version": arm.version, "ranges": json_text(arm.ranges)}


def release_line(release: Release) -> Columns:
    return {**release_columns(release), "arms": [arm_line(arm) for arm in release.arms]}


def release_of_line(line: Mapping[str, Any]) -> Release:
    return release_of(line, tuple(arm_of(arm) for arm in line["arms"]))
