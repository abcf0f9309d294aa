"""Tests of clients that break the protocol: see test_mitosis_broker.py. None may harm others."""
from __future__ import annotations

import concurrent.futures
import contextlib
import json
import os
import random
import socket
import struct
import time
import unittest
from typing import Any, List, Optional, Tuple

import mitosis_broker as mb
from broker_case import MIB, PATH, SLACK, SOCKET, Case, unused_name

GREETING = {"mitosis": "client", "version": 1}
BOUND = 10  # seconds until a greeting or the rest of a frame must be there


def frame(header: Any, body: bytes = b"") -> bytes:
    head = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack(">2I", len(head), len(body)) + head + body


class Raw:
    """A connection without manners."""

    def __init__(self, *sent: bytes) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(15 * SLACK)
        self.socket.connect(SOCKET)
        self.input = self.socket.makefile("rb")
        self.send(*sent)

    def send(self, *sent: bytes) -> None:
        with contextlib.suppress(ConnectionError):
            self.socket.sendall(b"".join(sent))

    def frame(self) -> Optional[Tuple[mb.Header, bytes]]:
        """Reads a frame. None is the end of the connection."""
        with contextlib.suppress(ConnectionError):
            lengths = self.input.read(8)
            if len(lengths) == 8:
                head, body = struct.unpack(">2I", lengths)
                return json.loads(self.input.read(head)), self.input.read(body)
        return None

    def final(self) -> Optional[mb.Header]:
        """Reads up to a final frame."""
        while True:
            got = self.frame()
            if got is None or "ok" in got[0]:
                return got and got[0]

    def close(self) -> None:
        self.input.close()
        self.socket.close()


class Hostile(Case):
    def setUp(self) -> None:
        super().setUp()
        self.sh("true")
        self.mark = unused_name()

    def raw(self, *sent: bytes) -> Raw:
        raw = Raw(*sent)
        self.addCleanup(raw.close)
        return raw

    def tearDown(self) -> None:
        began = time.monotonic()
        self.assertEqual(self.sh("echo on").stdout, b"on\n", "the broker does not serve others any more")
        self.assertLess(time.monotonic() - began, 1 * SLACK)
        self.eventually("nothing of a hostile client is left", lambda: not self.running(self.mark), 2)

    def refused(self, *kinds: str, sent: bytes, limit: float = 2) -> None:
        """Checks that a connection is ended at once, or with an error of one of some kinds."""
        began = time.monotonic()
        raw = self.raw(sent)
        answer = raw.final()
        if answer is not None:
            self.assertFalse(answer["ok"], f"{sent[:80]!r} was accepted")
            self.assertIn(answer["error"]["kind"], kinds, answer)
            self.assertIsNone(raw.frame(), f"want the end of the connection after {sent[:80]!r}")
        self.assertLess(time.monotonic() - began, limit * SLACK, f"the end was late after {sent[:80]!r}")

    def test_forged_greetings(self) -> None:
        for greeting in [
            {}, [], "client", 1, None, True, {"mitosis": "broker", "version": 1}, {"mitosis": 7, "version": 1}, {"version": 1},
            {"mitosis": "client", "version": 1, "name": 5}, {"op": "status"}, b"", b"{", b"\xff\xfe", b"not json at all", b"{}{}", b"\0" * 100,
            b'{"mitosis":"client","version":1e999}', b"[" * 4000,
        ]:
            self.refused("protocol", "version", sent=frame(greeting) + frame({"op": "status"}))
        for version in [0, 2, -1, 1 << 40]:
            self.refused("version", "protocol", sent=frame({"mitosis": "client", "version": version}))
        self.refused("protocol", sent=frame(GREETING, b"a body"))
        self.refused("protocol", sent=frame({**GREETING, "name": "x" * 5000}))
        self.refused("protocol", sent=b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        self.refused("protocol", sent=b"SSH-2.0-OpenSSH_9.2\r\n")
        self.refused("protocol", sent=b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")

    def test_long_headers_and_bodies(self) -> None:
        with self.flat(client=16, broker=32):
            for head, body in [(1 << 30, 0), (0xFFFFFFFF, 0), (10, 1 << 30), (MIB + 1, 0), (10, MIB + 1), (0x80000000, 0xFFFFFFFF)]:
                self.refused("protocol", sent=struct.pack(">2I", head, body) + b"x" * 100)
                self.refused("protocol", sent=frame(GREETING) + struct.pack(">2I", head, body) + b"x" * 100)

    def test_largest_frames(self) -> None:
        raw = self.raw(frame(GREETING))
        raw.frame()
        request = {"op": "exec", "path": PATH, "argv": ["true"], "more": ""}
        request["more"] = "x" * (MIB - len(json.dumps(request)))
        raw.send(frame(request, b"x" * MIB))
        self.assertTrue(raw.final()["ok"], "a frame of exactly the length that is allowed was refused")

    def test_frames_that_are_no_requests(self) -> None:
        for header in [b"", b"[]", b"{", b"\xff", b"[" * MIB, b'{"op":' + b'{"a":' * 100000, b'{"op":5}', b'{"op":"exec","argv":"x"}', b'{"op":"exec","timeout":"x"}', b'{"op":"exec","path":"local","argv":["true"],"timeout":1e999}']:
            self.refused("protocol", sent=frame(GREETING) + frame(header))

    def test_odd_requests(self) -> None:
        odd = [
            {"op": ""}, {"op": "x" * 100000}, {"op": "\0"}, {"op": "exec"}, {"op": "exec", "path": PATH}, {"op": "exec", "path": PATH, "argv": [""]},
            {"op": "exec", "path": PATH, "argv": ["true\0x"]}, {"op": "exec", "path": "local/" * 1000, "argv": ["true"]}, {"op": "exec", "path": "\0", "argv": ["true"]},
            {"op": "stat", "path": PATH, "name": ""}, {"op": "stat", "path": PATH, "name": "a\0b"}, {"op": "put", "path": PATH, "target": ""},
            {"op": "put", "path": PATH, "target": "/tmp/x", "local": "relative"}, {"op": "put", "path": PATH, "target": "/tmp/x", "mode": "-1"},
            {"op": "forward", "path": PATH}, {"op": "dial", "path": PATH}, {"op": "call", "path": PATH}, {"op": "call", "path": PATH, "function": "x", "encoding": "xml"},
            {"op": "close", "lease": 7}, {"op": "stop", "when": "never"}, {"op": "reset", "path": ""},
            {"op": "exec", "path": PATH, "argv": ["true"], "env": {"a=b\0": "c"}}, {"op": "exec", "path": PATH, "argv": ["true"], "dir": "a\0b"},
        ]
        raw = self.raw(frame(GREETING))
        for request in odd:
            if request["op"]:
                raw.send(frame(request))
                answer = raw.final()
                self.assertIsNotNone(answer, f"the connection ended after {str(request)[:200]}")
                self.assertFalse(answer["ok"], f"want an error for {str(request)[:200]}")
                self.assertNotEqual(answer["error"]["kind"], "protocol")
        for harmless in [
            {"op": "exec", "path": PATH, "argv": ["true"], "timeout": 1e308}, {"op": "exec", "path": PATH, "argv": ["true"], "connect_timeout": -5},
            {"op": "exec", "path": PATH, "argv": ["true"], "pty": {"rows": 1 << 31, "cols": -1}}, {"op": "exec", "path": PATH, "argv": ["true"], "window": -1},
            {"op": "exec", "path": PATH, "argv": ["true"], "window": 1 << 62}, {"op": "status", "unknown": {"a": [1, 2, {}]}},
        ]:
            raw.send(frame(harmless))
            self.assertIsNotNone(raw.final(), f"the connection ended after {harmless}")

    def exec(self, script: str, **more: Any) -> Raw:
        raw = self.raw(frame(GREETING), frame({"op": "exec", "path": PATH, "argv": ["sh", "-c", f"{script}; : {self.mark}"], **more}))
        while (raw.frame() or self.fail("the command did not start"))[0].get("event") != "started":
            pass
        return raw

    def test_frames_that_break_a_request(self) -> None:
        for sent in [
            frame({"op": "status"}),  # a second request
            frame({"stream": "stdin"}, bytes(MIB)),  # more than the credit
            frame({"stream": "data"}, b"x"), frame({"stream": "stdout"}, b"x"),
            frame(b"{"), struct.pack(">2I", 1 << 30, 0),
        ]:
            raw = self.exec("sleep 1000", stdin=True)
            raw.send(sent)
            try:
                answer = raw.final()
            except TimeoutError:
                self.fail(f"{sent[:80]!r} is not answered")
            self.assertEqual(answer and answer["error"]["kind"], "protocol", f"{sent[:80]!r}: {answer}")
            while raw.frame():
                pass
            self.eventually("the command is gone", lambda: not self.running(self.mark), 2)

    def test_nothing_follows_a_final_frame(self) -> None:
        def work(_: int) -> None:
            raw = Raw(frame(GREETING))
            raw.frame()
            for _ in range(100):
                raw.send(frame({"op": "exec", "path": PATH, "argv": ["head", "-c", "70000"], "stdin": True}))
                for _ in range(6):
                    raw.send(frame({"stream": "stdin"}, bytes(40000)))
                self.assertTrue(raw.final()["ok"])
                raw.send(frame({"op": "status"}))
                header, _ = raw.frame()
                self.assertIn("status", header, "want the answer to the second request first")
            raw.close()

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            for _ in pool.map(work, range(8)):
                pass

    def test_frames_that_mean_nothing(self) -> None:
        raw = self.exec("read line; echo $line", stdin=True, window=1000)
        for header in [
            {}, {"unknown": 1}, {"answer": 99}, {"answer": 99, "refused": True}, {"signal": "NO_SUCH"}, {"signal": ""}, {"signal": "x" * 10000}, {"resize": {"rows": -1, "cols": 1 << 40}},
            {"credit": 1 << 62, "stream": "stdout"}, {"credit": 1 << 62, "stream": "stdout"}, {"credit": -5, "stream": "stdout"}, {"resize": {}},
        ]:
            raw.send(frame(header))
        raw.send(frame({"stream": "stdin", "end": True}, b"hello\n"), frame({"stream": "stdin"}, b"late"), frame({"stream": "stdin", "end": True}))
        self.assertEqual(raw.final() and True, True)

    def test_flood_of_signals(self) -> None:
        raw = self.exec('trap : USR1; while :; do sleep 1; done')
        flood = frame({"signal": "USR1"}) + frame({"resize": {"rows": 5, "cols": 5}})
        with self.flat(client=16, broker=32):
            end = time.monotonic() + 2
            while time.monotonic() < end:
                raw.send(flood * 100)
            self.assertEqual(self.sh("echo on").stdout, b"on\n")
        raw.close()

    def test_answers_that_nobody_reads(self) -> None:
        names = self.far_directory()
        self.sh('cd "$1"; seq 20000 | xargs touch', names)
        lazy = frame({"op": "list_dir", "path": PATH, "name": names})
        with self.flat(client=16, broker=64):
            for raw in [self.raw(frame(GREETING), lazy) for _ in range(30)]:
                raw.send(frame({"unknown": "x" * 10000}) * 200)
        with self.flat(client=16, broker=48):
            raw = self.raw(frame(GREETING))
            with contextlib.suppress(ConnectionError):
                for _ in range(100000):  # they break the protocol as soon as one comes before the answer of another
                    raw.socket.sendall(frame({"op": "status"}) * 10)
                self.fail("a million requests were taken without an answer that was read")

    def test_halves_of_frames(self) -> None:
        whole = frame(GREETING) + frame({"op": "exec", "path": PATH, "argv": ["sh", "-c", f"sleep 1000; : {self.mark}"], "stdin": True}) + frame({"stream": "stdin"}, b"x" * 1000)
        for cut in [0, 1, 7, 8, 9, 20, *sorted(random.sample(range(20, len(whole)), 60))]:
            raw = self.raw(whole[:cut])
            if cut % 2:
                raw.socket.shutdown(socket.SHUT_WR)
                self.assertIsNone(raw.final() and None)
            raw.close()
        self.eventually("their commands are gone", lambda: not self.running(self.mark), 2)
        self.eventually("the broker has forgotten them", lambda: len(self.broker.status()["clients"]) <= 1, 5)

    def test_slow_greetings(self) -> None:
        began = time.monotonic()
        slow = [self.raw() for _ in range(10)]
        greeting = frame(GREETING)
        for byte in greeting[:-1]:  # a byte now and then does not buy time
            for raw in slow:
                raw.send(bytes([byte]))
            self.assertEqual(self.sh("echo on").stdout, b"on\n")
            time.sleep(BOUND / len(greeting))
        for raw in slow:
            raw.final()
            self.assertIsNone(raw.frame())
        self.assertLess(time.monotonic() - began, (BOUND + 5) * SLACK)

    def test_all_places_are_taken(self) -> None:
        half = frame(GREETING) + frame({"op": "status"})[:20]
        with self.flat(client=64, broker=192):  # 256 connections have less than a MiB each
            for sent in [b"", half[:5], frame(GREETING), half, frame(GREETING) + struct.pack(">2I", MIB, MIB) + b"x" * 1000]:
                crowd = [self.raw(sent) for _ in range(400)]
                for _ in range(5):
                    other = mb.Broker(SOCKET)
                    self.assertEqual(other.run(PATH, ["echo", "on"]).stdout, b"on\n")
                    other.close()
                for raw in crowd:
                    raw.close()

    def test_all_places_have_requests(self) -> None:
        events = frame(GREETING) + frame({"op": "events"})
        crowd: List[Raw] = [self.raw(events) for _ in range(255)]
        self.eventually("all have requests", lambda: sum(c.get("op") == "events" for c in self.broker.status()["clients"]) == 255, 10)

        def full() -> bool:
            # One more takes the place of the connection that our broker keeps. A look at it before its request
            # has begun takes its place again.
            crowd.append(self.raw(events))
            time.sleep(0.05 * SLACK)
            return not self.place()

        self.eventually("there is no place", full, 10)
        for _ in range(20):
            answer = self.raw(frame(GREETING), frame({"op": "status"})).final()
            self.assertEqual(answer and answer["error"]["kind"], "busy")
        self.assertFails("busy", mb.Broker(SOCKET).status)
        for raw in crowd:
            raw.close()
        self.eventually("places are free", self.place, 5)

    def place(self) -> bool:
        with contextlib.suppress(mb.BrokerError):
            return mb.Broker(SOCKET).status()["pid"] > 0
        return False

    def test_events_that_nobody_reads(self) -> None:
        lazy = self.raw(frame(GREETING), frame({"op": "events"}))
        lazy.frame()
        self.eventually("it watches", lambda: any(c.get("op") == "events" for c in self.broker.status()["clients"]), 10)
        many = 400  # more than the connection and the broker hold: each event has the whole path
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            for _ in pool.map(lambda i: self.assertFails("unreachable", self.broker.run, f"ssh:127.0.0.1:{i + 1}?alias={'x' * 5000}", ["true"]), range(many)):
                pass
        told = missed = 0
        while told + missed < many:
            header, _ = lazy.frame()
            told += header.get("state") == "failed"
            missed += header.get("count", 0)
            if told % 50 == 1:  # one that comes when there is room brings the number of the missed
                self.assertFails("unreachable", self.broker.run, "ssh:127.0.0.1:1", ["true"])
                many += 1
        self.assertGreater(missed, 0, "want that a client which does not read misses events, and learns of it")
        self.assertGreater(told, 20)

    def test_many_hosts_that_do_not_exist(self) -> None:
        self.assertFails("unreachable", self.broker.run, "ssh:127.0.0.1:1", ["true"])  # it makes ready for ssh
        before = len(self.broker.status()["hosts"])
        with self.flat(client=16, broker=48):
            for i in range(100):
                self.assertFails("unreachable", self.broker.run, f"ssh:127.0.0.1:{i + 1}/sudo/local", ["true"])
        began = time.monotonic()
        self.assertEqual(len(self.broker.status()["hosts"]), before, "want no entries of hosts to which no connection was made")
        self.assertLess(time.monotonic() - began, 1 * SLACK)

    def test_long_path(self) -> None:
        began = time.monotonic()
        for hops in [1000, 100000]:
            self.assertFails("usage", self.broker.run, "ssh:127.0.0.1:1" + "/local" * hops, ["true"])
        self.assertLess(time.monotonic() - began, 2 * SLACK)

    def test_random_bytes(self) -> None:
        rng = random.Random(os.getpid())
        valid = [{"op": "status"}, {"op": "exec", "path": PATH, "argv": ["true"]}, {"cancel": True}, {"stream": "stdin"}, {"op": "events"}, {"op": "stat", "path": PATH, "name": "/"}]
        with self.flat(client=16, broker=48):
            for _ in range(400):
                sent = bytearray(frame(GREETING) + b"".join(frame(rng.choice(valid), rng.randbytes(rng.randrange(40))) for _ in range(rng.randrange(1, 6))))
                for _ in range(rng.randrange(4)):
                    sent[rng.randrange(len(sent))] = rng.randrange(256)
                raw = self.raw(bytes(sent))
                if rng.random() < 0.5:
                    raw.socket.shutdown(socket.SHUT_WR)
                raw.close()


if __name__ == "__main__":
    unittest.main()
