"""Tests of mitosis_broker.py against a broker.

    MITOSIS_BROKER_SOCKET=/run/user/1000/mitosis/broker.sock python3 -m unittest discover clients/python

The variable is the path of the broker's socket. More of them choose what is tried:

    MITOSIS_BROKER_PATH      hop path at which commands run, a host with the usual tools; default: local
    MITOSIS_BROKER_SUDO      hop path that asks for the password in MITOSIS_BROKER_PASSWORD
    MITOSIS_BROKER_FUNCTIONS set where the broker is integration/testdata/broker, which has functions to call
    MITOSIS_BROKER_BULK      bytes of much data; default: 1 GiB
    MITOSIS_BROKER_SLACK     factor for limits of time, for a busy machine; default: 1

Tests of memory need a broker on this host whose /proc files can be read.
"""
from __future__ import annotations

import concurrent.futures
import contextlib
import io
import os
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest
import unittest.mock
from pathlib import Path
from typing import Any, List

import mitosis_broker as mb
from broker_case import FUNCTIONS, MIB, PATH, PATIENCE, SLACK, SOCKET, Case, unused_name
from mitosis_broker import Broker


class Connecting(Case):
    def test_there_is_no_broker(self) -> None:
        with tempfile.TemporaryDirectory() as directory:
            with self.assertRaisesRegex(mb.NoBroker, "mitosis broker start"):
                Broker(f"{directory}/broker.sock").status()
            dead = socket.socket(socket.AF_UNIX)
            dead.bind(f"{directory}/broker.sock")  # and nobody listens
            with dead, self.assertRaises(ConnectionError):
                Broker(f"{directory}/broker.sock").status()

    def test_the_broker_is_silent(self) -> None:
        with tempfile.TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX) as silent:
            silent.bind(f"{directory}/s")
            silent.listen()
            with unittest.mock.patch.object(mb, "PATIENCE", 0.1), self.assertRaisesRegex(mb.Gone, "does not answer"):
                Broker(f"{directory}/s").status()

    def test_default_socket(self) -> None:
        for variables, want in [
            ({"XDG_RUNTIME_DIR": "/run/user/7", "HOME": "/h"}, "/run/user/7/mitosis/broker.sock"),
            ({"XDG_CACHE_HOME": "/c", "HOME": "/h"}, "/c/mitosis/run/broker.sock"),
            ({"HOME": "/h"}, "/h/.cache/mitosis/run/broker.sock"),
        ]:
            with unittest.mock.patch.dict(os.environ, variables, clear=True):
                self.assertEqual(Broker().address, want)
                self.assertEqual(Broker(name="ci").address, want.replace("broker.sock", "broker-ci.sock"))

    def test_status(self) -> None:
        self.assertEqual(self.sh("exit 0").returncode, 0)
        status = self.broker.status()
        self.assertEqual(status["socket"], SOCKET)
        self.assertTrue([c for c in status["connections"] if c["path"].startswith(PATH)], f"want a connection with {PATH}: {status}")
        self.assertIn(os.getpid(), [c["pid"] for c in status["clients"]])

    def test_hold_events_and_reset(self) -> None:
        seen: List[Any] = []
        listens = threading.Event()

        def listen() -> None:
            for event in events:
                seen.append((event["state"], event["path"]))
                listens.set()

        events = Broker(SOCKET).events()
        listener = threading.Thread(target=listen, daemon=True)
        listener.start()
        self.eventually("the listener is a client", lambda: any(c.get("op") == "events" for c in self.broker.status()["clients"]), 10)
        with self.broker.hold(PATH, pool="held") as node:
            self.assertEqual(str(node["uid"]), self.sh("id -u", pool="held").stdout.decode().strip())
            pid = node["pid"]
            self.broker.reset(PATH)
            with self.broker.hold(PATH, pool="held") as other:
                self.assertNotEqual(other["pid"], pid, "after a reset the same connection was given away")
        self.eventually(f"an event of the connect among {seen}", lambda: any(state == "connected" and path.startswith(PATH) for state, path in seen), 10)

    def test_connections_are_kept_for_later_requests(self) -> None:
        self.broker.status()
        first = self.broker._kept[:]
        for _ in range(20):
            self.broker.status()
        self.assertEqual(self.broker._kept, first)

    def test_fork(self) -> None:
        self.broker.status()
        child = os.fork()
        if child == 0:
            with contextlib.suppress(BaseException):
                ok = all(self.sh("echo $1", str(i)).stdout == b"%d\n" % i for i in range(20))
                os._exit(0 if ok else 1)
            os._exit(2)
        for i in range(20):
            self.assertEqual(self.sh("echo $1", str(-i)).stdout, b"%d\n" % -i)
        self.assertEqual(os.waitpid(child, 0)[1], 0, "requests of parent and child were mixed up")

    def test_unknown_host(self) -> None:
        error = self.assertFails("no_host", self.broker.run, "ssh:no-such-host.invalid", ["true"], connect_timeout=20)
        self.assertIsInstance(error, mb.Unreachable)
        self.assertIn("no-such-host.invalid", error.path)

    def test_wrong_paths_and_requests(self) -> None:
        for path in ["", "/", "nosuchmethod:x", "ssh:"]:
            self.assertFails("usage", self.broker.run, path, ["true"])
        self.assertFails("usage", self.broker._do, "no_such_request")
        self.assertFails("usage", self.broker.run, PATH, [])
        self.assertEqual(len(self.broker._kept), 1, "a wrong request has ended the connection")
        for options in [{"dir": "/\udcff"}, {"env": {"A": "\udcff"}}]:
            with self.assertRaises(UnicodeEncodeError):  # and not in another directory
                self.sh("true", **options)


class Commands(Case):
    def test_outputs_are_separate(self) -> None:
        result = self.sh("echo out; echo err >&2; exit 3")
        self.assertEqual((result.returncode, result.stdout, result.stderr), (3, b"out\n", b"err\n"))

    def test_merged_output(self) -> None:
        result = self.sh("for i in 1 2 3; do echo $i; echo e$i >&2; done", merge=True)
        self.assertEqual((result.stdout, result.stderr), (b"1\ne1\n2\ne2\n3\ne3\n", b""))

    def test_every_exit_status(self) -> None:
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            statuses = list(pool.map(lambda n: self.sh("exit $1", str(n)).returncode, range(256)))
        self.assertEqual(statuses, list(range(256)))

    def test_every_signal_that_ends_a_command(self) -> None:
        harmless = {signal.SIGCHLD, signal.SIGCONT, signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU, signal.SIGURG, signal.SIGWINCH}
        signals = [s for s in signal.Signals if s < 32 and s not in harmless]
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            ends = list(pool.map(lambda s: self.sh("ulimit -c 0; kill -$1 $$", str(int(s))).returncode, signals))
        self.assertEqual(ends, [-int(s) for s in signals])

    def test_commands_that_do_not_start(self) -> None:
        self.assertIsInstance(self.assertFails("not_found", self.broker.run, PATH, ["/no/such/program"]), FileNotFoundError)
        self.assertFails("not_found", self.broker.run, PATH, ["no-such-program"])
        self.assertFails("permission", self.broker.run, PATH, ["/etc/passwd"])
        self.assertFails("not_found", self.broker.run, PATH, ["true"], dir="/no/such/directory")

    def test_check(self) -> None:
        with self.assertRaises(subprocess.CalledProcessError) as caught:
            self.sh("echo why >&2; exit 9", check=True)
        self.assertEqual((caught.exception.returncode, caught.exception.stderr), (9, b"why\n"))

    def test_surroundings(self) -> None:
        self.assertEqual(self.sh("pwd", dir="/usr/bin").stdout, b"/usr/bin\n")
        self.assertEqual(self.sh('echo "$A$HOME"', env={"A": "a b\nc\u00e4", "HOME": ""}).stdout, "a b\nc\u00e4\n".encode())
        self.assertEqual(self.broker.run(PATH, ["/usr/bin/env"], env={"ONLY": "1"}, clear_env=True).stdout, b"ONLY=1\n")
        shell = self.sh("getent passwd $(id -u) | sed 's/.*[:/]//'").stdout
        self.assertIn(self.broker.run(PATH, ["-c", "echo $0; exit 7"], shell=True).stdout, [shell, b"-" + shell])

    def test_arguments_are_bytes(self) -> None:
        args = ["", " ", "'", "$x", "\u00e4\n", b"\xff\xfe", Path("a/b"), "*", "x" * 100000]
        out = self.broker.run(PATH, ["sh", "-c", 'for a; do printf "%s|" "$a"; done', "sh", *args]).stdout
        self.assertEqual(out, b"".join(os.fsencode(a) + b"|" for a in args))

    def test_inputs(self) -> None:
        self.assertEqual(self.broker.run(PATH, ["cat"]).stdout, b"", "a command without an input must read its end")
        self.assertEqual(self.broker.run(PATH, ["cat"], b"bytes").stdout, b"bytes")
        self.assertEqual(self.broker.run(PATH, ["cat"], io.BytesIO(b"file")).stdout, b"file")
        with subprocess.Popen(["sh", "-c", "echo pipe; sleep 0.2; echo more"], stdout=subprocess.PIPE) as source:
            self.assertEqual(self.broker.run(PATH, ["cat"], source.stdout).stdout, b"pipe\nmore\n")

    def test_input_that_is_not_read(self) -> None:
        self.assertEqual(self.broker.run(PATH, ["true"], bytes(10 * MIB)).returncode, 0)
        result = self.broker.run(PATH, ["head", "-c", "3"], b"abcdef" * MIB)
        self.assertEqual((result.returncode, result.stdout), (0, b"abc"))
        r, w = os.pipe()
        with open(r, "rb") as never, open(w, "wb"):
            self.assertEqual(self.broker.run(PATH, ["true"], never).returncode, 0, "the command has ended, its input has not")

    def test_errors_of_sources_and_sinks(self) -> None:
        class Broken(io.RawIOBase):
            def read(self, n: int = -1) -> bytes:
                raise OSError("the disk is broken")

        mark = unused_name()
        for call in [
            lambda: self.broker.run(PATH, ["sh", "-c", "cat; : " + mark], Broken()),
            lambda: self.sh("echo x; exec sleep 1000 " + mark, stdout=lambda piece: Broken().read()),
        ]:
            with self.assertRaisesRegex(OSError, "the disk is broken"):
                call()
        self.eventually("the commands are gone", lambda: not self.running(mark), 2)

    def test_dialogue(self) -> None:
        with self.broker.popen(PATH, ["sh", "-c", 'while read line; do echo "<$line>"; echo "!$line" >&2; done; exit 4']) as process:
            for word in [b"one", b"two", b"three"]:
                process.stdin.write(word + b"\n")
                process.stdin.flush()
                self.assertEqual(process.stdout.readline(), b"<%s>\n" % word)
                self.assertEqual(process.stderr.readline(), b"!%s\n" % word)
            process.stdin.close()
            self.assertEqual((process.stdout.read(), process.wait(PATIENCE)), (b"", 4))

    def test_signals(self) -> None:
        script = 'trap "echo got usr1" USR1; trap "echo bye; exit 5" TERM; echo ready; while :; do sleep 0.01; done'
        with self.broker.popen(PATH, ["sh", "-c", script]) as process:
            self.assertEqual(process.stdout.readline(), b"ready\n")
            process.send_signal(signal.SIGUSR1)
            self.assertEqual(process.stdout.readline(), b"got usr1\n")
            with self.assertRaises(TimeoutError):
                process.wait(0.05)
            process.send_signal(signal.SIGTERM)
            self.assertEqual((process.stdout.read(), process.wait(PATIENCE)), (b"bye\n", 5))

    def test_signal_of_a_group(self) -> None:
        with self.broker.popen(PATH, ["sh", "-c", "sleep 1000 & echo ready; wait $!; exit 1"]) as process:
            process.stdout.readline()
            process.send_signal(signal.SIGKILL, group=True)
            self.assertEqual(process.wait(PATIENCE), -signal.SIGKILL)

    def test_times(self) -> None:
        mark = unused_name()
        self.assertIsInstance(self.assertFails("timeout", self.sh, "sleep 1000; : $1", mark, timeout=0.3), TimeoutError)
        self.assertFails("idle", self.sh, "while :; do sleep 1000; done; : $1", mark, idle_timeout=0.3)
        self.assertEqual(self.sh("for i in 1 2 3 4 5; do echo; sleep 0.2; done", idle_timeout=0.6 * SLACK).returncode, 0)
        self.assertFalse(self.running(mark), "want no process after the end of the request")

    def test_cancel(self) -> None:
        mark = unused_name()
        for script in ["exec sleep 1000", 'trap "" TERM; while :; do sleep 0.1; done', "sleep 1000 & sleep 1000", "yes", "cat >/dev/null"]:
            process = self.broker.popen(PATH, ["sh", "-c", f"{script}; : {mark}"], stdout=lambda piece: None)
            process.cancel()
            began = time.monotonic()
            self.assertFails("cancelled", process.wait, PATIENCE)
            self.assertLess(time.monotonic() - began, 2 * SLACK, f"{script!r} ended late")
            self.assertFalse(self.running(mark), f"{script!r} goes on after the answer")
        self.assertEqual(self.sh("echo on").stdout, b"on\n")

    def test_end_of_the_block_and_of_an_output(self) -> None:
        mark = unused_name()
        with self.broker.popen(PATH, ["sh", "-c", f"sleep 1000; : {mark}"]):
            self.assertTrue(self.running(mark))
        self.eventually("the command has ended with its block", lambda: not self.running(mark), 2)
        process = self.broker.popen(PATH, ["sh", "-c", f"yes; : {mark}"])
        process.stdout.close()
        with self.assertRaises(BrokenPipeError):
            process.wait(PATIENCE)
        self.eventually("the command has ended with its output", lambda: not self.running(mark), 2)

    def test_terminal(self) -> None:
        with self.broker.popen(PATH, ["sh"], pty={"rows": 33, "cols": 111, "term": "vt100"}, env={"PS1": "$ "}) as process:
            def ask(line: str) -> bytes:
                process.stdin.write(f"{line}; echo d\"\"one\n".encode())
                process.stdin.flush()
                return b"".join(iter(process.stdout.readline, b"done\r\n"))

            self.assertIn(b"/dev/pts/", ask("tty"))
            self.assertIn(b"33 111", ask("stty size"))
            self.assertIn(b"vt100", ask("echo $TERM"))
            process.resize(50, 132)
            self.eventually("the new size", lambda: b"50 132" in ask("stty size"), 10)
            process.stdin.write(b"sleep 1000\n")
            process.stdin.flush()
            while b"sleep 1000" not in process.stdout.readline():
                pass
            self.eventually("sleep runs", lambda: "sleep" in self.sh(f"cat /proc/{process.pid}/task/*/children | xargs -r ps -o comm= -p").stdout.decode(), 10)
            process.stdin.write(b"\x03")  # Ctrl-C
            self.assertIn(b"^C", ask("echo on"))
            process.stdin.write(b"exit 6\n")
            process.stdin.flush()
            process.stdout.read()
            self.assertEqual(process.wait(PATIENCE), 6)


@unittest.skipUnless(FUNCTIONS, "MITOSIS_BROKER_FUNCTIONS is not set")
class Functions(Case):
    def test_json(self) -> None:
        self.assertEqual(self.broker.call(PATH, "demo.repeat", {"text": "\u00e4b", "times": 3}), {"text": "\u00e4b" * 3, "times": 1})
        self.assertEqual(self.broker.call(PATH, "demo.repeat", {"text": "", "times": 3, "tags": ["x"]}), {"text": "", "times": 1, "tags": ["x"]})

    def test_cbor(self) -> None:
        result = self.broker.call(PATH, "demo.repeat", b"\xa2\x64text\x61a\x65times\x03")
        self.assertIn(b"\x64text\x63aaa", result)

    def test_errors(self) -> None:
        error = self.assertFails("remote", self.broker.call, PATH, "demo.repeat", {"text": "a", "times": -1})
        self.assertIn("-1 is no number of times", str(error))
        self.assertFails("not_found", self.broker.call, PATH, "demo.none", {})
        for wrong in ["", "mitosis.exec"]:
            self.assertFails("usage", self.broker.call, PATH, wrong, {})
        self.assertFails("usage", self.broker.call, PATH, "demo.repeat", {"text": "x" * (MIB // 2), "times": 3})
        with self.assertRaisesRegex(ValueError, "1048576 are allowed"):
            self.broker.call(PATH, "demo.repeat", {"text": "x" * MIB, "times": 1})
        self.assertFails("timeout", self.broker.call, PATH, "demo.wait", {}, timeout=0.2)


if __name__ == "__main__":
    unittest.main()
