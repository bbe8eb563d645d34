"""Arms of a rollout: who gets which bucket, and what an operator may name and share out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.bucketing import BUCKETS
from proxy.core.errors import BadInput, Conflict, NotFound
from proxy.core.releasing.arms import (
    RolloutDraft,
    WantedArm,
    candidate_arm,
    check_arms,
    divided,
    meant_arm,
    order_of,
    ordered_draft,
    reshared,
    tried_arms,
    without,
)
from proxy.core.snapshot import Arm, Rollout
from tests.two_arms import split

B, C = WantedArm("b", 2, 20), WantedArm("c", 3, 20)
#: A bucket of each stretch that any of these shares could end in.
SHARES = st.integers(0, BUCKETS)
_Owners = dict[int, str]


def owners(arms: tuple[Arm, ...]) -> _Owners:
    """Whose each thousandth bucket is; every one has exactly one owner."""
    found: _Owners = {}
    for bucket in range(0, BUCKETS, 500):
        names = [arm.name for arm in arms if arm.holds(bucket)]
        assert len(names) == 1, (bucket, names)
        found[bucket] = names[0]
    return found


def rollout_of(*arms: WantedArm) -> Rollout:
    return Rollout(id="r1", agent="a", label="prod", salt="a/r1", arms=divided(1, arms), state="running")


@given(first=SHARES, then=SHARES)
def test_with_one_candidate_it_is_the_prefix_rule(first: int, then: int) -> None:
    begun = divided(1, candidate_arm(2, first / 1000))
    assert begun == split(1, 2, first)
    assert reshared(begun, "candidate", then) == split(1, 2, then)


def test_stable_has_what_the_others_leave() -> None:
    arms = divided(1, [B, C])
    assert [(arm.name, arm.version, arm.share_buckets) for arm in arms] == [
        ("stable", 1, 60_000),
        ("b", 2, 20_000),
        ("c", 3, 20_000),
    ]
    assert set(owners(arms).values()) == {"stable", "b", "c"}


@given(changes=st.lists(st.tuples(st.sampled_from("bcd"), st.integers(0, 33_000)), max_size=8))
def test_another_share_of_one_arm_moves_users_between_it_and_stable_alone(changes: list[tuple[str, int]]) -> None:
    arms = divided(1, [B, C, WantedArm("d", 4, 5)])
    for name, share in changes:
        before, arms = owners(arms), reshared(arms, name, share)
        after = owners(arms)
        moved = {(before[bucket], after[bucket]) for bucket in before if before[bucket] != after[bucket]}
        assert moved <= {("stable", name)} or moved <= {(name, "stable")}
        assert sum(arm.share_buckets for arm in arms) == BUCKETS
        for arm in arms:
            assert list(arm.ranges) == sorted(arm.ranges)
            assert all(end < start for (_, end), (start, _) in zip(arm.ranges, arm.ranges[1:], strict=False))


def test_an_arm_that_grows_again_has_the_users_it_had_and_not_what_another_gave_up() -> None:
    begun = divided(1, [B, C])
    shrunk = reshared(begun, "b", 10_000)
    assert reshared(shrunk, "b", 20_000) == begun
    grown = reshared(shrunk, "c", 30_000)
    assert [arm.ranges for arm in grown if arm.name == "c"] == [((20_000, 50_000),)]


def test_an_arm_takes_no_more_than_stable_has() -> None:
    with pytest.raises(BadInput, match=r"b can have 80 % at most"):
        reshared(divided(1, [B, C]), "b", 90_000)


def test_users_of_an_arm_that_is_gone_are_stables_and_nobody_else_moves() -> None:
    before = divided(1, [B, C])
    after = without(before, "b")
    assert [arm.name for arm in after] == ["stable", "c"]
    assert owners(after) == {bucket: "stable" if name == "b" else name for bucket, name in owners(before).items()}


@pytest.mark.parametrize(
    ("arms", "code"),
    [
        ([], "bad_arm"),
        ([WantedArm("stable", 2, 10)], "bad_arm"),
        ([WantedArm("candidate", 2, 10), C], "bad_arm"),
        ([WantedArm("shadow", 2, 10)], "bad_arm"),
        ([WantedArm("Bee", 2, 10)], "bad_arm"),
        ([WantedArm("b" * 33, 2, 10)], "bad_arm"),
        ([WantedArm("b:c", 2, 10)], "bad_arm"),
        ([B, WantedArm("b", 3, 10)], "bad_arm"),
        ([WantedArm(f"arm{number}", number + 2, 1) for number in range(11)], "bad_arm"),
        ([WantedArm("b", 2, 60), WantedArm("c", 3, 40)], "bad_percentage"),
        ([WantedArm("b", 2, 60), WantedArm("c", 3, 60)], "bad_percentage"),
        ([WantedArm("b", 2, -1)], "bad_percentage"),
        ([B, WantedArm("c", 2, 20)], "same_version"),
        ([B, WantedArm("c", 1, 20)], "same_version"),
    ],
)
def test_arms_that_cannot_be_are_refused(arms: list[WantedArm], code: str) -> None:
    with pytest.raises(BadInput) as refused:
        check_arms(arms, 1, "prod")
    assert refused.value.code == code


def test_one_candidate_may_have_everybody_and_arms_leave_some_to_stable() -> None:
    check_arms(candidate_arm(2, 100), 1, "prod")
    check_arms([B, WantedArm("c", 3, 79.999)], 1, "prod")


def test_the_arm_that_is_meant_is_named_where_there_are_several() -> None:
    several = rollout_of(B, C)
    assert meant_arm(several, "c").version == 3
    with pytest.raises(BadInput, match=r"say which: b \(version 2\), c \(version 3\)"):
        meant_arm(several, None)
    for name in ("stable", "d", ""):
        with pytest.raises(NotFound, match="has no arm"):
            meant_arm(several, name)
    assert meant_arm(rollout_of(B), None).name == "b"
    assert tried_arms(several) == several.arms[1:]
    with pytest.raises(Conflict, match="no arm beside stable"):
        meant_arm(rollout_of(), None)


@pytest.mark.parametrize("arms", [candidate_arm(2, 12.5), (B, C), (WantedArm("b", 2, 0.001),)])
def test_what_waits_for_a_second_person_is_started_as_it_was_asked_for(arms: tuple[WantedArm, ...]) -> None:
    draft = RolloutDraft(label="prod", arms=arms, eligible={"tier": "free"}, plan={"steps": []})
    assert ordered_draft("prod", arms[0].version, order_of(draft)) == draft


def test_what_an_earlier_release_proposed_is_still_read() -> None:
    order = {"percentage": 10, "eligible": {}, "plan": None}
    assert ordered_draft("prod", 8, order) == RolloutDraft(label="prod", arms=candidate_arm(8, 10))
