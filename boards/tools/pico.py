"""A Raspberry Pi Pico with real MicroPython firmware, emulated (rp2040py), as a test needs it.

Promises: flash survives `reset()` and power cuts, RAM does not; every program and erase of the
on-chip flash is seen, checked (whole aligned pages, whole sectors) and counted; power can fail
before, in or after any of them; chips can be wired to SPI0. One thread, no event loop: the
emulator runs only inside calls of this class.

`python -m boards.tools.pico` serves one on a pseudo-terminal, for `edgeckpt` and mpremote.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import pty
import random
import select
import sys
import time
import tty
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from .emulator import (
    BOOTROM_B1,
    HAD_POR,
    RP2040,
    USBCDC,
    ConsoleLogger,
    GPIOPinState,
    LogLevel,
    Simulator,
    burst_spi0,
    load_uf2,
    quick_divider,
)

FLASH_SIZE = 2 << 20  # W25Q16 of the Pico
STORAGE = FLASH_SIZE - 1408 * 1024  # where rp2.Flash() begins (ports/rp2, RPI_PICO)
SECTOR = 4096
PAGE = 256
CS_PIN = 17  # chip select of the chip on SPI0 (boards/RPI_PICO/README.md)
_PROGRAM = 0x02
_ERASE = {0x20: 4096, 0xD8: 65536}
_STEADY_PROGRAM = ("none", "all", "prefix", "suffix", "bits", "few", "most", "last", "but-last")
_STEADY_ERASE = ("none", "all", "half1", "half2", "set", "zero", "noise", "stale")


class PowerCut(Exception):
    """The supply failed at a flash operation; the board is off until `reset()`."""


class Misuse(AssertionError):
    """The guest used the flash in a way that a real chip does not stand."""


class Chip(Protocol):
    """A chip on SPI0, as boards/models has them."""

    def select(self, level: int) -> Any: ...
    def transfer(self, byte: int) -> int: ...
    def write(self, buf: bytes) -> Any: ...
    def readinto(self, buf: bytearray, fill: int) -> Any: ...
    def exchange(self, out: bytes, into: bytearray) -> Any: ...
    def idle(self, n: int) -> Any: ...


class GuestClock:
    """Time of the guest, for chip models: `us` since the start."""

    def __init__(self, clock: Any):
        self._clock = clock

    @property
    def us(self) -> int:
        return int(self._clock.nanos) // 1000


class Pico:
    """A board with the firmware `image` (.uf2), off until `reset()`.

    chip: made by `chip(clock)` and wired to SPI0 (SCK GP18, MOSI GP19, MISO GP16, CS GP17).
    pace: whether idle time of the guest passes no faster than real time, as something that
        talks to it over a line expects.

    Attributes: `flash` (a memoryview of the 2 MiB), `ops` (flash operations since the last
    `watch()`), `cut_at`, `cut_when` (an operation number and "before", "in", "after"), `on_op`
    (called with (kind, address, size, data) before each operation, or None), `output` (what the
    guest wrote to its console and nobody took).
    """

    def __init__(
        self, image: Path, chip: Callable[[GuestClock], Chip] | None = None, pace: bool = False
    ):
        self.simulator = Simulator(rp2040=RP2040())
        self.mcu: Any = self.simulator.rp2040
        self.mcu.load_bootrom(BOOTROM_B1)
        self.mcu.logger = ConsoleLogger(LogLevel.ERROR)
        self._pios = self.mcu.pio
        quick_divider(self.mcu)
        self.flash = memoryview(self.mcu.flash)[:FLASH_SIZE]
        self.flash[:] = b"\xff" * FLASH_SIZE
        load_uf2(image, self.mcu)
        self._delivered = bytes(self.flash)
        self.clock = GuestClock(self.mcu.clock)
        self.output = bytearray()
        self.ops = 0
        self.cut_at = -1
        self.cut_when = "in"
        self.on_op: Callable[[str, int, int, bytes], None] | None = None
        self.dice = random.Random(1)
        self.error: Exception | None = None
        self._input = bytearray()
        self._wanted = 0  # bytes the guest's OUT endpoint waits for, 0: none
        self._connected = False
        self._wire_console()
        self._wire_flash()
        self.chip = None
        if chip is not None:
            self._wire_chip(chip(self.clock))
        self._pace = pace
        self._anchor = 0.0
        if pace:
            self._tick = self.mcu.clock.create_alarm(self._on_tick)
        self.mcu.watchdog.on_watchdog_trigger = self._on_watchdog

    # Console. The emulator's host side answers every poll of the guest with an empty packet,
    # which costs the guest two thirds of its time: here a poll waits until there is a byte.

    def _wire_console(self) -> None:
        self.cdc = USBCDC(self.mcu.usb_ctrl)
        usb = self.mcu.usb_ctrl
        answer = usb.on_endpoint_read

        def on_endpoint_read(endpoint: int, size: int) -> None:
            if endpoint == 0 or endpoint != self.cdc._out_endpoint:
                answer(endpoint, size)
            else:
                self._wanted = size
                self._feed()

        usb.on_endpoint_read = on_endpoint_read
        self.cdc.on_serial_data = self.output.extend
        self.cdc.on_device_connected = lambda: setattr(self, "_connected", True)

    def _feed(self) -> None:
        if self._wanted and self._input:
            n = min(self._wanted, len(self._input), 64)
            self._wanted = 0
            data = bytes(self._input[:n])
            del self._input[:n]
            self.mcu.usb_ctrl.endpoint_read_done(self.cdc._out_endpoint, data)

    def write(self, data: bytes) -> None:
        """Give the guest's console bytes; they wait until it takes them."""
        self._input += data
        self._feed()

    def pending(self) -> int:
        """Bytes that the guest has not taken yet."""
        return len(self._input)

    # Flash

    def _wire_flash(self) -> None:
        ssi = self.mcu.ssi
        apply = ssi._apply_command

        def apply_command() -> None:
            sent = ssi._tx_buffer
            op = sent[0] if sent else 0
            if op in _ERASE and len(sent) >= 4 and ssi._write_enabled:
                self._operation("erase", _ERASE[op], sent, apply)
            elif op == _PROGRAM and len(sent) > 4 and ssi._write_enabled:
                self._operation("program", len(sent) - 4, sent, apply)
            else:
                apply()

        ssi._apply_command = apply_command

    def _operation(self, kind: str, size: int, sent: bytearray, apply: Callable[[], None]) -> None:
        at = sent[1] << 16 | sent[2] << 8 | sent[3]
        data = bytes(sent[4:])
        unit = PAGE if kind == "program" else size
        if at % unit or size % unit or size > max(PAGE, unit) or at + size > FLASH_SIZE:
            self._fail(Misuse(f"{kind} of {size} bytes at 0x{at:x}: not a whole aligned unit"))
        op = self.ops
        self.ops += 1
        if self.on_op is not None:
            self.on_op(kind, at, size, data)
        if op != self.cut_at:
            apply()
            return
        if self.cut_when == "in":
            self.flash[at : at + size] = self.torn(kind, at, size, data)
        elif self.cut_when == "after":
            apply()
        self._fail(PowerCut(f"{self.cut_when} operation {op}: {kind} of {size} at 0x{at:x}"))

    def torn(self, kind: str, at: int, size: int, data: bytes) -> bytes:
        """What the cells hold after a cut in the operation, of boards/models/faults.py; `dice`
        decides. Cells that read differently each time are left out: XIP reads plain memory."""
        from ..models import faults
        from ..models.nor import NorChip

        unit = at // SECTOR * SECTOR
        cells = NorChip(max(size, SECTOR), max(size, SECTOR))
        cells.view[:] = self.flash[unit : unit + cells.size]
        dice = faults.Dice(self.dice.random())
        if kind == "program":
            mode = self.dice.choice(_STEADY_PROGRAM)
            faults.cut_program(cells, at - unit, data, mode, dice)
        else:
            faults.cut_erase(cells, 0, self.dice.choice(_STEADY_ERASE), dice)
        return bytes(cells.view[at - unit : at - unit + size])

    def watch(self) -> None:
        """Count flash operations from 0 again, without a cut."""
        self.ops = 0
        self.cut_at = -1

    def _fail(self, error: Exception) -> None:
        # Not raised inside the emulator's native code: it is stopped, and run() raises it.
        if self.error is None:
            self.error = error
        self.simulator.stopped = True

    # The chip on SPI0

    def _wire_chip(self, chip: Chip) -> None:
        self.chip = chip
        spi = self.mcu.spi[0]

        def tried(action: Callable[..., Any], *arguments: Any) -> Any:
            # Nothing reaches the chip after a power cut, and nothing is raised into the emulator.
            if self.error is not None:
                return None
            try:
                return action(*arguments)
            except BaseException as e:
                self._fail(PowerCut(str(e)) if type(e).__name__ == "PowerCut" else _wrap(e))
                return None

        def on_transmit(byte: int) -> None:
            reply = tried(chip.transfer, byte) if self._selected else tried(chip.idle, 1)
            spi.complete_transmit(0xFF if reply is None else reply)

        def exchange(out: bytes, wanted: bool) -> bytes:
            replies = bytearray(b"\xff" * len(out))
            if not self._selected:
                tried(chip.idle, len(out))
            elif not wanted:
                tried(chip.write, out)
            elif out.count(out[0]) == len(out):
                tried(chip.readinto, replies, out[0])
            else:
                tried(chip.exchange, out, replies)
            return replies

        def on_select(value: GPIOPinState, _last: GPIOPinState) -> None:
            selected = value == GPIOPinState.LOW
            if selected != self._selected and self.error is None:
                self._selected = selected
                tried(chip.select, 0 if selected else 1)

        self._selected = False
        spi.on_transmit = on_transmit
        burst_spi0(self.mcu, exchange)
        self.mcu.gpio[CS_PIN].add_listener(on_select)

    # Running

    def reset(self, timeout: float = 60) -> None:
        """Switch the board on, or off and on: RAM is lost, flash stays. Returns at the prompt."""
        self.error = None
        self._input.clear()
        self._wanted = 0
        self._connected = False
        self.mcu.pio = self._pios
        self.mcu.enter_reset()
        for i in range(0, len(self.mcu.sram), 4096):
            self.mcu.sram[i : i + 4096] = self.dice.randbytes(min(4096, len(self.mcu.sram) - i))
        self.mcu.watchdog.reset()
        self.mcu.vreg_and_chip_reset.record_reset_cause(HAD_POR)
        self.mcu.leave_reset()
        self.output.clear()
        if self._pace:
            self._anchor = time.monotonic() - self.mcu.clock.nanos / 1e9
            self._tick.schedule(1_000_000)
        self.run(lambda: self._connected, timeout, "come up on USB")

    def _on_watchdog(self) -> None:
        # machine.reset() of the guest.
        self._input.clear()
        self._wanted = 0
        self.mcu.pio = self._pios
        self.mcu.enter_reset(from_watchdog=True)
        self.mcu.leave_reset()

    def _on_tick(self) -> None:
        # Every guest millisecond: end the batch where the guest runs ahead of real time.
        self._tick.schedule(1_000_000)
        ahead = self.mcu.clock.nanos / 1e9 - (time.monotonic() - self._anchor)
        if ahead > 0.002:
            self.simulator.stopped = True
        elif ahead < 0:
            self._anchor -= ahead  # a guest that is slower than real time never catches up

    def step(self) -> None:
        """Run the guest for some milliseconds at most. Raises PowerCut and Misuse."""
        if self.error is None:
            self.simulator.stopped = False
            # Idle state machines would be asked after each instruction.
            self.mcu.pio = [p for p in self._pios if not p.stopped]
            self.simulator._execute_batch()
        if self.error is not None:
            raise self.error

    def run(self, until: Callable[[], bool], timeout: float, what: str) -> None:
        """Run until the condition holds; TimeoutError after `timeout` seconds."""
        end = time.monotonic() + timeout
        while not until():
            self.step()
            if time.monotonic() > end:
                said = bytes(self.output[-400:])
                raise TimeoutError(f"the board did not {what} in {timeout} s; it said {said!r}")

    def exec(self, source: str, timeout: float = 60) -> str:
        """Run a script by raw REPL and return its output; RuntimeError with its traceback."""
        del self.output[:]
        self.write(b"\r\x03\x03\x01")
        self._until(b"raw REPL; CTRL-B to exit\r\n>", timeout)
        self.write(source.encode() + b"\x04")
        self._until(b"OK", timeout)
        text = self._until(b"\x04", timeout)
        trace = self._until(b"\x04", timeout)
        if trace:
            raise RuntimeError(trace.decode(errors="replace"))
        return text.decode(errors="replace").replace("\r\n", "\n")

    def put(self, path: str, data: bytes) -> None:
        """Write a file of the guest's file system, with the folders that it needs."""
        folders = path.split("/")[:-1]
        names = ["/".join(folders[: i + 1]) for i in range(len(folders)) if folders[i]]
        self.exec(
            f"import os\nfor p in {names}:\n try:\n  os.mkdir(p)\n except OSError: pass\n"
            f"f = open({path!r}, 'wb')"
        )
        for i in range(0, len(data), 1024):
            self.exec(f"f.write({data[i : i + 1024]!r})")
        self.exec("f.close()")

    def _until(self, mark: bytes, timeout: float) -> bytes:
        self.run(lambda: mark in self.output, timeout, f"answer {mark!r}")
        text, _, rest = bytes(self.output).partition(mark)
        self.output[:] = rest
        return text

    # What is kept

    def save(self, first: int = 0, last: int = FLASH_SIZE) -> bytes:
        """The content of flash bytes [first, last)."""
        return bytes(self.flash[first:last])

    def load(self, data: bytes, first: int = 0) -> None:
        """Put content back at byte `first`."""
        self.flash[first : first + len(data)] = data

    # Serving

    def serve(self, fd: int, control: int = -1) -> None:
        """Connect the console to `fd` (a pty's master) until `control` says so or ends.

        control: a file descriptor that takes lines, each answered by its first word: `reset`
        (power off and on), `off`, `blank` (as delivered: the flash as before the first start),
        `cut AT SEED` (power fails in the AT-th operation of the on-chip flash from now on, the
        first is 0; SEED decides what the cells then hold; -1: none), `left` (is it on? answered
        by `on` or `off`), `quit`.
        """
        os.set_blocking(fd, False)
        backlog = bytearray()
        on = True
        while True:
            wanted = ([fd] if self.pending() < 4096 else []) + ([control] if control >= 0 else [])
            ready, _, _ = select.select(wanted, [], [], self._nap() if on else 0.5)
            if control in ready:
                words = os.read(control, 100).split()
                if words[:1] in ([], [b"quit"]):
                    return
                if words[0] == b"left":
                    print("on" if on else "off", flush=True)
                    continue
                if words[0] == b"cut":
                    self.watch()
                    self.cut_at, self.dice = int(words[1]), random.Random(int(words[2]))
                elif words[0] == b"off":
                    on = False
                else:
                    if words[0] == b"blank":
                        self.load(self._delivered)
                    self.watch()
                    self.reset()
                    on = True
                    self.output.clear()
                print(words[0].decode(), flush=True)
            if fd in ready:
                data = os.read(fd, 4096)
                if on:
                    self.write(data)
            if not on:
                continue
            try:
                self.step()
            except PowerCut:
                on = False
            backlog += self.output
            self.output.clear()
            if backlog:
                with contextlib.suppress(BlockingIOError):
                    del backlog[: os.write(fd, backlog)]

    def _nap(self) -> float:
        ahead = self.mcu.clock.nanos / 1e9 - (time.monotonic() - self._anchor)
        return max(0.0, min(ahead, 0.02))


def _wrap(e: BaseException) -> Exception:
    return Misuse(f"{type(e).__name__}: {e}")


def chip(name: str) -> Callable[[GuestClock], Chip] | None:
    """A maker of the chip called `name`: "none", "nor" (W25Q80), "sd" (2 MiB SDHC card)."""
    from ..models.sdspi import SDCardModel
    from ..models.w25q import W25Q

    makers: dict[str, Callable[[GuestClock], Chip] | None] = {
        "none": None,
        "nor": lambda clock: W25Q(1 << 20, clock, jedec=b"\xef\x40\x14"),
        "sd": lambda clock: SDCardModel(4096, clock, times=(100, 500, 5_000)),
    }
    return makers[name]


def main() -> int:
    words = argparse.ArgumentParser(prog="python -m boards.tools.pico", description=main.__doc__)
    words.add_argument(
        "--image", type=Path, help="a .uf2 (default: the one `make firmware` makes)"
    )
    words.add_argument("--chip", choices=["none", "nor", "sd"], default="none", help="on SPI0")
    words.add_argument("--link", type=Path, help="a symbolic link to the pseudo-terminal")
    options = words.parse_args()
    image = options.image
    if image is None:
        from boards.tools.firmware import build  # of a checkout: a wheel builds nothing

        image = build("RPI_PICO") / "firmware.uf2"
    board = Pico(image, chip(options.chip), pace=True)
    board.reset()
    master, slave = pty.openpty()
    tty.setraw(slave)
    port = os.ttyname(slave)
    if options.link:
        options.link.unlink(missing_ok=True)
        options.link.symlink_to(port)
    print(f"port {options.link or port}", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        board.serve(master, sys.stdin.fileno())
    if options.link:
        options.link.unlink(missing_ok=True)
    return 0


main.__doc__ = (
    "An emulated Raspberry Pi Pico on a pseudo-terminal; stdin takes `reset`, `quit` and others."
)

if __name__ == "__main__":
    sys.exit(main())
