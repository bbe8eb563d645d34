"""The same table fed one byte at a time, without a socket between: how TCP cuts the bytes may not matter."""

import pytest

from proxy.http1.body_budget import BodyBudget
from proxy.http1.limits import ListenerLimits
from proxy.http1.request_head import RequestRefused
from proxy.http1.request_parser import RequestParser
from tests.http1.calls import ReadBodies
from tests.http1.hostile_requests import TABLE


def test_the_table_is_large_and_its_names_are_unique():
    assert len(TABLE) >= 200
    assert len({row.name for row in TABLE}) == len(TABLE)


@pytest.mark.parametrize("row", [row for row in TABLE if len(row.sent) < 300], ids=lambda row: row.name)
def test_hostile_request_split_at_every_byte(row):
    """The outcome may not depend on how TCP cuts the bytes: fed one at a time, without a socket between."""
    statuses, bodies = feed_bytewise(row.sent)
    assert statuses == ([row.statuses[-1]] if row.statuses[-1] != 200 else [])
    assert tuple(bodies) == row.bodies


def feed_bytewise(sent):
    statuses = []
    read = ReadBodies()
    parser = RequestParser(read, ListenerLimits(), lambda: 0.0, BodyBudget(1 << 30))
    try:
        for byte in sent:
            parser.feed(bytes([byte]))
    except RequestRefused as refused:
        statuses.append(refused.status)
    parser.close()
    return statuses, read.bodies
