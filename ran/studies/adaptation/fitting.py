"""Make the data of this package: `python -m ran.studies.adaptation.fitting reference|coefficients [--out
FOLDER]`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from ran.sim.files import write_text
from ran.studies.adaptation import coefficients, reference

_HERE = Path(__file__).resolve().parent


class _Printed:
    """A listener that prints."""

    def say(self, text: str) -> None:
        print(text, flush=True)

    def update(self, status: object) -> None:
        """Nothing."""


def main() -> None:
    """Measure, fit, and write the file into the package's source; runs stay below `--out`, from where they go on."""
    parser = argparse.ArgumentParser(prog="python -m ran.studies.adaptation.fitting", description=__doc__)
    parser.add_argument("what", choices=("reference", "coefficients"))
    parser.add_argument("--out", type=Path, default=Path("runs/adaptation-fitting"))
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    if arguments.what == "reference":
        _write(_HERE / reference.FILE, reference.measure_reference(arguments.out, arguments.workers, _Printed()))
    else:
        _write(_HERE / coefficients.FILE, coefficients.measure_coefficients(_Printed().say))


def _write(path: Path, made: dict[str, object]) -> None:
    """JSON with a line per item of the lists at the top, so that differences can be read."""
    lines = []
    for key, value in made.items():
        if isinstance(value, list) and value:
            body = ",\n  ".join(json.dumps(item) for item in value)
            lines.append(f" {json.dumps(key)}: [\n  {body}\n ]")
        else:
            lines.append(f" {json.dumps(key)}: {json.dumps(value)}")
    write_text(path, "{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
