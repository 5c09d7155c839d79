"""What a server process does not start with."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from authz.admin.installation import BAD, GOOD
from authz.errors import ConfigurationError
from authz.installation import itself
from authz.installation.checks import check_database
from authz.installation.weaknesses import find_weaknesses
from authz.services import Services

_AFTER_START_SECONDS = 5.0

log = structlog.get_logger()


def refuse_to_start(services: Services) -> None:
    """Raise ConfigurationError naming everything that is wrong; what is only worth a look is logged.

    In development a weak setting, and a clock that is off, are worth a look.
    """
    is_production = not services.settings.server.development
    weak = [
        *find_weaknesses(services.settings, services.secrets.resolve),
        *(check for check in check_database(services) if check.name == "Clock"),
    ]
    refused = [check for check in weak if check.state == BAD and is_production]
    for check in weak:
        if check.state != GOOD and check not in refused:
            log.warning("start.look", said=check.said, do=check.do)
    if refused:
        raise ConfigurationError(
            "not started: "
            + "; ".join(f"{check.said} (way out: {check.do})" for check in refused)
            + ". `authz doctor` shows all checks"
        )


@asynccontextmanager
async def watching_address(services: Services) -> AsyncIterator[None]:
    """While the block runs: say once in the log when the world does not find this server at its issuer."""
    if services.settings.server.development:
        yield
        return
    task = asyncio.create_task(_look(services), name="own-address")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _look(services: Services) -> None:
    await asyncio.sleep(_AFTER_START_SECONDS)
    found = await itself.reach(services.network, services.settings.server.issuer, services.clock)
    for check in found:
        if check.state != GOOD:
            log.warning("start.address", state=check.state, said=check.said, do=check.do)
