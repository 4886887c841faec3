"""Words of mails that open accounts: who may write them, and whether they are gone by.

Whoever has such a mail can be whom it is for, the owner too. So its words are written by who may do
all that she may, and hold the token where nobody else reads it.
"""

from collections.abc import Mapping
from uuid import UUID

import structlog

from serai.contexts.identity.contract import MorePowerful
from serai.contexts.notifications.contract import ACCOUNT_KINDS, Kind, TokenMisplaced
from serai.contexts.notifications.model import bearers
from serai.contexts.notifications.model.templates import DEFAULT_VERSION, StoredWords, Words
from serai.contexts.notifications.ports import Places, Templates
from serai.contexts.tenancy.contract import SCOPES

_log = structlog.get_logger(__name__)


async def check_words(
    tenant_id: UUID, kind: Kind, words: Words, *, held: frozenset[str], places: Places
) -> None:
    """Refuses words of a mail about an account by who may not write them, or that lead astray."""
    if kind not in ACCOUNT_KINDS:
        return
    missing = sorted(set(SCOPES) - held)
    if missing:
        raise MorePowerful("this takes scopes that you do not hold yourself", missing=missing)
    origins = bearers.find_origins(kind, words)
    if not await places.are_hers(tenant_id, origins):
        raise TokenMisplaced(
            "`$token` may go to your own pages only: name their origin by PUT /v1/tenant/origins, "
            "or prove their domain by POST /v1/tenant/domains",
            origins=sorted(origins),
        )


async def keep_trusted(
    known: Mapping[tuple[UUID, Kind], StoredWords], *, words: Templates, places: Places
) -> dict[tuple[UUID, Kind], StoredWords]:
    """The words to write mails with: those that come with Serai where a token would go astray."""
    kept = dict(known)
    for (tenant_id, kind), stored in known.items():
        if kind not in ACCOUNT_KINDS or stored.version == DEFAULT_VERSION:
            continue
        if not await _is_trusted(stored, places=places):
            _log.warning("template_not_used", action="template_not_used", kind=kind,
                         tenant_id=str(tenant_id))  # fmt: skip
            kept[tenant_id, kind] = words.give_default(tenant_id, kind)
    return kept


async def _is_trusted(stored: StoredWords, *, places: Places) -> bool:
    try:
        origins = bearers.find_origins(stored.kind, stored.words)
    except TokenMisplaced:
        return False
    return await places.are_hers(stored.tenant_id, origins)
