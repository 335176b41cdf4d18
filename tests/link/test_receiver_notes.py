"""What receivers say of how they compute on this machine reaches the run and its folder."""

from ran.link.catalogue import receiver_notes
from ran.sim.experiment import load
from ran.sim.run_folder import described
from ran.sim.simulation import build_simulation
from receivers import LsLinear


class Elsewhere(LsLinear):
    @property
    def notes(self):
        return ("computed in float32",)


class Both(LsLinear):
    receivers = (LsLinear(), Elsewhere(), Elsewhere())


def test_notes_name_the_receiver_and_hold_those_inside():
    found = receiver_notes({"plain": LsLinear(), "one": Elsewhere(), "both": Both()})
    assert found == ("receiver one: computed in float32", "receiver both: computed in float32")


def test_a_run_keeps_them():
    receiver = "{name: c-library, label: fast, algorithm: lmmse, precision: bfloat16}"
    experiment = load("pusch-receivers", [f"receivers=[ls-linear,{receiver}]"])
    simulation = build_simulation(experiment)
    (note,) = simulation.notes
    assert note.startswith("receiver fast: precision: got bfloat16, computed in float32")
    assert note in described(experiment, simulation, {})["notes"]
