"""Beams learned from the channels of a site: a generalised Lloyd iteration on channels, with phases alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from channels.errors import bad_value

#: Steps to a better beam of a group in every round, rounds at most, and the least gain that asks for another round.
_STEPS, _ROUNDS, _LEAST = 12, 60, 1e-9


@dataclass(frozen=True, eq=False)
class LearnedBeams:
    """weights complex128 [num_places, num_beams], all of modulus 1 / sqrt(num_places), as those of `Codebook`.

    costs float64 [num_rounds + 1]: one less the mean gain over drops, from the start on; it never rises.
    """

    weights: np.ndarray
    costs: np.ndarray


def learn_beams(
    channels: np.ndarray, num_beams: int, generator: np.random.Generator, num_starts: int = 4
) -> LearnedBeams:
    """Beams for which the strongest one of a drop is on average the strongest.

    channels complex [num_drops, num_places, num_samples]: of every drop, samples over frequency, polarisation or time,
    or the principal components of their covariance. A beam's power is the sum over samples of |weights^T channel|^2;
    its gain is this power over that of the drop's best beam of norm 1, so strong and weak drops count alike.

    Two steps in turn, neither of which raises the cost: every drop goes to its strongest beam, and every beam becomes
    a better one for the sum of its drops' covariances (phases of covariance times beam, which climbs as the power is
    convex; from the beam so far and from the principal eigenvector). A beam without drops goes to the drop served
    worst. The best of `num_starts` starts, each from beams of drops that are served badly by those before.

    `ValueError` for more beams than drops, or none.
    """
    num_drops = len(channels)
    if isinstance(num_beams, bool) or not 1 <= num_beams <= num_drops:
        raise bad_value("num_beams", num_beams, f"1 to {num_drops}, the drops to learn from")
    if num_starts < 1:
        raise bad_value("num_starts", num_starts, "1 or more")
    # conjugated, so that a beam's samples are a plain product, and with a largest eigenvalue of 1
    principal, values, _ = np.linalg.svd(channels.astype(np.complex128).conj(), full_matrices=False)
    if not (values[:, 0] > 0).all():
        raise bad_value("channels", "a drop without power", "power in every drop")
    factors = principal * (values / values[:, :1])[:, None]
    own = _phases(principal[:, :, 0])
    found = [_learned(factors, own, _start(factors, own, num_beams, generator)) for _ in range(num_starts)]
    return min(found, key=lambda learned: float(learned.costs[-1]))


def gains_of(factors: np.ndarray, beams: np.ndarray) -> np.ndarray:
    """Power gains, float64 [num_drops, num_beams].

    factors [num_drops, num_places, n], beams [num_beams, num_places].
    """
    return np.asarray((np.abs(np.einsum("dpn,bp->dbn", factors.conj(), beams, optimize=True)) ** 2).sum(-1))


def _phases(values: np.ndarray) -> np.ndarray:
    """The beam of equal moduli and norm 1 that is nearest; last axis: places."""
    return np.asarray(np.exp(1j * np.angle(values)) / np.sqrt(values.shape[-1]))


def _start(factors: np.ndarray, own: np.ndarray, num_beams: int, generator: np.random.Generator) -> np.ndarray:
    """Beams of drops, [num_beams, num_places]; a drop is taken with a probability as its gain is lacking."""
    taken = [own[generator.integers(len(own))]]
    best = gains_of(factors, taken[0][None])[:, 0]
    while len(taken) < num_beams:
        lacking = np.maximum(1 - best, 1e-12)
        taken.append(own[generator.choice(len(own), p=lacking / lacking.sum())])
        best = np.maximum(best, gains_of(factors, taken[-1][None])[:, 0])
    return np.stack(taken)


def _learned(factors: np.ndarray, own: np.ndarray, beams: np.ndarray) -> LearnedBeams:
    beams = beams.copy()
    gains = gains_of(factors, beams)
    costs = [1 - gains.max(1).mean()]
    for _ in range(_ROUNDS):
        owner, best = gains.argmax(1), gains.max(1)
        for number in range(len(beams)):
            members = factors[owner == number]
            if len(members):
                beams[number] = _better(members, beams[number])
            else:
                worst = int(best.argmin())
                beams[number], best[worst] = own[worst], 1.0
        gains = gains_of(factors, beams)
        costs.append(1 - gains.max(1).mean())
        if costs[-2] - costs[-1] < _LEAST:
            break
    return LearnedBeams(beams.T.copy(), np.array(costs))


def _better(members: np.ndarray, beam: np.ndarray) -> np.ndarray:
    """A beam with at least as much power over the members' channels [num_members, num_places, n]."""
    wide = members.transpose(1, 0, 2).reshape(len(beam), -1)
    covariance = wide @ wide.conj().T
    candidates = np.stack([beam, _phases(np.linalg.eigh(covariance)[1][:, -1])], 1)
    for _ in range(_STEPS):
        candidates = _phases((covariance @ candidates).T).T
    power = np.einsum("pc,pq,qc->c", candidates.conj(), covariance, candidates).real
    return np.asarray(candidates[:, power.argmax()])
