"""The demo's story: a good version, a candidate that is promoted and a worse one that is taken back, both on evidence; a
rollback by hand, a cap, a kill switch; and what came of it.

Each step is one command a person would type, sent to the admin API as that command would. At the end the answers the users
got are judged: did the candidate get its share, and did anybody get the bad version after it was taken back?
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from proxy.cli.admin_client import AdminClient, Document
from proxy.cli.demo_screen import Screen, ScreenRow
from proxy.cli.demo_traffic import USERS, DemoAnswer, Traffic

AGENT = "support-triage"
CANARY_PERCENT = 10.0
#: Three standard deviations of a tenth of the users.
_TOLERANCE_PERCENT = 4.5
_PATIENCE_SECONDS = 30.0
_TICK_SECONDS = 0.15
_TRIAL_CALLS = 5

# The marker is an order to the simulator, which is told by the prompt how to answer: so a bad prompt can behave badly.
_GOOD = "You route support tickets. Answer with the name of one team. [[simulate: output_tokens=40]]"
_BETTER = "You route support tickets. Answer with a team and one reason. [[simulate: output_tokens=50]]"
_WORSE = "You route support tickets. Think aloud, weigh every team. [[simulate: output_tokens=160; error_rate=0.3]]"


async def tell(api: AdminClient, traffic: Traffic, screen: Screen, length_seconds: float) -> list[str]:
    """Play the story in about `length_seconds`; what went wrong, in sentences."""
    return await _Story(api, traffic, screen, length_seconds).play()


def canary_problems(answers: Sequence[DemoAnswer]) -> list[str]:
    """What is wrong with the answers to calls sent while the canary ran; nothing where the list is empty."""
    problems: list[str] = []
    lucky = {answer.user for answer in answers if answer.version == 2}
    share = 100 * len(lucky) / max(1, len({answer.user for answer in answers}))
    if abs(share - CANARY_PERCENT) > _TOLERANCE_PERCENT:
        problems.append(f"{share:.1f}% of the users got the canary, not about {CANARY_PERCENT:g}%")
    if lucky & {answer.user for answer in answers if answer.version == 1}:
        problems.append("a user got both versions while the canary ran")
    return problems


def rollback_problems(answers: Sequence[DemoAnswer], version: int) -> list[str]:
    """What is wrong with the answers to calls sent after the rollback of `version` was confirmed."""
    late = sum(answer.version == version for answer in answers)
    return [f"{late} calls sent after the rollback were answered by version {version}"] if late else []


def switch_problems(answers: Sequence[DemoAnswer]) -> list[str]:
    """What is wrong with the answers to calls sent while the kill switch was on."""
    passed = sum(answer.is_served for answer in answers)
    return [f"{passed} calls sent while the kill switch was on were served"] if passed else []


class _Story:
    """The steps, in order; each looks on until it has seen what it is about."""

    def __init__(self, api: AdminClient, traffic: Traffic, screen: Screen, length_seconds: float) -> None:
        self._api = api
        self._traffic = traffic
        self._screen = screen
        self._length_seconds = length_seconds
        self._now = asyncio.get_running_loop().time
        self._started_at = self._now()
        self._problems: list[str] = []

    async def play(self) -> list[str]:
        await self._first_version()
        await self._better()
        await self._worse()
        await self._rollback()
        await self._cap()
        await self._kill()
        self._screen.tell("")
        self._screen.tell("All of it went as it should." if not self._problems else "It did not go as it should.")
        return self._problems

    async def _first_version(self) -> None:
        self._say(f"{USERS} users call the proxy; it asks a simulated provider. No key, no network.")
        await self._command(
            f"switchback agents create {AGENT}", "POST", "/agents", {"agent": AGENT, "description": "Routes tickets"}
        )
        await self._version("good.md", _GOOD, None)
        await self._command(f"switchback label {AGENT} prod 1", "PUT", f"/agents/{AGENT}/labels/prod", {"version": 1})
        since = self._now()
        await self._watch(0.08, lambda: self._seen(since, lambda answer: answer.is_served), "version 1 served nobody")

    async def _better(self) -> None:
        """A candidate that is no worse goes up its steps and is promoted, on what its runs said."""
        await self._version("better.md", _BETTER, 1)
        rollout, since = await self._ramp("better-plan.yaml", 2, (CANARY_PERCENT, 0.14, 40), (50.0, 0.05, 40))
        first_share_until = self._now()
        while (shown := await self._shown(rollout)).get("state") == "running":
            if shown.get("step") == 0:
                first_share_until = self._now()
            if not await self._look(since, "the better version was not promoted"):
                return
        answers = [answer for answer in self._since(since) if answer.sent_at < first_share_until]
        lucky = len({answer.user for answer in answers if answer.version == 2})
        self._say(
            f"At {CANARY_PERCENT:g}% version 2 went to {lucky} of {len({a.user for a in answers})} users who called."
        )
        self._say_verdict(shown)
        self._problems += canary_problems(answers)
        if shown.get("state") != "promoted":
            self._problems.append(f"the better version was {shown.get('state')}, not promoted")

    async def _worse(self) -> None:
        """A candidate that fails is taken back by the controller, with nobody at the keyboard."""
        await self._version("worse.md", _WORSE, 2)
        rollout, since = await self._ramp("worse-plan.yaml", 3, (CANARY_PERCENT, 0.5, 200), (50.0, 0.1, 60))
        while (shown := await self._shown(rollout)).get("state") == "running":
            if not await self._look(since, "the worse version was not taken back"):
                return
        effective_at = self._now()
        failed = sum(answer.version == 3 and not answer.is_served for answer in self._since(since))
        self._say_verdict(shown)
        self._say(f"Nobody typed anything: {self._now() - since:.1f} s after its start, and {failed} failed calls.")
        await self._watch(
            0.08, lambda: self._all_answered(effective_at), "not every user was answered after it was taken back"
        )
        self._problems += rollback_problems(self._since(effective_at), 3)
        if shown.get("state") != "rolled_back":
            self._problems.append(f"the worse version was {shown.get('state')}, not taken back")

    async def _ramp(self, file: str, candidate: int, *steps: tuple[float, float, int]) -> tuple[str, float]:
        """Start a rollout by a plan of (percentage, share of the story's length, runs); its id, and since when it runs."""
        plan: Document = {
            "steps": [
                {
                    "percentage": percentage,
                    "min_duration": round(share * self._length_seconds, 1),
                    "min_runs": runs,
                    "min_users": 10,
                }
                for percentage, share, runs in steps
            ],
            "guards": {"errors": {}, "refusals": {}},
            "hard_triggers": [],
        }
        words = f"switchback rollout start {AGENT} --candidate {candidate} --plan {file}"
        body: Document = {"label": "prod", "candidate": candidate, "plan": plan}
        started = await self._command(words, "POST", f"/agents/{AGENT}/rollouts", body)
        shares = " → ".join(f"{percentage:g}%" for percentage, _, _ in steps)
        self._say(f"{shares} of the users; guarded by errors and refusals.")
        return str(started.get("id")), self._now()

    async def _shown(self, rollout: str) -> Document:
        path = f"/agents/{AGENT}/rollouts/{rollout}"
        return (await asyncio.to_thread(self._api.request, "GET", path))[1]

    async def _look(self, since: float, problem: str) -> bool:
        """One look at the traffic; False, and `problem` is said, when it has taken too long."""
        if self._now() > since + _PATIENCE_SECONDS + self._length_seconds:
            self._problems.append(problem)
            return False
        await asyncio.sleep(_TICK_SECONDS)
        await self._frame()
        return True

    def _say_verdict(self, shown: Document) -> None:
        progress = cast("Document", shown.get("progress") or {})
        self._say(f"rollout-controller: {progress.get('sentence')}")

    async def _rollback(self) -> None:
        commanded_at = self._now()
        answer = await self._command(
            f'switchback rollback {AGENT} --to 1 --why "too chatty"', "POST", f"/agents/{AGENT}/rollback", {"to": 1}
        )
        effective_at = self._now()
        self._say(
            f"Answered after {1000 * (effective_at - commanded_at):.0f} ms: version {answer.get('version')} serves."
        )
        everybody = "not every user was answered after the rollback"
        await self._watch(0.12, lambda: self._all_answered(effective_at), everybody)
        after = self._since(effective_at)
        last = max((answer.ended_at for answer in self._traffic.answers if answer.version == 2), default=0.0)
        milliseconds = max(0.0, 1000 * (last - commanded_at))
        self._say(
            f"The last answer of version 2 ended {milliseconds:.0f} ms after the command: calls in flight finish."
        )
        late = sum(answer.version == 2 for answer in after)
        self._say(f"Sent after the rollback and answered by version 2: {late} calls.")
        self._problems += rollback_problems(after, 2)

    async def _cap(self) -> None:
        cap = await self._command(
            f"switchback caps set --agent {AGENT} --tag plan=trial --unit calls --window total --limit {_TRIAL_CALLS}",
            "POST",
            "/caps",
            {
                "scope": {"agent": AGENT, "tag": "plan=trial"},
                "window": "total",
                "unit": "calls",
                "limit": _TRIAL_CALLS,
                "at_limit": "block",
            },
        )
        since = self._now()
        await self._watch(
            0.12, lambda: self._seen(since, lambda answer: answer.status == 402), "the cap refused nobody"
        )
        refused = sum(answer.status == 402 for answer in self._since(since))
        self._say(
            f"Trial users had {_TRIAL_CALLS} calls together, then got 402: {refused} calls. Others saw nothing of it."
        )
        await self._command(f"switchback caps end {cap.get('id')}", "DELETE", f"/caps/{cap.get('id')}", {"why": "demo"})

    async def _kill(self) -> None:
        switch = await self._command(
            f'switchback kill --agent {AGENT} --why "a test"',
            "POST",
            "/switches",
            {"scope": {"agent": AGENT}, "mode": "block"},
        )
        since = self._now()
        await self._watch(
            0.08, lambda: self._seen(since, lambda answer: answer.status == 403), "the switch stopped nobody"
        )
        stopped = self._since(since)
        passed, refused = (sum(answer.status == status for answer in stopped) for status in (200, 403))
        self._say(f"While the switch was on, {refused} calls got 403 and {passed} were served.")
        self._problems += switch_problems(stopped)
        await self._command(
            f"switchback restore {switch.get('id')}", "DELETE", f"/switches/{switch.get('id')}", {"why": "a test"}
        )
        since = self._now()
        await self._watch(0.1, lambda: self._seen(since, lambda answer: answer.is_served), "nobody is served again")
        self._say("Served again with the next call.")

    async def _version(self, file_name: str, prompt: str, parent: int | None) -> None:
        body = {
            "parent": parent,
            "message": file_name,
            "prompt": {"text": prompt},
            "model": {"provider": "openai", "name": "gpt-4o-mini"},
        }
        words = f"switchback versions create {AGENT} --prompt-file {file_name} --provider openai --model gpt-4o-mini"
        await self._command(words, "POST", f"/agents/{AGENT}/versions", body)

    async def _command(self, words: str, method: str, path: str, body: Mapping[str, Any]) -> Document:
        """Show the command and do what it does, in a thread, because the proxy lives in this one's event loop."""
        self._screen.tell(f"$ {words}")
        if method == "DELETE":
            return (await asyncio.to_thread(self._api.request, method, path, query=body))[1]
        given = body if path.endswith("/versions") else {"why": "demo", **body}
        return (await asyncio.to_thread(self._api.request, method, path, given))[1]

    async def _watch(self, share: float, is_enough: Callable[[], bool], problem: str) -> None:
        """Look on for a share of the story's length and until it is enough; `problem` is said if it never is."""
        least, most = self._now() + share * self._length_seconds, self._now() + _PATIENCE_SECONDS + self._length_seconds
        while self._now() < least or not is_enough():
            if self._now() > most:
                self._problems.append(problem)
                return
            await asyncio.sleep(_TICK_SECONDS)
            await self._frame()

    async def _frame(self) -> None:
        costs = await self._traffic.costs()
        answers = self._traffic.answers
        recent = [answer for answer in self._since(self._now() - 2.0) if answer.version is not None]
        rows: list[ScreenRow] = []
        for version in sorted({answer.version for answer in answers if answer.version is not None}):
            own = [answer for answer in answers if answer.version == version]
            rows.append(
                ScreenRow(
                    version=version,
                    share_percent=100 * sum(answer.version == version for answer in recent) / max(1, len(recent)),
                    calls=len(own),
                    errors=sum(not answer.is_served and not answer.is_refused for answer in own),
                    refused=sum(answer.is_refused for answer in own),
                    cost_usd=costs.get(version, 0.0),
                )
            )
        self._screen.frame(self._now() - self._started_at, rows)

    def _say(self, text: str) -> None:
        self._screen.tell(f"  {text}")

    def _since(self, moment: float) -> list[DemoAnswer]:
        """Answers to calls sent after `moment`."""
        return [answer for answer in self._traffic.answers if answer.sent_at >= moment]

    def _seen(self, since: float, wanted: Callable[[DemoAnswer], bool]) -> bool:
        return any(wanted(answer) for answer in self._since(since))

    def _all_answered(self, since: float) -> bool:
        return len({answer.user for answer in self._since(since)}) == USERS
