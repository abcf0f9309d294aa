"""Tests of files: see test_mitosis_broker.py."""
from __future__ import annotations

import base64
import io
import os
import subprocess
import tempfile
import threading
import unittest
from pathlib import Path
from typing import Any

from broker_case import MIB, PATH, PATIENCE, Case, unused_name


class Files(Case):
    def setUp(self) -> None:
        super().setUp()
        self.dir = self.far_directory()
        self.local = tempfile.mkdtemp()
        self.addCleanup(subprocess.run, ["rm", "-rf", self.local])

    def content(self, name: Any) -> bytes:
        out = io.BytesIO()
        self.broker.get(PATH, name, out)
        return out.getvalue()

    def test_put_and_get(self) -> None:
        for content in [b"", b"hello\n", os.urandom(3 * MIB + 1)]:
            put = self.broker.put(PATH, content, f"{self.dir}/a", mode="0640")
            out = io.BytesIO()
            got = self.broker.get(PATH, f"{self.dir}/a", out)
            self.assertEqual(out.getvalue(), content)
            self.assertEqual((put["size"], got["size"], got["mode"], put["sha256"]), (len(content), len(content), "0640", got["sha256"]))
        with open(__file__, "rb") as source:
            self.broker.put(PATH, source, f"{self.dir}/b")
        self.assertEqual(self.content(f"{self.dir}/b"), Path(__file__).read_bytes())

    def test_modes(self) -> None:
        name = f"{self.dir}/a"
        self.broker.put(PATH, b"new", name)
        self.assertEqual(self.broker.stat(PATH, name)["mode"], "0600")
        for mode in ["0755", "0444", "0600", "0000" if self.sh("id -u").stdout == b"0\n" else "0400", "4755", "1777"]:
            self.broker.put(PATH, b"x", name, mode=mode)
            self.assertEqual(self.broker.stat(PATH, name)["mode"], mode)
        self.broker.put(PATH, b"x", name, mode="0751")
        self.broker.put(PATH, b"y", name)
        self.assertEqual((self.broker.stat(PATH, name)["mode"], self.content(name)), ("0751", b"y"), "want the mode of the old file")
        for wrong in ["0800", "rwx", "99999"]:
            self.assertFails("usage", self.broker.put, PATH, b"x", name, mode=wrong)

    def test_names_at_the_brokers_host(self) -> None:
        tree = Path(self.local, "tree")
        (tree / "sub").mkdir(parents=True)
        (tree / "sub" / "file").write_bytes(b"content")
        (tree / "script").write_bytes(b"#!/bin/sh\n")
        (tree / "script").chmod(0o750)
        (tree / "link").symlink_to("sub/file")
        self.broker.put(PATH, tree, f"{self.dir}/tree")
        self.assertEqual(self.sh('cd "$1"; cat link; stat -c %a script', f"{self.dir}/tree").stdout, b"content750\n")
        self.broker.get(PATH, f"{self.dir}/tree", f"{self.local}/back")
        self.assertEqual(subprocess.run(["diff", "-r", tree, f"{self.local}/back"], capture_output=True).stdout, b"")
        self.broker.get(PATH, f"{self.dir}/tree/script", os.path.relpath(f"{self.local}/one"))
        self.assertEqual(Path(self.local, "one").read_bytes(), b"#!/bin/sh\n")

    def test_a_file_appears_when_it_is_complete(self) -> None:
        name = f"{self.dir}/a"
        self.broker.put(PATH, b"old", name)
        r, w = os.pipe()
        with open(r, "rb") as source, open(w, "wb") as sink:
            putting = threading.Thread(target=self.assertRaises, args=(OSError, self.broker.put, PATH, Half(source), name))
            putting.start()
            sink.write(b"new" * MIB)
            sink.flush()
            self.assertEqual(self.content(name), b"old")
        putting.join(PATIENCE)
        self.assertEqual(self.content(name), b"old", "half a file has replaced the old one")
        self.eventually("want nothing beside it", lambda: self.sh('ls -A "$1"', self.dir).stdout == b"a\n", 5)

    def test_names(self) -> None:
        names = ["with space", "new\nline", "\u00e4\u2603", "-rf", "*", "'\"$x\\", b"\xff\xfe no text", "x" * 255]
        for name in names:
            full = os.fsencode(self.dir) + b"/" + os.fsencode(name)
            self.broker.put(PATH, os.fsencode(name), full)
            self.assertEqual(self.content(full), os.fsencode(name))
            self.assertEqual(self.broker.stat(PATH, full)["size"], len(os.fsencode(name)))
            self.broker.rename(PATH, full, full[:-1] + b"2")
            self.broker.rename(PATH, full[:-1] + b"2", full)
        listed = {base64.b64decode(f["name_bytes"]) if "name_bytes" in f else f["name"].encode() for f in self.broker.list_dir(PATH, self.dir)}
        self.assertEqual(listed, {os.fsencode(n) for n in names})

    def test_stat(self) -> None:
        self.sh('cd "$1"; printf 12345 >file; ln -s file link; ln -s nowhere broken; mkfifo pipe; mkdir -m 711 directory; touch -d @1000000000.5 file', self.dir, check=True)
        file = self.broker.stat(PATH, f"{self.dir}/link")
        self.assertEqual((file["type"], file["size"], file["mtime"]), ("file", 5, 1000000000.5))
        self.assertEqual(str(file["uid"]).encode(), self.sh("id -u").stdout.strip())
        link = self.broker.stat(PATH, f"{self.dir}/link", follow=False)
        self.assertEqual((link["type"], link["target"]), ("link", "file"))
        self.assertFails("not_found", self.broker.stat, PATH, f"{self.dir}/broken")
        types = {f["name"]: f["type"] for f in self.broker.list_dir(PATH, self.dir)}
        self.assertEqual(types, {"file": "file", "link": "link", "broken": "link", "pipe": "pipe", "directory": "directory"})
        self.assertEqual(self.broker.stat(PATH, f"{self.dir}/directory")["mode"], "0711")
        self.assertEqual(self.broker.stat(PATH, "/dev/null")["type"], "device")

    def test_large_directory(self) -> None:
        self.sh('cd "$1"; seq -f "%040.f" 20000 | xargs touch', self.dir, check=True)
        names = sorted(f["name"] for f in self.broker.list_dir(PATH, self.dir))
        self.assertEqual(names, [f"{i:040}" for i in range(1, 20001)])

    def test_directories(self) -> None:
        self.broker.mkdir(PATH, f"{self.dir}/a", mode="0700")
        self.assertEqual(self.broker.stat(PATH, f"{self.dir}/a")["mode"], "0700")
        self.assertIsInstance(self.assertFails("exists", self.broker.mkdir, PATH, f"{self.dir}/a"), FileExistsError)
        self.assertFails("not_found", self.broker.mkdir, PATH, f"{self.dir}/b/c/d")
        self.broker.mkdir(PATH, f"{self.dir}/b/c/d", parents=True)
        self.broker.mkdir(PATH, f"{self.dir}/b/c/d", parents=True)
        self.assertFails("not_empty", self.broker.remove, PATH, f"{self.dir}/b")
        self.broker.remove(PATH, f"{self.dir}/b", recursive=True)
        self.broker.remove(PATH, f"{self.dir}/b", recursive=True)
        self.assertFails("not_found", self.broker.remove, PATH, f"{self.dir}/b")
        self.broker.put(PATH, b"", f"{self.dir}/file")
        self.assertFails("not_directory", self.broker.list_dir, PATH, f"{self.dir}/file")
        self.assertFails("not_directory", self.broker.stat, PATH, f"{self.dir}/file/x")
        self.assertFails("not_found", self.broker.put, PATH, b"", f"{self.dir}/none/file")
        self.assertFails("not_found", self.broker.get, PATH, f"{self.dir}/none", io.BytesIO())
        self.assertEqual([f["name"] for f in self.broker.list_dir(PATH, self.dir)], ["a", "file"])

    def test_relative_names(self) -> None:
        name = unused_name()
        self.broker.put(PATH, b"x", name)
        self.addCleanup(self.broker.remove, PATH, name)
        self.assertEqual((self.sh("cat $1", name).stdout, self.content(name), self.broker.stat(PATH, name)["size"]), (b"x", b"x", 1))


class Half(io.RawIOBase):
    """A file that breaks at its end."""

    def __init__(self, source: Any) -> None:
        self.source = source

    def read(self, n: int = -1) -> bytes:
        piece = self.source.read1(n)
        if not piece:
            raise OSError("the rest can't be read")
        return piece


if __name__ == "__main__":
    unittest.main()
