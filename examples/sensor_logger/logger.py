import edgeckpt
from edgeckpt_leases import lease  # your board's range of flash; in a test the plugin brings it

SCHEMA = "{count:u32,last:i16,window:[i16;4]}"
first = {"count": 0, "last": 0, "window": [0, 0, 0, 0]}
stage = edgeckpt.CheckpointedStageState.resume(first, lease, SCHEMA)


def log(reading):
    state = stage.state
    state["window"][state["count"] % 4] = state["last"] = reading
    state["count"] += 1
    stage.checkpoint()
