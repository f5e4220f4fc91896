"""Frames come on stdin; from the second half on, serving them must allocate nothing."""
# ruff: noqa: I001, F401  edgeckpt first: imports within imports take stack on 32-bit

import sys

import edgeckpt
import edgeckpt.agent
import agent_rig
import micropython

count = int(sys.argv[1])
agent, stage = agent_rig.build(frame=1024)
half = count // 2
before = after = 0
while agent.frames < half:
    assert agent.poll(1000)
before = micropython.mem_total()
while agent.frames < count - 1:
    agent.poll(1000)
after = micropython.mem_total()
agent.poll(1000)
agent_rig.say("allocated %d in %d frames" % (after - before, count - 1 - half))
