"""Where blocking endpoints run: in a thread, and once more where the database failed before anything was done."""

from collections.abc import Callable
from functools import partial
from typing import ParamSpec, TypeVar

from starlette import concurrency

from authz.db.again import again

P = ParamSpec("P")
T = TypeVar("T")


async def run_in_threadpool(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The result of the work; see `db.again` for what is run again."""
    return await concurrency.run_in_threadpool(partial(again, work, *args, **kwargs))
