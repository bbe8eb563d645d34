"""What somebody may have meant: the nearest word there is, in any case, and none where none is near."""

import pytest

from proxy.core.nearest import did_you_mean, nearest, nearest_of


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("agnt", "agent"),
        ("AGENT", "agent"),
        ("prod", "Prod"),
        ("europe/berln", "Europe/Berlin"),
        ("zzz", None),
        (7, None),
    ],
)
def test_the_nearest_is_told_as_it_is_spelled(given: object, meant: str | None) -> None:
    known = ("agent", "version", "Prod", "Europe/Berlin", "7")
    assert nearest(given, known) == meant
    assert did_you_mean(given, known) == (meant and f"did you mean {meant}?")
    assert nearest_of(given, known) == (f"; did you mean {meant}?" if meant else "")


def test_what_is_longer_than_a_name_is_compared_with_nothing() -> None:
    assert nearest("agent" * 20, ("agent" * 20,)) is None


def test_how_near_it_must_be_can_be_said() -> None:
    assert nearest("mod", ("temperature", "model_id"), near=0.5) == "model_id"
    assert nearest("mod", ("temperature", "model_id"), near=0.7) is None
