"""Asks the DNS for the records that prove domains."""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Final

import dns.asyncbackend
import dns.asyncresolver
import dns.exception
import dns.name
import dns.rdtypes.ANY.TXT  # by name: else it is looked for on disk while a loop waits
import dns.resolver

from serai.kernel.failure import Unavailable

ANSWER_S: Final = 5.0
ASKED_AT_ONCE_MAX: Final = 2
TEXTS_MAX: Final = 50
PORT: Final = 53


class DnsRecords:
    """The port DomainRecords, by the resolvers of the settings, else by those of this machine."""

    def __init__(self, servers: Sequence[tuple[str, int]]) -> None:
        self._resolver = dns.asyncresolver.Resolver(configure=False)
        self._backend = dns.asyncbackend.get_backend("asyncio")
        self._slots = asyncio.Semaphore(ASKED_AT_ONCE_MAX)
        if servers:
            self._resolver.nameservers = [host for host, _ in servers]
            self._resolver.nameserver_ports = dict(servers)
        else:
            with contextlib.suppress(dns.resolver.NoResolverConfiguration):
                self._resolver = dns.asyncresolver.Resolver()

    async def find_texts(self, name: str) -> list[str]:
        if not self._resolver.nameservers:
            raise Unavailable("this machine names no DNS server; SERAI_DNS_SERVERS can")
        try:
            async with self._slots:
                answer = await self._resolver.resolve(
                    dns.name.from_text(name), "TXT", raise_on_no_answer=False, lifetime=ANSWER_S,
                    backend=self._backend, search=False,
                )  # fmt: skip
        except dns.resolver.NXDOMAIN:
            return []
        except (dns.exception.DNSException, OSError) as error:
            raise Unavailable(
                f"the DNS did not answer: {type(error).__name__}", retry_after_s=5
            ) from error
        records = list(answer.rrset or ())[:TEXTS_MAX]
        return [b"".join(record.strings).decode("utf-8", "replace") for record in records]


def parse_servers(text: str) -> list[tuple[str, int]]:
    """DNS servers as a setting names them: addresses with commas between, perhaps with ports."""
    found: list[tuple[str, int]] = []
    for part in text.split(","):
        host, _, port = part.strip().partition("#")
        if host:
            found.append((host, int(port) if port else PORT))
    return found
