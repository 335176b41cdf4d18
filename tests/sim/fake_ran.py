"""The command line of `ran` on the fake link; a program for tests that kill it."""

import functools
import sys

import fake_link

import ran.sim.replay
import ran.sim.run
from ran.cli.main import main

if __name__ == "__main__":
    ran.sim.run.run = functools.partial(ran.sim.run.run, build=fake_link.build)
    ran.sim.replay.replay = functools.partial(ran.sim.replay.replay, build=fake_link.build)
    sys.exit(main())
