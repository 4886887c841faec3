"""`serai run` with a certificate: the API speaks TLS, is found to be well, and is started again."""

import os
import signal
import ssl
import tempfile
from pathlib import Path

import httpx
import pytest

from tests.e2e.certificates import make_certificate
from tests.e2e.installation import Installation
from tests.e2e.processes import serai, wait_until


class Secured(Installation):
    """One whose API has a certificate."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.certificate, self.key = make_certificate(folder)

    @property
    def settings(self) -> dict[str, str]:
        own = {"tls_certificate": str(self.certificate), "tls_key": str(self.key)}
        return {**super().settings, **own, "public_url": f"https://localhost:{self.port}"}


GOODS = "handle,title,status,sku,price:USD\ntent,Tent,published,TENT,10.00\n"
TRADE = (
    "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
    "1,TENT,Tent,1,2010-12-01 08:26:00,2.55,17850,United Kingdom\n"
)


def test_a_whole_shop_speaks_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory(prefix="serai-tls-") as name:
        Path(name).chmod(0o755)  # the server of a test run as root is another user's
        shop = Secured(Path(name))
        document = shop.start()
        try:
            url = f"https://localhost:{shop.port}"
            assert document["api_url"] == url
            assert shop.runtime()["api_url"] == url
            trust = ssl.create_default_context(cafile=str(shop.certificate))
            with httpx.Client(verify=trust) as http:
                ready = http.get(f"{url}/readyz")
                assert ready.status_code == 200
                assert ready.headers["strict-transport-security"]
                done = serai("tenant", "create", "acme", "--json", cwd=shop.folder, **shop.settings)
                key = done.document["key"]["key"]
                who = http.get(f"{url}/v1/tenant", headers={"Authorization": f"Bearer {key}"})
                assert who.json()["tenant"]["name"] == "acme"
                with pytest.raises(httpx.TransportError):
                    http.get(f"http://127.0.0.1:{shop.port}/readyz")
                with pytest.raises(httpx.ConnectError, match=r"(?i)certificate"):
                    httpx.get(f"{url}/readyz")
                assert shop.worker("/readyz").status == 200, "probes of the worker stay as they are"
                _ask_by_commands(shop, monkeypatch)

                died = shop.runtime()["api_pid"]
                os.kill(died, signal.SIGKILL)
                wait_until(lambda: shop.runtime()["api_pid"] not in {died, None}, "it is back")
                wait_until(lambda: _answers(http, url), "it answers again")
        finally:
            assert shop.stop() == 0


def _ask_by_commands(shop: Secured, monkeypatch: pytest.MonkeyPatch) -> None:
    """One goes by the certificate that it is told to trust; one says that it cannot."""
    goods, trade = shop.folder / "goods.csv", shop.folder / "trade.csv"
    goods.write_text(GOODS)
    trade.write_text(TRADE)
    words = ("import", str(goods), "--tenant", "acme", "--json")
    monkeypatch.setenv("SSL_CERT_FILE", str(shop.certificate))
    done = serai(*words, cwd=shop.folder, **shop.settings)
    assert done.code == 0, done.err
    refused = serai("replay", str(trade), cwd=shop.folder, **shop.settings)
    assert (refused.code, "TLS" in refused.err) == (1, True), refused.err


def _answers(http: httpx.Client, url: str) -> bool:
    try:
        return http.get(f"{url}/readyz").status_code == 200
    except httpx.TransportError:
        return False
