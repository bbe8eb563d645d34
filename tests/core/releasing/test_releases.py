"""What a rollback does, told as stories of one label; and the arms a release writes down."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.bucketing import BUCKETS
from proxy.core.errors import BadInput, Conflict, NotFound
from proxy.core.releasing.releases import Release, RollbackPlan, check_versions_exist, plan_rollback, whole
from proxy.core.snapshot import Agent, AgentState, Arm, Label, Rollout
from tests.two_arms import split


class ReleaseStory:
    """The `prod` label of one agent and its ledger, as release rows would build them."""

    def __init__(self, *versions: int) -> None:
        self.history: list[Release] = []
        self.rollout: Rollout | None = None
        for version in versions:
            self.move(version)

    @property
    def state(self) -> AgentState:
        labels = {"prod": Label("prod", self.history[-1].version, len(self.history))} if self.history else {}
        rollouts = {"prod": self.rollout} if self.rollout is not None else {}
        return AgentState(Agent(name="support", newest=9), labels=labels, rollouts=rollouts)

    @property
    def serves(self) -> int:
        return self.history[-1].version

    def append(self, kind: str, arms: tuple[Arm, ...], undoes: int | None = None) -> int:
        number = len(self.history) + 1
        row = Release(
            agent="support",
            number=number,
            kind=kind,  # type: ignore[arg-type]
            label="prod",
            arms=arms,
            salt=None,
            rollout=None if self.rollout is None else self.rollout.id,
            who="ada",
            approved_by=None,
            why="",
            created_at_microseconds=number,
            undoes=undoes,
        )
        self.history.append(row)
        return number

    def move(self, version: int) -> int:
        return self.append("label_moved", whole(version))

    def start(self, candidate: int, buckets: int = 10_000) -> int:
        arms = split(self.serves, candidate, buckets)
        self.rollout = Rollout(id="r1", agent="support", label="prod", salt="s", arms=arms, state="running")
        return self.append("rollout_started", arms)

    def grow(self, buckets: int) -> int:
        assert self.rollout is not None
        stable, candidate = self.rollout.arms
        self.rollout = replace(self.rollout, arms=split(stable.version, candidate.version, buckets))
        return self.append("share_changed", self.rollout.arms)

    def end(self, kind: str) -> int:
        assert self.rollout is not None
        stable, candidate = self.rollout.arms
        number = self.append(kind, whole(candidate.version if kind == "promoted" else stable.version))
        self.rollout = None
        return number

    def plan(self, undoes: int | None = None, to: int | None = None) -> RollbackPlan:
        return plan_rollback(self.state, "prod", self.history, undoes=undoes, to=to)

    def roll_back(self, undoes: int | None = None, to: int | None = None) -> RollbackPlan:
        plan = self.plan(undoes, to)
        if plan.undoes is not None:
            self.append("rolled_back", whole(plan.version), plan.undoes)
            self.rollout = None
        return plan


def moves_nothing(story: ReleaseStory, plan: RollbackPlan) -> bool:
    return plan.undoes is None and plan.version == story.serves and plan.rollout is None and plan.reason != ""


class TestReleasesWithoutARollout:
    def test_the_version_served_before_serves_again(self):
        plan = ReleaseStory(1, 2).plan()
        assert (plan.undoes, plan.version, plan.rollout) == (2, 1, None)

    def test_releases_of_the_same_version_are_passed_over(self):
        assert ReleaseStory(1, 2, 2, 2).plan().version == 1

    def test_the_newest_earlier_version_is_chosen_not_the_oldest(self):
        assert ReleaseStory(1, 2, 3).plan().version == 2

    def test_a_named_release_in_force_is_undone(self):
        assert ReleaseStory(1, 2).plan(undoes=2).version == 1

    def test_a_named_release_no_longer_in_force_moves_nothing_and_says_so(self):
        story = ReleaseStory(1, 2, 3)
        plan = story.plan(undoes=2)
        assert moves_nothing(story, plan)
        assert "release 2" in plan.reason

    def test_a_named_release_that_never_was_is_an_error(self):
        with pytest.raises(NotFound) as refused:
            ReleaseStory(1, 2).plan(undoes=7)
        assert refused.value.code == "release_not_found"

    @pytest.mark.parametrize("versions", [(1,), (2, 2)])
    def test_with_nothing_to_go_back_to_it_says_so(self, versions):
        with pytest.raises(Conflict) as refused:
            ReleaseStory(*versions).plan()
        assert refused.value.code == "nothing_to_roll_back"

    def test_a_label_never_set_is_an_error(self):
        with pytest.raises(NotFound) as refused:
            ReleaseStory().plan()
        assert refused.value.code == "label_not_set"

    def test_a_label_deleted_since_is_an_error(self):
        story = ReleaseStory(1, 2)
        with pytest.raises(NotFound):
            plan_rollback(replace(story.state, labels={}), "prod", story.history, undoes=None, to=None)


class TestTwice:
    def test_two_people_who_say_roll_back_mean_the_same_release(self):
        story = ReleaseStory(1, 2, 3)
        assert story.roll_back().version == 2
        assert moves_nothing(story, story.roll_back())
        assert story.serves == 2

    def test_two_people_who_name_the_release_they_saw_move_it_once(self):
        story = ReleaseStory(1, 2, 3)
        story.roll_back(undoes=3)
        assert moves_nothing(story, story.roll_back(undoes=3))
        assert story.serves == 2

    def test_a_rollback_that_is_named_goes_further_back(self):
        story = ReleaseStory(1, 2, 3)
        story.roll_back()
        assert story.roll_back(undoes=4).version == 1

    def test_an_undone_release_is_never_gone_back_to(self):
        story = ReleaseStory(1, 2)
        story.roll_back()
        story.move(3)
        assert story.roll_back().version == 1

    def test_a_version_released_again_after_its_rollback_counts_again(self):
        story = ReleaseStory(1, 2)
        story.roll_back()
        story.move(2)
        story.move(3)
        assert story.roll_back().version == 2

    def test_a_new_release_after_a_rollback_can_be_rolled_back_without_naming_it(self):
        story = ReleaseStory(1, 2)
        story.roll_back()
        story.move(3)
        assert story.roll_back().undoes == 4


class TestToAVersion:
    def test_that_version_serves_whether_or_not_it_did_before(self):
        plan = ReleaseStory(1, 2).plan(to=7)
        assert (plan.undoes, plan.version) == (2, 7)

    def test_it_is_allowed_right_after_a_rollback(self):
        story = ReleaseStory(1, 2, 3)
        story.roll_back()
        assert story.roll_back(to=1).version == 1

    def test_the_version_that_serves_already_moves_nothing(self):
        story = ReleaseStory(1, 2)
        assert moves_nothing(story, story.plan(to=2))

    def test_it_works_where_there_is_nothing_earlier(self):
        assert ReleaseStory(2).plan(to=1).version == 1

    def test_a_release_no_longer_in_force_wins_over_it(self):
        story = ReleaseStory(1, 2, 3)
        assert moves_nothing(story, story.plan(undoes=2, to=1))


class TestDuringARollout:
    def test_it_ends_the_rollout_and_stable_serves_everyone(self):
        story = ReleaseStory(1)
        started = story.start(2)
        plan = story.plan()
        assert (plan.undoes, plan.version, plan.rollout) == (started, 1, story.rollout)

    def test_stable_serves_even_where_an_earlier_version_differs(self):
        story = ReleaseStory(1, 2)
        story.start(3)
        assert story.plan().version == 2

    def test_it_ends_a_rollout_right_after_a_rollback(self):
        story = ReleaseStory(1, 2)
        story.roll_back()
        started = story.start(3)
        assert (story.plan().undoes, story.plan().version) == (started, 1)

    def test_a_share_that_grew_meanwhile_does_not_stop_it(self):
        story = ReleaseStory(1)
        started = story.start(2)
        grown = story.grow(25_000)
        plan = story.plan(undoes=started)
        assert (plan.undoes, plan.version, plan.rollout) == (grown, 1, story.rollout)

    def test_a_release_from_before_the_rollout_is_no_longer_in_force(self):
        story = ReleaseStory(1, 2)
        story.start(3)
        plan = story.plan(undoes=2)
        assert plan.undoes is None
        assert plan.rollout is None

    def test_another_version_may_be_named(self):
        story = ReleaseStory(1, 2)
        story.start(3)
        plan = story.plan(to=1)
        assert (plan.version, plan.rollout) == (1, story.rollout)

    @pytest.mark.parametrize("named", [True, False])
    def test_a_second_rollback_moves_nothing(self, named):
        story = ReleaseStory(1)
        started = story.start(2)
        undoes = started if named else None
        story.roll_back(undoes)
        assert moves_nothing(story, story.roll_back(undoes))
        assert story.serves == 1

    def test_a_share_of_everybody_is_still_only_a_share(self):
        story = ReleaseStory(1)
        story.start(2, BUCKETS)
        assert story.plan().version == 1


class TestAfterARollout:
    def test_that_was_promoted_the_version_before_it_serves_again(self):
        story = ReleaseStory(1)
        story.start(2)
        story.grow(50_000)
        promoted = story.end("promoted")
        plan = story.plan()
        assert (plan.undoes, plan.version, plan.rollout) == (promoted, 1, None)

    def test_that_was_promoted_its_shares_are_no_longer_in_force(self):
        story = ReleaseStory(1)
        started = story.start(2)
        story.end("promoted")
        assert moves_nothing(story, story.plan(undoes=started))

    def test_that_was_aborted_naming_its_shares_moves_nothing(self):
        story = ReleaseStory(1, 2)
        started = story.start(3)
        story.end("aborted")
        assert moves_nothing(story, story.plan(undoes=started))

    def test_the_shares_of_an_ended_rollout_are_not_versions_to_go_back_to(self):
        story = ReleaseStory(1)
        story.start(2)
        story.end("aborted")
        story.move(3)
        assert story.plan().version == 1


@given(st.lists(st.integers(1, 4), min_size=1, max_size=8))
def test_a_rollback_without_names_goes_to_the_last_other_version_or_says_there_is_none(versions):
    story = ReleaseStory(*versions)
    earlier = [version for version in versions if version != versions[-1]]
    if earlier:
        assert story.plan().version == earlier[-1]
    else:
        with pytest.raises(Conflict):
            story.plan()


@given(st.lists(st.integers(1, 4), min_size=1, max_size=8), st.integers(1, 8))
def test_a_rollback_that_names_a_release_never_moves_twice(versions, undoes):
    story = ReleaseStory(*versions)
    try:
        story.roll_back(undoes)
    except (NotFound, Conflict):
        return
    assert moves_nothing(story, story.roll_back(undoes))


class TestArms:
    def test_without_a_rollout_everyone_is_stable(self):
        assert whole(7) == (Arm("stable", 7, ((0, BUCKETS),)),)

    @given(st.integers(0, BUCKETS), st.integers(0, BUCKETS - 1))
    def test_of_a_split_hold_every_bucket_exactly_once(self, share, bucket):
        stable, candidate = split(1, 2, share)
        assert (stable.name, stable.version, candidate.name, candidate.version) == ("stable", 1, "candidate", 2)
        assert (candidate.share_buckets, stable.share_buckets) == (share, BUCKETS - share)
        assert [arm.holds(bucket) for arm in (stable, candidate)] == [bucket >= share, bucket < share]


class TestVersionNumbers:
    def test_up_to_the_newest_exist(self):
        check_versions_exist("support", 3, 1, 2, 3)

    @pytest.mark.parametrize(
        ("number", "refusal", "code"),
        [(4, NotFound, "version_not_found"), (0, BadInput, "bad_version_number"), (-1, BadInput, "bad_version_number")],
    )
    def test_others_do_not(self, number, refusal, code):
        with pytest.raises(refusal) as refused:
            check_versions_exist("support", 3, 1, number)
        assert refused.value.code == code


class TestWalkingBack:
    """Undoing rollbacks one after the other goes further back each time, and never forward again."""

    def test_goes_one_version_back_each_time_and_then_says_that_nothing_is_left(self) -> None:
        history = [moved(1, 1), moved(2, 2), moved(3, 3)]
        served: list[int] = []
        for number in (4, 5):
            plan = plan_rollback(state_of(history), "prod", history, undoes=history[-1].number, to=None)
            served.append(plan.version)
            history.append(taken_back(number, plan.version, undoes=number - 1))
        assert served == [2, 1]
        with pytest.raises(Conflict):
            plan_rollback(state_of(history), "prod", history, undoes=5, to=None)

    def test_after_a_rollback_to_a_named_version_returns_there_and_not_to_what_lay_between(self) -> None:
        history = [moved(1, 1), moved(2, 2), moved(3, 3), taken_back(4, 1, undoes=3), moved(5, 4)]
        assert plan_rollback(state_of(history), "prod", history, undoes=None, to=None).version == 1

    def test_does_not_cross_a_label_that_was_deleted_meanwhile(self) -> None:
        history = [moved(1, 1), moved(2, 2), replace(moved(3, 2), kind="label_deleted"), moved(4, 3)]
        with pytest.raises(Conflict):
            plan_rollback(state_of(history), "prod", history, undoes=None, to=None)

    def test_right_after_an_abort_moves_nothing_because_two_people_mean_the_same(self) -> None:
        history = [moved(1, 1), moved(2, 2), replace(moved(3, 2), kind="aborted", rollout="r1")]
        assert plan_rollback(state_of(history), "prod", history, undoes=None, to=None).undoes is None


def moved(number: int, version: int) -> Release:
    return Release(
        agent="a",
        number=number,
        kind="label_moved",
        label="prod",
        arms=whole(version),
        salt=None,
        rollout=None,
        who="me",
        approved_by=None,
        why="",
        created_at_microseconds=number,
    )


def taken_back(number: int, version: int, *, undoes: int) -> Release:
    return replace(moved(number, version), kind="rolled_back", undoes=undoes)


def state_of(history: list[Release]) -> AgentState:
    last = history[-1]
    return AgentState(Agent(name="a", newest=9), {"prod": Label("prod", last.version, last.number)})
