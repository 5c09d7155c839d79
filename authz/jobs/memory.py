"""What a large piece of work took of the machine's memory, given back to it."""

import ctypes

_TRIM = getattr(ctypes.CDLL(None), "malloc_trim", None)
"""Of the GNU C library; others give back by themselves."""


def give_back() -> None:
    """Call it where much was made and dropped again: the C library would keep it for as long as the process lives."""
    if _TRIM is not None:
        _TRIM(0)
