"""Bytes on the wire and calls of the drivers, next to what the protocols need at least, and for
SD to what micropython-lib's sdcard.py does. Simulated time: SPI at 20 MHz, 10 us a call (about
what a call of machine.SPI costs a Cortex-M0+), page program 0.7 ms, erase 45 ms, a block of the
card 0.8 ms (0.2 ms within a run)."""

import edgeckpt
import edgeckpt.lease
from edgeckpt.drivers.sdcard import SDCard
from edgeckpt.drivers.spinor import SPINor

from boards.models.nor import NorChip
from boards.models.sdspi import SDCardModel
from boards.models.spi import SPI, Clock, Pin
from boards.models.w25q import W25Q


class Counted:
    """Notes what is asked of the device: (kind, first byte, bytes)."""

    def __init__(self, device):
        self.device = device
        self.size = device.ioctl(5, 0)
        self.asked = []

    def ioctl(self, op, arg):
        if op == 6:
            self.asked.append(("erase", arg * self.size, self.size))
        return self.device.ioctl(op, arg)


class CountedFlash(Counted):
    def readblocks(self, n, buf, off=0):
        self.asked.append(("read", n * self.size + off, len(buf)))
        return self.device.readblocks(n, buf, off)

    def writeblocks(self, n, buf, off):
        self.asked.append(("write", n * self.size + off, len(buf)))
        return self.device.writeblocks(n, buf, off)

    def erase_range(self, first, count):
        self.asked.append(("erase", first * self.size, count * self.size))
        return self.device.erase_range(first, count)


class CountedDisk(Counted):
    def readblocks(self, n, buf):
        self.asked.append(("read", n * self.size, len(buf)))
        return self.device.readblocks(n, buf)

    def writeblocks(self, n, buf):
        self.asked.append(("write", n * self.size, len(buf)))
        return self.device.writeblocks(n, buf)


class Library:
    """What micropython-lib's sdcard.py (0.1.0) puts on the wire, call by call: one byte a call
    for answers, tokens, CRC and busy, no CMD13, no ACMD23, CMD12 and chip select as there."""

    def __init__(self, spi, cs, clock, sectors):
        self.spi = spi
        self.cs = cs
        self.clock = clock
        self.sectors = sectors
        self.one = bytearray(1)

    def byte(self, fill=0xFF):
        self.spi.readinto(self.one, fill)
        return self.one[0]

    def release(self):
        self.cs(1)
        self.byte()

    def cmd(self, index, arg, skip=False):
        self.cs(0)
        from boards.models.sdspi import crc7

        frame = bytes((0x40 | index,)) + arg.to_bytes(4, "big")
        self.spi.write(frame + bytes((crc7(frame),)))
        if skip:
            self.byte()
        while self.byte() & 0x80:
            pass

    def data(self, buf):
        self.cs(0)
        for _ in range(100):
            if self.byte() == 0xFE:
                break
            self.clock.sleep_ms(1)
        else:
            raise OSError("timeout waiting for response")
        self.spi.readinto(buf, 0xFF)
        self.byte()
        self.byte()
        self.release()

    def put(self, token, buf):
        self.cs(0)
        self.byte(token)
        self.spi.write(buf)
        self.byte()
        self.byte()
        self.byte()
        while self.byte() == 0:
            pass
        self.release()

    def readblocks(self, n, buf):
        self.byte()
        if len(buf) == 512:
            self.cmd(17, n)
            self.data(buf)
            return
        self.cmd(18, n)
        view = memoryview(buf)
        for at in range(0, len(buf), 512):
            self.data(view[at : at + 512])
        self.cmd(12, 0, skip=True)
        self.release()

    def writeblocks(self, n, buf):
        self.byte()
        if len(buf) == 512:
            self.cmd(24, n)
            self.release()
            self.put(0xFE, buf)
            return
        self.cmd(25, n)
        self.release()
        view = memoryview(buf)
        for at in range(0, len(buf), 512):
            self.put(0xFC, view[at : at + 512])
        self.cs(0)
        self.byte(0xFD)
        self.byte()
        while self.byte() == 0:
            pass
        self.release()

    def ioctl(self, op, arg):
        return {4: self.sectors, 5: 512}.get(op, 0)


def runs(asked, kind):
    """[(first byte, bytes)] of the requests of one kind, joined where they go on."""
    out = []
    for k, at, n in asked:
        if k == kind and out and out[-1][0] + out[-1][1] == at:
            out[-1][1] += n
        elif k == kind:
            out.append([at, n])
    return out


def nor_minimum(asked):
    # Erases: the largest that fit, each WREN 1, command 4, one status read 2. A page: WREN 1,
    # command 4, 256 bytes, one status read 2. Reads: command 4 and the bytes.
    total = 0
    for at, n in runs(asked, "erase"):
        while n:
            size = 65536 if at % 65536 == 0 and n >= 65536 else 4096
            size = 32768 if size == 4096 and at % 32768 == 0 and n >= 32768 else size
            total += 1 + 4 + 2
            at += size
            n -= size
    total += sum(n // 256 * (1 + 4 + 256 + 2) for _, n in runs(asked, "write"))
    return total + sum(4 + n for _, n in runs(asked, "read"))


def sd_minimum(asked):
    # Command 6, NCR 1, R1 1. A block written: token, 512, CRC 2, data response, one look at busy;
    # at the end of a run the stop token and one look; CMD13 once. A read: one byte (NAC), for
    # each block token, 512, CRC 2; after a run CMD12 with a stuff byte and one look at busy.
    total = 0
    for _, n in runs(asked, "write"):
        total += 8 + n // 512 * 517 + (2 if n > 512 else 0) + 9
    for _, n in runs(asked, "read"):
        total += 9 + n // 512 * 515 + (10 if n > 512 else 0)
    return total


class Bench:
    def __init__(self, medium):
        self.clock = Clock()
        self.bus = SPI(self.clock)
        self.medium = medium
        if medium.startswith("nor"):
            chip = W25Q(1 << 20, self.clock, array=NorChip(1 << 20))
            size = int(medium[3:] or 4) * 1024
            driver = SPINor(self.bus, Pin(self.bus, chip), clock=self.clock, erase_size=size)
            self.device, self.minimum = CountedFlash(driver), nor_minimum
            self.blocks = (1 << 20) // size
        else:
            chip = SDCardModel(2048, self.clock)
            cs = Pin(self.bus, chip)
            driver = SDCard(self.bus, cs, clock=self.clock, crc=medium == "sd")
            if medium == "library":
                driver = Library(self.bus, cs, self.clock, 2048)
            self.device, self.minimum = CountedDisk(driver), sd_minimum
            self.blocks = 2048
        self.driver = driver
        self.bus.call_ns = 10_000

    def measure(self, call, times=1):
        """(bytes, calls, ms, minimum) of one call, mean of `times`."""
        self.device.asked = []
        start = (self.bus.bytes, self.bus.calls, self.clock.us)
        for _ in range(times):
            call()
        end = (self.bus.bytes, self.bus.calls, self.clock.us)
        used = [(end[i] - start[i]) / times for i in range(3)]
        return used[0], used[1], used[2] / 1000, self.minimum(self.device.asked) / times

    def checkpoint(self, size, times):
        del edgeckpt.lease.live[:]
        lease = edgeckpt.BlockLease(self.device, 0, self.blocks, 1)
        stage = edgeckpt.CheckpointedStageState(bytearray(size), lease)
        for i in range(3):  # the driver learns how long the chip takes
            stage.state[0] = i
            stage.checkpoint()
        return self.measure(stage.checkpoint, times)

    def run(self, write, blocks):
        buf = bytearray(blocks * 512)
        if self.medium.startswith("nor"):
            for n in range((blocks * 512 - 1) // self.device.size + 1):
                self.device.ioctl(6, n)
            if write:
                return self.measure(lambda: self.device.writeblocks(0, buf, 0))
            return self.measure(lambda: self.device.readblocks(0, buf, 0))
        call = self.device.writeblocks if write else self.device.readblocks
        call(0, buf)
        return self.measure(lambda: call(0, buf))


worst = 0
rows = (
    ("checkpoint 4000 B", lambda b: b.checkpoint(4000, 16)),
    ("checkpoint 64 KiB", lambda b: b.checkpoint(65536, 3)),
    ("checkpoint 65,280 B", lambda b: b.checkpoint(65280, 3)),  # with its header 64 KiB
    ("read 64 KiB, one call", lambda b: b.run(False, 128)),
    ("write 64 KiB, one call", lambda b: b.run(True, 128)),
)
line = "%-24s %-16s %9d %8d %9d %8.3f %9.1f"
print("%-24s %-16s %9s %8s %9s %8s %9s" % ("", "", "bytes", "calls", "minimum", "ratio", "ms"))
for name, row in rows:
    for medium, label in (
        ("nor", "SPINor"),
        ("nor32", "SPINor, 32 KiB"),
        ("nor64", "SPINor, 64 KiB"),
        ("sd", "SDCard"),
        ("library", "as sdcard.py"),
    ):
        used, calls, ms, least = row(Bench(medium))
        print(line % (name, label, used, calls, least, used / least, ms))
        if medium != "library":
            worst = max(worst, used / least)
            if name == "checkpoint 64 KiB":
                assert used / least <= 1.05, "%s: %.3f of the minimum" % (label, used / least)
print("ok: at most %.3f times the least bytes on the bus" % worst)
