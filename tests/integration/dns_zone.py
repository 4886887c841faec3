"""A real DNS server on this machine, whose records a test writes."""

import contextlib
from collections.abc import Iterator
from typing import Any

import dnslib  # type: ignore[import-untyped]
import dnslib.server  # type: ignore[import-untyped]


class Zone:
    """What a DNS server says; it answers over UDP in threads of its own."""

    def __init__(self) -> None:
        self.texts: dict[str, list[list[str]]] = {}
        self.aliases: dict[str, str] = {}
        self.is_broken = False
        self.asked = 0

    def resolve(self, request: dnslib.DNSRecord, _handler: Any) -> dnslib.DNSRecord:
        self.asked += 1
        reply = request.reply()
        if self.is_broken:
            reply.header.rcode = dnslib.RCODE.SERVFAIL
            return reply
        name = str(request.q.qname).rstrip(".").lower()
        if alias := self.aliases.get(name):
            reply.add_answer(dnslib.RR(name, dnslib.QTYPE.CNAME, rdata=dnslib.CNAME(alias)))
            name = alias
        for parts in self.texts.get(name, []):
            reply.add_answer(dnslib.RR(name, dnslib.QTYPE.TXT, rdata=dnslib.TXT(parts)))
        if not reply.rr:
            reply.header.rcode = dnslib.RCODE.NXDOMAIN
        return reply


@contextlib.contextmanager
def serve_zone(zone: Zone) -> Iterator[int]:
    """The server's port."""
    server = dnslib.server.DNSServer(zone, port=0, address="127.0.0.1")
    server.start_thread()
    try:
        yield server.server.server_address[1]
    finally:
        server.stop()
        server.server.server_close()
