"""Output to terminals and files whose encoding lacks characters that are printed."""

from __future__ import annotations

import codecs
import io
import unicodedata
from typing import TextIO

_HANDLER = "ran6g.nearest"
#: Handlers that a user does not choose to get other characters.
_LOSING_NOTHING = ("strict", "backslashreplace", "surrogateescape")
#: What stands for characters that Unicode itself does not take apart.
_NEAREST = {
    "—": "-",
    "–": "-",
    "−": "-",
    "·": "-",
    "×": "x",
    "±": "+-",
    "≤": "<=",
    "≥": ">=",
    "≈": "~",
    "∞": "inf",
    "µ": "u",
    "°": " deg",
    "§": "section ",
    "“": '"',
    "”": '"',
    "’": "'",
    "→": "->",
}


def take_every_character(stream: TextIO | None) -> None:
    """Let a stream write the nearest characters of its encoding in place of those that it lacks, so that no result is
    lost by a name, a dash or a sign. Streams of an encoding that has them all write what they wrote."""
    if isinstance(stream, io.TextIOWrapper) and stream.errors in _LOSING_NOTHING:
        stream.reconfigure(errors=_HANDLER)


def _nearest(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    character = error.object[error.start]
    if 0xDC80 <= ord(character) <= 0xDCFF:  # a byte of a file's name
        return character.encode("ascii", "surrogateescape"), error.start + 1
    # accents come off: what is left of the letter is ASCII
    plain = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return _NEAREST.get(character, plain or "?"), error.start + 1


codecs.register_error(_HANDLER, _nearest)
