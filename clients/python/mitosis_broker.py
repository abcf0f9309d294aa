"""A client of the mitosis broker, of Python's standard library alone.

A broker (`mitosis broker start`) holds connections to hosts for the programs of its user:

    broker = Broker()
    print(broker.run("ssh:web1/sudo", ["id"]).stdout)

A request names its host by a hop path. Its options, such as `timeout`, `pool`, `env`, `dir` and `pty`, are the members
of docs/broker-protocol.md. Threads may share a Broker: each request has a connection of its own, out of a small store.
"""
from __future__ import annotations

import contextlib
import io
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
from typing import Any, BinaryIO, Callable, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple, Union

Header = Dict[str, Any]
Name = Union[str, bytes, "os.PathLike[Any]"]  # of a file, or an argument
Source = Union[bytes, BinaryIO]  # bytes to send, or a file to read them from
Sink = Any  # a file for an output, or a function that gets its pieces, and an empty one at the end
Streams = Mapping[str, Any]  # sources or sinks
Prompt = Callable[[Header], Optional[str]]  # gets a question, returns the answer, or None to refuse it

LIMIT = 1 << 20  # bytes of a header, and of a body
CREDIT = 1 << 18  # bytes of an input that the broker takes without a word
PIECE = 1 << 16  # bytes of an input that are sent at once
PATIENCE = 10.0  # seconds for the greeting


class BrokerError(Exception):
    """A request has failed. kind is a word of the protocol, path leads to the place of the failure."""
    kinds: Sequence[str] = ()

    def __init__(self, message: str, kind: str = "error", path: str = "", temporary: bool = False, **_: Any) -> None:
        super().__init__(message)
        self.message, self.kind, self.path, self.temporary = message, kind, path, temporary

    @staticmethod
    def of(error: Header) -> BrokerError:
        return next((c for c in BrokerError.__subclasses__() if error["kind"] in c.kinds), BrokerError)(**error)


class NoBroker(BrokerError, ConnectionError): kinds = ["no_broker"]
class Gone(BrokerError, ConnectionError): kinds = ["gone", "closed"]
class Unreachable(BrokerError, ConnectionError): kinds = ["unreachable", "no_host"]
class NotFound(BrokerError, FileNotFoundError): kinds = ["not_found"]
class Exists(BrokerError, FileExistsError): kinds = ["exists"]
class NotAllowed(BrokerError, PermissionError): kinds = ["permission", "refused"]
class TimedOut(BrokerError, TimeoutError): kinds = ["timeout", "idle"]
class Cancelled(BrokerError): kinds = ["cancelled"]


class _Connection:
    """A connection to the broker: frames in both directions, for one request after the other."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.input = self.socket.makefile("rb", buffering=2 * PIECE)
        with contextlib.ExitStack() as failed:
            failed.callback(self.leave)
            self._greet(address)
            failed.pop_all()

    def _greet(self, address: str) -> None:
        self.socket.settimeout(PATIENCE)
        try:
            self.socket.connect(address)
        except (FileNotFoundError, ConnectionRefusedError) as e:
            raise NoBroker(f"{address}: no broker listens; `mitosis broker start` starts one", "no_broker") from e
        if hasattr(socket, "SO_PEERCRED"):
            _, uid, _ = struct.unpack("3i", self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        else:  # LOCAL_PEERCRED of BSD and macOS, with a struct xucred
            _, uid = struct.unpack_from("2I", self.socket.getsockopt(0, 1, 76))
        if uid != os.geteuid():
            raise NotAllowed(f"{address}: the broker belongs to another user, number {uid}", "refused")
        self.send({"mitosis": "client", "version": 1, "name": os.path.basename(sys.argv[0] or "python")})
        greeting, _ = self.receive()
        if "error" in greeting or greeting.get("version") != 1:
            raise BrokerError.of(greeting.get("error", {"kind": "version", "message": f"{address}: {greeting}"}))
        self.socket.settimeout(None)

    def send(self, header: Header, body: bytes = b"") -> None:
        head = json.dumps(header, ensure_ascii=False).encode()  # an error for what is no UTF-8
        if max(len(head), len(body)) > LIMIT:
            raise ValueError(f"a header of {len(head)} and a body of {len(body)} bytes; {LIMIT} are allowed")
        with contextlib.suppress(ConnectionError):  # receive tells why nobody reads
            self.socket.sendall(b"".join((struct.pack(">2I", len(head), len(body)), head, body)))

    def receive(self) -> Tuple[Header, bytes]:
        head, body = struct.unpack(">2I", self._exactly(8))
        if max(head, body) > LIMIT:
            raise BrokerError("the broker has sent a frame that is too long", "protocol")
        return json.loads(self._exactly(head)), self._exactly(body)

    def _exactly(self, n: int) -> bytes:
        with contextlib.suppress(OSError):
            data = self.input.read(n)
            if len(data) == n:
                return data
        raise Gone("the broker does not answer any more", "gone")

    def leave(self) -> None:
        _hang_up(self.socket)
        self.input.close()


class Request:
    """A request while it is served: the caller of finish reads its frames, or a thread after start."""

    def __init__(self, broker: Broker, header: Header, body: bytes, inputs: Streams = {}, outputs: Streams = {},
                 pipes: Sequence[socket.socket] = ()) -> None:
        self._broker, self._pipes = broker, pipes
        self._outputs = {stream: getattr(sink, "write", sink) for stream, sink in outputs.items()}
        self._prompt = header.pop("prompt", broker.prompt)
        self._sending = threading.Lock()  # one frame is sent at a time
        self._changed = threading.Condition()  # guards the next four
        self._credit = dict.fromkeys(inputs, CREDIT)  # bytes that may be sent
        self._answer: Optional[Header] = None  # the header of the final frame
        self._failure: Optional[BaseException] = None  # the reason why there is none
        self._connection: Optional[_Connection] = broker._connect()  # None after the end
        self.frames, self._started = self._serve(self._connection), False
        members = {**header, "prompts": True if self._prompt else None}
        with contextlib.ExitStack() as failed:
            failed.callback(self._end)
            self.send({k: v for k, v in members.items() if v is not None}, body)
            failed.pop_all()
        for stream, source in inputs.items():
            threading.Thread(target=self._feed, args=(stream, source), daemon=True).start()

    def begin(self) -> Header:
        """Waits for the event that the work has begun. Raises the error of a request that ends before."""
        return next(self.frames, {}) or self.finish()

    def start(self) -> None:
        """Lets a thread read from now on."""
        self._started = True
        threading.Thread(target=lambda: [None for _ in self.frames], daemon=True).start()

    def finish(self, timeout: Optional[float] = None) -> Header:
        """Waits for the final frame, and returns its header or raises its error. After start it can have a timeout."""
        if not self._started:
            for _ in self.frames:
                pass
        with self._changed:
            if not self._changed.wait_for(lambda: not self._connection, timeout):
                raise TimeoutError(f"the request goes on after {timeout} seconds")
        if not self._answer:
            raise self._failure or Cancelled("the request was left", "cancelled")
        if not self._answer["ok"]:
            raise BrokerError.of(self._answer["error"])
        return self._answer

    def cancel(self) -> None:
        """Asks the broker to end the request. finish waits until that is done, and raises Cancelled."""
        self.send({"cancel": True})

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: Any) -> None:
        self._end()

    def send(self, header: Header, body: bytes = b"") -> bool:
        """Sends a frame of the request. Reports whether the request still went on."""
        with self._sending:
            connection = self._connection
            if connection:
                connection.send(header, body)
            return connection is not None

    def _feed(self, stream: str, source: Any) -> None:
        """Sends an input up to its end, or that of the request."""
        try:
            source = io.BytesIO(source) if isinstance(source, (bytes, bytearray)) else source
            read = getattr(source, "recv", None) or getattr(source, "read1", None) or source.read  # waits least
            piece = b"-"
            while piece:
                piece = read(PIECE)
                with self._changed:
                    self._changed.wait_for(lambda: self._credit[stream] >= len(piece) or not self._connection)
                    self._credit[stream] -= len(piece)
                if not self.send({"stream": stream, "end": not piece}, piece):
                    return
        except BaseException as e:
            self._end(failure=e)

    def _serve(self, connection: _Connection) -> Iterator[Header]:
        """Reads frames up to the final one. Does what they ask for, and yields those that are for the caller."""
        while self._connection:
            try:
                header, body = connection.receive()
                stream = header.get("stream")
                if "ok" in header:
                    self._end({**header, "body": body})
                elif "credit" in header and stream in self._credit:
                    with self._changed:
                        self._credit[stream] += header["credit"]
                        self._changed.notify_all()
                elif stream in self._outputs:
                    self._outputs[stream](body)  # only the end is empty
                elif "prompt" in header and self._prompt:
                    answer = self._prompt(header["prompt"])
                    self.send({"answer": header["prompt"]["id"], "refused": answer is None}, (answer or "").encode())
                elif "notice" in header and self._broker.notify:
                    self._broker.notify(header["notice"])
            except BaseException as e:
                return self._end(failure=e)
            if "event" in header or "files" in header:
                yield header

    def _end(self, answer: Optional[Header] = None, failure: Optional[BaseException] = None) -> None:
        """Parts the request from its connection, which serves others only after a final frame."""
        whole: Any = self._sending if answer else contextlib.nullcontext()  # of the frame that a thread sends
        with whole, self._changed:
            connection, self._connection = self._connection, None
            if not connection:
                return
            self._answer, self._failure = answer, failure
            if answer:
                self._broker._keep(connection)
            else:
                connection.leave()
            self._changed.notify_all()
        for pipe in self._pipes:
            _hang_up(pipe)


def _hang_up(end: socket.socket) -> None:
    """Ends a connection. Threads that wait for it return."""
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()


def _words(*words: Name) -> bytes:
    return b"".join(os.fsencode(word) + b"\0" for word in words)


def _into(pipe: socket.socket) -> Sink:
    return lambda piece: pipe.sendall(piece) if piece else pipe.shutdown(socket.SHUT_WR)


def _status(answer: Header) -> int:
    name = answer.get("signal")
    return -getattr(signal, "SIG" + name, answer["status"] - 128) if name else answer["code"]


class Process(Request):
    """A command that runs. stdin, stdout and stderr are files as those of subprocess.Popen: flush what you write, read
    both outputs. The command ends with its `with` block, or when an output is closed that has not ended."""

    def __init__(self, broker: Broker, header: Header, argv: Sequence[Name], stdout: Sink, stderr: Sink) -> None:
        ours, pipes = zip(*(socket.socketpair() for _ in range(3)))
        self.stdin, self.stdout, self.stderr = (end.makefile(mode) for end, mode in zip(ours, ("wb", "rb", "rb")))
        for end in ours:
            end.close()  # with its file
        sinks = {"stdout": stdout, "stderr": stderr}
        for stream, pipe in zip(sinks, pipes[1:]):
            sinks[stream] = _into(pipe) if sinks[stream] is None else sinks[stream]
        super().__init__(broker, {**header, "stdin": True}, _words(*argv), {"stdin": pipes[0]}, sinks, pipes)
        self.pid: int = self.begin()["pid"]
        self.start()

    def wait(self, timeout: Optional[float] = None) -> int:
        """Returns the exit status, or the negative number of the signal that ended the command."""
        return _status(self.finish(timeout))

    def poll(self) -> Optional[int]:
        return None if self._connection else self.wait()

    def send_signal(self, sig: int, group: bool = False) -> None:
        self.send({"signal": signal.Signals(sig).name[3:], "group": group})

    def resize(self, rows: int, cols: int) -> None:
        self.send({"resize": {"rows": rows, "cols": cols}})


class Broker:
    """A broker, by the path of its socket or by its name. prompt answers the questions of connects, notify gets texts
    that need no answer."""

    def __init__(self, address: str = "", name: str = "", prompt: Optional[Prompt] = None,
                 notify: Optional[Callable[[Header], Any]] = None) -> None:
        runtime = os.environ.get("XDG_RUNTIME_DIR", "")
        cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
        directory = os.path.join(runtime, "mitosis") if runtime else os.path.join(cache, "mitosis", "run")
        self.address = address or os.path.join(directory, f"broker-{name}.sock" if name else "broker.sock")
        self.prompt, self.notify = prompt, notify
        self._lock, self._pid = threading.Lock(), os.getpid()
        self._kept: List[_Connection] = []

    def _connect(self) -> _Connection:
        with self._lock:
            if self._pid != os.getpid():  # after a fork they are the parent's
                self._kept, self._pid = [], os.getpid()
            while self._kept:
                connection, poll = self._kept.pop(), select.poll()
                poll.register(connection.socket, select.POLLIN)
                if not poll.poll(0):  # else the broker has ended it
                    return connection
        return _Connection(self.address)

    def _keep(self, connection: _Connection) -> None:
        with self._lock:
            self._kept.append(connection)
            if len(self._kept) > 8:
                self._kept.pop(0).leave()

    def close(self) -> None:
        """Ends the connections that are kept for later requests."""
        with self._lock:
            while self._kept:
                self._kept.pop().leave()

    def _do(self, op: str, body: bytes = b"", inputs: Streams = {}, outputs: Streams = {}, **members: Any) -> Header:
        with Request(self, {"op": op, **members}, body, inputs, outputs) as request:
            return request.finish()

    def run(self, path: str, argv: Sequence[Name], input: Source = b"", *, stdout: Sink = None,
            stderr: Sink = None, check: bool = False, **options: Any) -> subprocess.CompletedProcess[bytes]:
        """Runs a command to its end, as subprocess.run does. The result has the outputs that have no sink."""
        out, err = io.BytesIO(), io.BytesIO()
        outputs = {"stdout": out if stdout is None else stdout, "stderr": err if stderr is None else stderr}
        inputs = {"stdin": input} if input else {}
        answer = self._do("exec", _words(*argv), inputs, outputs, path=path, stdin=bool(input), **options)
        result = subprocess.CompletedProcess(argv, _status(answer), out.getvalue(), err.getvalue())
        if check:
            result.check_returncode()
        return result

    def popen(self, path: str, argv: Sequence[Name], stdout: Sink = None, stderr: Sink = None,
              **options: Any) -> Process:
        """Starts a command. The outputs that have no sink are files of the Process."""
        return Process(self, {"op": "exec", "path": path, **options}, argv, stdout, stderr)

    def put(self, path: str, source: Union[Name, BinaryIO], target: Name, **options: Any) -> Header:
        """Writes a file. The source is its bytes, an open file, or a name at the broker's host, also of a tree."""
        if isinstance(source, (str, os.PathLike)):
            return self._do("put", os.fsencode(target), path=path, local=os.path.abspath(source), **options)
        return self._do("put", os.fsencode(target), {"data": source}, path=path, **options)

    def get(self, path: str, source: Name, target: Union[Name, Sink], **options: Any) -> Header:
        """Reads a file. The target is a sink, or a name at the broker's host, also of a tree."""
        if isinstance(target, (str, os.PathLike)):
            return self._do("get", os.fsencode(source), path=path, local=os.path.abspath(target), **options)
        return self._do("get", os.fsencode(source), {}, {"data": target}, path=path, **options)

    def stat(self, path: str, name: Name, follow: bool = True, **options: Any) -> Header:
        return self._do("stat", os.fsencode(name), path=path, follow=follow, **options)["file"]

    def list_dir(self, path: str, name: Name, **options: Any) -> List[Header]:
        with Request(self, {"op": "list_dir", "path": path, **options}, os.fsencode(name)) as request:
            files = [file for frame in request.frames for file in frame["files"]]
            request.finish()
        return files

    def mkdir(self, path: str, name: Name, **options: Any) -> None:
        self._do("mkdir", os.fsencode(name), path=path, **options)

    def remove(self, path: str, name: Name, **options: Any) -> None:
        self._do("remove", os.fsencode(name), path=path, **options)

    def rename(self, path: str, name: Name, target: Name, **options: Any) -> None:
        self._do("rename", _words(name, target), path=path, **options)

    @contextlib.contextmanager
    def forward(self, path: str, to: Header, listen: Header = {"network": "tcp", "address": "127.0.0.1:0"},
                **options: Any) -> Iterator[str]:
        """Passes connections on during a `with` block. Yields the address at which it listens."""
        with Request(self, {"op": "forward", "path": path, "listen": listen, "to": to, **options}, b"") as request:
            yield request.begin()["address"]
            request.cancel()
            request.finish()

    def dial(self, path: str, address: str, network: str = "tcp", **options: Any) -> socket.socket:
        """Connects to an address from the end of the path. A connection that breaks looks like one that ends."""
        ours, theirs = socket.socketpair()
        header = {"op": "dial", "path": path, "network": network, "address": address, **options}
        request = Request(self, header, b"", {"data": theirs}, {"data": _into(theirs)}, [theirs])
        request.begin()
        request.start()
        return ours

    def call(self, path: str, function: str, argument: Any = None, **options: Any) -> Any:
        """Calls a function of the broker's program. Argument and result are bytes of CBOR, or else values of JSON."""
        if isinstance(argument, bytes):
            return self._do("call", argument, path=path, function=function, **options)["body"]
        body = json.dumps(argument).encode()
        return json.loads(self._do("call", body, path=path, function=function, encoding="json", **options)["body"])

    @contextlib.contextmanager
    def hold(self, path: str, **options: Any) -> Iterator[Header]:
        """Connects a path, and keeps it so during a `with` block. Yields the node at its end."""
        own = Broker(self.address, "", self.prompt, self.notify)  # the path is held by its one connection
        try:
            yield own._do("open", path=path, **options)["node"]
        finally:
            own.close()

    def events(self) -> Iterator[Header]:
        """Yields changes of the broker's hosts."""
        with Request(self, {"op": "events"}, b"") as request:
            yield from request.frames
            request.finish()

    def status(self) -> Header:
        return self._do("status")["status"]

    def reset(self, path: str) -> None:
        """Has the next request connect the path anew."""
        self._do("reset", path=path)

    def stop(self, **options: Any) -> None:
        """Ends the broker, with when="idle" as soon as nobody uses it."""
        self._do("stop", **options)
