"""Conductor of the data path: identify -> resolve -> guard -> inject -> forward -> meter -> record.

One coroutine per call. Each step is a function of another module or a short method here that calls one; what the steps
learn is in the Flight. Every way out, refusals, broken streams and clients that leave included, ends in exactly one run
record and a settled hold. What the provider cannot have begun is tried once more: an attempt of its own, with a hold of its own.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from proxy.core.calls.caller import Caller
from proxy.core.calls.identity import identify, required_agent
from proxy.core.calls.resolving import resolve
from proxy.core.errors import BadInput, Refusal, Unavailable
from proxy.core.snapshot import AgentState
from proxy.core.spending.caps import Cap
from proxy.core.steps import Steps, at_once
from proxy.core.switches import Switch
from proxy.core.versions.versions import Version
from proxy.runtime.calls.answering import deliver
from proxy.runtime.calls.asides import Asides, Origins
from proxy.runtime.calls.breaking_off import STOPPED, break_off
from proxy.runtime.calls.conversations import Conversations
from proxy.runtime.calls.flight import Cut, Flight
from proxy.runtime.calls.guarding import caps_of, guard, switched_off
from proxy.runtime.calls.lanes import Lanes, Passed
from proxy.runtime.calls.metering import UNMETERED, hold_bound, needs_bound, needs_ceiling, settle
from proxy.runtime.calls.model_list import deliver_model_list, is_model_list
from proxy.runtime.calls.passing import (
    check_upgrade,
    know_caller,
    know_pinned,
    pass_body,
    pass_unjudged,
    read_request,
)
from proxy.runtime.calls.refusing import answer_with_refusal, answer_with_text, provider_failed
from proxy.runtime.calls.routing import Routes
from proxy.runtime.calls.sending import outgoing
from proxy.runtime.calls.turns import Turns, is_large
from proxy.runtime.process.clock import Clock, Identifiers
from proxy.runtime.providers import Providers
from proxy.runtime.spending.holding import Ledger, Spent, Ticket
from proxy.runtime.spending.prices import PriceBook
from proxy.runtime.state.live_snapshot import LiveSnapshot
from proxy.runtime.telemetry.metrics import Metrics
from proxy.runtime.telemetry.recorder import Recorder
from proxy.runtime.telemetry.run_series import OTHER, RunLabels
from proxy.runtime.telemetry.trace_context import trace_id
from proxy.runtime.transport.exchange import Answer, Call, Reply, Unread
from proxy.runtime.transport.upstream import ClientGone, Upstream, UpstreamError, may_try_again
from proxy.runtime.validation.validation import Validation
from proxy.wires.wire import InjectionPlan, Wire


@dataclass(frozen=True, slots=True, kw_only=True)
class PathOptions:
    """Settings of the data path."""

    default_agent: str | None = None
    #: Agents by ids that bodies name prompts by.
    prompt_ids: Mapping[str, str] = field(default_factory=dict[str, str])
    #: False: calls that name no agent are refused.
    passes_unassigned: bool = True
    output_ceiling: int = 4096
    #: A compressed body may come to so many bytes.
    body_bytes: int = 32 * 1024 * 1024
    #: Of browser apps that may call; `*`: all.
    origins: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PathParts:
    """What the data path works with; put together by the composition root."""

    live: LiveSnapshot
    routes: Routes
    providers: Providers
    prices: PriceBook
    ledger: Ledger
    upstream: Upstream
    recorder: Recorder
    metrics: Metrics
    conversations: Conversations
    validation: Validation
    clock: Clock
    identifiers: Identifiers
    on_error: Callable[[BaseException], None]


class RequestPath:
    """Serves calls. `handle` is the listener's handler."""

    def __init__(self, parts: PathParts, options: PathOptions) -> None:
        self._parts = parts
        self._options = options
        self._lanes = Lanes(parts.live, parts.providers, parts.metrics)
        self._flights: set[Flight] = set()
        self._turns = Turns()
        self._origins = Origins(options.origins)
        self._asides = Asides(self._origins, parts.routes)

    @property
    def in_flight(self) -> int:
        return len(self._flights)

    async def handle(self, call: Call, reply: Reply) -> None:
        """Serve one call to its end; returns when the answer is complete, refused or broken off."""
        if call.method != "POST" and self._asides.answer(call, reply):
            return
        flight = self._begin(call, reply)
        try:
            if is_large(flight):
                await self._turns.take(self._identify(flight))
            else:
                at_once(self._identify(flight))
            pinned = await self._pinned(flight) if flight.pin is not None else None
            self._resolve(flight, pinned)
            if self._guard(flight):
                return
            caps = caps_of(flight)
            self._inject(flight, caps)
            is_over = False
            while not is_over:
                hold = self._hold(flight, caps)
                is_over = True
                try:
                    if not hold.is_durable:
                        await hold.place()
                    flight.answer = await self._forward(flight, hold)
                    if (rest := self._deliver(flight)) is not None:
                        await rest
                except (UpstreamError, ClientGone) as end:
                    if not self._broke(flight, hold, end):
                        raise
                    is_over = False
                finally:
                    self._meter(flight, hold)
                    hold.close()
        except (Refusal, UpstreamError, ClientGone) as failure:
            await self._answer_failure(flight, failure)
        except asyncio.CancelledError:
            flight.failed("error", "proxy_stopped")
            raise
        except Exception as error:
            self._parts.on_error(error)
            self._refuse(flight, Refusal("proxy_error", "the proxy failed on this call; its log says more"))
        finally:
            self._end(flight)

    def refuse_unread(self, call: Call, reply: Reply, unread: Unread) -> None:
        """Answer a request that the listener could not take, of which `call` is what came: a refused call like any other."""
        flight = self._begin(call, reply)
        know_caller(flight, self._parts.routes, self._parts.live, self._options.default_agent)
        again = unread.retry_after_seconds
        self._refuse(flight, Refusal(unread.code, unread.message, status=unread.status, retry_after_seconds=again))
        if again is None:  # whatever its status: it is the caller's to mend
            flight.failed("refused", unread.code)
        self._end(flight)

    def cut(self, switch: Switch) -> int:
        """Break off the calls in flight that a switch matches; how many there were."""
        running = [flight for flight in self._flights if flight.facts and not flight.has_stream_ended()]
        matching = [flight for flight in running if flight.facts and switch.scope.may_match(flight.facts)]
        cut = Cut(switched_off(switch), "client_left", "switched_off")
        for flight in matching:
            break_off(flight, cut)
        return len(matching)

    def stop(self) -> None:
        """Break off every call in flight: this process ends and can wait no longer."""
        for flight in list(self._flights):
            break_off(flight, STOPPED)

    def _begin(self, call: Call, reply: Reply) -> Flight:
        flight = Flight(call, reply, self._parts.identifiers.new("run"), self._parts.clock)
        if flight.fields.origin is not None:
            flight.origin_lines = self._origins.lines(flight.fields.origin)
        self._flights.add(flight)
        return flight

    def _identify(self, flight: Flight) -> Steps[None]:
        if not self._parts.live.is_loaded:
            raise Unavailable(
                "not_ready", "the proxy has not loaded its agents and switches yet; try again", retry_after_seconds=5
            )
        fields = flight.fields
        if fields.traceparent is not None:
            flight.trace_id = trace_id(fields.traceparent)
        options = self._options
        try:
            if fields.upgrade is not None:
                check_upgrade(flight.call.method, fields.upgrade)
            route = flight.route = self._parts.routes.of(flight.call, flight.fields)
            is_named = options.default_agent is not None or not options.passes_unassigned
            claims = yield from read_request(flight, route, options.body_bytes, is_named=is_named)
            flight.caller = identify(route.agent, fields.identity, claims, options.default_agent, options.prompt_ids)
        except Refusal:
            know_caller(flight, self._parts.routes, self._parts.live, options.default_agent)
            raise
        if flight.caller.agent is None and not options.passes_unassigned:
            raise BadInput(
                "agent_missing", "this proxy serves only calls that name an agent: put /a/NAME in the base URL"
            )

    async def _pinned(self, flight: Flight) -> Version | None:
        """The version a caller pinned, which is all of resolving that may have to be waited for; None: there is none."""
        caller = flight.caller
        assert caller is not None
        assert caller.agent is not None
        assert caller.pin is not None
        state = self._parts.live.agent(caller.agent)
        return None if state is None else await self._parts.live.version(state, caller.pin)

    def _resolve(self, flight: Flight, pinned: Version | None) -> None:
        caller = flight.caller
        assert caller is not None
        if caller.agent is None:
            return
        state = required_agent(self._parts.live.agent(caller.agent), caller.agent)
        assert flight.route is not None
        flight.known_agent = caller.agent
        if not flight.route.operation.is_in_force:
            flight.unapplied = resolve(state, caller, pinned=pinned)
            flight.passed = Passed(caller.agent, flight.unapplied.label)
            return
        began_on = self._conversation_arm(caller, state, flight.started_at)
        flight.resolution = resolution = resolve(state, caller, pinned=pinned, conversation_arm=began_on)
        if began_on is None and caller.conversation is not None and resolution.in_analysis:
            where = (caller.agent, resolution.rollout or "", caller.conversation)
            self._parts.conversations.remember(*where, resolution.arm or "", flight.started_at)

    def _conversation_arm(self, caller: Caller, state: AgentState, now_microseconds: int) -> str | None:
        if caller.conversation is None or caller.pin is not None or not state.rollouts:
            return None
        rollout = state.rollouts.get(caller.label or state.agent.default_label)
        if rollout is None:
            return None
        return self._parts.conversations.arm(state.agent.name, rollout.id, caller.conversation, now_microseconds)

    def _guard(self, flight: Flight) -> bool:
        """Do what a switch that touches this call asks for: True when the call is answered with that. One that blocks is raised."""
        switch = guard(flight, self._parts.live, self._lanes)
        if switch is None:
            return False
        if switch.mode == "observe":
            self._parts.metrics.observed_switches.inc()
            return False
        answer_with_text(flight, switch.reply_text or "", self._parts.clock)
        flight.failed("refused", "switch_reply")
        self._parts.metrics.refused(flight.agent_label, "switch_reply")
        return True

    def _inject(self, flight: Flight, caps: tuple[Cap, ...]) -> None:
        request, route, caller = flight.request, flight.route, flight.caller
        if route is None or caller is None:
            return
        if not route.operation.is_metered:
            pass_body(flight, self._parts.live)
            return
        bounds_output = needs_ceiling(caps)
        if flight.problem is not None:
            if bounds_output:
                raise flight.problem
            pass_unjudged(flight)
        elif request is not None:
            assert flight.provider is not None
            version = flight.fields.api_version
            is_counted = flight.resolution is not None or needs_bound(caps)
            plan = InjectionPlan(
                bundle=None if flight.resolution is None else flight.resolution.version.bundle,
                variables=caller.variables,
                output_ceiling=self._options.output_ceiling if bounds_output else None,
                wire_version=None if version is None else version.decode("latin-1"),
                asks_usage=is_counted and flight.provider.takes_stream_options,
            )
            flight.injection = route.wire.inject(request, plan)
        if (injection := flight.injection) is None:
            return
        if injection.ignored_variables:
            self._parts.metrics.ignored_variables.inc(injection.ignored_variables)
        assert flight.provider is not None
        flight.price = self._parts.prices.price(flight.provider, injection.model, injection.service_tier)

    def _hold(self, flight: Flight, caps: tuple[Cap, ...]) -> Ticket:
        assert flight.facts is not None
        bound = UNMETERED
        if (
            needs_bound(caps)
            and flight.request is not None
            and flight.injection is not None
            and flight.route is not None
            and flight.route.operation.is_metered
        ):
            bound = hold_bound(flight.route.wire, flight.request, flight.injection, flight.price)
        attempt = flight.attempt_id if flight.earlier_attempts else flight.run_id
        return self._parts.ledger.hold(attempt, caps, flight.facts, bound)

    def _forward(self, flight: Flight, hold: Ticket) -> Awaitable[Answer]:
        """Send it; what is awaited is the head of the answer."""
        provider = flight.provider
        assert provider is not None
        target, headers, body = outgoing(flight)
        if flight.broke_off:  # while the hold was written: nothing is sent, so nothing is charged
            raise ClientGone(request_sent=False)
        flight.sent_at = self._parts.clock.monotonic_microseconds()
        flight.sent_bytes = len(body)
        hold.sent = True
        anew = bool(flight.earlier_attempts)
        return self._parts.upstream.send(provider, flight.call.method, target, headers, body, flight.reply, anew=anew)

    def _deliver(self, flight: Flight) -> Awaitable[None] | None:
        if is_model_list(flight):
            return deliver_model_list(flight, self._parts.live.current)
        if flight.lane is not None and flight.lane.validators:
            flight.kept = self._parts.validation.keep()
        return deliver(flight)

    def _broke(self, flight: Flight, hold: Ticket, end: UpstreamError | ClientGone) -> bool:
        """Note how the attempt ended; whether another may follow."""
        hold.sent = end.request_sent
        if isinstance(end, UpstreamError):
            failure = provider_failed(flight, end)
            self._parts.metrics.upstream_failed(failure.provider, failure.reason)
            flight.failed("error", failure.code)
        if flight.earlier_attempts or not may_try_again(end, flight.call.method):
            return False
        flight.try_again()
        return True

    def _meter(self, flight: Flight, hold: Ticket) -> None:
        """Settle what was held; runs also when the answer broke off or nobody waits for it any more."""
        if flight.broke_off and not flight.has_stream_ended():
            cut = flight.cut
            flight.failed(*("client_left", "client_left") if cut is None else (cut.result, cut.error_class))
            if flight.answer is not None:
                flight.answer.close()
        facts, answer = flight.answer_facts, flight.answer
        if answer is not None and (answer.status >= 300 or (facts is not None and facts.is_bare_error)):
            # Providers do not bill a call they redirect, refuse or fail before it began, whatever status they say it with.
            hold.settle(Spent())
        elif not hold.sent or flight.route is None:
            return
        elif not flight.route.operation.is_metered:
            if flight.route.operation.is_billable:
                flight.usage_source = "unmetered"
        elif flight.injection is not None:
            answered = None if facts is None else facts.model
            if answered is not None and answered != flight.injection.model and flight.lane is not None:
                self._lanes.answered(flight.lane, flight.injection.model or "", answered)
            served = None if facts is None else facts.service_tier
            tier = flight.injection.service_tier if served is None else served
            asked, prices = flight.injection.model, self._parts.prices
            price = None if flight.provider is None else prices.served_price(flight.provider, asked, answered, tier)
            settle(flight, hold, price)

    async def _answer_failure(self, flight: Flight, failure: Refusal | UpstreamError | ClientGone) -> None:
        if isinstance(failure, ClientGone):
            return
        if flight.pin is not None and flight.resolution is None:
            await know_pinned(flight, self._parts.live)
        if not flight.broke_off:
            self._refuse(flight, failure)

    def _refuse(self, flight: Flight, failure: Refusal | UpstreamError) -> None:
        refusal = provider_failed(flight, failure) if isinstance(failure, UpstreamError) else failure
        if flight.sent_at is None and refusal.status < 500:
            flight.failed("refused", refusal.code)
        elif flight.result != "error":
            flight.failed("error", refusal.code)
        answer_with_refusal(flight, refusal, self._wire_of(flight))
        self._parts.metrics.refused(flight.agent_label, refusal.code)

    def _end(self, flight: Flight) -> None:
        if flight.cut is not None:
            answer_with_refusal(flight, flight.cut.refusal, self._wire_of(flight))
        self._flights.discard(flight)
        self._record(flight)

    def _wire_of(self, flight: Flight) -> Wire | None:
        if flight.route is not None:
            return flight.route.wire
        return self._parts.routes.known_wire(flight.call.target, flight.fields.family)

    def _record(self, flight: Flight) -> None:
        run = flight.to_run()
        if flight.lane is not None:
            series = flight.lane.series
        else:
            labels = RunLabels(flight.agent_label, OTHER, "", "", OTHER)
            if flight.resolution is not None:
                labels = self._lanes.labels_of(flight.resolution, "")
            series = self._parts.metrics.runs.series(labels)
        series.finished(run)
        self._parts.recorder.record(run, flight.attempts_apart(run))
        if flight.kept is not None and flight.lane is not None:
            self._parts.validation.finished(run, flight.kept, flight.lane.validators)
