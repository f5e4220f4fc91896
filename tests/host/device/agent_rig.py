"""What the agent scripts share: a lease on a chip in RAM with checkpoints, served on stdin."""

import sys

import edgeckpt
from nor_device import Nor

SIZE = 700


def build(**options):
    """(agent on stdin and stdout, stage)"""
    from edgeckpt.agent import Agent

    chip = Nor(16)
    state = bytearray(SIZE)
    stage = edgeckpt.CheckpointedStageState(state, edgeckpt.BlockLease(chip, 0, 16, 0x5EED))
    for i in range(3):
        state[0] = i
        stage.checkpoint()
    return Agent(sys.stdin, sys.stdout, **options), stage


def say(text):
    sys.stderr.write(text + "\n")
