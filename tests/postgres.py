"""A PostgreSQL server of the tests' own: in a temporary folder, on a socket there, gone at the end."""

import ctypes
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest

USER, SECRET, PASSWORD = "ledger", "guarded", "of-the-tests!7"
"""Who gets in as he is, who needs a password, and that."""


def binaries():
    """Folder of the newest server that is installed; nothing where there is none."""
    found = [Path(place).resolve().parent for place in [shutil.which("initdb")] if place]
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))[::-1]
    return next((folder for folder in found if (folder / "postgres").exists()), None)


class Server:
    """A server that runs."""

    def __init__(self, folder):
        self.folder = folder
        self._numbers = count()

    def url(self, database="postgres", user=USER):
        return f"postgresql://{user}@/{database}?host={self.folder}"

    def place(self):
        """Address of an empty schema, which is made sooner than a database."""
        name = f"study{next(self._numbers)}"
        self.execute(f"CREATE SCHEMA {name}")
        return f"{self.url()}&options=-csearch_path%3D{name}"

    def execute(self, statement, url=None):
        import psycopg

        with psycopg.connect(url or self.url(), autocommit=True) as connection:
            done = connection.execute(statement)
            return done.fetchall() if done.description else []

    def cut_off(self):
        """End every connection, as a server that restarts or a network that fails does."""
        self.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname IS NOT NULL"
        )


@contextmanager
def running():
    """Start a server; skip the test where none is installed."""
    psycopg = pytest.importorskip("psycopg", reason="psycopg, of the extra `postgres`, is not installed")
    programs = binaries()
    if programs is None:
        pytest.skip("no PostgreSQL server is installed (apt-get install postgresql)")
    folder = Path(
        tempfile.mkdtemp(prefix="pg")
    )  # pytest's own are too long for a socket, and closed to others
    as_user = _unprivileged(folder)
    data = folder / "data"
    made = [
        programs / "initdb",
        "-D",
        data,
        "-U",
        USER,
        "-A",
        "trust",
        "-E",
        "UTF8",
        "--locale=C.UTF-8",
        "--no-sync",
    ]
    if int(programs.parent.name if programs.parent.name.isdigit() else 0) >= 15:
        made += ["--locale-provider=icu", "--icu-locale=en"]  # orders texts as no program does
    subprocess.run(made, check=True, stdout=subprocess.DEVNULL, cwd=folder, **as_user)
    (data / "pg_hba.conf").write_text(f"local all {SECRET} scram-sha-256\nlocal all all trust\n")
    options = ["-k", folder, "-c", "listen_addresses=", "-c", "fsync=off"]
    log = (folder / "log").open("w")
    process = subprocess.Popen(
        [programs / "postgres", "-D", data, *options],
        stdout=log,
        stderr=log,
        cwd=folder,
        preexec_fn=lambda: ctypes.CDLL(None).prctl(
            1, signal.SIGQUIT
        ),  # ends with these tests, however they end
        **as_user,
    )
    try:
        server = Server(folder)
        _wait(server, psycopg, process)
        server.execute(f"CREATE ROLE {SECRET} SUPERUSER LOGIN PASSWORD '{PASSWORD}'")
        yield server
    finally:
        process.send_signal(signal.SIGQUIT)  # at once, with nothing written
        process.wait(timeout=30)
        log.close()
        shutil.rmtree(folder, ignore_errors=True)


def _unprivileged(folder):
    """How a process is started that is not root, since the server refuses root."""
    if os.geteuid() != 0:
        return {}
    names = {entry.pw_name for entry in pwd.getpwall()}
    user = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
    os.chown(folder, user.pw_uid, user.pw_gid)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _wait(server, psycopg, process):
    until = time.monotonic() + 60
    while True:
        try:
            server.execute("SELECT 1")
            return
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > until:
                raise AssertionError((server.folder / "log").read_text()) from None
            time.sleep(0.05)
