"""Tests of connections through a broker: see test_mitosis_broker.py."""
from __future__ import annotations

import concurrent.futures
import http.client
import os
import socket
import subprocess
import sys
import tempfile
import unittest

import mitosis_broker as mb
from broker_case import PATH, Case

# A server, also at the unix socket that its argument names. It writes its port.
UPPER = """
import socketserver, sys, threading
class Upper(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile: self.wfile.write(line.upper())
        self.wfile.write(b"END")
class TCP(socketserver.ThreadingMixIn, socketserver.TCPServer): daemon_threads = True
class Unix(socketserver.ThreadingMixIn, socketserver.UnixStreamServer): daemon_threads = True
unix = Unix(sys.argv[1], Upper); threading.Thread(target=unix.serve_forever, daemon=True).start()
tcp = TCP(("127.0.0.1", 0), Upper); print(tcp.server_address[1], flush=True); tcp.serve_forever()
"""


class Network(Case):
    def setUp(self) -> None:
        super().setUp()
        self.dir = self.far_directory()
        server = self.broker.popen(PATH, ["python3", "-c", UPPER, f"{self.dir}/s"])
        self.addCleanup(server.__exit__)
        self.tcp = f"127.0.0.1:{int(server.stdout.readline())}"

    def speak(self, connection: socket.socket) -> None:
        with connection:
            connection.sendall(b"hello\n")
            with connection.makefile("rb") as answers:
                self.assertEqual(answers.readline(), b"HELLO\n")
                connection.sendall(b"x" * 300000 + b"\n")
                self.assertEqual(answers.readline(), b"X" * 300000 + b"\n")
                connection.shutdown(socket.SHUT_WR)
                self.assertEqual(answers.read(), b"END")

    def test_dial(self) -> None:
        self.speak(self.broker.dial(PATH, self.tcp))
        self.speak(self.broker.dial(PATH, f"{self.dir}/s", network="unix"))
        with concurrent.futures.ThreadPoolExecutor(20) as pool:
            for _ in pool.map(lambda _: self.speak(self.broker.dial(PATH, self.tcp)), range(60)):
                pass

    def test_dial_that_fails(self) -> None:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            self.assertIsInstance(self.assertFails("unreachable", self.broker.dial, PATH, f"127.0.0.1:{unused.getsockname()[1]}"), ConnectionError)
        self.assertFails("no_host", self.broker.dial, PATH, "no-such-host.invalid:80", timeout=20)
        self.assertFails("not_found", self.broker.dial, PATH, f"{self.dir}/none", network="unix")
        self.assertFails("usage", self.broker.dial, PATH, "x", network="carrier pigeon")

    def test_sockets_of_a_connection_are_closed(self) -> None:
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(50):
            self.broker.dial(PATH, self.tcp).close()
        self.eventually("descriptors are closed", lambda: len(os.listdir("/proc/self/fd")) <= before + 8, 5)

    def test_http_over_dial(self) -> None:
        with self.broker.popen(PATH, ["python3", "-u", "-m", "http.server", "--bind", "127.0.0.1", "0"], dir=self.dir, merge=True) as server:
            port = server.stdout.readline().split(b"port ")[1].split()[0].decode()
            web = http.client.HTTPConnection("far.example")
            web.sock = self.broker.dial(PATH, f"127.0.0.1:{port}")
            self.broker.put(PATH, b"page" * 100000, f"{self.dir}/page", mode="0644")
            web.request("GET", "/page")
            self.assertEqual(web.getresponse().read(), b"page" * 100000)
            web.close()

    def test_forward(self) -> None:
        with self.broker.forward(PATH, {"network": "tcp", "address": self.tcp}) as address:
            host, port = address.rsplit(":", 1)
            self.speak(socket.create_connection((host, int(port))))
        with self.assertRaises(ConnectionRefusedError):
            socket.create_connection((host, int(port)))

    def test_forward_of_unix_sockets(self) -> None:
        with tempfile.TemporaryDirectory() as directory:
            ends = {"network": "unix", "address": f"{self.dir}/s"}, {"network": "unix", "address": f"{directory}/s"}
            with self.broker.forward(PATH, *ends) as address, socket.socket(socket.AF_UNIX) as s:
                s.connect(address)
                self.speak(s)

    def test_remote_forward(self) -> None:
        with tempfile.TemporaryDirectory() as directory:
            with subprocess.Popen([sys.executable, "-c", UPPER, f"{directory}/s"], stdout=subprocess.PIPE) as server:
                self.addCleanup(server.kill)
                near = f"127.0.0.1:{int(server.stdout.readline())}"
                with self.broker.forward(PATH, {"network": "tcp", "address": near}, remote=True) as address:
                    self.speak(self.broker.dial(PATH, address))
                server.kill()

    def test_address_that_is_taken(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = {"network": "tcp", "address": "127.0.0.1:%d" % taken.getsockname()[1]}
            with self.assertRaisesRegex(mb.BrokerError, "in use"), self.broker.forward(PATH, address, address):
                pass


if __name__ == "__main__":
    unittest.main()
