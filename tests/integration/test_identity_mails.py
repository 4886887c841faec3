"""From a call to a mail: the token goes out, and lies nowhere on the way."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx

from serai.contexts.identity.handlers.proving import INVITATION_TTL, REGISTRATION_TTL, RESET_TTL
from serai.contexts.identity.handlers.upkeep import KEPT
from serai.contexts.notifications import handlers
from serai.contexts.notifications.gateways.defaults import load_defaults
from serai.contexts.notifications.gateways.places import KnownPlaces
from serai.contexts.notifications.model.mails import Mail, Sender
from serai.contexts.notifications.model.messages import Outcome
from serai.contexts.notifications.store import PostgresMessages, PostgresTemplates
from serai.kernel.db import Database
from serai.kernel.tenant import POOLED
from serai.roles.api import build_app
from tests.integration.house import House
from tests.integration.identity_shop import NEXT_PASSWORD, PASSWORD, settings_of

EMAIL = "buyer@example.com"
SENDER = Sender("", "shop@serai.example")


class Postman:
    """Takes every mail."""

    def __init__(self) -> None:
        self.sent: list[Mail] = []

    async def send(self, mails: Sequence[Mail]) -> list[Outcome]:
        self.sent += mails
        return [Outcome("sent")] * len(mails)


class Post:
    """A house whose mails are read, over HTTP."""

    def __init__(self, house: House, http: httpx.AsyncClient) -> None:
        self.house = house
        self.http = http
        self.postman = Postman()

    async def ask(self, path: str, body: Any) -> httpx.Response:
        return await self.http.post(path, json=body, headers={"Serai-Tenant": "house"})

    async def deliver(self) -> list[Mail]:
        """What goes out now."""
        await self.house.rest()
        self.postman.sent.clear()
        tenancy = self.house.composition.tenancy
        await handlers.send_due(
            self.house.database, POOLED, self.house.clock, homes=self.house.composition.homes,
            queue=PostgresMessages(), words=PostgresTemplates(load_defaults()),
            mailer=self.postman, sender=SENDER, tokens=self.house.composition.identity,
            places=KnownPlaces(tenancy.origins, tenancy.find_by_host),
        )  # fmt: skip
        return list(self.postman.sent)


def token_in(mail: Mail) -> str:
    """The one line of a mail that is a token."""
    (token,) = [line for line in mail.text.splitlines() if len(line) == 64 and " " not in line]
    assert token in mail.html
    return token


async def open_post(database: Database, folder: Path) -> Post:
    house = await House(database, folder).open()
    app: Any = build_app(settings_of(folder), house.composition)
    http = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://shop")
    return Post(house, http)


async def test_the_mails_of_a_registration_a_reset_and_an_invitation(
    database: Database, tmp_path: Path
) -> None:
    post = await open_post(database, tmp_path)
    async with post.http:
        body = {"email": EMAIL, "password": PASSWORD, "name": "http://evil.example/win"}
        assert (await post.ask("/v1/customers", body)).status_code == 202
        (mail,) = await post.deliver()
        assert (mail.recipient, mail.subject) == (EMAIL, "Confirm your address")
        # What anyone may write does not go to whom they please.
        assert "evil" not in mail.text + mail.html + mail.subject
        made = await post.ask(
            "/v1/customers/verifications", {"token": token_in(mail), "password": PASSWORD}
        )
        assert made.status_code == 201
        await post.ask("/v1/password-resets", {"email": "nobody@example.com"})
        assert await post.deliver() == []
        await post.ask("/v1/password-resets", {"email": EMAIL})
        (mail,) = await post.deliver()
        assert (mail.recipient, mail.subject) == (EMAIL, "Choose a new password")
        path = "/v1/password-resets/confirmations"
        chosen = {"token": token_in(mail), "password": NEXT_PASSWORD}
        assert (await post.ask(path, chosen)).status_code == 204
        signed_in = await post.ask("/v1/sessions", {"email": EMAIL, "password": NEXT_PASSWORD})
        assert signed_in.status_code == 201
        invited = await post.house.composition.identity.invite_staff(
            post.house.tenant, email="boss@example.com", name="The Boss", roles=("owner",)
        )
        (mail,) = await post.deliver()
        assert (mail.recipient, mail.subject) == ("boss@example.com", "You were invited")
        assert "Hello The Boss," in mail.text
        assert token_in(mail) == invited.token
        listed = await post.house.rows("SELECT facts::text AS facts FROM notifications.messages")
        assert not any(invited.token in row["facts"] for row in listed)
    assert await post.house.findings() == []
    await post.house.composition.close()


async def test_words_that_lead_a_token_astray_are_not_used(
    database: Database, tmp_path: Path
) -> None:
    post = await open_post(database, tmp_path)
    async with post.http:
        async with database.transaction(POOLED, (post.house.tenant,)) as tx:
            await tx.connection.execute(
                "INSERT INTO notifications.templates "
                "(tenant_id, kind, subject, text, html, version, updated_at) "
                "VALUES ($1, 'registration_requested', 'Own', $2, '', 1, now())",
                post.house.tenant, "Welcome: https://shop.example/confirm?t=$token",
            )  # fmt: skip
        body = {"email": EMAIL, "password": PASSWORD}
        await post.ask("/v1/customers", body)
        (mail,) = await post.deliver()
        assert (mail.subject, "shop.example" in mail.text) == ("Confirm your address", False)
        async with database.transaction(POOLED, (post.house.tenant,)) as tx:
            await tx.connection.execute(
                "INSERT INTO tenancy.cors_origins (tenant_id, origin) VALUES ($1, $2)",
                post.house.tenant, "https://shop.example",
            )  # fmt: skip
        post.house.composition.tenancy.origins.forget(post.house.tenant)
        await post.ask("/v1/customers", body)
        (mail,) = await post.deliver()
        assert (mail.subject, "shop.example" in mail.text) == ("Own", True)
    await post.house.composition.close()


async def test_a_mailed_token_has_its_time_and_goes_when_nobody_asks_any_more(
    database: Database, tmp_path: Path
) -> None:
    post = await open_post(database, tmp_path)
    async with post.http:
        await post.ask("/v1/customers", {"email": EMAIL, "password": PASSWORD})
        (late,) = await post.deliver()
        post.house.clock.advance(REGISTRATION_TTL)
        gone = await post.ask(
            "/v1/customers/verifications", {"token": token_in(late), "password": PASSWORD}
        )
        assert gone.status_code == 422
        await post.ask("/v1/customers", {"email": EMAIL, "password": PASSWORD})
        (mail,) = await post.deliver()
        post.house.clock.advance(REGISTRATION_TTL - timedelta(seconds=1))
        made = await post.ask(
            "/v1/customers/verifications", {"token": token_in(mail), "password": PASSWORD}
        )
        assert made.status_code == 201
        await post.ask("/v1/password-resets", {"email": EMAIL})
        (mail,) = await post.deliver()
        post.house.clock.advance(RESET_TTL)
        chosen = {"token": token_in(mail), "password": NEXT_PASSWORD}
        gone = await post.ask("/v1/password-resets/confirmations", chosen)
        assert gone.status_code == 422
        assert RESET_TTL < REGISTRATION_TTL < INVITATION_TTL
        await post.ask("/v1/sessions", {"email": EMAIL, "password": PASSWORD})
        (prune,) = [job for job in post.house.composition.jobs if job.name == "identity.prune"]
        counted = (
            "SELECT (SELECT count(*) FROM identity.sessions) AS sessions, "
            "(SELECT count(*) FROM identity.mail_tokens) AS mailed, "
            "(SELECT count(*) FROM identity.throttles) AS buckets"
        )
        post.house.clock.advance(KEPT - timedelta(hours=2))
        await prune.run(database, POOLED, post.house.clock)
        # The first token was over a day before the others; the tries are all there again.
        assert await post.house.rows(counted) == [{"sessions": 1, "mailed": 2, "buckets": 0}]
        post.house.clock.advance(timedelta(days=31))
        await prune.run(database, POOLED, post.house.clock)
        assert await post.house.rows(counted) == [{"sessions": 0, "mailed": 0, "buckets": 0}]
    await post.house.composition.close()
