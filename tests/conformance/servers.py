"""Database servers for these tests: private ones, started here, gone with the process that started them.

PostgreSQL and MariaDB come from the system's packages (Debian: postgresql, mariadb-server). Each server
has a folder of its own, in memory where the system offers that, a unix socket and a port of 127.0.0.1.
Where a server is not installed, tests skip and say so; TIDEMILL_REQUIRE_SERVERS=1 makes that a failure.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import pytest

MEMORY = Path("/dev/shm")
PASSWORD = "open:sesame/@#1日"
IN_URL = "open%3Asesame%2F%40%231%E6%97%A5"
START_SECONDS = 60


@dataclass
class Server:
    """A server that can be killed and started again. Subclasses know its programs."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None
    log: Path = field(init=False)

    def __post_init__(self) -> None:
        self.log = self.folder / "server.log"

    def command(self) -> list[str]:
        raise NotImplementedError

    def prepare(self) -> None:
        """Make its data folder."""
        raise NotImplementedError

    def admin(self, *statements: str) -> None:
        """Run statements as the administrator, outside any transaction. Raises when it cannot connect."""
        raise NotImplementedError

    def url(self, database: str, port: int | None = None) -> str:
        """Address by the unix socket, or with a password by a port."""
        raise NotImplementedError

    def start(self) -> None:
        """Start it, and wait until it answers."""
        end = time.monotonic() + START_SECONDS
        while True:
            if self.process is None or self.process.poll() is not None:
                self.begin()
            try:
                # First bare: PyMySQL leaves a socket open when nobody listens.
                socket.create_connection(("127.0.0.1", self.port), START_SECONDS).close()
                self.admin("SELECT 1")
                return
            except Exception:
                if time.monotonic() > end:
                    raise AssertionError(self.log.read_text(errors="replace")[-3000:]) from None
                wait_for(self.process or self.begin(), 0.02)

    def begin(self) -> subprocess.Popen[bytes]:
        """Start it without waiting. It dies with the thread that calls this."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(as_other_user(self.command()), stdout=log, stderr=log)
        return self.process

    def kill(self) -> None:
        """As a crash would end it, with all its processes."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        handles = [os.pidfd_open(int(child)) for child in children]
        self.stop(signal.SIGKILL)
        for handle in handles:
            with suppress(ProcessLookupError):  # it saw its parent die
                signal.pidfd_send_signal(handle, signal.SIGKILL)
            select.select([handle], [], [], START_SECONDS)
            os.close(handle)

    def stop(self, how: signal.Signals) -> None:
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(START_SECONDS)

    @contextmanager
    def database(self) -> Iterator[str]:
        """The name of a new, empty database."""
        name = f"t{uuid.uuid4().hex[:12]}"
        self.admin(f"CREATE DATABASE {name}")
        yield name
        self.drop(name)

    def drop(self, name: str) -> None:
        self.admin(f"DROP DATABASE {name}")


class Postgresql(Server):
    """PostgreSQL. Its data survive a killed process, not a lost machine: nothing is forced to disk."""

    quick_stop = signal.SIGINT

    def command(self) -> list[str]:
        settings = {
            "unix_socket_directories": self.folder, "listen_addresses": "127.0.0.1", "port": self.port,
            "fsync": "off", "full_page_writes": "off", "max_connections": 200, "shared_buffers": "64MB",
            "deadlock_timeout": "50ms", "dynamic_shared_memory_type": "mmap",
        }  # fmt: skip
        words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return [program("postgres"), "-D", str(self.folder / "data"), *words]

    def prepare(self) -> None:
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        run_as_other_user(
            program("initdb"), "-D", str(self.folder / "data"), "-U", "tidemill", "--no-sync", "-E", "UTF8",
            "--locale=C.UTF-8", "--auth-local=trust", "--auth-host=scram-sha-256", f"--pwfile={secret}",
        )  # fmt: skip

    def admin(self, *statements: str) -> None:
        import psycopg

        with psycopg.connect(
            host=str(self.folder), port=self.port, user="tidemill", dbname="postgres", autocommit=True
        ) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def url(self, database: str, port: int | None = None) -> str:
        if port is None:
            return f"postgresql://tidemill@/{database}?host={self.folder}".replace("@/", f"@:{self.port}/")
        return f"postgresql://tidemill:{IN_URL}@127.0.0.1:{port}/{database}"

    def drop(self, name: str) -> None:
        self.admin(f"DROP DATABASE {name} WITH (FORCE)")


class Mariadb(Server):
    """MariaDB. Commits reach the system at once, the disk later."""

    quick_stop = signal.SIGKILL

    def command(self) -> list[str]:
        return [
            program("mariadbd"), "--no-defaults", f"--datadir={self.folder / 'data'}", f"--port={self.port}",
            f"--socket={self.folder / 'socket'}", "--bind-address=127.0.0.1", "--skip-name-resolve",
            f"--pid-file={self.folder / 'pid'}", "--innodb-flush-log-at-trx-commit=2",
            "--innodb-buffer-pool-size=64M", "--innodb-log-file-size=16M", "--max-connections=200",
        ]  # fmt: skip

    def prepare(self) -> None:
        run_as_other_user(
            program("mariadb-install-db"), "--no-defaults", f"--datadir={self.folder / 'data'}",
            "--auth-root-authentication-method=normal", "--skip-test-db", "--innodb-log-file-size=16M",
        )  # fmt: skip

    def start(self) -> None:
        super().start()
        self.admin(
            f"CREATE USER IF NOT EXISTS tidemill@'%' IDENTIFIED BY '{PASSWORD}'",
            "CREATE USER IF NOT EXISTS here@localhost",
            "GRANT ALL ON *.* TO here@localhost",
            "GRANT ALL ON *.* TO tidemill@'%'",
        )

    def admin(self, *statements: str) -> None:
        import pymysql

        with pymysql.connect(unix_socket=str(self.folder / "socket"), user="root", autocommit=True) as found:
            for statement in statements:
                found.cursor().execute(statement)

    def url(self, database: str, port: int | None = None) -> str:
        if port is None:
            return f"mysql://here@localhost/{database}?unix_socket={self.folder / 'socket'}"
        return f"mariadb://tidemill:{IN_URL}@127.0.0.1:{port}/{database}"


@contextmanager
def running(kind: Callable[[Path, int], Any]) -> Iterator[Any]:
    """A started server of a kind; the test is skipped when it is not installed."""
    folder = Path(tempfile.mkdtemp(prefix="tidemill-", dir=MEMORY if MEMORY.is_dir() else None))
    try:
        if os.geteuid() == 0:
            os.chown(folder, other_user().pw_uid, other_user().pw_gid)
        server: Server = kind(folder, free_port())
        server.prepare()
        server.start()
        try:
            yield server
        finally:
            server.stop(server.quick_stop)
    finally:
        shutil.rmtree(folder)


def program(name: str) -> str:
    """Path of a server's program."""
    debian = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda p: int(p.parts[4]))
    found = shutil.which(name) or (str(debian[-1]) if debian else shutil.which(name, path="/usr/sbin"))
    return found or do_without(f"{name} is not installed (Debian packages: postgresql, mariadb-server)")


def need_driver(module: str, *, extra: str) -> None:
    if importlib.util.find_spec(module) is None:
        do_without(f"the driver {module} is not installed (extra {extra})")


def do_without(reason: str) -> NoReturn:
    """Skip the test, or fail it where servers are required."""
    if os.environ.get("TIDEMILL_REQUIRE_SERVERS") == "1":
        pytest.fail(f"{reason}, and TIDEMILL_REQUIRE_SERVERS=1 asks for it")
    pytest.skip(reason)


def other_user() -> pwd.struct_passwd:
    """Who runs servers when these tests are run by the superuser, for whom they refuse to start."""
    return pwd.getpwnam("nobody")


def as_other_user(command: list[str]) -> list[str]:
    """The command, as another user when this is the superuser, and killed when this process dies."""
    words = ["setpriv", "--pdeathsig", "KILL"]
    if os.geteuid() == 0:
        user = other_user()
        words += [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    return [*words, "--", *command]


def run_as_other_user(*command: str) -> None:
    done = subprocess.run(as_other_user(list(command)), capture_output=True, text=True, cwd="/")
    assert done.returncode == 0, done.stdout + done.stderr


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def wait_for(process: subprocess.Popen[bytes], seconds: float) -> None:
    """Until the process ends, at most so long."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return
