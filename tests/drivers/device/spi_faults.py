"""Faults of the interface in the middle of checkpoints, at every place: each ends within its
bound, in an error or (where it can be repaired) in success; the checkpoint before is never lost.

    spi_faults.py [nor|sd [FAULT ...]]

The fault comes after k bytes on the bus, for k from the first byte of a checkpoint to the last
(in steps of a prime), and stays until the checkpoint has ended; then it is taken away, the board
starts again, and the state is restored.
"""

import sys

import edgeckpt
import edgeckpt.lease
import rig

counts = {}


def value(n, size):
    return bytes((n & 0xFF, n >> 8)) + rig.pattern(size - 2, n & 7)


class Media:
    def __init__(self, name):
        self.nor = name == "nor"
        self.rig = rig.nor(1 << 16) if self.nor else rig.sd(1024, times=(100, 500, 2000))
        self.start, self.count = (2, 8) if self.nor else (16, 60)

    def lease(self):
        del edgeckpt.lease.live[:]
        self.device = self.rig.restart()
        return edgeckpt.BlockLease(self.device, self.start, self.count, 9)


def set_chip(name, on, off):
    def begin(media):
        setattr(media.rig.chip, name, on)

    def end(media):
        setattr(media.rig.chip, name, off)

    return begin, end


def pull(media):
    media.rig.chip.pull()


def insert(media):
    media.rig.chip.insert()


def interrupt(media):
    raise KeyboardInterrupt


def nothing(media):
    # Chip select is up: what others say on the bus is not for this chip.
    assert media.rig.cs.level == 1


def protect(media):
    media.rig.chip.sr[0] |= 0x1C


def unprotect(media):
    media.rig.chip.sr[0] = 0


# name: (what begins and ends it, longest simulated time of a checkpoint in ms, may it succeed)
NOR_FAULTS = {
    "no chip, FF": (set_chip("absent", 0xFF, None), 500, False),
    "no chip, 00": (set_chip("absent", 0x00, None), 500, False),
    "stuck busy": (set_chip("stuck_busy", True, False), 500, False),
    "two write enables missed": (set_chip("no_wel", 2, 0), 500, True),
    "write enable never set": (set_chip("no_wel", 1 << 20, 0), 500, False),
    "Ctrl-C": ((interrupt, nothing), 500, False),
    "protected": ((protect, unprotect), 500, False),
}
SD_FAULTS = {
    "no card, FF": (set_chip("absent", 0xFF, None), 5000, False),
    "no card, 00": (set_chip("absent", 0x00, None), 5000, False),
    "card pulled": ((pull, insert), 5000, False),
    "stuck busy": (set_chip("stuck_busy", True, False), 5000, False),
    "CRC errors in 1 of 100 read": (set_chip("crc_read_every", 100, 0), 500, True),
    "CRC errors in 1 of 100 written": (set_chip("crc_write_every", 100, 0), 500, True),
    "CRC errors in 1 of 3 read": (set_chip("crc_read_every", 3, 0), 500, True),
    "CRC errors in 1 of 3 written": (set_chip("crc_write_every", 3, 0), 500, True),
    "CRC errors in 1 of 5 commands": (set_chip("crc_command_every", 5, 0), 500, True),
    "CRC errors in all written": (set_chip("crc_write_every", 1, 0), 500, False),
    "data rejected": (set_chip("reject_every", 1, 0), 500, False),
    "status error after writes": (set_chip("fail_status_every", 1, 0), 500, False),
    "Ctrl-C": ((interrupt, nothing), 500, False),
    "no data tokens": (set_chip("mute", True, False), 3000, False),
}


def run(name, fault, size):
    (begin, end), bound, may_pass = (NOR_FAULTS if name == "nor" else SD_FAULTS)[fault]
    media = Media(name)
    stage = edgeckpt.CheckpointedStageState(bytearray(size), media.lease())
    n = 0
    for _ in range(2):
        n += 1
        stage.state[:] = value(n, size)
        stage.checkpoint()
    bus, clock = media.rig.bus, media.rig.clock
    k = 0
    hits = failed = retries = 0
    durable = n
    while True:
        n += 1
        stage.state[:] = value(n, size)
        at = bus.bytes
        bus.event = (at + k, lambda: begin(media))
        start = clock.us
        try:
            stage.checkpoint()
            durable = n
        except KeyboardInterrupt:
            failed += 1
        except edgeckpt.CheckpointFailed as e:
            failed += 1
            assert isinstance(e.cause, OSError) or e.reason in (
                "data-verify",
                "header-verify",
                "erase",
            ), (e.reason, e.cause)
        ms = (clock.us - start) // 1000
        assert ms < bound, "%d ms, bound %d" % (ms, bound)
        over = bus.event is not None
        bus.event = None
        retries += media.device.retries
        end(media)
        hits += 1
        stage = edgeckpt.CheckpointedStageState.restore(media.lease())
        got = stage.state[0] | stage.state[1] << 8
        assert bytes(stage.state) == value(got, size), "a state that was never passed"
        assert durable <= got <= n, "state %d, expected %d..%d" % (got, durable, n)
        stage.checkpoint()  # the ring goes on
        durable = got
        if over:
            break
        k += 3 if fault == "Ctrl-C" and size < 1000 else 97 if size < 1000 else 311
    assert failed or may_pass, "no checkpoint failed"
    counts[name] = counts.get(name, 0) + hits
    return hits, failed, retries


print("edgeckpt is at work")
for name, table in (("nor", NOR_FAULTS), ("sd", SD_FAULTS)):
    if sys.argv[1:2] not in ([], [name]):
        continue
    for fault in sys.argv[2:] or sorted(table):
        total = 0
        for size in (300, 3000, 6000) if "100" in fault else (300, 3000):
            hits, failed, retries = run(name, fault, size)
            total += retries
            print(
                "%s, %s, %d bytes: %d places, %d checkpoints failed, %d retries"
                % (name, fault, size, hits, failed, retries)
            )
        assert total or not table[fault][2], "nothing was retried"
print("ok %r, no state lost" % (counts,))
