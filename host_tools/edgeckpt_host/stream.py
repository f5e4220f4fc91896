"""Byte streams to a board: serial ports, `socket://`, `rfc2217://`, a trace of them, a way to end.

Promises: `read()` returns within its timeout; a stream that has gone raises `HostError` `link`.
"""

from __future__ import annotations

import os
import select
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from .errors import HostError

if TYPE_CHECKING:
    from threading import Event


class Stream(Protocol):
    """What the link needs of a line. It may have `seconds_a_byte`, where that is known."""

    name: str

    def read(self, timeout: float) -> bytes:
        """The bytes that have come, at the latest after `timeout` seconds; b"" if none."""

    def write(self, data: bytes) -> None: ...

    def close(self) -> None: ...


def reset(stream: object) -> None:
    """Reset the board by the control lines of its adapter. HostError `port` without them."""
    how = getattr(stream, "reset", None)
    if how is None:
        raise _no_lines(getattr(stream, "name", "the line"), "it is no serial port")
    how()


def _no_lines(name: str, why: object) -> HostError:
    return HostError(
        "port",
        f"{name}: cannot reset the board by DTR and RTS: {why}",
        "press the board's reset button instead",
    )


def _gone(name: str, error: object) -> HostError:
    return HostError(
        "link",
        f"{name}: the line broke: {error}",
        "connect the board again and repeat the command",
    )


class SerialStream:
    """A local serial port, or any other URL that pyserial knows (`rfc2217://`)."""

    def __init__(self, url: str, baud: int) -> None:
        import serial

        self.name = url
        local = "://" not in url
        try:
            if local and not os.path.exists(url) and os.name == "posix":
                raise HostError(
                    "port", f"{url}: no such port", "`edgeckpt ports` lists the ports there are"
                )
            options: dict[str, Any] = {"write_timeout": 10} if local else {}
            if local and os.name == "posix":
                options["exclusive"] = True
            self._port = serial.serial_for_url(url, baudrate=baud, timeout=0.05, **options)
        except (OSError, ValueError, serial.SerialException) as e:
            text = getattr(e, "strerror", None) or str(e)
            busy = "lock" in str(e) or "busy" in str(e).lower()
            raise HostError(
                "port",
                f"{url}: cannot be opened: {text}",
                "another program holds it; close that first" if busy else "is it a serial port?",
            ) from e
        self._error = serial.SerialException
        self.seconds_a_byte = 10 / baud  # of a USB port less: then a repeat comes later
        self._fd = self._port.fileno() if local and os.name == "posix" else -1

    def read(self, timeout: float) -> bytes:
        try:
            if self._fd >= 0:
                # pyserial's own read takes a system call for each byte it does not know of.
                if not select.select([self._fd], [], [], timeout)[0]:
                    return b""
                data = os.read(self._fd, 65536)
                if not data:
                    raise OSError("end of file")
                return data
            end = time.monotonic() + timeout
            while True:
                data = self._port.read(self._port.in_waiting or 1)
                if data or time.monotonic() >= end:
                    return bytes(data)
        except (OSError, self._error) as e:
            raise _gone(self.name, e) from e

    def write(self, data: bytes) -> None:
        try:
            self._port.write(data)
        except (OSError, self._error) as e:
            raise _gone(self.name, e) from e

    def reset(self) -> None:
        """As the adapters of ESP32 boards have it: RTS pulls the reset line, DTR chooses the
        boot loader and stays released."""
        try:
            self._port.dtr = False
            self._port.rts = True
            time.sleep(0.1)
            self._port.rts = False
        except (OSError, self._error) as e:
            raise _no_lines(self.name, getattr(e, "strerror", None) or e) from e

    def close(self) -> None:
        try:
            self._port.close()
        except (OSError, self._error):
            pass


class SocketStream:
    """`socket://host:port`: a raw TCP connection, as terminal servers offer."""

    def __init__(self, url: str) -> None:
        self.name = url
        host, _, port = url[len("socket://") :].partition("/")[0].rpartition(":")
        if not host or not port.isdigit():
            raise HostError("port", f"{url}: expected socket://HOST:PORT")
        try:
            self._socket = socket.create_connection((host.strip("[]"), int(port)), timeout=10)
        except OSError as e:
            raise HostError("port", f"{url}: cannot be opened: {e.strerror or e}") from e
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def read(self, timeout: float) -> bytes:
        try:
            if not select.select([self._socket], [], [], timeout)[0]:
                return b""
            data = self._socket.recv(65536)
        except OSError as e:
            raise _gone(self.name, e) from e
        if not data:
            raise _gone(self.name, "the other side closed it")
        return data

    def write(self, data: bytes) -> None:
        try:
            self._socket.sendall(data)
        except OSError as e:
            raise _gone(self.name, e) from e

    def close(self) -> None:
        self._socket.close()


class TracedStream:
    """Copies all that passes to a text file: seconds, direction, hex. For bug reports."""

    def __init__(self, inner: Stream, file: TextIO) -> None:
        self.name = inner.name
        self.seconds_a_byte = getattr(inner, "seconds_a_byte", 0.0)
        self._inner = inner
        self._file = file
        self._start = time.monotonic()

    def _note(self, mark: str, data: bytes) -> None:
        if data:
            self._file.write(f"{time.monotonic() - self._start:10.4f} {mark} {data.hex()}\n")

    def read(self, timeout: float) -> bytes:
        data = self._inner.read(timeout)
        self._note("<", data)
        return data

    def write(self, data: bytes) -> None:
        self._note(">", data)
        self._inner.write(data)

    def reset(self) -> None:
        reset(self._inner)

    def close(self) -> None:
        self._inner.close()
        self._file.close()


class StoppableStream:
    """A line whose user another thread can stop: the first read or write after `stop` is set
    raises KeyboardInterrupt, those after it pass, so that the board gets its REPL back.

    `armed`: whether that is still to come; clear it where the work is done.
    """

    def __init__(self, inner: Stream, stop: Event) -> None:
        self.name = inner.name
        self.seconds_a_byte = getattr(inner, "seconds_a_byte", 0.0)
        self.armed = True
        self._inner = inner
        self._stop = stop

    def _look(self) -> None:
        if self.armed and self._stop.is_set():
            self.armed = False
            raise KeyboardInterrupt

    def read(self, timeout: float) -> bytes:
        self._look()
        return self._inner.read(timeout)

    def write(self, data: bytes) -> None:
        self._look()
        self._inner.write(data)

    def reset(self) -> None:
        reset(self._inner)

    def close(self) -> None:
        self._inner.close()


def open_stream(url: str, baud: int = 115200, trace: Path | None = None) -> Stream:
    """Open a port by its name or URL. HostError `port`."""
    if url.startswith("labgrid://"):
        url = _of_place(url)
    stream: Stream = SocketStream(url) if url.startswith("socket://") else SerialStream(url, baud)
    if trace is not None:
        try:
            file = trace.open("a", buffering=1)
        except OSError as e:
            stream.close()
            raise HostError("file", f"{trace}: cannot be written: {e.strerror}") from e
        stream = TracedStream(stream, file)
    return stream


def _of_place(url: str) -> str:
    try:
        from .labgrid_driver import place_url
    except ImportError as e:
        raise HostError("port", f"{url}: {e}", "pip install 'edgeckpt[lab]' brings labgrid") from e
    return place_url(url[len("labgrid://") :])
