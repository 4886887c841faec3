"""Which check catches which fault: tests that are there anyway, chosen because they are fast."""

from collections.abc import Mapping
from typing import Any

import msgspec

CONSUMER = "tests/integration/test_consumer.py"
CHECKOUT = "tests/integration/test_checkout.py"
BATCH = "tests/integration/test_batch.py"
STOCK = "tests/integration/test_stock_at_once.py"


class Catch(msgspec.Struct, frozen=True):
    """A test by its path, and the parameters it is run with."""

    test: str
    given: Mapping[str, Any] = {}
    fails_with: str = "AssertionError"
    """The class of what the test fails with; anything else would be a fault of the plant."""


CATCHES: dict[str, Catch] = {
    "reserved_outside_the_lock": Catch(
        f"{STOCK}::test_two_transactions_at_once_never_promise_the_same_unit"
    ),
    "iterator_read_twice": Catch(
        "tests/unit/test_inventory_model.py::test_a_refused_order_takes_nothing_and_names_what_lacks"
    ),
    "partial_reservation_kept": Catch(f"{CHECKOUT}::test_all_lines_or_none"),
    "reservation_released_twice": Catch(f"{STOCK}::test_what_was_released_is_not_released_again"),
    "repeated_sku_counted_once": Catch(f"{STOCK}::test_a_sku_on_two_lines_is_taken_for_both"),
    "inbox_skipped": Catch(f"{CONSUMER}::test_a_delivery_that_comes_again_has_no_second_effect"),
    "outbox_insert_dropped": Catch(
        f"{CONSUMER}::test_every_event_is_heard_once_and_in_the_order_of_its_key"
    ),
    "position_moved_in_another_transaction": Catch(
        "tests/integration/test_consumer_outage.py"
        "::test_an_outage_in_the_middle_of_a_batch_loses_no_message"
    ),
    "lease_without_fencing": Catch(
        f"{CONSUMER}::test_a_worker_that_wakes_up_after_its_lease_commits_nothing",
        fails_with="Failed",
    ),
    "poison_blocks_its_partition": Catch(
        f"{CONSUMER}::test_a_poison_message_is_parked_and_blocks_nobody_but_its_own_key",
        fails_with="Unavailable",
    ),
    "followers_overtake_a_parked_message": Catch(
        f"{CONSUMER}::test_a_parked_message_is_tried_again_and_its_followers_come_in_order"
    ),
    "retry_loses_the_tenant": Catch(
        "tests/integration/test_consumer_outage.py"
        "::test_an_order_whose_message_was_parked_still_reaches_its_end"
    ),
    "full_fetch_skips_the_rest": Catch(
        f"{CONSUMER}::test_what_is_more_than_one_fetch_takes_is_heard_by_the_next"
    ),
    "reader_passes_running_transactions": Catch(
        f"{CONSUMER}::test_nothing_is_skipped_while_an_older_transaction_is_open"
    ),
    "stages_ignore_the_order_of_keys": Catch(
        "tests/unit/test_plan_stages.py"
        "::test_every_event_is_in_one_run_of_its_type_and_keys_keep_their_order"
    ),
    "inbox_pruned_before_the_events": Catch(
        "tests/integration/test_pruning.py::test_what_can_still_be_read_is_still_known"
    ),
    "acknowledged_before_commit": Catch(
        "tests/integration/test_batch_commit.py"
        "::test_what_fails_as_the_last_thing_before_the_commit_is_not_answered_with_success"
    ),
    "key_stored_after_the_effect": Catch(
        f"{BATCH}::test_equal_requests_at_the_same_instant_have_one_effect_and_one_answer"
    ),
    "neighbours_get_the_error": Catch(
        f"{BATCH}::test_a_command_that_breaks_the_handler_fails_alone"
    ),
    "refused_request_keeps_its_key": Catch(
        f"{BATCH}::test_a_refused_request_gives_its_key_back", fails_with="Unavailable"
    ),
    "move_without_comparing": Catch(
        f"{CHECKOUT}::test_a_confirmed_order_that_is_cancelled_gives_goods_and_money_back"
    ),
    "compensation_skipped": Catch(f"{CHECKOUT}::test_a_declined_card_frees_the_goods"),
    "deadline_ignored": Catch(f"{CHECKOUT}::test_an_unpaid_order_expires_and_frees_its_goods"),
    "cancellation_keeps_the_payment": Catch(
        f"{CHECKOUT}::test_a_confirmed_order_that_is_cancelled_gives_goods_and_money_back"
    ),
    "captured_without_an_idempotency_key": Catch(
        "tests/unit/test_payments_handlers.py"
        "::test_an_answer_that_was_lost_in_a_crash_is_asked_for_again_and_charged_once"
    ),
    "callback_settled_twice": Catch(
        "tests/unit/test_payments_model.py"
        "::test_money_that_arrives_after_the_end_goes_back_once_and_is_not_told",
        {"status": "withdrawn"},
    ),
    "unknown_taken_as_declined": Catch(
        "tests/unit/test_payments_handlers.py::test_a_time_out_is_unknown_until_a_look_tells",
        {"card": "4000009904000000", "status": "captured"},
    ),
    "late_money_kept": Catch(
        "tests/unit/test_payments_model.py"
        "::test_money_that_arrives_after_the_end_goes_back_once_and_is_not_told",
        {"status": "declined"},
    ),
    "refund_at_todays_price": Catch(
        "tests/integration/test_return_refunds.py::test_a_return_is_refunded_at_what_was_paid"
    ),
    "unsigned_callback_believed": Catch(
        "tests/unit/test_sandbox_callbacks.py::test_another_secret_or_another_body_does_not_fit"
    ),
    "wall_missing_on_one_table": Catch(
        "tests/integration/test_walls.py::test_no_tenant_table_is_without_a_wall"
    ),
}

NOTICED = (
    "iterator_read_twice",
    "partial_reservation_kept",
    "repeated_sku_counted_once",
    "inbox_skipped",
    "outbox_insert_dropped",
    "position_moved_in_another_transaction",
    "lease_without_fencing",
    "full_fetch_skips_the_rest",
    "key_stored_after_the_effect",
    "refused_request_keeps_its_key",
    "move_without_comparing",
    "compensation_skipped",
    "deadline_ignored",
    "cancellation_keeps_the_payment",
    "captured_without_an_idempotency_key",
    "unknown_taken_as_declined",
)
"""Faults that the simulation shows in at least eight of a hundred histories: each commit tries."""
