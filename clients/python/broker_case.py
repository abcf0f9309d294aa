"""What the tests of mitosis_broker.py share: see test_mitosis_broker.py."""
from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
import unittest
import uuid
from pathlib import Path
from typing import Any, Callable, Iterator

import mitosis_broker as mb
from mitosis_broker import Broker

SOCKET = os.environ.get("MITOSIS_BROKER_SOCKET", "")
PATH = os.environ.get("MITOSIS_BROKER_PATH", "local")
SUDO = os.environ.get("MITOSIS_BROKER_SUDO", "")
PASSWORD = os.environ.get("MITOSIS_BROKER_PASSWORD", "")
FUNCTIONS = os.environ.get("MITOSIS_BROKER_FUNCTIONS", "")
SLACK = float(os.environ.get("MITOSIS_BROKER_SLACK", "1"))
MIB = 1 << 20
BULK = int(os.environ.get("MITOSIS_BROKER_BULK", 1 << 30))
PATIENCE = 60 * SLACK


def unused_name() -> str:
    """An argument by which a command is found among all others."""
    return str(uuid.uuid4())


class Case(unittest.TestCase):
    def setUp(self) -> None:
        self.broker = Broker(SOCKET)
        self.addCleanup(self.broker.close)

    def sh(self, script: str, *args: str, **options: Any) -> subprocess.CompletedProcess:
        return self.broker.run(PATH, ["sh", "-c", script, "sh", *args], **options)

    def far_directory(self) -> str:
        name = self.sh("mktemp -d").stdout.decode().strip()
        self.addCleanup(self.broker.remove, PATH, name, recursive=True)
        return name

    def running(self, mark: str) -> str:
        """Lists the processes whose command line has a mark."""
        # The mark has brackets so that this command has not the mark itself.
        return self.sh('pgrep -fl -- "$1"', f"[{mark[0]}]{mark[1:]}").stdout.decode()

    def eventually(self, text: str, holds: Callable[[], Any], limit: float) -> None:
        end = time.monotonic() + limit * SLACK
        while not holds():
            if time.monotonic() > end:
                self.fail(f"not within {limit * SLACK:.1f} s, want it by then: {text}")
            time.sleep(0.01)

    def assertFails(self, kind: str, call: Callable[..., Any], *args: Any, **options: Any) -> mb.BrokerError:
        with self.assertRaises(mb.BrokerError) as caught:
            call(*args, **options)
        self.assertEqual(caught.exception.kind, kind, f"want another kind of the error: {caught.exception}")
        return caught.exception

    @contextlib.contextmanager
    def flat(self, **growth: int) -> Iterator[None]:
        """Checks that the peaks of the memory of the client and of the broker grow by at most so many MiB."""
        pids = {"client": os.getpid(), "broker": self.broker.status()["pid"]}

        def memory(pid: int, entry: str) -> int:
            return next(int(line.split()[1]) // 1024 for line in open(f"/proc/{pid}/status") if line.startswith(entry))

        before = {}
        for name, pid in pids.items():
            Path(f"/proc/{pid}/clear_refs").write_text("5")  # the peak begins anew: see proc(5)
            before[name] = memory(pid, "VmRSS")
        yield
        for name, pid in pids.items():
            peak = memory(pid, "VmHWM")
            print(f"\n  {self.id()}: {name} {before[name]} MiB, at most {peak} MiB", end="", file=sys.stderr)
            self.assertLessEqual(peak - before[name], growth[name], f"the memory of the {name} has grown with the data")


def client(script: str, **options: Any) -> subprocess.Popen:
    """Starts a process that is a client."""
    head = "import sys, time, threading; from mitosis_broker import *; broker = Broker(%r); PATH, SUDO = %r, %r\n" % (SOCKET, PATH, SUDO)
    return subprocess.Popen([sys.executable, "-c", head + script], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                            cwd=os.path.dirname(os.path.abspath(__file__)), **options)
