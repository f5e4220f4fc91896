"""The wear estimate against what the ring really does."""

import sys
from pathlib import Path

import pytest
from edgeckpt import BlockLease, CheckpointedStageState, LeaseError
from edgeckpt_host.wear import estimate

sys.path.insert(0, str(Path(__file__).parents[1] / "core" / "device"))
from nor_device import Nor  # noqa: E402


@pytest.mark.parametrize(("size", "units"), [(64, 4), (1000, 4), (4000, 8), (100, 2)])
def test_the_estimate_is_what_the_ring_does(size: int, units: int) -> None:
    device = Nor(units)
    stage = CheckpointedStageState(bytearray(size), BlockLease(device, 0, units, 1))
    count = 400
    for _ in range(count):
        stage.checkpoint()
    wear = estimate(size, count, units, restarts_per_day=0)
    units_per_slot = -(-wear.slot_bytes // 4096)
    expected = wear.erases_per_day * (units // units_per_slot * units_per_slot)
    assert abs(device.erases - expected) <= units_per_slot + 1  # the first erase is done twice
    assert stage.ring.programs * 256 == count * wear.programmed_per_checkpoint
    stage.into_block_lease().release()


def test_what_is_no_estimate_is_refused() -> None:
    with pytest.raises(LeaseError):
        estimate(64, 10, 1)
    with pytest.raises(LeaseError):
        estimate(9000, 10, 4)
    for bad in ({"size": 0}, {"per_day": 0}, {"capacity": 10}, {"endurance": 0}):
        with pytest.raises(ValueError):
            estimate(**{"size": 64, "per_day": 10, "units": 4, **bad})
