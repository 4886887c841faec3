"""A real Chromium, windows of it that are used by keyboard, and an app that is called back."""

import contextlib
import http.server
import shutil
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import pytest
from playwright.async_api import Browser, CDPSession, Page, async_playwright

NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM: Final = next((found for name in NAMES if (found := shutil.which(name))), None)
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None,
    reason=f"there is no browser: none of {', '.join(NAMES)} is on the PATH (apt install chromium)",
)
STEP_TIMEOUT_MS: Final = 10_000
DESKTOP: Final = {"width": 1280, "height": 800}
PHONE: Final = {"width": 390, "height": 844}
TABS_MAX: Final = 20
TARGET_PX: Final = 44
"""What a finger meets (WCAG 2.2, 2.5.5)."""
AUTHENTICATOR: Final = {
    "protocol": "ctap2", "transport": "internal", "hasResidentKey": True,
    "hasUserVerification": True, "isUserVerified": True, "automaticPresenceSimulation": True,
}  # fmt: skip


class App:
    """A page of an app on this machine, which answers whatever address she is sent back to."""

    def __init__(self) -> None:
        called = self.called = []  # type: list[str]

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                called.append(self.path)
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.end_headers()
                self.wfile.write(b"<!doctype html><title>The app</title><link rel=icon href=data:>")

            def log_message(self, *_: object) -> None:
                """Nothing: what was asked is in `called`."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.base = f"http://127.0.0.1:{self._server.server_address[1]}"

    @contextlib.contextmanager
    def serve(self) -> Iterator["App"]:
        """Answers until it is left."""
        thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()


class Window:
    """A window that is used by keyboard only, and remembers what went wrong in it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.faults: list[str] = []
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("console", self._hear)

    def _hear(self, message: Any) -> None:
        # That a page was answered 401 is what some tests are about; all else is a fault.
        if message.type == "error" and "status of 401" not in message.text:
            self.faults.append(message.text)

    async def open(self, address: str) -> None:
        """A page, loaded."""
        await self.page.goto(address)

    async def type(self, text: str) -> None:
        """Into whatever has the focus."""
        await self.page.keyboard.type(text)

    async def press(self, key: str) -> None:
        """One key."""
        await self.page.keyboard.press(key)

    async def focused(self) -> str:
        """The accessible name of what has the focus: its label, or what stands on it."""
        name: str = await self.page.evaluate(
            "() => { const e = document.activeElement;"
            " return (e.getAttribute('aria-label') || (e.labels && e.labels[0] || e).innerText)"
            ".trim() }"
        )
        return name

    async def tab_to(self, name: str) -> None:
        """Tabs on until something of this name has the focus, which can be seen."""
        for _ in range(TABS_MAX):
            if await self.focused() == name:
                outline = await self.page.evaluate(
                    "() => getComputedStyle(document.activeElement).outlineStyle"
                )
                assert outline == "solid", f"the focus on {name} cannot be seen"
                return
            await self.press("Tab")
        raise AssertionError(f"no tab leads to {name}")

    async def go(self, key: str = "Enter") -> None:
        """Presses a key that leads to another page, and waits for it."""
        async with self.page.expect_navigation():
            await self.press(key)

    async def heading(self) -> str:
        """What the page is called."""
        return await self.page.inner_text("h1")

    async def alert(self) -> str:
        """What a page says is wrong, to whoever reads and to whoever listens."""
        return await self.page.get_by_role("alert").inner_text()

    async def check_layout(self) -> None:
        """Nothing is cut off, and what is to be touched is as big as a finger."""
        wide = await self.page.evaluate(
            "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert wide <= 0, f"{wide} px are beside the window"
        for target in await self.page.locator("button:visible, input:visible").all():
            box = await target.bounding_box()
            assert box is not None
            assert box["height"] >= TARGET_PX, await target.evaluate("e => e.outerHTML")

    async def add_authenticator(self, **changed: Any) -> tuple[CDPSession, str]:
        """A device that keeps passkeys, without a person to ask."""
        session = await self.page.context.new_cdp_session(self.page)
        await session.send("WebAuthn.enable")
        made = await session.send(
            "WebAuthn.addVirtualAuthenticator", {"options": {**AUTHENTICATOR, **changed}}
        )
        return session, made["authenticatorId"]


@contextlib.asynccontextmanager
async def open_browser() -> AsyncIterator[Browser]:
    """The machine's Chromium, without a screen."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, headless=True,
            args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"],
        )  # fmt: skip
        try:
            yield browser
        finally:
            await browser.close()


@contextlib.asynccontextmanager
async def open_window(browser: Browser, **given: Any) -> AsyncIterator[Window]:
    """A window without a cookie; nothing may have gone wrong in it when it is closed."""
    context = await browser.new_context(**{"viewport": DESKTOP, **given})
    context.set_default_timeout(STEP_TIMEOUT_MS)
    window = Window(await context.new_page())
    yield window
    assert window.faults == []
    await context.close()


def answered(address: str) -> dict[str, str]:
    """What an app is called back with."""
    return dict(parse_qsl(urlsplit(address).query))
