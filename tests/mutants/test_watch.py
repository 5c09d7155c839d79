"""Which lines a test comes along."""

from scripts.mutants_parts.watch import Watch


def deeper(depth=0):
    return deeper(depth + 1)


def _recurse_to_the_end():
    try:
        deeper()
    except RecursionError:
        return


def test_work_that_recurses_to_the_end_does_not_hide_what_comes_after_it():
    watch = Watch({__file__})
    seen = []
    for work in (_recurse_to_the_end, lambda: None):
        watch.start()
        work()
        seen.append(watch.take())
    watch.stop()
    assert all(seen)
