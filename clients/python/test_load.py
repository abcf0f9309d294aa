"""Tests of much data, many requests and sudden ends: see test_mitosis_broker.py."""
from __future__ import annotations

import concurrent.futures
import contextlib
import io
import os
import random
import threading
import time
import unittest
from typing import Any

from broker_case import BULK, MIB, PATH, PATIENCE, SLACK, SOCKET, Case, client, unused_name
from mitosis_broker import Broker


class Zeros(io.RawIOBase):
    """A file of so many zeros."""

    def __init__(self, size: int) -> None:
        self.left = size

    def read(self, n: int = -1) -> bytes:
        n = min(n, self.left)
        self.left -= n
        return bytes(n)


class Count:
    """A sink that counts."""

    def __init__(self) -> None:
        self.bytes = self.ends = 0

    def __call__(self, piece: bytes) -> None:
        self.bytes += len(piece)
        self.ends += not piece


class Bulk(Case):
    def test_much_output(self) -> None:
        out, err = Count(), Count()
        with self.flat(client=16, broker=48):
            self.sh(f"head -c {BULK} /dev/zero & head -c {BULK // 8} /dev/zero >&2; wait", stdout=out, stderr=err, check=True)
        self.assertEqual((out.bytes, out.ends, err.bytes, err.ends), (BULK, 1, BULK // 8, 1))

    def test_much_input(self) -> None:
        with self.flat(client=16, broker=48):
            result = self.sh("wc -c", input=Zeros(BULK))
        self.assertEqual(int(result.stdout), BULK)

    def test_much_data_there_and_back(self) -> None:
        out = Count()
        with self.flat(client=16, broker=48):
            self.broker.run(PATH, ["cat"], Zeros(BULK), stdout=out)
        self.assertEqual(out.bytes, BULK)

    def test_large_file(self) -> None:
        name, out = self.far_directory() + "/file", Count()
        with self.flat(client=16, broker=48):
            put = self.broker.put(PATH, Zeros(BULK), name)
            got = self.broker.get(PATH, name, out)
        self.assertEqual((put["size"], got["size"], out.bytes), (BULK, BULK, BULK))
        self.assertEqual(put["sha256"], got["sha256"])

    def test_who_does_not_read_harms_nobody(self) -> None:
        with self.flat(client=16, broker=48), contextlib.ExitStack() as stack:
            def echo() -> float:
                began = time.monotonic()
                self.assertEqual(self.sh("echo hello").stdout, b"hello\n")
                return time.monotonic() - began

            before = sorted(echo() for _ in range(20))[10]
            for _ in range(16):
                stack.enter_context(self.broker.popen(PATH, ["yes"]))
                stack.enter_context(self.broker.popen(PATH, ["yes"], pty={"rows": 24, "cols": 80}))
            beside = sorted(echo() for _ in range(20))[10]
            self.assertLess(beside, 10 * before + 0.05 * SLACK, f"a command takes longer beside outputs that nobody reads: {before:.4f} s without them")

    def test_who_does_not_take_its_input_harms_nobody(self) -> None:
        with self.flat(client=64, broker=48), contextlib.ExitStack() as stack:
            for _ in range(16):
                process = stack.enter_context(self.broker.popen(PATH, ["sleep", "1000"]))
                threading.Thread(target=flood, args=(process.stdin,), daemon=True).start()
            self.assertEqual(self.broker.run(PATH, ["cat"], b"x" * 10 * MIB).stdout, b"x" * 10 * MIB)


def flood(stream: Any) -> None:
    with contextlib.suppress(OSError, ValueError):
        while True:
            stream.write(bytes(MIB))


class Crowds(Case):
    def test_fifty_threads(self) -> None:
        def work(n: int) -> None:
            for i in range(6):
                data = os.urandom(1000) * random.randrange(200)
                result = self.broker.run(PATH, ["sh", "-c", 'cat; echo "$1" >&2; exit "$2"', "sh", f"{n} {i}", str(n)], data or b"-")
                self.assertEqual((result.returncode, result.stdout, result.stderr), (n, data or b"-", f"{n} {i}\n".encode()))
                name = f"{directory}/{n}-{i}"
                self.broker.put(PATH, data, name)
                out = io.BytesIO()
                self.broker.get(PATH, name, out)
                self.assertEqual(out.getvalue(), data)

        directory = self.far_directory()
        with concurrent.futures.ThreadPoolExecutor(50) as pool:
            for _ in pool.map(work, range(50)):
                pass
        self.assertEqual(len(self.broker.list_dir(PATH, directory)), 300)

    def test_threads_share_a_process(self) -> None:
        with self.broker.popen(PATH, ["cat"]) as process:
            lines = [f"{i}\n".encode() * 1000 for i in range(20)]
            lock = threading.Lock()

            def write(line: bytes) -> None:
                with lock:
                    process.stdin.write(line)
                    process.stdin.flush()

            with concurrent.futures.ThreadPoolExecutor(20) as pool:
                reading = pool.submit(process.stdout.read)
                for _ in pool.map(write, lines):
                    pass
                process.stdin.close()
                self.assertEqual(sorted(reading.result(PATIENCE).splitlines()), sorted(b"".join(lines).splitlines()))

    def test_a_client_is_killed(self) -> None:
        mark = unused_name()
        killed = client(f"""
for script, options in [("exec sleep 1000", {{}}), ('trap "" TERM HUP; while :; do sleep 0.1; done', {{}}), ("sleep 1000 & sleep 1000", {{}}),
                        ("sleep 1000", {{"pty": {{"rows": 24, "cols": 80}}}}), ("yes", {{}}), ("setsid sleep 1000 & wait", {{}})]:
    broker.popen(PATH, ["sh", "-c", script + "; : {mark}"], **options)
print("ready", flush=True)
time.sleep(1000)
""")
        with self.broker.popen(PATH, ["sleep", "1000"]) as other:
            self.assertEqual(killed.stdout.readline(), b"ready\n")
            self.assertGreaterEqual(len(self.running(mark).splitlines()), 5)
            killed.kill()
            self.eventually("all that it has started is gone", lambda: not self.running(mark), 1)
            self.assertIsNone(other.poll(), "want the commands of other clients to go on")
        killed.communicate()

    def test_clients_are_killed_at_random_moments(self) -> None:
        for i in range(25):
            mark = unused_name()
            killed = client(f"""
for _ in range(4):
    threading.Thread(target=broker.run, args=(PATH, ["sh", "-c", "sleep 1000 & sleep 1000; : {mark}"]), daemon=True).start()
time.sleep(1000)
""")
            time.sleep(random.uniform(0.03, 0.15) * SLACK)
            killed.kill()
            killed.communicate()
            self.eventually(f"all of client {i} is gone", lambda: not self.running(mark), 1)
        self.eventually("the broker has forgotten them", lambda: len(self.broker.status()["clients"]) == 1, 5)

    def test_many_clients_that_do_nothing(self) -> None:
        idle = []
        for _ in range(300):  # more than have a place
            one = Broker(SOCKET)
            one.status()
            idle.append(one)
        self.assertEqual(self.sh("echo on").stdout, b"on\n")
        for one in idle:
            self.assertGreater(one.status()["pid"], 0, "a connection that was ended between two requests must not show")
            one.close()


if __name__ == "__main__":
    unittest.main()
