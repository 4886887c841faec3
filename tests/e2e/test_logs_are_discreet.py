"""No log of any process holds what is a person's or opens a door, whatever goes well or ill."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from serai.contexts.payments.gateways import sandbox_cards
from serai.kernel.embedded import EmbeddedPostgres
from tests.e2e.processes import free_ports, wait_until
from tests.e2e.shop import Shop, bearer, keyed, order_of, product_of

MARKS = {
    "an address": "zaphira.quillfeather@mail.example",
    "a name": "Zaphira Quillfeather",
    "a customer": "customer-zq-7431",
    "a reason": "the zq parcel smelled of fish",
    "a tracking number": "ZQTRACK9917",
    "a card": "4000777766665555",
    "another card": sandbox_cards.APPROVED,
    "an idempotency key": "zq-idempotency-5519",
    "a token": "serai_" + "7a" * 16 + "_" + "7b" * 16 + "_" + "zq" * 21 + "z",
    "a password in a URL": "zq-mail-password",
    "the callback secret": "zq-callback-secret",
}


def marks_in(text: str, marks: dict[str, str]) -> list[str]:
    """What of the marks a text holds: plain, in an address, or in base 64."""
    held = []
    for what, mark in marks.items():
        forms = (mark, quote(mark), base64.b64encode(mark.encode()).decode().rstrip("="))
        if any(form.lower() in text.lower() for form in forms):
            held.append(what)
    return held


@pytest.fixture(params=["debug", "info"])
def shop(
    request: pytest.FixtureRequest, postgres: EmbeddedPostgres, template: str, tmp_path: Path
) -> Iterator[Shop]:
    name = f"discreet_{request.param}"
    postgres.create_database(name, template=template)
    opened = Shop(tmp_path, owner_url=postgres.owner_url(name), app_url=postgres.app_url(name))
    (nobody,) = free_ports(1)
    opened.settings |= {
        "log_level": request.param,
        "callback_secret": MARKS["the callback secret"],
        # Nobody listens there: that mails fail is told, and neither to whom nor the password.
        "smtp_url": f"smtp://zq:{MARKS['a password in a URL']}@127.0.0.1:{nobody}",
    }
    try:
        opened.start("api", "worker")
        opened.open("discreet")
        yield opened
    finally:
        opened.stop()


def trade(shop: Shop) -> None:
    """Everything that goes well: orders, parcels, money back, with a person's data in each."""
    with shop.client() as http:
        assert http.post("/v1/products", json=product_of("zq-tent"), headers=keyed()).is_success
        moves = {"moves": [{"sku": "zq-tent", "quantity": 50}]}
        assert http.post("/v1/stock-receipts", json=moves, headers=keyed()).is_success
        body = order_of(
            "zq-tent", email=MARKS["an address"], customer=MARKS["a customer"],
            reference=MARKS["a name"],
        )  # fmt: skip
        headers = keyed(MARKS["an idempotency key"], Prefer="wait=20")
        order = http.post("/v1/orders", json=body, headers=headers).json()
        assert order["status"] == "confirmed"
        path = f"/v1/orders/{order['id']}"
        parcel = {"carrier": "post", "tracking_number": MARKS["a tracking number"]}
        waits_for_parcel(http, path, parcel)
        line = {"order_id": order["id"], "lines": [{"line_no": 1, "quantity": 1}]}
        wait_until(
            lambda: (
                http.post(
                    "/v1/returns", json=line | {"reason": MARKS["a reason"]}, headers=keyed()
                ).is_success
            ),
            "the return is taken",
        )
        for asked in ("customer", "reference"):
            mark = MARKS["a customer" if asked == "customer" else "a name"]
            assert http.get("/v1/orders", params={asked: mark}).json()["items"]
        wait_until(lambda: has_failed_mail(http), "a mail has failed")


def has_failed_mail(http: Any) -> bool:
    mails = http.get("/v1/notifications").json()["items"]
    return any(one["attempts"] > 0 for one in mails)


def waits_for_parcel(http: Any, path: str, parcel: dict[str, str]) -> None:
    wait_until(
        lambda: http.post(f"{path}/dispatch", json=parcel, headers=keyed()).is_success,
        "the parcel leaves",
    )


def err(shop: Shop) -> None:
    """Everything that goes ill: refusals, strangers, nonsense, and callbacks that nobody signed."""
    with shop.client() as http:
        body = order_of("zq-tent", card=MARKS["a card"], email=MARKS["an address"])
        http.post("/v1/orders", json=body, headers=keyed(Prefer="wait=5"))
        unfit: list[Any] = [
            body | {"email": f"<{MARKS['an address']}>"}, body | {MARKS["a name"]: 1},
            body | {"currency": MARKS["a name"]}, body | {"lines": MARKS["an address"]},
            body | {"customer": f"{MARKS['a name']}\0"},
        ]  # fmt: skip
        for one in unfit:
            assert http.post("/v1/orders", json=one, headers=keyed()).status_code == 400
        for path in (f"/v1/{MARKS['a name']}", f"/v1/orders?cursor={MARKS['a card']}",
                     f"/v1/orders/{MARKS['an address']}"):  # fmt: skip
            assert http.get(path).status_code in {400, 404}
        for token in (MARKS["a token"], MARKS["a name"]):
            assert http.get("/v1/orders", headers=bearer(token)).status_code == 401
        signed = {"Serai-Signature": f"t=1,v1={MARKS['a token']}"}
        news = {"key": MARKS["a card"]}
        http.post("/v1/payment-callbacks/sandbox", json=news, headers=signed)


def test_no_log_holds_what_is_a_person_s_or_opens_a_door(shop: Shop) -> None:
    trade(shop)
    err(shop)
    shop.stop()
    logs = {role: (shop.folder / f"{role}.log").read_text() for role in ("api", "worker")}
    assert all("process_started" in text for text in logs.values())
    secrets = MARKS | {"the shop's key": shop.key}
    assert {role: marks_in(text, secrets) for role, text in logs.items()} == {
        "api": [], "worker": []
    }  # fmt: skip


@pytest.mark.parametrize(
    "text",
    ["to zaphira.quillfeather@mail.example", "?to=zaphira.quillfeather%40mail.example",
     "emFwaGlyYS5xdWlsbGZlYXRoZXJAbWFpbC5leGFtcGxl", "ZAPHIRA.QUILLFEATHER@MAIL.EXAMPLE"],
)  # fmt: skip
def test_the_look_at_logs_sees_a_planted_mark(text: str) -> None:
    assert marks_in(text, MARKS) == ["an address"]
    assert marks_in("order_placed", MARKS) == []
