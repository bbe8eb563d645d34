"""Answers: reports."""

from proxy.core.reports.reporting import ReportDocument
from proxy.core.rollouts.drills import DrillDocument


class ReportShown(ReportDocument):
    """What an agent's runs come to. `last_drill`: when its rollback was last rehearsed, and what that came to; null: never."""

    last_drill: DrillDocument | None
