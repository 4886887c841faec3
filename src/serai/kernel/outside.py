"""Which network addresses are outside: who is sent to one by a stranger's word stays out of here.

An IPv6 address may hold an IPv4 one that it is carried to on the way: it is judged by that too.
"""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final

_GLOBAL: Final = IPv6Network("2000::/3")
"""All of IPv6 that is given out as global unicast (RFC 4291, 2.4)."""
_NAT64: Final = IPv6Network("64:ff9b::/96")
"""Carries the IPv4 address of its last 32 bits (RFC 6052)."""


def is_outside(text: str) -> bool:
    """Whether a numeric address is one of the public Internet's, and one machine's."""
    address = ip_address(text)
    if isinstance(address, IPv4Address):
        return _is_public(address)
    carried = _carried_by(address)
    if carried is not None:
        return _is_public(carried)
    if address not in _GLOBAL or not address.is_global or address.teredo is not None:
        return False
    six_to_four = address.sixtofour
    return six_to_four is None or _is_public(six_to_four)


def _carried_by(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that an IPv6 one only stands for."""
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped


def _is_public(address: IPv4Address) -> bool:
    return address.is_global and not address.is_multicast
