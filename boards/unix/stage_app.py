"""An example stage, as main.py of the virtual board: a sensor pipeline that survives power cuts.

It makes a checkpoint about every 10 ms, says so on the console (`saved N`), and after a power
cut goes on with the state of the newest one.
"""

import math
import os
import time

import edgeckpt
from vflash import flash

SCHEMA = (
    "{boots:u32,samples:u64,gains:[f32;4],window:Vec<{t:u32,value:i32}>,"
    "mode:enum{Idle,Run{rate_hz:u16},Fault(u8,str)}}"
)
LEASE_ID = int(os.getenv("STAGE_LEASE_ID") or "0x5EED", 0)
PERIOD_MS = int(os.getenv("STAGE_PERIOD_MS") or "10")
FIRST_UNIT = 16  # the units before are the firmware's
UNITS = 16


def fresh():
    return {
        "boots": 0,
        "samples": 0,
        "gains": [1.0, 1.0, 1.0, 1.0],
        "window": [{"t": 0, "value": 0} for _ in range(16)],
        "mode": "Idle",
    }


def step(state):
    """One measurement of all channels."""
    n = state["samples"] = state["samples"] + 1
    entry = state["window"][n % len(state["window"])]
    entry["t"] = n
    entry["value"] = int(1000 * math.sin(n / 20))
    gains = state["gains"]
    gains[n % 4] = 0.9 * gains[n % 4] + 0.1 * (1 + n % 7 / 8)


lease = edgeckpt.BlockLease(flash, FIRST_UNIT, UNITS, LEASE_ID)
stage = edgeckpt.CheckpointedStageState.resume(fresh(), lease, SCHEMA)
state = stage.state
print("resumed", stage.sequence, state["samples"])
state["boots"] += 1
state["mode"] = ("Run", {"rate_hz": 100})

while True:
    step(state)
    print("saving", state["samples"])
    stage.checkpoint()
    print("saved", stage.sequence, state["samples"])
    time.sleep_ms(PERIOD_MS)
