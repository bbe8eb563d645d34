"""Core values as JSON documents: the one spelling that the admin API answers and the audit log keeps.

Times are RFC 3339, money is US dollars where people set or read it, members carry the same names everywhere.
"""

from collections.abc import Sequence
from typing import Any

from proxy.core.bucketing import BUCKETS
from proxy.core.caps import Cap, CounterKey, shown_amount
from proxy.core.outcomes import Outcome
from proxy.core.releases import Release
from proxy.core.runs import Attempt, Run
from proxy.core.snapshot import Agent, AgentState, Arm, Label, Rollout
from proxy.core.spend import Price, Rates
from proxy.core.switches import Switch
from proxy.core.times import rfc3339
from proxy.core.versions import Version, VersionSummary

Document = dict[str, Any]


def agent_document(agent: Agent) -> Document:
    return {
        "agent": agent.name,
        "description": agent.description,
        "default_label": agent.default_label,
        "allow_latest": agent.allow_latest,
        "archived": agent.archived,
        "newest_version": agent.newest or None,
        "created_at": rfc3339(agent.created_at_microseconds),
    }


def state_document(state: AgentState) -> Document:
    """An agent with what its labels serve now."""
    return {
        **agent_document(state.agent),
        "labels": [label_document(label, state.rollouts.get(label.name)) for label in state.labels.values()],
    }


def version_document(version: Version) -> Document:
    return {**version_summary(version), **version.contents()}


def version_summary(version: Version | VersionSummary) -> Document:
    """A version without the content of its components: what lists and the audit log carry."""
    return {
        "agent": version.agent,
        "version": version.number,
        "version_id": version.bundle_hash,
        "parent": version.parent,
        "author": version.author,
        "message": version.message,
        "created_at": rfc3339(version.created_at_microseconds),
        "hashes": dict(version.hashes),
        "tested_against": dict(version.tested_against),
        "source": dict(version.source),
    }


def arm_document(arm: Arm) -> Document:
    return {
        "name": arm.name,
        "version": arm.version,
        "percentage": arm.share_buckets * 100 / BUCKETS,
        "ranges": [list(bounds) for bounds in arm.ranges],
    }


def label_document(label: Label, rollout: Rollout | None = None) -> Document:
    return {
        "label": label.name,
        "version": label.version,
        "release": label.release,
        "rollout": None if rollout is None else rollout_document(rollout),
    }


def rollout_document(rollout: Rollout) -> Document:
    ended = rollout.ended_at_microseconds
    return {
        "id": rollout.id,
        "agent": rollout.agent,
        "label": rollout.label,
        "state": rollout.state,
        "step": rollout.step,
        "arms": [arm_document(arm) for arm in rollout.arms],
        "salt": rollout.salt,
        "eligible": dict(rollout.eligible),
        "created_by": rollout.created_by,
        "why": rollout.why,
        "created_at": rfc3339(rollout.created_at_microseconds),
        "ended_at": None if ended is None else rfc3339(ended),
    }


def release_document(release: Release) -> Document:
    return {
        "agent": release.agent,
        "release": release.number,
        "kind": release.kind,
        "label": release.label,
        "version": release.version,
        "arms": [arm_document(arm) for arm in release.arms],
        "salt": release.salt,
        "rollout": release.rollout,
        "who": release.who,
        "approved_by": release.approved_by,
        "why": release.why,
        "created_at": rfc3339(release.created_at_microseconds),
        "evidence": [dict(item) for item in release.evidence],
        "undoes": release.undoes,
    }


def switch_document(switch: Switch) -> Document:
    expires = switch.expires_at_microseconds
    return {
        "id": switch.id,
        "scope": switch.scope.content(),
        "mode": switch.mode,
        "why": switch.why,
        "created_by": switch.created_by,
        "created_at": rfc3339(switch.created_at_microseconds),
        "expires": None if expires is None else rfc3339(expires),
        "reply": switch.reply_text,
        "fallback_version": switch.fallback_version,
        "cut_streams": switch.cut_streams,
    }


def cap_document(cap: Cap) -> Document:
    """A cap as it was set; what it has spent is the ledger's (edges put it beside)."""
    return {
        "id": cap.id,
        "scope": cap.scope.content(),
        "window": cap.window,
        "unit": cap.unit,
        "limit": shown_amount(cap.unit, cap.limit_amount),
        "at_limit": cap.at_limit,
        "why": cap.why,
        "created_by": cap.created_by,
        "created_at": rfc3339(cap.created_at_microseconds),
    }


def counter_document(cap: Cap, key: CounterKey, spent: int, held: int) -> Document:
    """One counter of a cap in the cap's unit, dollars for usd; `user` where each user is counted apart."""
    _, rollout, user = key.part.split("/", 2) if cap.window == "rollout" else ("", "", key.part)
    return {
        "user": user or None,
        "rollout": rollout or None,
        "spent": shown_amount(cap.unit, spent),
        "held": shown_amount(cap.unit, held),
        "remaining": shown_amount(cap.unit, max(0, cap.limit_amount - spent - held)),
    }


def cap_state_document(
    cap: Cap, window_start_microseconds: int, counters: Sequence[tuple[CounterKey, int, int]], most: int
) -> Document:
    """A cap with its counters (key, spent, held) of the window that began then, the fullest first, at most `most` shown.

    The cap's own `spent` and `held` are sums over all of them; its `remaining` is what the fullest has left.
    """
    ordered = sorted(counters, key=lambda counter: (-counter[1] - counter[2], counter[0].part))
    shown = [counter_document(cap, *counter) for counter in ordered[:most]]
    return {
        **cap_document(cap),
        "window_start": rfc3339(window_start_microseconds) if window_start_microseconds else None,
        "spent": shown_amount(cap.unit, sum(spent for _, spent, _ in counters)),
        "held": shown_amount(cap.unit, sum(held for _, _, held in counters)),
        "remaining": shown[0]["remaining"] if shown else shown_amount(cap.unit, cap.limit_amount),
        "counters": shown,
        "counters_in_all": len(counters),
    }


def price_document(provider: str, model: str, price: Price | None) -> Document:
    """What a model costs, dollars per million tokens by size of the input; state `unknown` is never free."""
    tiers = () if price is None else price.tiers
    is_free = all(rates.dearest_input == 0 and rates.output == 0 for rates in tiers)
    return {
        "provider": provider,
        "model": model,
        "state": "unknown" if price is None else "free" if is_free else "priced",
        "price_id": None if price is None else price.id,
        "context_window": None if price is None else price.context_window,
        "usd_per_million_tokens": [_rates_document(rates) for rates in tiers],
    }


def _rates_document(rates: Rates) -> Document:
    return {
        "from_input_tokens": rates.from_input_tokens,
        "input": rates.input / 1e6,
        "cached": rates.cached / 1e6,
        "cache_write": rates.cache_write / 1e6,
        "cache_write_1h": rates.cache_write_1h / 1e6,
        "output": rates.output / 1e6,
    }


def run_document(run: Run) -> Document:
    cost, estimate = run.cost_nanodollars, run.estimated_cost_nanodollars
    first, at_provider = run.time_to_first_byte_microseconds, run.provider_duration_microseconds
    return {
        "id": run.id,
        "kind": run.kind,
        "parent_run": run.parent_run,
        "agent": run.agent,
        "version": run.version,
        "version_id": run.bundle_hash,
        "effective_id": run.effective_hash,
        "label": run.label,
        "release": run.release,
        "rollout": run.rollout,
        "step": run.step,
        "arm": run.arm,
        "bucket": run.bucket,
        "reason": run.reason,
        "subject_kind": run.subject_kind,
        "in_analysis": run.in_analysis,
        "user": run.user,
        "conversation": run.conversation,
        "tags": dict(run.tags),
        "wire": run.wire,
        "operation": run.operation,
        "provider": run.provider,
        "model_asked": run.model_asked,
        "model_answered": run.model_answered,
        "status": run.status,
        "outcome": run.outcome,
        "error_class": run.error_class,
        "finish": run.finish,
        "refusal": run.refusal,
        "streamed": run.streamed,
        "tokens": {
            "input": run.input_tokens,
            "cached": run.cached_tokens,
            "cache_write": run.cache_write_tokens,
            "output": run.output_tokens,
            "reasoning": run.reasoning_tokens,
        },
        "cost_usd": None if cost is None else cost / 1e9,
        "estimated_cost_usd": None if estimate is None else estimate / 1e9,
        "price_id": run.price_id,
        "usage_source": run.usage_source,
        "dropped_parameters": list(run.dropped_parameters),
        "tool_calls": list(run.tool_calls),
        "tool_call_count": run.tool_call_count,
        "time_to_first_byte_ms": None if first is None else first / 1000,
        "duration_ms": run.duration_microseconds / 1000,
        "provider_duration_ms": None if at_provider is None else at_provider / 1000,
        "started_at": rfc3339(run.started_at_microseconds),
        "request_id": run.request_id,
        "trace_id": run.trace_id,
        "quarantined": run.quarantined,
    }


def attempt_document(attempt: Attempt) -> Document:
    return {
        "number": attempt.number,
        "provider": attempt.provider,
        "model": attempt.model,
        "status": attempt.status,
        "error_class": attempt.error_class,
        "started_at": rfc3339(attempt.started_at_microseconds),
        "duration_ms": attempt.duration_microseconds / 1000,
        "cost_usd": None if attempt.cost_nanodollars is None else attempt.cost_nanodollars / 1e9,
    }


def outcome_document(outcome: Outcome) -> Document:
    return {
        "id": outcome.id,
        "run": outcome.run,
        "name": outcome.name,
        "value": outcome.value,
        "severity": outcome.severity,
        "why": outcome.why,
        "recorded_by": outcome.recorded_by,
        "recorded_at": rfc3339(outcome.recorded_at_microseconds),
    }
