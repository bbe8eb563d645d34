"""When a chain of responses is held to the version that it began on."""

import pytest

from proxy.core.calls.chains import ChainBeginning, held_version
from proxy.core.snapshot import Arm, Label, Rollout

ROLLING = Rollout(
    id="r2",
    agent="a",
    label="prod",
    salt="s",
    arms=(Arm("stable", 5, ((0, 50_000),)), Arm("candidate", 6, ((50_000, 100_000),))),
    state="running",
)


def began(version: int, rollout: str | None = None, arm: str | None = None) -> ChainBeginning:
    return ChainBeginning("a", "prod", version, rollout, arm)


@pytest.mark.parametrize(
    ("beginning", "serves", "held"),
    [
        (began(3), 5, 3),
        (began(5), 5, None),
        (began(5), 3, None),  # taken back
        (began(3, "r1", "stable"), 5, 3),
        (began(4, "r1", "candidate"), 4, None),  # promoted
        (began(4, "r1", "candidate"), 3, None),  # taken back
        (began(4, "r1", "candidate"), 5, None),  # nobody knows what became of it
    ],
)
def test_without_a_rollout_a_chain_stays_unless_its_version_was_taken_back(
    beginning: ChainBeginning, serves: int, held: int | None
) -> None:
    assert held_version(beginning, Label("prod", serves, 1), None) == held


@pytest.mark.parametrize(
    ("beginning", "held"),
    [
        (began(5), 5),
        (began(3), 3),
        (began(6), None),
        (began(5, "r2", "stable"), None),
        (began(6, "r2", "candidate"), None),
        (began(6, "r1", "candidate"), None),
        (began(5, "r1", "candidate"), 5),
    ],
)
def test_a_rollout_moves_no_chain_that_began_before_it_and_decides_for_those_that_began_in_it(
    beginning: ChainBeginning, held: int | None
) -> None:
    assert held_version(beginning, Label("prod", 5, 1), ROLLING) == held
