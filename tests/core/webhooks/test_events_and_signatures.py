"""What is told of a change, and the signature that receivers check."""

import base64

import pytest

from proxy.core.proof.audit import AuditDraft, seal
from proxy.core.webhooks.events import SUBJECTS, WebhookEvent, event_of, slack_text
from proxy.core.webhooks.signing import PAUSES_SECONDS, pause_seconds, secret_bytes, signature


def test_the_signature_is_that_of_the_standards_own_vector() -> None:
    # From the test of the reference libraries of standardwebhooks.com.
    key = secret_bytes("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    body = b'{"test": 2432232314}'
    signed = signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize(
    "secret",
    ["", "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_short", "whsec_" + base64.b64encode(b"x" * 65).decode()],
)
def test_an_empty_or_weak_secret_is_none(secret: str) -> None:
    with pytest.raises(ValueError, match="whsec_"):
        secret_bytes(secret)


def test_tries_come_seldomer_and_end() -> None:
    assert [pause_seconds(tries) for tries in range(1, len(PAUSES_SECONDS) + 2)] == [*PAUSES_SECONDS, None]
    assert list(PAUSES_SECONDS) == sorted(PAUSES_SECONDS)
    assert sum(PAUSES_SECONDS) / 86_400 == pytest.approx(2.15, abs=0.1)


def entry(what: str, **members: object) -> WebhookEvent | None:
    draft = AuditDraft(who="ana", what=what, subject="agents/a/labels/prod", why="a test", at_microseconds=0, **members)  # type: ignore[arg-type]
    return event_of(seal(draft, 7, "0" * 64))


@pytest.mark.parametrize("what", ["token.created", "agent.created", "version.created", "runs.quarantined"])
def test_what_nobody_asked_for_is_no_event(what: str) -> None:
    assert entry(what) is None


def test_an_event_has_the_sentence_of_its_evidence_and_the_same_id_every_time() -> None:
    evidence = [
        {"kind": "change", "id": "x"},
        {"kind": "rollout", "id": "r1", "sentence": "candidate errors 31 of 412"},
    ]
    first, second = entry("rollout.aborted", evidence=evidence), entry("rollout.aborted", evidence=evidence)
    assert first is not None
    assert first == second
    assert first.id.startswith("msg_")
    assert first.data["sentence"] == "candidate errors 31 of 412"
    assert first.document()["type"] == "rollout.aborted"
    assert first.subjects <= set(SUBJECTS)


def test_a_rollout_that_is_taken_back_is_of_its_label_and_of_rollouts() -> None:
    taken_back, by_hand = (entry("label.rolled_back", after={"rollout": rollout}) for rollout in ("r1", None))
    assert taken_back is not None
    assert by_hand is not None
    assert taken_back.subjects == {"label", "rollout"}
    assert by_hand.subjects == {"label"}


def test_a_text_for_slack_calls_nobody_and_makes_no_link() -> None:
    event = WebhookEvent(
        "msg_1", "switch.on", 0, {"who": "ana", "subject": "switches/1", "why": "<!channel> & <http://x|y>"}
    )
    assert slack_text(event) == "switch.on · switches/1 by ana\n&lt;!channel&gt; &amp; &lt;http://x|y&gt;"
