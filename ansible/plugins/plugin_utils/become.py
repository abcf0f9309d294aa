"""become as a hop: a command is marked in place of being prefixed, and runs in the context of the other user.

A become plugin, or flags, that no hop can replace are used as they are: see Prefix.
"""
from __future__ import annotations

import collections
import io
import random
import re

from ansible.errors import AnsibleError
from ansible.module_utils.common.text.converters import to_bytes

from ansible_collections.mitosis_go.ansible.plugins.plugin_utils import hops

Marked = collections.namedtuple('Marked', 'word shell command')


class Hop:
    """A become plugin and the hop in its place."""

    def __init__(self, plugin):
        self._plugin = plugin
        self._original = plugin.build_become_command
        self._commands = {}  # by mark
        self._prefixed = ''  # the last command that was prefixed after all
        plugin.build_become_command = self._build
        if self.word() and not getattr(plugin, 'pipelining', True):
            plugin.pipelining = True  # such as su: its input is not the terminal here

    def _option(self, name):
        try:
            return self._plugin.get_option(name)
        except KeyError:
            return None

    def word(self):
        """Returns the word of the hop, None if there is none."""
        try:
            return hops.become(self._plugin.name, self._option('become_user'), self._option('become_exe'), self._option('become_flags'))
        except (AttributeError, ValueError):  # before it has its options
            return None

    def _build(self, cmd, shell):
        word = self.word() if cmd else None
        if not word:
            self._prefixed = self._original(cmd, shell)
            return self._prefixed
        mark = 'mitosis%032x' % random.getrandbits(128)
        self._commands[mark] = Marked(word, getattr(shell, 'executable', None) or '/bin/sh', cmd)
        return mark

    def take(self, cmd):
        """Returns the marked command within a command line of the action, None if there is none."""
        found = re.search('mitosis[0-9a-f]{32}', cmd)
        return self._commands.pop(found.group(), None) if found else None

    def is_pending(self, cmd):
        """Reports whether the last prefixed command is within a command line, quoted as it may be."""
        prefixed, self._prefixed = self._prefixed, ''
        return bool(prefixed) and getattr(self._plugin, 'success', '') in cmd

    def password(self):
        return self._option('become_pass')

    def error(self, kind, text):
        """Returns the error of a hop that was not let through, in the words in which Ansible has it."""
        name = self._plugin.name.rsplit('.', 1)[-1]
        if kind == 'password':
            return AnsibleError('Incorrect %s password' % name)
        if kind == 'password_required':
            return AnsibleError('Incorrect %s password' % name if self.password() else 'Missing %s password' % name)
        return AnsibleError(text)


class Prefix:
    """The dialogue with a become plugin's own program, whose input is read from here."""

    def __init__(self, plugin, in_data):
        self._plugin = plugin
        self._input = None if in_data is None else io.BytesIO(to_bytes(in_data))
        self._answer = b''
        self._asks = bool(plugin.expect_prompt())
        self._began = False  # the command itself runs
        self._seen = {'stdout': b'', 'stderr': b''}
        self._to = None

    def read(self, size):
        """Returns a piece of the input, None if there is none yet, b'' at its end."""
        answer, self._answer = self._answer, b''
        if answer or not self._began or not self._input:
            return answer or None
        return self._input.read(size)

    def sink(self, to):
        """Returns the sink of the outputs, which passes on that of the command."""
        self._to = to
        return self._take

    def _take(self, stream, piece):
        if self._began:
            self._to(stream, piece)
            return
        self._seen[stream] += piece
        seen = self._seen[stream]
        if self._plugin.check_incorrect_password(seen):
            raise AnsibleError('Incorrect %s password' % self._plugin.name)
        if self._plugin.check_missing_password(seen):
            raise AnsibleError('Missing %s password' % self._plugin.name)
        if self._asks and self._plugin.check_password_prompt(seen):
            self._asks = False
            self._answer = to_bytes(self._plugin.get_option('become_pass')) + b'\n'
            self._seen[stream] = b''
        elif self._plugin.check_success(seen):
            self._began = True
            rest = re.split(re.escape(to_bytes(self._plugin.success)) + b'\r?\n?', seen, maxsplit=1)[-1]
            if rest:
                self._to(stream, rest)

    def end(self):
        """Passes on the words of a program that has ended before the command began."""
        if not self._began:
            for stream, seen in self._seen.items():
                self._to(stream, seen)
