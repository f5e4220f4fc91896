"""A driver over the model of its chip, in simulated time; what all driver scripts share."""

import sys

from edgeckpt.drivers.sdcard import SDCard
from edgeckpt.drivers.spinor import SPINor

from boards.models.sdspi import SDCardModel
from boards.models.spi import SPI, Clock, Pin
from boards.models.w25q import W25Q


class Rig:
    """`clock`, `bus`, `chip`, `cs`, and the driver as `dev` once `start()` was called."""

    def __init__(self, make_chip, make_driver, options):
        self.clock = Clock()
        self.bus = SPI(self.clock)
        self.chip = make_chip(self.clock)
        self.array = getattr(self.chip, "array", None)
        self.disk = getattr(self.chip, "disk", None)
        self.cs = Pin(self.bus, self.chip)
        self.make_driver = make_driver
        self.options = options
        self.dev = None

    def start(self, **options):
        """A new driver, as after a reset of the board."""
        self.dev = self.make_driver(
            self.bus, self.cs, clock=self.clock, **dict(self.options, **options)
        )
        return self.dev

    def restart(self):
        """Power off and on, and a new driver."""
        self.cs.level = 1
        self.chip.power_cycle()
        return self.start()


def nor(size=1 << 18, driver=None, **chip):
    return Rig(lambda clock: W25Q(size, clock, **chip), SPINor, driver or {})


def sd(sectors=1024, driver=None, **chip):
    return Rig(lambda clock: SDCardModel(sectors, clock, **chip), SDCard, driver or {})


def pattern(n, seed=0):
    """`n` bytes that differ from page to page and from seed to seed."""
    x = seed * 2654435761 + 1
    out = bytearray(n)
    for i in range(n):
        x = (x * 1103515245 + 12345) & 0x3FFFFFFF
        out[i] = x >> 16 & 0xFF
    return out


def fails(code, call, *args, **options):
    """Call it; OSError `code` with a sentence must come. Returns the sentence."""
    try:
        call(*args, **options)
    except OSError as e:
        assert e.args[0] == code, "errno %r, expected %d: %s" % (e.args[0], code, e)
        assert len(e.args) > 1 and len(e.args[1]) > 10, e.args
        return e.args[1]
    raise AssertionError("nothing raised, expected OSError %d" % code)


def file_cycle(r, fs, path):
    """Create, write, rename, remove, make a directory, mount anew, read: file system `fs` on the
    chip of rig `r`. MicroPython only."""
    import os

    device = r.start()
    fs.mkfs(device)
    os.mount(device, path)
    for i in range(30):
        with open("%s/file%d" % (path, i % 6), "wb") as f:
            f.write(pattern(i * 97, i))
    os.rename(path + "/file1", path + "/other")
    os.remove(path + "/file2")
    os.mkdir(path + "/dir")
    os.rename(path + "/file3", path + "/dir/moved")
    os.umount(path)
    os.mount(r.restart(), path)
    assert sorted(os.listdir(path)) == ["dir", "file0", "file4", "file5", "other"]
    for name, i in (("other", 25), ("dir/moved", 27), ("file5", 29)):
        with open(path + "/" + name, "rb") as f:
            assert f.read() == pattern(i * 97, i), name
    os.umount(path)


def run(names):
    """Run every function of the dict `names` that starts with test_, or those that the command
    line names; `full` there is for the script."""
    print("edgeckpt is at work")
    chosen = [name for name in sys.argv[1:] if name != "full"]
    chosen = chosen or [name for name in sorted(names) if name.startswith("test_")]
    for name in chosen:
        names[name]()
    print("ok", len(chosen))
