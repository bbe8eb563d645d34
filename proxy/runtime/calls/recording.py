"""The record step: the run of a call that is over, and the attempts apart from it, both from the stages it reached.

Every run is written here, whatever became of its call: answered, refused, broken off, or never read.
"""

from collections.abc import Mapping
from typing import Final

from msgspec import structs

from proxy.core.calls.runs import Attempt, Run, UsageSource, only_attempt
from proxy.runtime.calls.flight import Flight
from proxy.runtime.calls.stages import AttemptUnderWay, Charge
from proxy.wires.wire import AnswerFacts

_MAX_TOOL_CALLS: Final = 64
#: Callers with more variables are unusual, and each set of names is kept once for all runs that have it.
_MAX_VARIABLES: Final = 32
_MAX_NAME_CHARACTERS: Final = 64
_NO_CHARGE: Final = Charge("none")
_NO_ANSWER: Final = AnswerFacts()
#: From the source that says least of a cost to the one that has none to tell.
_SURENESS: Final[tuple[UsageSource, ...]] = ("unmetered", "estimated", "held", "reported", "none")


def run_of(flight: Flight, ended_monotonic: int) -> Run:
    """The record of a call that is over."""
    asked, resolved, sendable, attempt = flight.asked, flight.resolved, flight.sendable, flight.attempt
    route, caller, request, resolution = asked.route, asked.caller, asked.request, resolved.resolution
    injection = None if sendable is None else sendable.injection
    provider = resolved.provider if sendable is None else sendable.provider
    charge = (None if attempt is None else attempt.charge) or _NO_CHARGE
    price = charge.price or (None if sendable is None else sendable.price)
    if flight.earlier_attempts:
        charge = _all_charges(flight.earlier_attempts, charge)
    sent_at = None if attempt is None else attempt.sent_at
    answered = None if attempt is None else attempt.answered
    first = None if answered is None else answered.first_byte_monotonic
    request_id = None if answered is None else answered.fields.request_id
    answer = (None if answered is None else answered.facts) or _NO_ANSWER
    usage = answer.usage
    version = None if resolution is None else resolution.version
    bundle_hash = None if version is None else version.bundle.bundle_hash
    # In the order of Run's fields: by name this would cost another 2 µs of each call.
    return Run(
        flight.run_id,
        caller.agent_name,
        flight.started_at,
        ended_monotonic - flight.started_monotonic,
        caller.tags,
        False,
        None if first is None else first - flight.started_monotonic,
        None if sent_at is None else ended_monotonic - sent_at,
        None if resolution is None else resolution.bucket,
        caller.user,
        caller.conversation,
        None if usage is None else usage.input_tokens,
        None if usage is None else usage.cached_tokens,
        None if usage is None else usage.cache_write_tokens,
        None if usage is None else usage.output_tokens,
        None if usage is None else usage.reasoning_tokens,
        charge.cost_nanodollars,
        charge.estimated_cost_nanodollars,
        None if request_id is None else request_id.decode("latin-1")[:128],
        flight.trace_id,
        None,
        "none" if route is None else route.wire.name,
        "none" if route is None else route.operation.name,
        flight.status,
        flight.result,
        flight.error_class,
        None if version is None else version.number,
        bundle_hash,
        bundle_hash,  # the effective hash: nothing changes a bundle on its way yet
        resolved.label if resolution is None else resolution.label,
        None if resolution is None else resolution.release,
        None if resolution is None else resolution.rollout,
        None if resolution is None else resolution.step,
        None if resolution is None else resolution.arm,
        resolved.reason if resolution is None else resolution.reason,
        caller.subject_kind,
        resolution is not None and resolution.in_analysis,
        None if provider is None else provider.name,
        injection.model if injection is not None else None if request is None else request.model,
        answer.model,
        answer.finish,
        answer.refusal,
        request is not None and request.streamed,
        None if price is None else price.id,
        charge.source,
        () if injection is None else injection.dropped_parameters,
        tuple(answer.tool_calls[:_MAX_TOOL_CALLS]),
        len(answer.tool_calls),
        None if resolution is None else _names_of(caller.variables),
    )


def attempts_apart(flight: Flight, run: Run) -> tuple[Attempt, ...]:
    """The attempts that the run's record does not tell: all where there were several, else the only one where the provider's status
    is not what the client was answered."""
    earlier, attempt = flight.earlier_attempts, flight.attempt
    answer = None if attempt is None else attempt.answer
    status = None if answer is None else answer.status
    if not earlier and status == run.status:
        return ()
    ended = tuple([_ended_attempt(flight, number, one) for number, one in enumerate(earlier, 1)])
    last = only_attempt(run)
    if last is None or attempt is None:
        return ended
    charge = attempt.charge or _NO_CHARGE
    last = structs.replace(last, number=len(earlier) + 1, status=status, cost_nanodollars=charge.cost_nanodollars)
    if not earlier:
        return (last,)
    return (*ended, structs.replace(last, started_at_microseconds=_started_at(flight, attempt)))


def _ended_attempt(flight: Flight, number: int, attempt: AttemptUnderWay) -> Attempt:
    """One that another followed."""
    sendable, charge = attempt.sendable, attempt.charge or _NO_CHARGE
    injection, request = sendable.injection, flight.asked.request
    started_at = _started_at(flight, attempt)
    return Attempt(
        run=flight.run_id,
        number=number,
        provider=sendable.provider.name,
        model=injection.model if injection is not None else None if request is None else request.model,
        status=None if attempt.answer is None else attempt.answer.status,
        error_class=attempt.error_class,
        started_at_microseconds=started_at,
        duration_microseconds=flight.started_at + attempt.ended_at - flight.started_monotonic - started_at,
        cost_nanodollars=charge.cost_nanodollars,
    )


def _started_at(flight: Flight, attempt: AttemptUnderWay) -> int:
    """When an attempt was sent, UTC microseconds; one that never was, when its call came."""
    sent_at = flight.started_monotonic if attempt.sent_at is None else attempt.sent_at
    return flight.started_at + sent_at - flight.started_monotonic


def _all_charges(earlier: tuple[AttemptUnderWay, ...], last: Charge) -> Charge:
    """What several attempts cost together, known as surely as the least sure of them."""
    charges = [attempt.charge for attempt in earlier if attempt.charge is not None]
    if not charges:
        return last
    charges.append(last)
    costs = [charge.cost_nanodollars for charge in charges if charge.cost_nanodollars is not None]
    estimates = [
        charge.estimated_cost_nanodollars for charge in charges if charge.estimated_cost_nanodollars is not None
    ]
    sources = {charge.source for charge in charges}
    return Charge(
        next(source for source in _SURENESS if source in sources),
        last.price,
        cost_nanodollars=sum(costs) if costs else None,
        estimated_cost_nanodollars=sum(estimates) if estimates else None,
    )


def _names_of(variables: Mapping[str, str]) -> tuple[str, ...] | None:
    """Sorted, for the run's record; None where there are more, or longer ones, than are kept: then it is not known."""
    if not variables:
        return ()
    if len(variables) > _MAX_VARIABLES or any(len(name) > _MAX_NAME_CHARACTERS for name in variables):
        return None
    return tuple(sorted(variables))
