"""Tests of questions: see test_mitosis_broker.py."""
from __future__ import annotations

import concurrent.futures
import contextlib
import os
import threading
import unittest
from typing import Any, List

import mitosis_broker as mb
from broker_case import PASSWORD, PATIENCE, SOCKET, SUDO, Case, client
from mitosis_broker import Broker


@unittest.skipUnless(SUDO, "MITOSIS_BROKER_SUDO is not set")
class Prompts(Case):
    def ask(self, *answers: Any) -> Broker:
        self.asked: List[mb.Header] = []
        left = list(answers)

        def prompt(question: mb.Header) -> Any:
            self.asked.append(question)
            self.assertTrue(left, f"want no further question: {self.asked}")
            answer = left.pop(0)
            return answer() if callable(answer) else answer

        self.broker.reset(SUDO)
        self.told: List[str] = []
        broker = Broker(SOCKET, prompt=prompt, notify=lambda notice: self.told.append(notice["text"]))
        self.addCleanup(broker.close)
        return broker

    def test_password(self) -> None:
        broker = self.ask(PASSWORD)
        self.assertEqual(broker.run(SUDO, ["id", "-u"]).stdout, b"0\n")
        question = self.asked[0]
        self.assertEqual((question["kind"], question["echo"], question["attempt"]), ("password", False, 1))
        self.assertIn("sudo", question["path"])
        self.assertEqual(broker.run(SUDO, ["id", "-u"]).stdout, b"0\n", "the connection must serve the next request without a question")
        self.assertEqual(self.broker.run(SUDO, ["id", "-u"]).stdout, b"0\n")

    def test_wrong_password(self) -> None:
        broker = self.ask("wrong", PASSWORD)
        self.assertEqual(broker.run(SUDO, ["id", "-u"]).stdout, b"0\n")
        self.assertEqual([q["attempt"] for q in self.asked], [1, 2])
        self.assertIn("Sorry, try again.", self.told)

    def test_wrong_passwords_only(self) -> None:
        error = self.assertFails("password", self.ask(*["wrong"] * 10).run, SUDO, ["true"])
        self.assertIn("sudo", error.path)
        self.assertFalse(error.temporary)

    def test_nobody_answers(self) -> None:
        self.assertFails("password_required", self.ask(None).run, SUDO, ["true"])
        self.assertFails("password_required", self.broker.run, SUDO, ["true"])

    def test_odd_answers(self) -> None:
        for answer in ["", "\u00e4 \u2603", "x" * 1000, "new\nline"]:
            broker = self.ask(answer, PASSWORD, PASSWORD, PASSWORD)
            with contextlib.suppress(mb.BrokerError):
                self.assertEqual(broker.run(SUDO, ["id", "-u"]).stdout, b"0\n")
        self.assertEqual(self.ask(PASSWORD).run(SUDO, ["id", "-u"]).stdout, b"0\n")

    def test_error_of_the_prompt(self) -> None:
        with self.assertRaises(ZeroDivisionError):
            self.ask(lambda: 1 / 0).run(SUDO, ["true"])
        # The connect that ends may still ask the next one who comes.
        self.assertEqual(self.ask(PASSWORD, PASSWORD).run(SUDO, ["id", "-u"]).stdout, b"0\n")

    def test_the_one_who_was_asked_dies(self) -> None:
        self.broker.reset(SUDO)
        asks = client("broker.prompt = lambda question: print('asked', flush=True) or time.sleep(1000)\nbroker.run(SUDO, ['true'])")
        asks.stdout.readline()
        asked = threading.Event()
        waits = Broker(SOCKET, prompt=lambda question: asked.set() or PASSWORD)
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            other = pool.submit(waits.run, SUDO, ["id", "-u"])
            self.eventually("both are clients", lambda: sum(c.get("path") == SUDO for c in self.broker.status()["clients"]) == 2, 10)
            asks.kill()
            self.assertEqual(other.result(PATIENCE).stdout, b"0\n")
        asks.communicate()

    def test_the_password_is_nowhere(self) -> None:
        with self.ask(PASSWORD).popen(SUDO, ["sh", "-c", 'read password; grep -alF -- "$password" /proc/[0-9]*/cmdline /proc/[0-9]*/environ; true']) as process:
            process.stdin.write(PASSWORD.encode() + b"\n")
            process.stdin.flush()
            found = process.stdout.read().decode().split()
        own = {f"/proc/{os.getpid()}/environ"}  # it has the variable of the test
        self.assertLessEqual(set(found), own | {f"/proc/{os.getppid()}/environ"})


if __name__ == "__main__":
    unittest.main()
