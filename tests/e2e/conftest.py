"""A real server process, a real browser, and a tap on the wire between them."""

from __future__ import annotations

import os
import re
import selectors
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from socket import create_connection, create_server, socket

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

SCREENSHOTS = Path(os.environ.get("PALAESTRA_TEST_OUTPUT", "test-output"))

NAMES = ["Amphora-Prime", "Bouleuterion-7", "Caryatid-Mini", "Discobolus-XL"]
"""Names that no answer and no page holds by chance."""


def models_toml(*endpoints: str) -> str:
    """A models.toml with one contestant for each endpoint."""
    table = '[[model]]\nname = "{0}"\nendpoint = "{1}"\norganization = "Maker of {0}"\nlicense = "Apache-2.0"\n'
    return "\n".join(table.format(*pair) for pair in zip(NAMES, endpoints, strict=False))


@dataclass
class Server:
    """A running `palaestra arena serve`."""

    command: list[str]
    folder: Path
    models: Path
    process: subprocess.Popen[str] = field(init=False)
    url: str = field(init=False)
    log: list[str] = field(default_factory=list)

    def start(self, timeout: float = 60) -> None:
        """Start it and wait until it says its address."""
        self.process = subprocess.Popen(
            self.command, cwd=self.folder, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
        )
        self.log = []
        threading.Thread(target=self._read_log, args=(self.process,), daemon=True).start()
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            found = re.search(r"The arena is open: (http://\S+)", "".join(self.log))
            if found:
                self.url = found.group(1)
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        pytest.fail(f"the server did not open: {''.join(self.log)}")

    def kill(self) -> None:
        """kill -9."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def close(self) -> None:
        """Ctrl+C, and no mercy after ten seconds."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(10)
        if self.process.poll() is None:
            self.kill()

    def _read_log(self, process: subprocess.Popen[str]) -> None:
        for line in process.stderr or ():
            self.log.append(line)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Start a server with these contestants; every one started is stopped in the end."""
    started: list[Server] = []

    def start(models: str | Path, *flags: str, database: str = "sqlite:///arena.db") -> Server:
        path = models if isinstance(models, Path) else tmp_path / "models.toml"
        if isinstance(models, str):
            path.write_text(models)
        command = [
            sys.executable,
            "-m",
            "palaestra",
            "arena",
            "serve",
            "--models",
            str(path),
            "--database",
            database,
        ]
        server = Server([*command, "--port", "0", *flags], tmp_path, path)
        started.append(server)
        server.start()
        return server

    yield start
    for server in started:
        server.close()


expect.set_options(timeout=20_000)  # a machine that builds other things at the same time is slow, not broken


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, or another one on the path. One for a module: while it runs, its thread has an event loop."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        pytest.fail("no Chromium on the path; install it with: make test-system   (sudo apt-get install chromium)")
    quiet = [
        "--no-sandbox",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-quic",
    ]
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=program, args=quiet)
        yield launched
        launched.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page of a fresh browser profile; an error in its scripts fails the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    opened = context.new_page()
    errors: list[str] = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    opened.script_errors = errors  # ty: ignore[missing-attribute]
    yield opened
    context.close()
    assert errors == []


class WireTap:
    """A TCP relay on loopback that keeps every byte of both directions."""

    def __init__(self, url: str) -> None:
        host, port = url.removeprefix("http://").split(":")
        self._target = (host, int(port))
        self._listener = create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.bytes = bytearray()
        self._open = True
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        self._open = False
        self._listener.close()

    def _accept(self) -> None:
        while self._open:
            with suppress(OSError):
                near, _ = self._listener.accept()
                threading.Thread(target=self._relay, args=(near,), daemon=True).start()

    def _relay(self, near: socket) -> None:
        with near, create_connection(self._target) as far, selectors.DefaultSelector() as selector:
            selector.register(near, selectors.EVENT_READ, far)
            selector.register(far, selectors.EVENT_READ, near)
            while True:
                for key, _ in selector.select():
                    with suppress(OSError):
                        data = key.fileobj.recv(65536)  # ty: ignore[missing-attribute]
                        if data:
                            if key.fileobj is far:
                                self.bytes += data
                            key.data.sendall(data)
                            continue
                    return


@pytest.fixture
def tap() -> Iterator[Callable[[str], WireTap]]:
    """Put a tap before a server."""
    taps: list[WireTap] = []

    def make(url: str) -> WireTap:
        taps.append(WireTap(url))
        return taps[-1]

    yield make
    for made in taps:
        made.close()
