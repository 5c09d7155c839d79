#!/usr/bin/env python3
"""A throw-away PostgreSQL cluster for tests and measurements, for PostgreSQL 14 and newer.

    with ThrowAwayPostgres({"synchronous_commit": "on"}) as server:
        engine = create_engine(server.url)

    python tests/support/postgres.py run -- pytest ...    # the command finds AUTHZ_TEST_PG_URL
    python tests/support/postgres.py where                # the folder of the server programs

`run` keeps this cluster, and every temporary file of the command, in memory where there is room: the settings stay
those of production, but what waits for a disk waits for nothing. The process that is killed loses no more by it,
only the machine that is; measurements start a cluster themselves, which is on the disk.

Never runs as root (PostgreSQL refuses to): under root the cluster belongs to the system user
`postgres`. What a killed run left behind is removed by the next one: the marker file of a living
run is locked, and the system releases that lock however the run ended.
Only the standard library is needed to start and stop a cluster.
"""

import argparse
import contextlib
import fcntl
import itertools
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType, TracebackType
from typing import IO, Self

URL_VARIABLE = "AUTHZ_TEST_PG_URL"
EXIT_NO_PROGRAMS = 3
_PREFIX = "authz-pg-"
_MARKER = "owner.authz-test"
_SYSTEM_USER = "postgres"
_PROGRAMS = ("initdb", "pg_ctl", "postgres", "createdb")
_PLACES = (
    "/usr/lib/postgresql/*/bin",  # Debian, Ubuntu
    "/usr/pgsql-*/bin",  # the packages of the PostgreSQL project for Fedora and RHEL
    "/opt/homebrew/opt/postgresql*/bin",
    "/usr/local/opt/postgresql*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
)
_START_TRIES = 3
_MEMORY = Path("/dev/shm")
_ROOM = 4 * 1024**3


class PostgresUnavailableError(Exception):
    """No cluster can be had here; the text says what to do about it."""


def find_programs() -> Path:
    """Return the folder of the newest PostgreSQL server programs on this machine."""
    on_path = shutil.which("postgres")
    candidates = [Path(on_path).resolve().parent] if on_path else []
    for place in _PLACES:
        candidates += sorted(Path("/").glob(place[1:]), key=_version, reverse=True)
    for candidate in candidates:
        if all((candidate / program).is_file() for program in _PROGRAMS):
            return candidate
    raise PostgresUnavailableError(
        "the PostgreSQL server programs (initdb, pg_ctl, postgres, createdb)"
    )


def _version(folder: Path) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", str(folder))]


class ThrowAwayPostgres:
    """One cluster in a temporary folder, durable as in production (fsync stays on).

    `settings` are lines of postgresql.conf. The server listens on 127.0.0.1 and on a socket in
    its own folder; both ask for a password made for this run, because any user of the machine
    reaches 127.0.0.1 and a database superuser may run programs.
    """

    user = "authz"
    database = "authz"

    def __init__(self, settings: Mapping[str, str] | None = None) -> None:
        self.settings = {"max_connections": "200", **(settings or {})}
        self.password = secrets.token_urlsafe(18)
        self.port = 0
        self.folder = Path()
        self._lock: IO[str] | None = None

    @property
    def url(self) -> str:
        """The SQLAlchemy URL of the first database."""
        return f"postgresql+psycopg://{self._address}"

    @property
    def libpq_url(self) -> str:
        """The same for psycopg itself, psql and pgbench."""
        return f"postgresql://{self._address}"

    @property
    def _address(self) -> str:
        return f"{self.user}:{self.password}@127.0.0.1:{self.port}/{self.database}"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Create the cluster, start it, create the database."""
        self._programs = find_programs()
        remove_leftovers()
        # As short as it can be: the path of a socket has a limit of about 100 characters.
        self.folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=_base()))
        try:
            self._lock = _mark(self.folder)
            if os.geteuid() == 0:
                shutil.chown(self.folder, _SYSTEM_USER)
            self._create()
            self._start_on_free_port()
            self._create_database()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the cluster and remove it. Safe to call twice."""
        if self._lock is None:
            return
        _destroy(self.folder, self._programs)
        self._lock.close()
        self._lock = None

    def _create(self) -> None:
        password = self.folder / "password"
        password.write_text(self.password)
        if os.geteuid() == 0:
            shutil.chown(password, _SYSTEM_USER)
        options = ["--username", self.user, "--auth=scram-sha-256", f"--pwfile={password}"]
        # Unsynced: a crash of the machine while the cluster is created loses nothing.
        options += ["--encoding=UTF8", "--locale=C", "--no-sync"]
        _check(_as_system_user([str(self._programs / "initdb"), "-D", str(self.data), *options]))

    def _start_on_free_port(self) -> None:
        config = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": str(self.folder),
            "fsync": "on",
            **self.settings,
        }
        lines = "".join(f"{name} = '{value}'\n" for name, value in config.items())
        with (self.data / "postgresql.conf").open("a") as file:
            file.write(lines)
        for attempt in range(1, _START_TRIES + 1):
            self.port = free_port()
            command = [str(self._programs / "pg_ctl"), "-D", str(self.data), "-w", "-s"]
            command += ["-l", str(self.folder / "log"), "-o", f"-p {self.port}", "start"]
            try:
                _check(_as_system_user(command))
            except PostgresUnavailableError as error:
                # Somebody else may have taken the port since it was found free.
                if attempt == _START_TRIES:
                    log = (self.folder / "log").read_text(errors="replace")
                    raise PostgresUnavailableError(f"{error}\n{log}") from None
            else:
                return

    def _create_database(self) -> None:
        command = [str(self._programs / "createdb"), "-h", "127.0.0.1", "-p", str(self.port)]
        environment = {**os.environ, "PGPASSWORD": self.password}
        _check([*command, "-U", self.user, self.database], environment=environment)


@contextlib.contextmanager
def scratch_database(server_url: str, name: str, template: str = "template1") -> Iterator[str]:
    """Create the database `name` on the server, empty or as the `template`, yield its URL, drop it.

    For pytest: once per session with the worker's name (`authz_gw0`), so workers never meet.
    """
    import psycopg
    from psycopg import sql
    from sqlalchemy import make_url

    url = make_url(server_url)
    libpq_url = url.set(drivername="postgresql").render_as_string(hide_password=False)
    drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
    create = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
        sql.Identifier(name), sql.Identifier(template)
    )
    with psycopg.connect(libpq_url, autocommit=True) as connection:
        connection.execute(drop)
        connection.execute(create)
        try:
            yield url.set(database=name).render_as_string(hide_password=False)
        finally:
            connection.execute(drop)


def remove_leftovers() -> None:
    """Stop and remove the clusters of runs that no longer live."""
    for folder in _base().glob(f"{_PREFIX}*"):
        # Others' folders cannot be read, and a folder without our marker is not ours.
        with contextlib.suppress(OSError, PostgresUnavailableError):
            if folder.is_symlink() or folder.stat().st_uid != _owner_uid():
                continue
            with (folder / _MARKER).open("r+") as marker:
                fcntl.flock(marker, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _destroy(folder, find_programs())


def _mark(folder: Path) -> IO[str]:
    # Renamed into place when locked, so a marker that can be seen is never unlocked while its
    # owner lives. Children do not inherit the descriptor.
    unlocked = folder / f"{_MARKER}.new"
    marker = unlocked.open("w")
    marker.write(f"{os.getpid()}\n")
    marker.flush()
    fcntl.flock(marker, fcntl.LOCK_EX)
    unlocked.rename(folder / _MARKER)
    return marker


def _destroy(folder: Path, programs: Path) -> None:
    data = folder / "data"
    if (data / "postmaster.pid").exists():
        # Immediate: nobody will read these files again.
        command = [str(programs / "pg_ctl"), "-D", str(data), "-m", "immediate", "-w", "-s", "stop"]
        subprocess.run(_as_system_user(command), cwd="/", capture_output=True, check=False)
    shutil.rmtree(folder, ignore_errors=True)


def _base() -> Path:
    # Under root the temporary folder of the session may be closed to the user postgres.
    chosen = Path(tempfile.gettempdir())
    return chosen if os.geteuid() != 0 or chosen == _MEMORY else Path("/tmp")


def _is_memory_usable() -> bool:
    """Whether files there may be executed, as tests do, and whether there is room for a whole run."""
    try:
        there = os.statvfs(_MEMORY)
    except OSError:
        return False
    room = there.f_bavail * there.f_frsize
    return os.access(_MEMORY, os.W_OK) and not there.f_flag & os.ST_NOEXEC and room >= _ROOM


def _owner_uid() -> int:
    if os.geteuid() != 0:
        return os.geteuid()
    import pwd

    try:
        return pwd.getpwnam(_SYSTEM_USER).pw_uid
    except KeyError:
        raise PostgresUnavailableError(
            f"the system user {_SYSTEM_USER!r}, which owns the cluster when root runs the tests"
        ) from None


def _as_system_user(command: Sequence[str]) -> list[str]:
    if os.geteuid() != 0:
        return list(command)
    _owner_uid()
    return ["runuser", "-u", _SYSTEM_USER, "--", *command]


def _check(
    command: Sequence[str],
    environment: Mapping[str, str] | None = None,
) -> None:
    # Output goes to a file: the server inherits it, and a pipe would never see its end.
    with tempfile.TemporaryFile("w+", errors="replace") as output:
        status = subprocess.run(
            command,
            check=False,
            cwd="/",
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        ).returncode
        if status:
            output.seek(0)
            program = next(part for part in command if part.startswith("/"))
            raise PostgresUnavailableError(f"{program} failed: {output.read().strip()}")


_FIRST_PORT, _PORTS = 10_240, 20_000
_asked = itertools.count()


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody listens on, and that nobody is given meanwhile.

    It is below what the system gives to whoever asks for any port, and every process goes round from its own place.
    """
    for _ in range(_PORTS):
        port = _FIRST_PORT + (os.getpid() * 613 + next(_asked)) % _PORTS
        with socket.socket() as probe, contextlib.suppress(OSError):
            # As servers do: a port whose last connections linger is free to them.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("every port of 127.0.0.1 that tests may have is in use")


def _run(command: Sequence[str], settings: Mapping[str, str]) -> int:
    def terminate(signum: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + signum)

    signal.signal(signal.SIGTERM, terminate)
    signal.signal(signal.SIGHUP, terminate)
    if _is_memory_usable():
        os.environ["TMPDIR"] = tempfile.tempdir = str(_MEMORY)
    with ThrowAwayPostgres(settings) as server:
        child = subprocess.Popen(command, env={**os.environ, URL_VARIABLE: server.url})
        # Ctrl-C reaches the child as well; it has the last word, then the cluster goes.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            status = child.wait()
        except SystemExit:
            child.terminate()
            child.wait()
            raise
    return status if status >= 0 else 128 - status


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="A throw-away PostgreSQL cluster.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("where", help="print the folder of the server programs")
    run = verbs.add_parser("run", help=f"run a command that finds {URL_VARIABLE}")
    run.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    run.add_argument("--failed", type=int, default=0, help="exit so, should the command succeed")
    run.add_argument("command", nargs="+", help="after --: the command and its arguments")
    options = parser.parse_args(arguments)
    try:
        if options.verb == "where":
            print(find_programs())
            _owner_uid()
            return 0
        settings = dict(item.split("=", 1) for item in options.set)
        return _run(options.command, settings) or options.failed
    except PostgresUnavailableError as error:
        print(f"PostgreSQL for the tests is missing: {error}", file=sys.stderr)
        return EXIT_NO_PROGRAMS


if __name__ == "__main__":
    raise SystemExit(main())
