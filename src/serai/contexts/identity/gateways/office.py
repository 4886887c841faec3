"""What identity offers to roles and the command line."""

import asyncio
from collections.abc import Mapping
from uuid import UUID

from serai.contexts.billing.contract import Thing
from serai.contexts.identity.contract import InvitedStaff, SignedIn
from serai.contexts.identity.contract.credentials import Proof
from serai.contexts.identity.gateways.guard import Guard
from serai.contexts.identity.gateways.keychain import Keychain
from serai.contexts.identity.gateways.news import News
from serai.contexts.identity.handlers import changing, factors, signing_up
from serai.contexts.identity.handlers.changing import InviteStaff
from serai.contexts.identity.handlers.desk import Desk
from serai.contexts.identity.model import accounts, tokens
from serai.contexts.identity.ports import ACCOUNT, FoundPeople
from serai.contexts.identity.ports.apps import Handovers
from serai.kernel import ids
from serai.kernel.actor import operator
from serai.kernel.changes import describe
from serai.kernel.db import Tx
from serai.kernel.events import Cause
from serai.kernel.everywhere import list_everybody
from serai.kernel.person import Somebody
from serai.kernel.tenant import Home, Homes
from serai.kernel.web import Authenticator


class Office:
    """The contract's Protocol Identity, and billing's Held."""

    def __init__(
        self, desk: Desk, homes: Homes, *, guard: Guard, keychain: Keychain, news: News,
        people: FoundPeople, handovers: Handovers,
    ) -> None:  # fmt: skip
        self._handovers = handovers
        self._people = people
        self._desk = desk
        self._homes = homes
        self._guard = guard
        self._keychain = keychain
        self._news = news

    async def count_held(self, tenant_id: UUID, *, tx: Tx) -> Mapping[Thing, int]:
        return {
            "staff": await self._desk.accounts.count_seats(tenant_id, tx=tx),
            "devices": await self._handovers.count_admitted(tenant_id, tx=tx),
        }

    @property
    def owners(self) -> "FirstOwners":
        return FirstOwners(self._desk)

    @property
    def authenticator(self) -> Authenticator:
        return self._guard

    @property
    def watching(self) -> asyncio.Event:
        """Set while `watch` is told of what others change."""
        return self._news.is_listening

    async def watch(self) -> None:
        await self._news.run()

    async def write_token(self, tenant_id: UUID, token_id: UUID) -> str:
        key = await self._desk.mail_key.mail_key()
        return tokens.write_mail_token(key, tenant_id, token_id)

    async def find_by_account(
        self, tenant_id: UUID, account_id: UUID, *, tx: Tx
    ) -> Somebody | None:
        return await self._people.find_by_account(tenant_id, account_id, tx=tx)

    async def find_by_email(self, tenant_id: UUID, email: str, *, tx: Tx) -> Somebody:
        return await self._people.find_by_email(tenant_id, email, tx=tx)

    async def check_power(
        self, tenant_id: UUID, account_id: UUID, *, held: frozenset[str], tx: Tx
    ) -> None:
        await changing.check_power(tenant_id, account_id, held=held, desk=self._desk, tx=tx)

    async def let_go(
        self, tenant_id: UUID, account_id: UUID, *, held: frozenset[str], tx: Tx
    ) -> Somebody:
        return await changing.let_go(tenant_id, account_id, held=held, desk=self._desk, tx=tx)

    async def show_again(
        self, who: SignedIn, proof: Proof, *, address: str | None, cause: Cause
    ) -> None:
        await factors.show_again(who, proof, address=address, cause=cause, desk=self._desk)

    async def spread(self, account_id: UUID, *, home: Home) -> None:
        await self._desk.spread(ACCOUNT, account_id, home=home)

    async def invite_staff(
        self, tenant_id: UUID, *, email: str, name: str, roles: tuple[str, ...]
    ) -> InvitedStaff:
        home = await self._homes.home_of(tenant_id)
        cause = Cause(ids.new_id(), actor=operator())
        command = InviteStaff(tenant_id, email, name, roles, None, cause)
        account, token_id = await changing.invite_staff(
            command, desk=self._desk, home=home, is_again=True
        )
        return InvitedStaff(accounts.view_of(account), await self.write_token(tenant_id, token_id))

    async def find_mail_token(self, tenant_id: UUID, email: str) -> str | None:
        home = await self._homes.home_of(tenant_id)
        async with self._desk.database.transaction(home, (tenant_id,)) as tx:
            token = await self._desk.sessions.find_latest_mail_token(
                tenant_id, email, now=tx.now, tx=tx
            )
            if token is None or (token.purpose == "password" and token.account_id is None):
                return None
            # Whoever reads it can come in: so it is a change of who may.
            change = describe(
                "identity.mail_token_shown", ("mail_token", token.id),
                Cause(ids.new_id(), actor=operator()),
                after={"purpose": token.purpose, "account_id": token.account_id},
            )  # fmt: skip
            tx.record(tenant_id, change)
        return await self.write_token(tenant_id, token.id)

    async def rotate_keys(self, *, is_compromised: bool) -> UUID:
        tenants = await list_everybody(self._homes)
        made = await self._keychain.rotate(is_compromised=is_compromised, tenants=tenants)
        # The others hear of it; here nobody comes in by an old key even until the news is back.
        self._guard.forget_all()
        return made.id


class FirstOwners:
    """The contract's Protocol Owners."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def admit(self, *, email: str, address: str | None) -> None:
        await signing_up.admit(email=email, address=address, desk=self._desk)

    async def invite_owner(
        self, tenant_id: UUID, account_id: UUID, email: str, cause: Cause, *, tx: Tx
    ) -> None:
        await signing_up.invite_owner(tenant_id, account_id, email, cause, desk=self._desk, tx=tx)
