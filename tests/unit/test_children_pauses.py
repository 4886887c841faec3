"""How long a child that died rests before it is started again."""

import math

from serai.cli.children import (
    BACKOFF_FIRST_S,
    BACKOFF_MAX_S,
    BACKOFF_UNREACHED_S,
    STABLE_S,
    pause_after,
)
from serai.cli.console import FAILED, UNAVAILABLE

KILLED = -9


def test_one_that_was_well_is_started_again_at_once_however_often_it_died_before() -> None:
    assert pause_after(BACKOFF_MAX_S, ready_s=STABLE_S, code=KILLED) == 0.0


def test_one_that_never_is_ready_rests_longer_each_time_up_to_a_bound() -> None:
    pauses, pause_s = [], 0.0
    for _ in range(8):
        pause_s = pause_after(pause_s, ready_s=-math.inf, code=FAILED)
        pauses.append(pause_s)
    assert pauses[:3] == [BACKOFF_FIRST_S, 2 * BACKOFF_FIRST_S, 4 * BACKOFF_FIRST_S]
    assert pauses[-1] == BACKOFF_MAX_S


def test_one_that_waits_for_something_looks_again_soon() -> None:
    assert pause_after(8.0, ready_s=-math.inf, code=UNAVAILABLE) == BACKOFF_UNREACHED_S
