"""`authz support-bundle`: what whoever helps from outside needs to know of this installation, in one file."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from authz.cli.run import Result, Run, command, group
from authz.clock import system_clock
from authz.errors import ConfigurationError
from authz.installation.bundle import WITHIN, WITHOUT, Installation, gather, pack
from authz.jobs import JOBS

app = group("A file about this installation for whoever helps.")

_TO_STANDARD_OUTPUT = Path("-")


@command(app, "support-bundle", tenant=False)
def support_bundle(
    run: Run,
    output: Annotated[
        Path | None,
        typer.Option(
            help="Write to this new file; - is standard output.",
            metavar="FILE",
            dir_okay=False,
            allow_dash=True,
            show_default="authz-support-TIME.zip",
        ),
    ] = None,
) -> Result:
    """Write a zip file of what somebody who helps will ask for: versions, settings, doctor, tables, jobs, sinks, keys.

    No secret is in it, no log, and nothing about people. What cannot be found out, because the database is down or a
    secret is missing, says so in its place.
    """
    now = system_clock()
    file = output or Path(f"authz-support-{now:%Y%m%dT%H%M%SZ}.zip")
    services, problem = None, ""
    try:
        services = run.services
    except ConfigurationError as error:
        problem = str(error)
    turns = {name: job.every for name, job in JOBS.items()}
    documents = gather(Installation(run.settings, services, problem, now, turns))
    content = pack(documents)
    if file == _TO_STANDARD_OUTPUT:
        sys.stdout.buffer.write(content)
        return Result(None, "")
    _write(file, content)
    missing = [name for name, it in documents.items() if "missing" in it]
    lines = [f"Wrote {file} (readable by you only). In it:"]
    lines += [f"  {name.ljust(14)} {said}" for name, said in WITHIN.items()]
    lines += [f"Not in it: {WITHOUT}."]
    lines += [f"{name} could not be made: {documents[name]['missing']}" for name in missing]
    lines += [
        "Next: read it, hosts and paths are in it; then hand it over, with the log of the time in question."
    ]
    value = {"file": str(file), "files": ["README.txt", *documents], "missing": missing}
    return Result(value, "\n".join(lines))


def _write(path: Path, content: bytes) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
    except FileExistsError:
        raise ConfigurationError(
            f"{path} is there already; name another file with --output"
        ) from None
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from None
