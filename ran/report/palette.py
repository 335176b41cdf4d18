"""Colours of pages and figures: on paper and light screens, and on dark screens.

A figure is drawn in the light colours; where a page shows it, each becomes the page's variable of that name
(`ran.report.inline`), so that light and dark are one figure.
"""

from __future__ import annotations

# After M. Okabe and K. Ito, "Color Universal Design" (2008): told apart with every common colour vision deficiency.
# Yellow and sky blue, pale on white, are darkened and moved back; the dark row has the same hues, lightened for black.
COLORS_LIGHT = ("#0072b2", "#d55e00", "#008f68", "#b5569a", "#937000", "#3f8fc9", "#7a3e1d", "#5f57c9")
COLORS_DARK = ("#5ab4ee", "#ff8f4a", "#2fcb9f", "#e69ccd", "#e0bf45", "#a3d4f7", "#d09a72", "#a9a3ff")
# A genie bounds the others and does not compete with them: no colour of its own, and dashed.
GENIE_LIGHT, GENIE_DARK = "#4b5563", "#c3c9d4"

# Of what is no curve. Every colour is another one, since a page finds its variable by the light value.
TEXT, SOFT, EDGE, GRID, LEVEL, FAINT, CARD, MARK = (
    "#1a2230", "#56607a", "#9aa3b2", "#e6e9ef", "#7b8494", "#b8c0cc", "#ffffff", "#d9822b",
)  # fmt: skip

#: Light and dark value of every variable of the pages that is a colour.
VARIABLES: dict[str, tuple[str, str]] = {
    "page": ("#f5f6f8", "#10141b"),
    "card": (CARD, "#181d26"),
    "text": (TEXT, "#e6e9ee"),
    "soft": (SOFT, "#9ba5b7"),
    "line": ("#e2e6ed", "#2b3240"),
    "edge": (EDGE, "#5d6778"),
    "grid": (GRID, "#29303c"),
    "level": (LEVEL, "#8a94a6"),
    "faint": (FAINT, "#495265"),
    "mark": (MARK, "#e79a4b"),
    "good": ("#00694d", "#4fc9a4"),
    "bad": ("#b3400e", "#f0935f"),
    "accent": ("#0071b1", "#5bb5ef"),
    "wash": ("#eef5fa", "#172531"),
    "code": ("#f4f5f7", "#12161e"),
    "genie": (GENIE_LIGHT, GENIE_DARK),
    **{f"c{i}": pair for i, pair in enumerate(zip(COLORS_LIGHT, COLORS_DARK, strict=True))},
}


def css_variables() -> str:
    """The variables as a style sheet; paper is always light."""
    light, dark = ("".join(f" --{name}: {pair[i]};" for name, pair in VARIABLES.items()) for i in (0, 1))
    return f":root {{{light} }}\n@media screen and (prefers-color-scheme: dark) {{ :root {{{dark} }} }}"


def color_of(place: int | None) -> str:
    """Light colour of a place in the palette, counted around; of a genie for None."""
    return GENIE_LIGHT if place is None else COLORS_LIGHT[place % len(COLORS_LIGHT)]


def swatch(place: int | None) -> str:
    """Classes of a legend's line on a page: `color_of`, dashed for a genie and from the second round of colours on."""
    if place is None:
        return "genie"
    return f"s{place % len(COLORS_LIGHT)}" + (" dashed" if place >= len(COLORS_LIGHT) else "")
