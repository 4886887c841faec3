"""Which addresses are outside, however they are written."""

import pytest

from serai.kernel.outside import is_outside


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.0.1", "169.254.169.254", "100.64.0.1",
        "0.0.0.0", "255.255.255.255", "224.0.0.1", "239.1.2.3", "240.0.0.1", "198.18.0.1",  # noqa: S104
        "::", "::1", "::127.0.0.1", "::8.8.8.8", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
        "::ffff:0:127.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b::7f00:1", "64:ff9b::224.0.0.1",
        "64:ff9b:1::8.8.8.8", "2002:7f00:1::", "2002:a9fe:a9fe::1", "2002:e000:1::",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:db8::1", "fc00::1", "fd00::1", "fe80::1",
        "fe80::1%lo", "fec0::1", "ff02::1", "ff0e::1", "100::1", "4000::1", "5f00::1",
    ],
)  # fmt: skip
def test_what_leads_inside_is_not_outside(address: str) -> None:
    assert not is_outside(address)


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946", "::ffff:8.8.8.8",
     "64:ff9b::8.8.8.8", "2001:4860:4860::8888", "2a00:1450:4001:81b::200e"],
)  # fmt: skip
def test_what_is_public_is_outside(address: str) -> None:
    assert is_outside(address)
