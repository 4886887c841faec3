"""Who really calls where proxies stand before us: `X-Forwarded-For`, read from the right.

Each proxy adds, at the end, the address that it was called from. So what a proxy of ours has added
is true, and what stands before it is what the caller says about herself: the first address from the
right that is no proxy of ours is the caller's, and nothing to the left of it is looked at.
"""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

HOPS_MAX: Final = 32
"""Proxies of ours, one behind another, that are gone through."""
HEADER: Final = b"x-forwarded-for"

Network = IPv4Network | IPv6Network


class Proxies:
    """The networks in which proxies stand whose word is taken."""

    def __init__(self, networks: Sequence[Network]) -> None:
        self._networks = tuple(networks)

    def find_caller(self, peer: str, headers: Iterable[tuple[bytes, bytes]]) -> str:
        """The address of whoever called the outermost proxy of ours; the peer's if it is none."""
        caller = _parse(peer)
        if caller is None or not self._trusts(caller):
            return peer
        said = b",".join(value for name, value in headers if name == HEADER)
        # A hop that is no address ends it: the proxy that wrote it is as far as we can see.
        for hop in reversed(said.decode("latin-1").rsplit(",", HOPS_MAX)[-HOPS_MAX:]):
            address = _parse(hop.strip(" \t"))
            if address is None:
                break
            caller = address
            if not self._trusts(caller):
                break
        return str(caller)

    def _trusts(self, address: IPv4Address | IPv6Address) -> bool:
        return any(address in network for network in self._networks)


def _parse(hop: str) -> IPv4Address | IPv6Address | None:
    """An address, perhaps with a port, as proxies write it; IPv4 within IPv6 is IPv4."""
    if hop.startswith("["):
        hop = hop[1:].partition("]")[0]
    elif hop.count(":") == 1:
        hop = hop.partition(":")[0]
    try:
        address = ip_address(hop)
    except ValueError:
        return None
    if isinstance(address, IPv4Address):
        return address
    return None if address.scope_id is not None else address.ipv4_mapped or address
