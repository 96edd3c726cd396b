"""Chromium without a window, told what to do through a pipe."""

import base64
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, Self

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
COMPLAINTS = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")


class Browser:
    """One page in one browser; see the Chrome DevTools Protocol.

    Attributes:
        console: All that was written to the page's console, errors included.
    """

    def __init__(self, folder: Path) -> None:
        program = next(filter(None, map(shutil.which, NAMES)), None)
        assert program, (
            f"This test needs a browser: install one of {', '.join(NAMES)} (Debian: apt-get install chromium)."
        )
        self.console: list[dict[str, Any]] = []
        self._count = 0
        to_read, self._write = os.pipe()
        self._read, to_write = os.pipe()
        command = [
            program,
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            f"--user-data-dir={folder}",
            "--remote-debugging-pipe",
        ]
        # The protocol is spoken over the descriptors 3 and 4.
        shell = f'exec "$@" 3<&{to_read} 4>&{to_write}'
        self._process = subprocess.Popen(
            ["/bin/bash", "-c", shell, "bash", *command], pass_fds=(to_read, to_write), stderr=subprocess.DEVNULL
        )
        os.close(to_read)
        os.close(to_write)
        self._input = os.fdopen(self._read, "rb")
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.wait()
        self._input.close()
        os.close(self._write)

    def open(self, path: Path, width: int, *, dark: bool = False) -> None:
        """Open a file without a network, and wait until it is there."""
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.call("Emulation.setEmulatedMedia", features=scheme)
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600
        )
        self.call("Page.navigate", url=path.resolve().as_uri())
        waiting = "new Promise(done => document.readyState === 'complete' ? done() : addEventListener('load', done))"
        self.run(f"{waiting}.then(() => new Promise(done => setTimeout(done, 200)))")

    def run(self, code: str) -> Any:
        """The value of JavaScript code in the page."""
        answer = self.call("Runtime.evaluate", expression=code, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def screenshot(self, path: Path) -> None:
        """The whole page as a PNG file."""
        answer = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(answer["data"]))

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """A command to the page."""
        return self._call(method, session=self._session, **parameters)

    def _call(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters}
        os.write(
            self._write, json.dumps(message if session is None else {**message, "sessionId": session}).encode() + b"\0"
        )
        while True:
            received = self._receive()
            if received.get("method") in COMPLAINTS:
                self.console.append(received["params"])
            if received.get("id") == self._count:
                assert "error" not in received, received["error"]
                return received["result"]

    def _receive(self) -> dict[str, Any]:
        parts = bytearray()
        while (byte := self._input.read(1)) != b"\0":
            assert byte, "The browser has ended."
            parts += byte
        return json.loads(parts)
