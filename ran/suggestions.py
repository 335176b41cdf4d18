"""Which of the allowed names a wrong one was probably meant to be."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

#: What the field, and other simulators, call things that have another name here. Of several, those that are allowed.
_ALIASES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("mcs", "imcs", "modulation", "modulationorder", "qam", "qm", "coderate"), ("mcs_index",)),
    **dict.fromkeys(("snr", "snrdb", "snrs", "ebno", "ebnodb", "ebn0", "ebn0db", "esno", "esnodb"), ("esn0_db",)),
    **dict.fromkeys(("scs", "numerology", "mu", "subcarrierspacing"), ("subcarrier_spacing_khz",)),
    **dict.fromkeys(("bandwidth", "bw", "nrb", "numrb", "numrbs", "nprb", "prbs", "nsizegrid"), ("num_prb",)),
    **dict.fromkeys(("cellid", "pci", "nid", "ncellid", "physcellid"), ("n_cell_id", "n_id")),
    **dict.fromkeys(("layers", "nlayers", "rank", "nl"), ("num_layers",)),
    **dict.fromkeys(("rxantennas", "numrx", "nrx", "nrxants", "numrxants", "antennas"), ("num_rx_ant",)),
    **dict.fromkeys(("users", "numue", "numues", "numtx"), ("num_users",)),
    **dict.fromkeys(("rnti", "crnti"), ("n_rnti",)),
    **dict.fromkeys(("scid", "nscid"), ("n_scid",)),
    **dict.fromkeys(("doppler", "maxdoppler", "maximumdopplershift", "fd"), ("max_doppler_hz", "speed_mps")),
    **dict.fromkeys(("speed", "velocity", "uespeed"), ("speed_mps", "speed_kmh", "max_doppler_hz")),
    **dict.fromkeys(("delayspread", "ds", "rmsdelayspread"), ("delay_spread_ns",)),
    **dict.fromkeys(("carrierfrequency", "fc", "frequency"), ("carrier_frequency_hz",)),
    **dict.fromkeys(("delayprofile", "model"), ("profile",)),
    **dict.fromkeys(("dfts", "dftsofdm", "scfdma", "transformprecoder"), ("transform_precoding",)),
    **dict.fromkeys(("iterations", "ldpciterations", "numiter", "maxiterations"), ("num_iterations",)),
    **dict.fromkeys(("slots", "numslots", "numframes", "nframes"), ("max_slots", "num_slots")),
    **dict.fromkeys(("drops", "numusers"), ("num_drops",)),
    **dict.fromkeys(("precoder", "beamforming"), ("precoding",)),
    **dict.fromkeys(("cfo", "frequencyoffset"), ("cfo_hz",)),
    **dict.fromkeys(("ls", "leastsquares", "zf"), ("ls-linear",)),
    **dict.fromkeys(("mmse", "wiener"), ("lmmse",)),
    **dict.fromkeys(("genie", "ideal", "perfect", "perfectcsi"), ("perfect-csi",)),
    **dict.fromkeys(("rayleigh", "flat"), ("rayleigh-block",)),
    **dict.fromkeys(("raytracing", "sionnart", "rt"), ("ray-traced",)),
    **dict.fromkeys(("simulate", "run"), ("sim",)),
}
#: From this similarity on, a name counts as misspelt, before it may be a part of another one.
_MISSPELT, _SIMILAR = 0.8, 0.5


def suggestions(given: object, choices: Iterable[str]) -> tuple[str, ...]:
    """The allowed names that `given` may stand for: what the field calls so, else the one it misspells, else all that
    begin with it, else the one that it has a part of; none when nothing is close."""
    allowed = {str(choice): _plain(str(choice)) for choice in choices}
    plain = _plain(str(given))
    if not plain:
        return ()
    same = tuple(choice for choice, spelt in allowed.items() if spelt == plain)
    known = tuple(name for name in _ALIASES.get(plain, ()) if name in allowed)
    if same or known:
        return same or known
    if misspelt := _closest(str(given), allowed, _MISSPELT):
        return misspelt
    parts = [_plain(part) for part in re.split(r"[\s_./-]+", str(given)) if part]
    if len(parts) > 1:
        # "TDL-A" is the profile "A" of the channel "tdl"
        whole = tuple(choice for choice, spelt in allowed.items() if spelt in parts)
        if len(whole) == 1:
            return whole
    begin = tuple(sorted(choice for choice, spelt in allowed.items() if spelt.startswith(plain)))
    return begin or _closest(str(given), allowed, _SIMILAR)


def surely(given: object, choices: Iterable[str]) -> tuple[str, ...]:
    """The allowed names that `given` stands for without guessing: spelt otherwise, or what the field calls so."""
    allowed = {str(choice): _plain(str(choice)) for choice in choices}
    plain = _plain(str(given))
    same = tuple(choice for choice, spelt in allowed.items() if spelt == plain)
    return same or tuple(name for name in _ALIASES.get(plain, ()) if name in allowed)


def did_you_mean(given: object, choices: Iterable[str]) -> str:
    """The end of a message about an unknown name: "; did you mean 'a'?", or nothing where nothing is close."""
    return did_you_mean_one_of(suggestions(given, choices))


def did_you_mean_one_of(names: Iterable[str]) -> str:
    """The same for names that are known to be close."""
    found = [repr(name) for name in names]
    if not found:
        return ""
    return f"; did you mean {' or '.join([', '.join(found[:-1]), found[-1]] if len(found) > 1 else found)}?"


def _plain(name: str) -> str:
    """A name as it sounds: without case and without what joins its parts."""
    return re.sub(r"[\s_-]", "", name.lower())


def _closest(given: str, allowed: Iterable[str], cutoff: float) -> tuple[str, ...]:
    by_lower_case = {name.lower(): name for name in allowed}
    found = difflib.get_close_matches(given.lower(), by_lower_case, n=1, cutoff=cutoff)
    return tuple(by_lower_case[name] for name in found)
