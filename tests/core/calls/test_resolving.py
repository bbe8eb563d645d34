"""Which version a call gets, and what it is told about why."""

from collections import Counter
from dataclasses import replace

import pytest

from proxy.core.bucketing import BUCKETS, bucket_of
from proxy.core.calls.caller import Caller
from proxy.core.calls.resolving import pick_arm, resolve
from proxy.core.errors import NotFound
from proxy.core.snapshot import Agent, AgentState, Arm, Label, Rollout
from proxy.core.versions.components import parse_bundle
from proxy.core.versions.versions import Version
from tests.two_arms import split


def version(number: int) -> Version:
    return Version(
        agent="support",
        number=number,
        bundle=parse_bundle({"prompt": {"text": f"prompt {number}"}}),
        parent=None,
        author="ada",
        message="",
        created_at_microseconds=0,
    )


VERSIONS = {number: version(number) for number in (1, 2, 3)}
PLAIN = AgentState(Agent(name="support", newest=3), labels={"prod": Label("prod", 1, 4)}, versions=VERSIONS)
ROLLOUT = Rollout(
    id="r1", agent="support", label="prod", salt="support/r1", arms=split(1, 2, 10_000), state="running", step=2
)
ROLLING = replace(PLAIN, rollouts={"prod": ROLLOUT})


def rolling(**members) -> AgentState:
    return replace(PLAIN, rollouts={"prod": replace(ROLLOUT, **members)})


def user_of(arm: str) -> str:
    """A user whose bucket lies in that arm."""
    return next(
        user for user in map(str, range(10_000)) if pick_arm(ROLLOUT, bucket_of(ROLLOUT.salt, user)).name == arm
    )


def caller(**members) -> Caller:
    return Caller(agent="support", **members)


class TestWithoutARollout:
    def test_the_default_labels_version_serves(self):
        found = resolve(PLAIN, caller(user="u1"))
        assert (found.version.number, found.label, found.release, found.reason) == (1, "prod", 4, "label")
        assert (found.arm, found.bucket, found.rollout, found.step, found.in_analysis) == (
            None,
            None,
            None,
            None,
            False,
        )
        assert found.subject_kind == "user"

    def test_the_label_the_caller_names_serves(self):
        state = replace(PLAIN, labels={**PLAIN.labels, "staging": Label("staging", 3, 5)})
        assert resolve(state, caller(label="staging")).version.number == 3

    def test_the_agents_own_default_label_serves(self):
        state = replace(PLAIN, agent=replace(PLAIN.agent, default_label="live"), labels={"live": Label("live", 2, 1)})
        assert resolve(state, caller()).version.number == 2

    @pytest.mark.parametrize("label", [None, "staging"])
    def test_a_label_never_set_is_an_error_and_never_the_newest(self, label):
        with pytest.raises(NotFound) as refused:
            resolve(replace(PLAIN, labels={}), caller(label=label))
        assert refused.value.code == "label_not_set"

    def test_a_label_whose_version_is_missing_is_an_error(self):
        with pytest.raises(NotFound) as refused:
            resolve(replace(PLAIN, versions={}), caller())
        assert refused.value.code == "version_not_found"


class TestPinned:
    def test_the_pinned_version_serves_outside_every_rollout(self):
        found = resolve(ROLLING, caller(pin=3, user=user_of("candidate")), pinned=VERSIONS[3])
        assert (found.version.number, found.reason) == (3, "pinned")
        assert (found.label, found.release, found.rollout, found.arm, found.in_analysis) == (
            None,
            None,
            None,
            None,
            False,
        )

    def test_a_version_that_does_not_exist_is_an_error(self):
        with pytest.raises(NotFound, match="newest is 3") as refused:
            resolve(PLAIN, caller(pin=9))
        assert refused.value.code == "version_not_found"


class TestLatest:
    def test_is_refused_unless_the_agent_allows_it(self):
        with pytest.raises(NotFound) as refused:
            resolve(PLAIN, caller(label="latest"))
        assert refused.value.code == "latest_not_allowed"

    def test_is_the_newest_version_where_allowed(self):
        state = replace(PLAIN, agent=replace(PLAIN.agent, allow_latest=True))
        found = resolve(state, caller(label="latest"))
        assert (found.version.number, found.label, found.release) == (3, "latest", None)

    def test_of_an_agent_without_versions_is_an_error(self):
        state = AgentState(Agent(name="support", allow_latest=True))
        with pytest.raises(NotFound) as refused:
            resolve(state, caller(label="latest"))
        assert refused.value.code == "version_not_found"


class TestInARollout:
    @pytest.mark.parametrize(("arm", "number"), [("stable", 1), ("candidate", 2)])
    def test_the_users_bucket_chooses_the_arm(self, arm, number):
        user = user_of(arm)
        found = resolve(ROLLING, caller(user=user))
        assert (found.arm, found.version.number, found.reason) == (arm, number, "rollout")
        assert (found.rollout, found.step, found.label, found.release) == ("r1", 2, "prod", 4)
        assert (found.bucket, found.in_analysis) == (bucket_of("support/r1", user), True)

    @pytest.mark.parametrize(
        ("bucket_says", "pinned", "number"), [("stable", "candidate", 2), ("candidate", "stable", 1)]
    )
    def test_a_user_whom_the_plan_names_gets_that_arm_whatever_else_holds_and_is_no_evidence(
        self, bucket_says, pinned, number
    ):
        user = user_of(bucket_says)
        named = replace(ROLLING.rollouts["prod"], plan={"pinned": {user: pinned}}, eligible={"tier": "free"})
        state = replace(ROLLING, rollouts={"prod": named})
        for found in (
            resolve(state, caller(user=user)),
            resolve(state, caller(user=user, conversation="c"), conversation_arm=bucket_says),
        ):
            assert (found.version.number, found.arm, found.reason) == (number, pinned, "pinned_user")
            assert found.in_analysis is False
        other = resolve(state, caller(user=user_of("candidate") + "x", tags={"tier": "free"}))
        assert (other.reason, other.in_analysis) == ("rollout", True)

    def test_a_candidate_that_nobody_has_a_share_of_is_not_given_to_a_named_user_either(self):
        arms = split(1, 2, 0)
        named = replace(ROLLING.rollouts["prod"], plan={"pinned": {"ann": "candidate"}}, arms=arms)
        found = resolve(replace(ROLLING, rollouts={"prod": named}), caller(user="ann"))
        assert (found.arm, found.version.number, found.in_analysis) == ("stable", 1, False)

    def test_a_named_user_is_the_same_however_the_name_is_composed(self):
        named = replace(ROLLING.rollouts["prod"], plan={"pinned": {"Zo\u00eb": "candidate"}})
        found = resolve(replace(ROLLING, rollouts={"prod": named}), caller(user="Zoe\u0308"))
        assert found.arm == "candidate"

    def test_a_conversation_is_nobodys_name(self):
        named = replace(ROLLING.rollouts["prod"], plan={"pinned": {user_of("stable"): "candidate"}})
        found = resolve(replace(ROLLING, rollouts={"prod": named}), caller(conversation=user_of("stable")))
        assert (found.arm, found.reason) == ("stable", "rollout")

    def test_the_conversation_is_the_subject_where_there_is_no_user(self):
        found = resolve(ROLLING, caller(conversation=user_of("candidate")))
        assert (found.arm, found.subject_kind) == ("candidate", "conversation")

    def test_the_user_is_the_subject_where_there_are_both(self):
        found = resolve(ROLLING, caller(user=user_of("stable"), conversation=user_of("candidate")))
        assert (found.arm, found.subject_kind) == ("stable", "user")

    def test_nobody_in_particular_gets_stable_outside_the_analysis(self):
        found = resolve(ROLLING, caller(), conversation_arm="candidate")
        assert (found.arm, found.bucket, found.subject_kind, found.in_analysis) == ("stable", None, "none", False)

    def test_a_conversation_stays_on_the_arm_it_began_on(self):
        found = resolve(ROLLING, caller(user=user_of("stable")), conversation_arm="candidate")
        assert (found.arm, found.reason, found.in_analysis) == ("candidate", "conversation", True)

    def test_a_conversation_that_began_on_an_arm_that_is_gone_follows_its_bucket(self):
        found = resolve(ROLLING, caller(user=user_of("candidate")), conversation_arm="variant-c")
        assert (found.arm, found.reason) == ("candidate", "rollout")

    @pytest.mark.parametrize(
        ("tags", "is_eligible"), [({"tenant": "acme", "more": "x"}, True), ({"tenant": "other"}, False), ({}, False)]
    )
    def test_only_eligible_calls_leave_stable_and_are_analysed(self, tags, is_eligible):
        found = resolve(rolling(eligible={"tenant": "acme"}), caller(user=user_of("candidate"), tags=tags))
        assert (found.arm == "candidate", found.in_analysis) == (is_eligible, is_eligible)

    def test_a_paused_rollout_still_decides(self):
        assert resolve(rolling(state="paused"), caller(user=user_of("candidate"))).arm == "candidate"

    def test_another_label_is_not_touched_by_it(self):
        state = replace(ROLLING, labels={**PLAIN.labels, "staging": Label("staging", 3, 5)})
        assert resolve(state, caller(label="staging", user=user_of("candidate"))).version.number == 3

    @pytest.mark.parametrize(("buckets", "arm"), [(0, "stable"), (BUCKETS, "candidate")])
    def test_no_share_is_nobody_and_the_whole_share_is_everybody(self, buckets, arm):
        state = rolling(arms=split(1, 2, buckets))
        assert {resolve(state, caller(user=str(user))).arm for user in range(200)} == {arm}

    def test_a_growing_share_moves_nobody_back(self):
        inside: set[str] = set()
        for buckets in (1_000, 10_000, 25_000, 60_000, BUCKETS):
            state = rolling(arms=split(1, 2, buckets))
            now_inside = {user for user in map(str, range(500)) if resolve(state, caller(user=user)).arm == "candidate"}
            assert inside <= now_inside
            inside = now_inside

    def test_named_arms_each_get_their_ranges(self):
        arms = (
            Arm("stable", 1, ((0, 30_000), (90_000, BUCKETS))),
            Arm("b", 2, ((30_000, 60_000),)),
            Arm("c", 3, ((60_000, 90_000),)),
        )
        counted = Counter(resolve(rolling(arms=arms), caller(user=str(user))).arm for user in range(5_000))
        assert set(counted) == {"stable", "b", "c"}
        assert [
            pick_arm(replace(ROLLOUT, arms=arms), bucket).name for bucket in (0, 29_999, 30_000, 89_999, 90_000)
        ] == [
            "stable",
            "stable",
            "b",
            "c",
            "stable",
        ]

    def test_a_bucket_no_arm_holds_is_stable(self):
        arms = (Arm("stable", 1, ()), Arm("candidate", 2, ((0, 10),)))
        assert pick_arm(replace(ROLLOUT, arms=arms), 50_000).name == "stable"
