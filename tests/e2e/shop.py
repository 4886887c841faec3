"""A shop of real processes on the run's PostgreSQL, and what its clients send."""

import contextlib
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from serai.contexts.payments.gateways import sandbox_cards
from tests.e2e.processes import ask, environment, free_ports, serai, wait_until

ANSWER_TIMEOUT_S = 30.0


class Shop:
    """An API process and a worker process, each killed and started at will, and one tenant."""

    def __init__(
        self,
        folder: Path,
        *,
        owner_url: str,
        app_url: str,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self._variables = variables or {}
        """More of the processes' environment, such as a fault to be planted into them."""
        self.api_port, self.worker_port = free_ports(2)
        self.settings = {
            "data_dir": str(folder / "data"),
            "port": str(self.api_port),
            "worker_port": str(self.worker_port),
            "database_url": owner_url,
            "database_app_url": app_url,
        }
        self.base = f"http://127.0.0.1:{self.api_port}"
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self.key = ""
        self.tenant = ""

    def start(self, *roles: str) -> None:
        """Starts processes and waits until they are ready."""
        for role in roles:
            words = (
                ["worker", "--with-scheduler"] if role == "worker" else ["serve", "--role", role]
            )
            with (self.folder / f"{role}.log").open("ab") as log:
                self._running[role] = subprocess.Popen(
                    [sys.executable, "-m", "serai", *words],
                    env={**environment(**self.settings), **self._variables},
                    cwd=self.folder,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )
        for role in roles:
            port = self.worker_port if role == "worker" else self.api_port
            url = f"http://127.0.0.1:{port}/readyz"
            wait_until(lambda url=url: ask(url).status == 200, f"{role} is ready")  # type: ignore[misc]

    def kill(self, role: str) -> None:
        """Ends a process at once, as kill -9 does."""
        process = self._running.pop(role)
        process.send_signal(signal.SIGKILL)
        process.wait(10)

    def stop(self) -> None:
        """Ends everything; what does not end in time is killed."""
        for process in self._running.values():
            process.terminate()
        for process in self._running.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(30)
            if process.poll() is None:
                process.kill()
                process.wait(10)
        self._running = {}

    def command(self, *words: str) -> Any:
        """Runs a command of ours against the same database."""
        return serai(*words, cwd=self.folder, **self.settings)

    def open(self, name: str) -> None:
        """Makes the tenant whose key the clients use."""
        issued = self.command("tenant", "create", name, "--json").document
        self.key, self.tenant = issued["key"]["key"], issued["tenant"]["id"]

    def client(self, key: str | None = None) -> httpx.Client:
        """A client with an API key."""
        return httpx.Client(
            base_url=self.base, headers=bearer(key or self.key), timeout=ANSWER_TIMEOUT_S
        )

    def async_client(self) -> httpx.AsyncClient:
        """The same for many requests at once."""
        limits = httpx.Limits(max_connections=64, max_keepalive_connections=64)
        return httpx.AsyncClient(
            base_url=self.base, headers=bearer(self.key), timeout=ANSWER_TIMEOUT_S, limits=limits
        )


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def keyed(key: str | None = None, **more: str) -> dict[str, str]:
    """Headers with an idempotency key, a new one unless given."""
    return {"Idempotency-Key": key or uuid4().hex, **more}


def order_of(
    sku: str, quantity: int = 1, *, card: str = sandbox_cards.APPROVED, **more: Any
) -> dict[str, Any]:
    """An order's body."""
    lines = [{"sku": sku, "quantity": quantity}]
    return {"currency": "USD", "lines": lines, "payment": {"card": card}, **more}


def product_of(*skus: str, status: str = "published", price: int = 1000) -> dict[str, Any]:
    """A product's body, with one variant for each SKU."""
    return {
        "title": f"Product {skus[0]}",
        "handle": f"product-{skus[0].lower()}",
        "status": status,
        "option_names": ["size"],
        "variants": [
            {
                "sku": sku,
                "options": {"size": sku},
                "prices": [{"currency": "USD", "amount_minor": price}],
            }
            for sku in skus
        ],
    }


def furnish(client: httpx.Client, stock: Mapping[str, int]) -> None:
    """Publishes a product with one variant for each SKU, and receives its units."""
    for sku, units in stock.items():
        answer = client.post("/v1/products", json=product_of(sku), headers=keyed())
        assert answer.status_code == 201, answer.text
        if units:
            moves = [{"sku": sku, "quantity": units}]
            answer = client.post("/v1/stock-receipts", json={"moves": moves}, headers=keyed())
            assert answer.status_code == 201, answer.text


def stock_of(client: httpx.Client, sku: str) -> dict[str, int]:
    """The one stock item of a SKU."""
    (item,) = client.get("/v1/stock-items", params={"sku": sku}).json()["items"]
    return {
        name: item[name] for name in ("received", "available", "reserved", "sold", "written_off")
    }
