"""What a large piece of work took of memory, given back to the machine; the GNU C library alone needs telling."""

import ctypes

_LIBRARY = ctypes.CDLL(None)
_TRIM = getattr(_LIBRARY, "malloc_trim", None)
_OPTION = getattr(_LIBRARY, "mallopt", None)
_ARENA_MAX = -8
"""M_ARENA_MAX of malloc.h."""


def use_one_heap() -> None:
    """Call it before the first thread: the library gives each a heap of its own, and never takes back the end of those.

    Threads of one interpreter hardly ever ask for memory at the same moment.
    """
    if _OPTION is not None:
        _OPTION(_ARENA_MAX, 1)


def give_back() -> None:
    """Call it where much was made and dropped again: the library would keep it for as long as the process lives."""
    if _TRIM is not None:
        _TRIM(0)
