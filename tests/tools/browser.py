"""A page in a real headless Chromium, by its DevTools protocol over a pair of pipes.

Promises: every wait is bounded; nothing of the user's browser profile is touched; what the page
asked the network for and what it complained of is kept (`requests`, `complaints`).
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import subprocess
import time
from base64 import b64decode
from pathlib import Path
from typing import Any

_FLAGS = """--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --hide-scrollbars
--disable-background-networking --disable-component-update --disable-sync
--disable-dev-shm-usage --remote-debugging-pipe""".split()


def _above(fd: int, least: int) -> int:
    # The same open file under a number above `least`.
    copy = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, least + 1)
    os.close(fd)
    return copy


class Browser:
    """One tab of `command`, 1000 x 800 pixels; its profile is the folder `profile`.

    Attributes: `requests` (URLs), `complaints` (console messages and exceptions).
    """

    def __init__(self, command: str, profile: Path, seconds: float = 60) -> None:
        self._seconds = seconds
        self._number = 0
        self._text = b""
        self.requests: list[str] = []
        self.complaints: list[str] = []
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        # Chromium reads its file descriptor 3 and writes to 4; from above them, so that neither
        # copy closes the other's source. In bash: dash knows no descriptors of two digits.
        theirs_in, theirs_out = (_above(fd, 4) for fd in (theirs_in, theirs_out))
        self._process = subprocess.Popen(
            [
                *("bash", "-c", f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}', "bash", command),
                *(*_FLAGS, "--window-size=1000,800", f"--user-data-dir={profile}", "about:blank"),
            ],
            pass_fds=(theirs_in, theirs_out),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        targets = self.call("Target.getTargets")["targetInfos"]
        tab = next(t["targetId"] for t in targets if t["type"] == "page")
        attached = self.call("Target.attachToTarget", targetId=tab, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    _session: str | None = None

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the protocol and its result; AssertionError for an error."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, f"{method}: {answer}"
                result: dict[str, Any] = answer["result"]
                return result

    def open(self, url: str) -> None:
        """Load a page and wait for its end."""
        self.call("Page.navigate", url=url)
        end = time.monotonic() + self._seconds
        while (
            self.value("document.readyState") != "complete" or self.value("location.href") != url
        ):
            assert time.monotonic() < end, f"{url} did not load in {self._seconds} s"
            time.sleep(0.02)

    def value(self, expression: str) -> Any:
        """What a JavaScript expression gives."""
        got = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in got, f"{expression}: {got}"
        return got["result"].get("value")

    def screenshot(self) -> bytes:
        """The window as PNG."""
        return b64decode(self.call("Page.captureScreenshot", format="png")["data"])

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._in)
        os.close(self._out)

    def _next(self) -> dict[str, Any]:
        # The next message; events are noted.
        while b"\0" not in self._text:
            ready = select.select([self._in], [], [], self._seconds)[0]
            assert ready, f"the browser said nothing for {self._seconds} s"
            data = os.read(self._in, 1 << 16)
            assert data, "the browser ended"
            self._text += data
        text, _, self._text = self._text.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        about = message.get("params", {})
        if message.get("method") == "Network.requestWillBeSent":
            self.requests.append(about["request"]["url"])
        elif message.get("method") in (
            "Runtime.exceptionThrown",
            "Runtime.consoleAPICalled",
            "Log.entryAdded",
        ):
            self.complaints.append(text.decode())
        return message
