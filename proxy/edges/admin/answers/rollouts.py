"""Answers: rollouts, and plans that have names."""

from typing import NotRequired

from proxy.core.rollouts.named_plans import NamedPlanDocument
from proxy.core.rollouts.progress import ProgressDocument
from proxy.core.rollouts.watching import WatchDocument
from proxy.core.snapshot import RolloutDocument
from proxy.edges.admin.answers.labels import Noticed


class RolloutShown(RolloutDocument):
    """A rollout, how far it has come, and what was seen since its candidate was taken away; null where nothing was kept."""

    progress: ProgressDocument | None
    watch: WatchDocument | None


class RolloutMoved(RolloutDocument, Noticed):
    """A rollout that began, or whose candidate serves everyone from now on."""


class RolloutAborted(RolloutDocument):
    """A rollout that is over. `journalled` is there while the store is away: whether the change is on disk beside it."""

    journalled: NotRequired[bool]
    warning: NotRequired[str]


class PlanDeleted(NamedPlanDocument):
    """A named plan as it was; rollouts that were started with it keep it."""

    removed: bool
