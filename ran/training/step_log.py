"""A table of what happened at which step, in a CSV file that a resumed training goes on with."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class StepLog:
    """Rows with a `step` and other numbers."""

    def __init__(self, path: Path, fields: tuple[str, ...]) -> None:
        self.path = path
        self.fields = fields

    def add(self, row: Mapping[str, Any]) -> None:
        """Write one more row."""
        new = not self.path.is_file()
        with self.path.open("a", newline="") as file:
            writer = csv.DictWriter(file, self.fields)
            if new:
                writer.writeheader()
            writer.writerow(row)

    def rows(self) -> list[dict[str, str]]:
        """All rows as they are written."""
        if not self.path.is_file():
            return []
        with self.path.open(newline="") as file:
            return list(csv.DictReader(file))

    def cut(self, step: int) -> None:
        """Drop rows of later steps, which a kill undid."""
        if not self.path.is_file():
            return
        rows = [row for row in self.rows() if int(row["step"]) <= step]
        with self.path.open("w", newline="") as file:
            writer = csv.DictWriter(file, self.fields)
            writer.writeheader()
            writer.writerows(rows)
