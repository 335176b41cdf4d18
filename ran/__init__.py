"""ran6g: simulate, train, compare, export and verify receivers on a 3GPP link.

`ran.simulate`, `ran.load`, `ran.train`, `ran.export_model`, `ran.run_study`, `ran.Experiment`, `ran.Results` and
`ran.Study` are the public API; nothing heavy is imported before one of them is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ran.api.experiment import Experiment
    from ran.api.models import export_model, train
    from ran.api.results import Results
    from ran.api.simulate import load, simulate
    from ran.api.studies import Study, run_study
    from ran.errors import InputError

__version__ = "0.1.0"

_HOMES = {
    "Experiment": "ran.api.experiment",
    "InputError": "ran.errors",
    "Results": "ran.api.results",
    "Study": "ran.api.studies",
    "export_model": "ran.api.models",
    "load": "ran.api.simulate",
    "run_study": "ran.api.studies",
    "simulate": "ran.api.simulate",
    "train": "ran.api.models",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return globals().setdefault(name, getattr(import_module(_HOMES[name]), name))


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


__all__ = [
    "Experiment",
    "InputError",
    "Results",
    "Study",
    "__version__",
    "export_model",
    "load",
    "run_study",
    "simulate",
    "train",
]
