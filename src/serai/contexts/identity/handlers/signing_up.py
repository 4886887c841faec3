"""What identity has to do with a tenant that signs up: few may try, and its owner gets a mail."""

from typing import Final
from uuid import UUID

from serai.contexts.identity.contract import StaffInvited
from serai.contexts.identity.handlers.desk import Desk
from serai.contexts.identity.handlers.proving import write_invitation
from serai.contexts.identity.model import accounts, roles, throttle
from serai.contexts.identity.model.accounts import Account, email_key
from serai.kernel.changes import describe
from serai.kernel.db import Tx
from serai.kernel.events import Cause
from serai.kernel.tenant import POOLED

PLATFORM: Final = UUID(int=0)
"""Whose tries are counted: nobody has a tenant yet."""
BUCKET_BYTES: Final = 2
"""Of a bucket's key what is kept: nobody prunes the platform's own, so they are few by their form.

Two who share a bucket share its tries."""


async def admit(*, email: str, address: str | None, desk: Desk) -> None:
    """Takes a try of the network address, of the mail's and of everybody's."""
    wanted = {
        throttle.bucket_of("sign_up"): throttle.SIGN_UPS,
        _bucket("sign_up_mail", email_key(email)): throttle.MAILS_TO_ADDRESS,
    }
    if address is not None and desk.logins_per_address:
        wanted[_bucket("sign_up_address", address)] = throttle.SIGN_UPS_OF_ADDRESS
    async with desk.open(POOLED, PLATFORM) as tx:
        await desk.spend(PLATFORM, wanted, tx=tx)


async def invite_owner(
    tenant_id: UUID, account_id: UUID, email: str, cause: Cause, *, desk: Desk, tx: Tx
) -> None:
    """The first member of a new tenant's staff, without a password until she has read her mail.

    Her name is for her to say when she is in: whoever signs up may name any address for the mail.
    """
    account = Account(
        tenant_id, account_id, "staff", email, "", None, (roles.OWNER,), 1, tx.now
    )  # fmt: skip
    is_new = await desk.accounts.insert(account, tx=tx) is not None
    assert is_new, "a new tenant has no accounts"
    token, rests = await write_invitation(account, desk=desk, tx=tx)
    tx.announce(tenant_id, StaffInvited(account.id, token.id, rests.email), cause)
    made = accounts.view_of(account)
    told = {"kind": made.kind, "roles": made.roles}
    tx.record(
        tenant_id, describe("identity.staff_invited", ("account", account.id), cause, after=told)
    )


def _bucket(kind: str, of: str) -> bytes:
    return throttle.bucket_of(kind, of)[:BUCKET_BYTES]
