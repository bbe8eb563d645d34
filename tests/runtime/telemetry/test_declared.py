"""Every family of /metrics is declared once, with what becomes of it over several processes."""

from typing import get_args

import pytest
from prometheus_client import Gauge

from proxy.runtime.telemetry.declared import DECLARED, PROCESS_LABEL, Declared, Merge
from proxy.runtime.telemetry.metrics import Metrics

FAMILIES = sorted(DECLARED.values())


def undeclared(metrics: Metrics) -> set[str]:
    return {family.name for family in metrics.registry.collect()} - DECLARED.keys()


def test_there_is_no_family_without_a_row_and_no_row_without_a_family() -> None:
    metrics = Metrics("t")
    assert undeclared(metrics) == set()
    assert {family.name for family in metrics.registry.collect()} == DECLARED.keys()


def test_a_family_that_is_made_beside_the_table_is_found() -> None:
    metrics = Metrics("t")
    Gauge("switchback_unheard_of", "Nobody declared it.", registry=metrics.registry)
    assert undeclared(metrics) == {"switchback_unheard_of"}


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_row_says_how_processes_are_merged_and_can_be_read(family: Declared) -> None:
    assert family.merge in get_args(Merge)
    assert family.help.endswith(".")
    assert PROCESS_LABEL not in family.labels
    # The greatest of totals, or of distributions, is nobody's.
    assert family.kind == "gauge" or family.merge != "greatest"


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_what_is_told_of_each_process_is_what_the_kernel_tells(family: Declared) -> None:
    assert (family.merge == "each") == family.name.startswith("process_")
