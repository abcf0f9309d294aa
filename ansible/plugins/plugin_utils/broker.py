"""The part of the broker's protocol that a connection plugin needs (docs/broker-protocol.md of mitosis).

A process has one connection for all of its requests, which come one after another. It costs less than a millisecond,
so that the process of each task makes its own.
"""
from __future__ import annotations

import fcntl
import json
import os
import select
import socket
import struct
import subprocess

LIMIT = 1 << 20  # bytes of a header, and of a body
CREDIT = 1 << 18  # bytes of an input that the broker takes without a word
PIECE = 1 << 16  # bytes of an input that are sent at once
PATIENCE = 30.0  # seconds for the broker's greeting, on a busy machine


class BrokerError(Exception):
    """A request has failed. kind is a word of the protocol, path leads to the place of the failure."""

    def __init__(self, kind, message, path='', temporary=False, **unknown):
        super().__init__(message)
        self.kind, self.message, self.path, self.temporary = kind, message, path, temporary


def socket_path(name):
    """Returns the path of the socket of the user's broker with a name, '' for the one without."""
    runtime = os.environ.get('XDG_RUNTIME_DIR', '')
    cache = os.environ.get('XDG_CACHE_HOME') or os.path.expanduser('~/.cache')
    directory = os.path.join(runtime, 'mitosis') if runtime else os.path.join(cache, 'mitosis', 'run')
    return os.path.join(directory, 'broker-%s.sock' % name if name else 'broker.sock')


class Link:
    """A connection to a broker."""

    def __init__(self, address):
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(PATIENCE)
        try:
            self._socket.connect(address)
        except OSError as e:
            self._socket.close()
            if isinstance(e, (FileNotFoundError, ConnectionRefusedError)):
                raise BrokerError('no_broker', '%s: no broker listens' % address)
            raise BrokerError('no_broker', '%s: %s' % (address, e))
        self._input = self._socket.makefile('rb', buffering=2 * PIECE)
        self._check_owner(address)
        self._greeted, self._busy = False, False
        self._pending = self._frame({'mitosis': 'client', 'version': 1, 'name': 'ansible'})

    def _check_owner(self, address):
        if hasattr(socket, 'SO_PEERCRED'):
            uid = struct.unpack('3i', self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[1]
        else:  # LOCAL_PEERCRED of BSD and macOS, with a struct xucred
            uid = struct.unpack_from('2I', self._socket.getsockopt(0, 1, 76))[1]
        if uid != os.geteuid():
            self.close()
            raise BrokerError('refused', '%s: the broker belongs to another user, number %d' % (address, uid))

    def usable(self):
        """Reports whether a request may follow: the last one is over, and the broker has not hung up."""
        if self._busy or not self._greeted:
            return False
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return not poll.poll(0)

    def close(self):
        self._input.close()
        self._socket.close()

    @staticmethod
    def _frame(header, body=b''):
        head = json.dumps(header).encode()
        return b''.join((struct.pack('>2I', len(head), len(body)), head, body))

    def send(self, header, body=b''):
        """Sends a frame that belongs to the request. Where nobody reads any more, the answer tells why."""
        data, self._pending = self._pending + self._frame(header, body), b''
        try:
            self._socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def _receive(self):
        head, body = struct.unpack('>2I', self._exactly(8))
        if max(head, body) > LIMIT:
            raise BrokerError('protocol', 'the broker has sent a frame that is too long')
        return json.loads(self._exactly(head)), self._exactly(body)

    def _exactly(self, n):
        try:
            data = self._input.read(n)
        except OSError:
            data = b''
        if len(data or b'') < n:
            raise BrokerError('gone', 'the broker does not answer any more')
        return data

    def request(self, header, body=b'', source=None, sink=None, prompt=None):
        """Carries a request out. Returns the header and the body of the final frame, or raises its error.

        source is (stream, file): an input that is sent up to its end. sink is called with each stream and its pieces.
        prompt is called with questions, and returns the answer or None."""
        if prompt:
            header = dict(header, prompts=True)
        self._busy = True
        self.send(header, body)
        if not self._greeted:
            self._greet()
        feed = _Feed(self, *source) if source else None
        if feed:
            feed.grant(CREDIT)
        while True:
            frame, body = self._receive()
            if 'ok' in frame:
                self._busy = False
                if not frame['ok']:
                    raise BrokerError(**frame['error'])
                return frame, body
            if 'credit' in frame:
                if feed and frame.get('stream') == feed.stream:
                    feed.grant(frame['credit'])
            elif 'stream' in frame:
                if sink and body:
                    sink(frame['stream'], body)
                    if feed:
                        feed.grant(0)  # the output may be what the source waits for
            elif 'prompt' in frame:
                question = frame['prompt']
                answer = prompt(question) if prompt else None
                self.send({'answer': question['id'], 'refused': answer is None}, (answer or '').encode())

    def _greet(self):
        greeting = self._receive()[0]
        if 'error' in greeting:
            raise BrokerError(**greeting['error'])
        if greeting.get('version') != 1:
            raise BrokerError('version', 'the broker speaks version %s' % greeting.get('version'))
        self._greeted = True
        self._socket.settimeout(None)


class _Feed:
    """An input of a request, sent as the broker gives credit."""

    def __init__(self, link, stream, file):
        self._link, self.stream, self._file = link, stream, file
        self._credit, self._ended = 0, False

    def grant(self, credit):
        self._credit += credit
        while self._credit > 0 and not self._ended:
            piece = self._file.read(min(PIECE, self._credit))
            if piece is None:
                return  # there is none yet
            self._credit -= len(piece)
            self._ended = not piece
            self._link.send({'stream': self.stream, 'end': self._ended}, piece)


def start(executable, name, watch, env):
    """Starts the broker of a process, unless another one has just done so. Those that want it wait for one another."""
    directory = os.path.dirname(socket_path(name))
    os.makedirs(directory, mode=0o700, exist_ok=True)
    lock = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            Link(socket_path(name)).close()
            return
        except BrokerError as e:
            if e.kind != 'no_broker':
                raise
        if not os.path.isfile(executable) and os.sep in executable:
            raise BrokerError('no_broker', 'there is no program %s' % executable)
        argv = [executable, 'broker', 'start', '--name', name, '--watch-pid', str(watch)]
        try:
            done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                  env=dict(os.environ, **env))
        except OSError as e:
            raise BrokerError('no_broker', 'the broker can not be started: %s' % e)
        if done.returncode != 0:
            raise BrokerError('no_broker', done.stderr.decode('utf-8', 'replace').strip())
    finally:
        os.close(lock)


_links = {}  # by address and process: after a fork they are the parent's


def link(address):
    """Returns the connection of this process to a broker, made anew if it can not be used."""
    key = (address, os.getpid())
    found = _links.get(key)
    if found and not found.usable():
        drop(address)
        found = None
    if not found:
        found = _links[key] = Link(address)
    return found


def drop(address):
    """Ends the connection, and with it the request that it may have."""
    old = _links.pop((address, os.getpid()), None)
    if old:
        old.close()
