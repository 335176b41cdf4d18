"""How much a training may be: beyond it a number is a slip."""

#: Steps of any schedule; at a millisecond each they take more than a day.
MOST_STEPS = 100_000_000
#: Slots or drops of a draw, and draws of a step: all of them are in memory at once.
MOST_AT_ONCE = 65_536
