"""Anything comes on stdin; the agent raises nothing, keeps its memory and a checkpoint."""

import gc

import agent_rig
import edgeckpt
from edgeckpt import wire

agent, stage = agent_rig.build(frame=512, gap_ms=50)
ring = stage._ring
first = ring.sequence
gc.collect()
before = gc.mem_alloc()
polls = 0
agent._open = True
while agent._open:
    assert agent.poll(2000), "the input ended without a BYE"
    polls += 1
    if wire.get4(agent._rx, 4) != 77:
        agent._open = True  # a BYE of the fuzzer, not the one at the end
gc.collect()
grown = gc.mem_alloc() - before
assert grown < 40000, "%d bytes more are in use" % grown
lease = stage.into_block_lease()
again = edgeckpt.CheckpointedStageState.restore(lease)
assert again.sequence >= first and len(again.state) > 0
agent_rig.say("frames %d, commits %d, grown %d" % (agent.frames, agent.restored, grown))
