"""Several metrics as one verdict: the weighted mean of their e-values is an e-value, however the metrics depend on each other.

Never weaker than Bonferroni's correction, and it needs no assumption.
"""

import math
from collections.abc import Mapping

from proxy.core.evidence.bernoulli import log_sum_exp


def combined_log_e(log_es: Mapping[str, float], weights: Mapping[str, float]) -> float:
    """ln of the weighted mean of the e-values. A metric without evidence counts as 1, so that it dilutes and never fails."""
    total = math.fsum(weights.values())
    logs = [log_es.get(name, 0.0) + math.log(weight / total) for name, weight in weights.items() if weight > 0]
    return log_sum_exp(logs) if logs else 0.0


def cause(log_es: Mapping[str, float], weights: Mapping[str, float]) -> str | None:
    """The metric that carries most of the combined evidence."""
    carried = {
        name: log_es[name] + math.log(weight) for name, weight in weights.items() if weight > 0 and name in log_es
    }
    return max(carried, key=lambda name: carried[name]) if carried else None
