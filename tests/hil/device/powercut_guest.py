# Runs on the emulated board: one medium, one lease, states that say their own number.
import edgeckpt
import edgeckpt.lease
import machine

SIZE = 200
CAPACITY = 1500  # two slots in an erase unit, six in the lease
LEASE = 0xC0FFEE


def state(n):
    word = bytes((n & 0xFF, n >> 8, (n * 37) & 0xFF, 0x5A ^ (n & 0xFF), n * 11 & 0xFF))
    return word * (SIZE // 5)


def bus():
    pins = {"sck": machine.Pin(18), "mosi": machine.Pin(19), "miso": machine.Pin(16)}
    return machine.SPI(0, baudrate=60_000_000, **pins), machine.Pin(17, machine.Pin.OUT, value=1)


def flash():
    import rp2

    return edgeckpt.BlockLease(rp2.Flash(), 320, 3, LEASE)


def nor():
    from edgeckpt.drivers.spinor import SPINor

    return edgeckpt.BlockLease(SPINor(*bus()), 16, 3, LEASE)


def sd():
    from edgeckpt.drivers.sdcard import SDCard

    return edgeckpt.BlockLease(SDCard(*bus()), 64, 16, LEASE)


def begin(lease):
    """A first life: a wrapper with nothing written yet."""
    global stage
    stage = edgeckpt.CheckpointedStageState(bytearray(SIZE), lease, capacity=CAPACITY)


def step(n):
    stage.state[:] = state(n)
    stage.checkpoint()


def verify(lease, fallback, go_on):
    """After a cut: what restores (its number), and whether the next one works."""
    global stage
    try:
        stage = edgeckpt.CheckpointedStageState.restore(
            lease, into=bytearray(SIZE), fallback=fallback
        )
    except edgeckpt.RestoreFailed as e:
        print("none", e.reason)
        return
    n = stage.state[0] | stage.state[1] << 8
    if stage.state != state(n):
        print("torn", bytes(stage.state[:32]))
        return
    if go_on:
        step(n + 1000)
        lease = stage.into_block_lease()
        stage = edgeckpt.CheckpointedStageState.restore(lease, into=bytearray(SIZE))
        print("state", n, stage.state == state(n + 1000))
    else:
        print("state", n, True)
