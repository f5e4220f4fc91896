"""Power is cut at random moments of a running stage: what comes back was checkpointed."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import FULL, STAGE_APP, Console, VirtualBoard, seed_of, wait_for

CUTS = 400 if FULL else 200
SHARDS = 4


def expected_window(samples: int) -> list[dict[str, int]]:
    """What stage_app.step() leaves in the window after so many samples."""
    window = [{"t": 0, "value": 0} for _ in range(16)]
    for n in range(max(1, samples - 15), samples + 1):
        window[n % 16] = {"t": n, "value": int(1000 * math.sin(n / 20))}
    return window


@pytest.mark.parametrize("shard", range(SHARDS))
def test_cuts(tmp_path: Path, board: Callable[..., VirtualBoard], shard: int) -> None:
    from edgeckpt_host import state
    from edgeckpt_host.image import parse

    seed = seed_of(f"test_cuts[{shard}]")
    rng = random.Random(seed)
    console = Console()
    b = board(
        app=STAGE_APP,
        size=32 * 4096,
        speed=1,
        grain=16,
        env={"STAGE_PERIOD_MS": "0"},
    )
    b.on_output = console
    saved = 0
    torn = 0
    longest = 0.12  # seconds; longer on a machine so busy that nothing is saved in them
    cuts = CUTS // SHARDS
    for _ in range(cuts):
        wait_for(lambda: any(w[:1] == ["resumed"] for w in console.lines()))
        before = saved
        time.sleep(rng.uniform(0, longest))
        b.power_off()
        passed = {saved}
        for words in console.lines():
            if words[0] == "resumed":
                assert int(words[2]) >= saved, (seed, words, saved)
                saved = int(words[2])
            elif words[0] == "saving" and len(words) == 2:
                passed.add(int(words[1]))
            elif words[0] == "saved" and len(words) == 3:
                saved = int(words[2])
            passed.add(saved)
        torn += max(passed) > saved
        if saved == before:
            longest = min(1.0, 1.1 * longest)
        if b.chip.stat().st_size and saved:
            # What the chip holds now, by the host's eyes.
            image = parse(b.chip.read_bytes(), "chip")
            _, value = state.decode(image.schema, image.state, "chip")
            assert value["samples"] in passed, (seed, value["samples"], sorted(passed)[-3:])
            assert value["samples"] >= saved, (seed, value["samples"], saved)
            assert value["window"] == expected_window(value["samples"]), (seed, value)
        console.data = b""
        b.power_on()
    assert torn, f"seed {seed}: no cut of {cuts} fell into a checkpoint"
    assert saved > cuts, f"seed {seed}: only {saved} samples were saved in {cuts} runs"
