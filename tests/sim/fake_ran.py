"""The command line of `ran` on the fake link; a program for tests that kill it."""

import sys

import fake_link

import ran.sim.simulation
from ran.cli.main import main

if __name__ == "__main__":
    ran.sim.simulation.build_simulation = fake_link.build
    sys.exit(main())
