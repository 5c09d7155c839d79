"""PostgreSQL that is restarted, replicated, promoted, backed up and restored, as its operators do it."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from tests.support.postgres import ThrowAwayPostgres, _as_system_user, _base, _check, free_port


class Cluster(ThrowAwayPostgres):
    """A primary that can be stopped and started again on its port."""

    def halt(self, mode: str = "fast") -> None:
        """Stop it: `fast` as a restart does, `immediate` as a crash."""
        halt(self, self.data, mode)

    def resume(self) -> None:
        """Start it again."""
        resume(self, self.data, self.port)

    def execute(self, statement: str, *, port: int | None = None) -> list[tuple[object, ...]]:
        """As the superuser."""
        url = self.libpq_url.replace(f":{self.port}/", f":{port or self.port}/")
        with psycopg.connect(url, autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []


def halt(server: ThrowAwayPostgres, data: Path, mode: str) -> None:
    """Stop the cluster in a folder."""
    command = [str(server._programs / "pg_ctl"), "-D", str(data), "-m", mode, "-w", "-s", "stop"]
    _check(_as_system_user(command))


def resume(server: ThrowAwayPostgres, data: Path, port: int) -> None:
    """Start the cluster in a folder."""
    command = [str(server._programs / "pg_ctl"), "-D", str(data), "-w", "-s"]
    command += ["-l", str(data.with_name(f"{data.name}.log")), "-o", f"-p {port}", "start"]
    _check(_as_system_user(command))


def base_backup(server: Cluster, name: str, *, as_standby: bool) -> Path:
    """A copy of the running cluster beside it."""
    folder = server.folder / name
    command = [str(server._programs / "pg_basebackup"), "-D", str(folder), "-X", "stream"]
    command += ["-c", "fast", "-h", "127.0.0.1", "-p", str(server.port), "-U", server.user]
    if as_standby:
        command.append("-R")
    _check(_as_system_user(command), environment={**os.environ, "PGPASSWORD": server.password})
    return folder


class Standby:
    """A streaming replica that can be promoted."""

    def __init__(self, server: Cluster, data: Path, port: int) -> None:
        self.server, self.data, self.port = server, data, port

    def promote(self) -> None:
        """From now on it is the primary."""
        command = [str(self.server._programs / "pg_ctl"), "-D", str(self.data), "-w", "-s"]
        _check(_as_system_user([*command, "promote"]))


@contextmanager
def standby_of(server: Cluster) -> Iterator[Standby]:
    """A replica that has everything before a commit is answered: nothing that was answered can be lost."""
    data = base_backup(server, "standby", as_standby=True)
    port = free_port()
    resume(server, data, port)
    try:
        server.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        server.execute("SELECT pg_reload_conf()")
        yield Standby(server, data, port)
    finally:
        if (data / "postmaster.pid").exists():
            halt(server, data, "immediate")


@contextmanager
def archive_folder() -> Iterator[Path]:
    """Where a cluster may put its WAL."""
    folder = Path(tempfile.mkdtemp(prefix="authz-wal-", dir=_base()))
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def restored(server: Cluster, data: Path, archive: Path, *, to: str) -> Iterator[int]:
    """The backup in `data`, brought forward to a moment; yields its port."""
    lines = [
        f"restore_command = 'cp {archive}/%f %p'",
        f"recovery_target_time = '{to}'",
        "recovery_target_action = 'promote'",
        "archive_mode = 'off'",
    ]
    with (data / "postgresql.auto.conf").open("a") as file:
        file.write("\n".join(lines) + "\n")
    (data / "recovery.signal").touch()
    if os.geteuid() == 0:
        shutil.chown(data / "recovery.signal", "postgres")
    port = free_port()
    resume(server, data, port)
    try:
        yield port
    finally:
        halt(server, data, "immediate")


def find_pgbouncer() -> str | None:
    """The program, where it is installed."""
    return shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


@contextmanager
def pgbouncer(server: Cluster, *, pool_size: int = 5) -> Iterator[str]:
    """A pooler in transaction mode in front of the cluster; yields the SQLAlchemy URL through it."""
    program = find_pgbouncer()
    if program is None:
        raise RuntimeError("pgbouncer is not installed; `scripts/test` installs it")
    folder, port = server.folder / "pgbouncer", free_port()
    folder.mkdir()
    (folder / "users.txt").write_text(f'"{server.user}" "{server.password}"\n')
    (folder / "pgbouncer.ini").write_text(
        f"""[databases]
{server.database} = host=127.0.0.1 port={server.port} dbname={server.database}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = plain
auth_file = {folder}/users.txt
pool_mode = transaction
default_pool_size = {pool_size}
max_client_conn = 200
logfile = {folder}/log
pidfile = {folder}/pid
"""
    )
    if os.geteuid() == 0:
        for path in (folder, *folder.iterdir()):
            shutil.chown(path, "postgres")
    process = subprocess.Popen(
        _as_system_user([program, "-q", str(folder / "pgbouncer.ini")]),
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = server.url.replace(f":{server.port}/", f":{port}/")
    try:
        _answers(url.replace("+psycopg", ""))
        yield url
    finally:
        process.terminate()
        process.wait(10)


def _answers(url: str) -> None:
    for attempt in range(100):
        try:
            psycopg.connect(url, connect_timeout=2).close()
        except psycopg.OperationalError:
            if attempt == 99:
                raise
            time.sleep(0.05)
        else:
            return
