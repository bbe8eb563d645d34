"""Conductor of the data path: identify -> resolve -> guard -> inject -> forward -> meter -> record.

One coroutine per call. Each step is a function of another module or a short method here that calls one; it takes the values of
the stages before it and returns the next (stages.py). Only this module touches the call's own object, the Flight, which tells the
record what stage was reached. Every way out, refusals, broken streams and clients that leave included, ends in exactly one run
record and a settled hold. What the provider cannot have begun is tried once more: an attempt of its own, with a hold of its own.
"""

import asyncio
from collections.abc import Awaitable
from functools import partial

from proxy.core.calls.identity import admin_token_refused, identify, required_agent
from proxy.core.calls.resolution import Resolution
from proxy.core.calls.resolving import resolve
from proxy.core.errors import BadInput, Refusal, Unavailable
from proxy.core.steps import Steps, at_once, one_step
from proxy.core.switches import Switch
from proxy.core.versions.versions import Version
from proxy.runtime.calls.answering import deliver
from proxy.runtime.calls.asides import Asides, Origins
from proxy.runtime.calls.conversations import ChainOfCall
from proxy.runtime.calls.flight import Cut, Flight
from proxy.runtime.calls.guarding import cuts, fallback_of, guard, guard_fallback, switched_off
from proxy.runtime.calls.identifying import (
    NO_CLAIMS,
    Glimpses,
    check_providers_to_judge,
    check_upgrade,
    read_request,
)
from proxy.runtime.calls.injecting import check_applicable, outgoing, sendable_passed, sendable_read
from proxy.runtime.calls.lanes import Lanes
from proxy.runtime.calls.metering import charge_of
from proxy.runtime.calls.model_list import deliver_model_list, is_model_list, takes_agents
from proxy.runtime.calls.path_parts import PathOptions, PathParts
from proxy.runtime.calls.recording import attempts_apart, run_of
from proxy.runtime.calls.refusing import STOPPED, answer_with_refusal, answer_with_text, break_off
from proxy.runtime.calls.resolving import beginning_of, embedding_in_lane, in_lane, named_version, version_in_force
from proxy.runtime.calls.stages import (
    Answered,
    Asked,
    AttemptUnderWay,
    Resolved,
    Sendable,
    Unresolved,
)
from proxy.runtime.calls.turns import Turns, is_large
from proxy.runtime.telemetry.trace_context import trace_id
from proxy.runtime.transport.exchange import Answer, Call, Reply, Unread
from proxy.runtime.transport.header_fields import AnswerFields
from proxy.runtime.transport.inflate import RequestBody
from proxy.runtime.transport.upstream import ClientGone, ProviderFailed, UpstreamError, may_try_again
from proxy.wires.wire import Wire


class RequestPath:
    """Serves calls. `handle` is the listener's handler."""

    def __init__(self, parts: PathParts, options: PathOptions) -> None:
        self._parts = parts
        self._options = options
        #: Whether every call is an agent's.
        self._names_all = options.default_agent is not None or not options.passes_unassigned
        self._lanes = Lanes(parts.live, parts.providers, parts.metrics)
        self._flights: set[Flight] = set()
        self._turns = Turns(parts.clock)
        self._origins = Origins(options.origins)
        self._asides = Asides(self._origins, parts.routes)
        self._glimpses = Glimpses(parts.routes, parts.live, options.default_agent)

    @property
    def in_flight(self) -> int:
        return len(self._flights)

    async def handle(self, call: Call, reply: Reply) -> None:
        """Serve one call to its end; returns when the answer is complete, refused or broken off."""
        if call.method != "POST" and self._asides.answer(call, reply):
            return
        flight = self._begin(call, reply)
        try:
            is_long = is_large(call.body, flight.fields.content_encoding)
            asked = await self._turns.take(self._identify(flight)) if is_long else at_once(self._identify(flight))
            is_plain = asked.caller.pin is None and asked.caller.chain is None
            named = None if is_plain else await self._named(flight, asked)
            resolved = self._guard(flight, asked, self._resolve(flight, asked, named))
            if resolved is None:
                return
            if is_long:  # it is copied
                sendable = await self._turns.take(one_step(partial(self._inject, flight, asked, resolved)))
            else:
                sendable = self._inject(flight, asked, resolved)
            is_over = False
            while not is_over:
                attempt = self._hold(flight, resolved, sendable)
                is_over = True
                try:
                    if not attempt.hold.is_durable:
                        await attempt.hold.place()
                    answer = attempt.answer = await self._forward(flight, asked, attempt)
                    if (rest := self._deliver(flight, asked, resolved, attempt, answer)) is not None:
                        flight.forget_request(asked, sendable)
                        await rest
                except ClientGone as left:
                    attempt.hold.sent = left.request_sent
                    raise
                except UpstreamError as end:
                    if not self._may_follow(flight, attempt, end):
                        raise ProviderFailed(sendable.provider.name, end) from end
                    is_over = False
                finally:
                    self._meter(flight, asked, attempt)
                    attempt.hold.close()
        except asyncio.CancelledError:
            flight.failed("error", "proxy_stopped")
            raise
        except Exception as failure:
            await self._answer_failure(flight, failure)
        finally:
            self._end(flight)

    def refuse_unread(self, call: Call, reply: Reply, unread: Unread) -> None:
        """Answer a request that the listener could not take, of which `call` is what came: a refused call like any other."""
        flight = self._begin(call, reply)
        flight.asked, flight.resolved = self._glimpses.of(call, flight.fields, _body_of(flight))
        again = unread.retry_after_seconds
        self._refuse(flight, Refusal(unread.code, unread.message, status=unread.status, retry_after_seconds=again))
        if again is None:  # whatever its status: it is the caller's to mend
            flight.failed("refused", unread.code)
        self._end(flight)

    def cut(self, switch: Switch) -> int:
        """Break off the calls in flight that a switch matches; how many there were."""
        cut = Cut(switched_off(switch), "client_left", "switched_off")
        matching = [
            flight for flight in self._flights if not flight.has_stream_ended() and cuts(switch, flight.resolved)
        ]
        for flight in matching:
            self._break_off(flight, cut)
        return len(matching)

    def stop(self) -> None:
        """Break off every call in flight: this process ends and can wait no longer."""
        for flight in list(self._flights):
            self._break_off(flight, STOPPED)

    def _begin(self, call: Call, reply: Reply) -> Flight:
        flight = Flight(call, reply, self._parts.identifiers.new("run"), self._parts.clock)
        if flight.fields.origin is not None:
            flight.origin_lines = self._origins.lines(flight.fields.origin)
        self._flights.add(flight)
        return flight

    def _identify(self, flight: Flight) -> Steps[Asked]:
        if not self._parts.live.is_loaded:
            raise Unavailable(
                "not_ready", "the proxy has not loaded its agents and switches yet; try again", retry_after_seconds=5
            )
        call, fields, options = flight.call, flight.fields, self._options
        if fields.traceparent is not None:
            flight.trace_id = trace_id(fields.traceparent)
        route, request, body = None, None, _body_of(flight)
        try:
            if fields.upgrade is not None:
                check_upgrade(call.method, fields.upgrade)
            if fields.has_admin_token:
                raise admin_token_refused()
            route = self._parts.routes.of(call, fields)
            if route.key_field is not None:
                fields.take_key(route.key_field)
            is_named, limit_bytes = self._names_all, options.body_bytes
            request, problem = yield from read_request(call, fields, body, route, limit_bytes, is_named=is_named)
            if problem is not None:
                check_providers_to_judge(body, request, problem)
            claims = NO_CLAIMS if request is None else request.claims
            caller = identify(route.agent, fields.identity, claims, options.default_agent, options.prompt_ids)
        except Refusal:
            flight.asked, flight.resolved = self._glimpses.of(call, fields, body, route, request)
            raise
        asked = flight.asked = Asked(route, caller, request, problem)
        if caller.agent is None and not options.passes_unassigned:
            raise BadInput(
                "agent_missing", "this proxy serves only calls that name an agent: put /a/NAME in the base URL"
            )
        return asked

    def _named(self, flight: Flight, asked: Asked) -> Awaitable[Version | None]:
        """The version that the call itself brings, by a pin or by what it goes on with."""
        chains = self._parts.conversations.chains
        return named_version(asked.caller, self._parts.live, chains, flight.started_at)

    def _resolve(self, flight: Flight, asked: Asked, named: Version | None) -> Resolved:
        caller, parts = asked.caller, self._parts
        if caller.agent is None:
            flight.resolved = resolved = in_lane(self._lanes, asked, None)
            return resolved
        state = required_agent(parts.live.agent(caller.agent), caller.agent)
        resolution: Resolution | None = None
        try:
            if asked.route.operation.is_in_force:
                now = flight.started_at
                resolution = version_in_force(caller, state, named, parts.conversations, now)
                resolved = in_lane(self._lanes, asked, resolution)
            elif asked.route.operation.takes_embeddings_model:
                resolution = version_in_force(caller, state, named, parts.conversations, flight.started_at)
                resolved = embedding_in_lane(self._lanes, asked, resolution)
            else:
                resolved = in_lane(self._lanes, asked, None, resolve(state, caller, pinned=named))
        except Refusal:
            flight.resolved = Unresolved(caller.agent, None, resolution)
            raise
        flight.resolved = resolved
        return resolved

    def _guard(self, flight: Flight, asked: Asked, resolved: Resolved) -> Resolved | None:
        """Do what a switch that touches this call asks for: what the call gets then, None where it is answered with that. A switch
        that blocks is raised."""
        parts, now = self._parts, flight.started_at
        switches = parts.live.switches_for(resolved.facts.agent)
        switch = guard(asked, resolved.facts, switches, now) if switches else None
        if switch is None:
            return resolved
        if switch.mode == "fallback":
            fallback = fallback_of(resolved.resolution, parts.live.agent(resolved.facts.agent), switch)
            resolved = flight.resolved = in_lane(self._lanes, asked, fallback)
            switch = guard_fallback(resolved.facts, switches, now)
        if switch is None:
            return resolved
        if switch.mode == "observe":
            parts.metrics.observed_switches.inc()
            return resolved
        text, model, told_at = switch.reply_text or "", resolved.facts.model, parts.clock.now_microseconds()
        flight.status = answer_with_text(flight.reply, text, asked, model, flight.run_id, told_at, flight.stamps())
        flight.failed("refused", "switch_reply")
        parts.metrics.refused(flight.agent_label, "switch_reply")
        return None

    def _inject(self, flight: Flight, asked: Asked, resolved: Resolved) -> Sendable:
        parts, ceiling = self._parts, self._options.output_ceiling
        if asked.route.operation.is_metered:
            if resolved.unapplied is not None:
                check_applicable(asked, resolved, parts.live.agent(resolved.facts.agent))
            sendable = sendable_read(asked, resolved, flight.call, flight.fields, parts.prices, ceiling)
        else:
            sendable = sendable_passed(asked, resolved, parts.live.agent(resolved.facts.agent))
        injection = sendable.injection
        if injection is not None and injection.ignored_variables:
            parts.metrics.ignored_variables.inc(injection.ignored_variables)
        flight.sendable = sendable
        if (shadow := resolved.lane.shadow) is not None:
            parts.copies.keep(flight.run_id, shadow, asked, flight.call, flight.fields)
        return sendable

    def _hold(self, flight: Flight, resolved: Resolved, sendable: Sendable) -> AttemptUnderWay:
        """Begin an attempt with a hold of its own."""
        name, earlier = flight.run_id, flight.earlier_attempts
        if earlier:
            name = f"{name}.{len(earlier) + 1}"
        hold = self._parts.ledger.hold(name, sendable.caps, resolved.facts, sendable.bound)
        attempt = flight.attempt = AttemptUnderWay(sendable, hold)
        return attempt

    def _forward(self, flight: Flight, asked: Asked, attempt: AttemptUnderWay) -> Awaitable[Answer]:
        """Send it; what is awaited is the head of the answer."""
        call, reply, provider = flight.call, flight.reply, attempt.sendable.provider
        target, headers, body = outgoing(call, flight.fields, asked, attempt.sendable)
        if flight.broke_off:  # while the hold was written: nothing is sent, so nothing is charged
            raise ClientGone(request_sent=False)
        attempt.sent_at = self._parts.clock.monotonic_microseconds()
        attempt.sent_bytes = len(body)
        attempt.hold.sent = True
        anew = bool(flight.earlier_attempts)
        return self._parts.upstream.send(provider, call.method, target, headers, body, reply, anew=anew)

    def _deliver(
        self, flight: Flight, asked: Asked, resolved: Resolved, attempt: AttemptUnderWay, answer: Answer
    ) -> Awaitable[None] | None:
        """Pass the answer on; what is left of that to be awaited."""
        fields, reply = AnswerFields(answer.headers, asked.route.wire.stream_type), flight.reply
        answered = attempt.answered = Answered(fields, reply, self._parts.clock)
        flight.status = answer.status
        if flight.call.method == "GET" and is_model_list(asked.route) and takes_agents(answer, answered):
            return deliver_model_list(answer, answered, self._parts.live.current, reply, flight.stamps())
        if resolved.lane.validators:
            answered.kept = self._parts.validation.keep()
        if asked.route.operation.begins_chains and (began := beginning_of(resolved.resolution)) is not None:
            chains = self._parts.conversations.chains
            answered.chain = ChainOfCall(chains, began, asked.caller.chain, flight.started_at)
        return deliver(answer, answered, asked, attempt.sendable.injection, reply, flight.stamps())

    def _may_follow(self, flight: Flight, attempt: AttemptUnderWay, end: UpstreamError) -> bool:
        """Note how the attempt ended; whether another may follow."""
        attempt.hold.sent = end.request_sent
        failure = ProviderFailed(attempt.sendable.provider.name, end)
        self._parts.metrics.upstream_failed(failure.provider, failure.reason)
        flight.failed("error", failure.code)
        if flight.earlier_attempts or not may_try_again(end, flight.call.method):
            return False
        flight.try_again(attempt, self._parts.clock.monotonic_microseconds())
        return True

    def _meter(self, flight: Flight, asked: Asked, attempt: AttemptUnderWay) -> None:
        """Settle what was held; runs also when the answer broke off or nobody waits for it any more."""
        answered, parts = attempt.answered, self._parts
        if answered is not None and answered.error_class is not None and flight.result == "ok":
            flight.failed("error", answered.error_class)
        if flight.note_break() and attempt.answer is not None:
            attempt.answer.close()
        facts, sendable = None if answered is None else answered.facts, attempt.sendable
        if facts is not None and sendable.injection is not None and facts.model != sendable.injection.model:
            # A switch or cap on either name means both.
            parts.live.answered_names.learn(sendable.provider.name, sendable.injection.model, facts.model)
        ended_well, operation = flight.result == "ok", asked.route.operation
        attempt.charge, spent = charge_of(attempt, operation, parts.prices, ended_well=ended_well)
        if spent is not None:
            attempt.hold.settle(spent)

    async def _answer_failure(self, flight: Flight, failure: Exception) -> None:
        if isinstance(failure, ClientGone):
            return  # the record tells it, and nobody is there to be told
        if not isinstance(failure, Refusal):
            self._parts.on_error(failure)
            self._refuse(flight, Refusal("proxy_error", "the proxy failed on this call; its log says more"))
            return
        if isinstance(flight.resolved, Unresolved):
            flight.resolved = await self._glimpses.pinned(flight.asked, flight.resolved)
        if flight.broke_off:
            flight.note_break()
        else:
            self._refuse(flight, failure)

    def _refuse(self, flight: Flight, refusal: Refusal) -> None:
        if not flight.was_sent and refusal.status < 500:
            flight.failed("refused", refusal.code)
        elif flight.result != "error":
            flight.failed("error", refusal.code)
        self._tell(flight, refusal)
        self._parts.metrics.refused(flight.agent_label, refusal.code)

    def _tell(self, flight: Flight, refusal: Refusal) -> None:
        had_begun, wire = flight.reply.started, self._wire_of(flight)
        status = answer_with_refusal(flight.reply, refusal, wire, flight.run_id, flight.stamps())
        if not had_begun or not flight.status:
            flight.status = status

    def _break_off(self, flight: Flight, cut: Cut) -> None:
        """Stop the call now. Its task settles and records it. A stream that has had its last event ends as it would have."""
        if flight.has_stream_ended():
            flight.reply.interrupt()
            return
        flight.cut = cut
        answered = None if flight.attempt is None else flight.attempt.answered
        break_off(flight.reply, answered, self._wire_of(flight), cut.refusal, flight.run_id)

    def _end(self, flight: Flight) -> None:
        if flight.cut is not None:
            self._tell(flight, flight.cut.refusal)
        self._flights.discard(flight)
        parts, resolved = self._parts, flight.resolved
        run = run_of(flight, parts.clock.monotonic_microseconds())
        parts.recorder.record(run, attempts_apart(flight, run))
        if isinstance(resolved, Unresolved):
            self._lanes.series_apart(resolved.resolution, flight.agent_label).finished(run)
            return
        lane = resolved.lane
        lane.series.finished(run)
        if lane.has_followers:
            if lane.validators and (kept := flight.kept_answer) is not None:
                parts.validation.finished(run, kept, lane.validators)
            if lane.shadow is not None:
                parts.copies.ended(run)

    def _wire_of(self, flight: Flight) -> Wire | None:
        """What the caller speaks, as far as that is known."""
        route = flight.asked.route
        if route is not None:
            return route.wire
        return self._parts.routes.known_wire(flight.call.target, flight.fields.family)


def _body_of(flight: Flight) -> RequestBody:
    return RequestBody(flight.call.body, flight.fields.content_encoding, flight.reply.hold)
