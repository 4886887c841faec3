"""The simulation notices planted faults within a few histories; which it misses is written down."""

import pytest

from tests.faults.catches import NOTICED
from tests.faults.registry import FAULTS
from tests.faults.simulated import planted_in_simulation
from tests.simulation.run import run_seed

SEEDS_MAX = 60
"""Histories within which a fault must show; docs/reference/proof.md has what was measured."""


def test_only_known_faults_are_said_to_be_noticed() -> None:
    assert set(NOTICED) <= set(FAULTS)


@pytest.mark.parametrize("name", NOTICED)
def test_the_simulation_notices_a_planted_fault(name: str) -> None:
    with planted_in_simulation(name):
        is_noticed = any(run_seed(seed).violations for seed in range(SEEDS_MAX))
    assert is_noticed, f"{name}: {SEEDS_MAX} histories are clean"


def test_without_a_fault_the_same_histories_are_clean() -> None:
    assert [run_seed(seed).violations for seed in range(SEEDS_MAX // 4)] == [[]] * (SEEDS_MAX // 4)
