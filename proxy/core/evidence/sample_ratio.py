"""Whether the arms got the users that their shares promise: a canary that dies before it is counted shows here.

One test per step on users first seen in that step: a beta-binomial Bayes factor around the promised share, an e-value under
the null of exactly that share.
"""

import math
from typing import Final

#: Evidence at which a rollout is held.
HOLD_LOG_E: Final = math.log(1000)
_CONCENTRATION: Final = 1000.0


def log_e(candidate_users: int, stable_users: int, share: float) -> float:
    """ln of the evidence that users are not split by `share` (of the candidate, between 0 and 1, both excluded)."""
    a, b = _CONCENTRATION * share, _CONCENTRATION * (1 - share)
    return (
        _log_beta(a + candidate_users, b + stable_users)
        - _log_beta(a, b)
        - candidate_users * math.log(share)
        - stable_users * math.log(1 - share)
    )


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
