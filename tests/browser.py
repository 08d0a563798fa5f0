"""A headless Chromium that is asked over its debugging pipe: what a page looks like, needs, complains of and asks for.

The rule: the browser is real, and the page is opened from a file, as who gets it does. Messages are JSON, each with a NUL
behind it, on the browser's descriptors 3 and 4 (chromium --remote-debugging-pipe, Chrome DevTools Protocol).
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

_DEADLINE_S = 60.0
_AT_3_AND_4 = """
import fcntl, os, sys
ours = [fcntl.fcntl(int(number), fcntl.F_DUPFD_CLOEXEC, 10) for number in sys.argv[1:3]]
os.closerange(3, 10)
for number, descriptor in enumerate(ours, start=3):
    os.dup2(descriptor, number)
os.execv(sys.argv[3], sys.argv[3:])
"""
_PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
_WIDEST = """
JSON.stringify([document.documentElement.scrollWidth, innerWidth, [...document.querySelectorAll("body *")]
  .filter(e => e.getClientRects().length && e.getBoundingClientRect().right > innerWidth + 0.5)
  .map(e => e.tagName + " " + (e.textContent || "").trim().slice(0, 40))])
"""


def program() -> str:
    """Return the browser that is installed, or skip the test; where all has to be there, fail."""
    found = next((path for name in _PROGRAMS if (path := shutil.which(name))), None)
    if found is None:
        missing = "no chromium: apt-get install chromium"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    return found


class Browser:
    """A browser with one page. Use it with `with`."""

    def __init__(self) -> None:
        self._home = tempfile.TemporaryDirectory(prefix="mpifarm-chromium-", ignore_cleanup_errors=True)
        theirs_in, self._to = os.pipe()
        self._from, theirs_out = os.pipe()
        command = [
            *(sys.executable, "-c", _AT_3_AND_4, str(theirs_in), str(theirs_out), program(), "--headless", "--no-sandbox"),
            *("--disable-gpu", "--hide-scrollbars", f"--user-data-dir={self._home.name}", "--remote-debugging-pipe"),
        ]
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            pass_fds=(theirs_in, theirs_out),
        )  # fmt: skip
        os.close(theirs_in)
        os.close(theirs_out)
        self._buffer = b""
        self._number = 0
        self._session: str | None = None
        self.complaints: list[str] = []  # errors and warnings, of the console and of the page's own loading
        self.requests: list[str] = []  # URLs, the page's own included

    def __enter__(self) -> Browser:
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._ask(f"{domain}.enable")
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._process.terminate()
        self._process.wait()
        os.close(self._to)
        os.close(self._from)
        self._home.cleanup()

    def open(self, page: Path, width: int, dark: bool = False) -> None:
        """Open a page in a window that is so wide, and wait until it is loaded."""
        self.complaints.clear()
        self.requests.clear()
        theme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self._ask("Emulation.setEmulatedMedia", media="", features=theme)
        self._ask("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        self._ask("Page.navigate", url=page.resolve().as_uri())
        self._until("Page.loadEventFired")
        self.evaluate("document.querySelectorAll('details').forEach(e => e.open = true)")  # what is folded is a page, too

    def on_paper(self, dark: bool = False) -> None:
        """Show the page as it is printed, by somebody whose theme may be *dark*, until the next one is opened."""
        theme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self._ask("Emulation.setEmulatedMedia", media="print", features=theme)

    def evaluate(self, expression: str) -> Any:
        """Return the value of an expression in the page."""
        return self._ask("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def too_wide(self) -> tuple[int, int, list[str]]:
        """Return the width of the page and of the window, and what stands out of it."""
        page, window, what = json.loads(self.evaluate(_WIDEST))
        return page, window, what

    def screenshot(self, path: Path) -> None:
        """Write a picture of the whole page."""
        shot = self._ask("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def _ask(self, method: str, **params: object) -> dict[str, Any]:
        self._number += 1
        message: dict[str, object] = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != self._number:
            pass
        assert "error" not in answer, (method, answer)
        result: dict[str, Any] = answer["result"]
        return result

    def _until(self, event: str) -> None:
        while self._next().get("method") != event:
            pass

    def _next(self) -> dict[str, Any]:
        """Return the next message, and note what it says of the page."""
        until = time.monotonic() + _DEADLINE_S
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._from], [], [], max(0.0, until - time.monotonic()))
            read = os.read(self._from, 1 << 20) if ready else b""
            if not read:
                pytest.fail("the browser does not answer")
            self._buffer += read
        text, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        method, params = message.get("method"), message.get("params", {})
        if method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method in ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded"):
            self.complaints.append(json.dumps(params))
        return message
