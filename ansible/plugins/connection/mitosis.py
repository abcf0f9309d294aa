# Copyright the mitosis authors. LICENSE has the terms.
from __future__ import annotations

DOCUMENTATION = r'''
    name: mitosis
    short_description: reach hosts over mitosis
    description:
        - The hosts are reached by the broker of mitosis, which starts a copy of itself there and keeps it.
        - become with sudo, su, doas and machinectl is a hop that is kept as well. No program is started at the controller for a task.
        - The variables of the ssh connection plugin have their meaning here, too.
    author: the mitosis authors
    notes:
        - Commands get no terminal, except with a become plugin that no hop can replace.
    options:
      host:
        description: Name or address of the host, of the container, or directory, as O(method) wants it.
        default: inventory_hostname
        vars:
          - name: inventory_hostname
          - name: ansible_host
          - name: ansible_ssh_host
          - name: delegated_vars['ansible_host']
          - name: delegated_vars['ansible_ssh_host']
      port:
        description: Port of its ssh server. The configuration of ssh decides where it is not set.
        type: int
        ini:
          - {section: defaults, key: remote_port}
        env:
          - name: ANSIBLE_REMOTE_PORT
        vars:
          - name: ansible_port
          - name: ansible_ssh_port
        keyword:
          - name: port
      remote_user:
        description: User at the host. The configuration of ssh decides where it is not set.
        ini:
          - {section: defaults, key: remote_user}
        env:
          - name: ANSIBLE_REMOTE_USER
        vars:
          - name: ansible_user
          - name: ansible_ssh_user
        cli:
          - name: user
        keyword:
          - name: remote_user
      password:
        description: Password of that user, for questions of the server.
        vars:
          - name: ansible_password
          - name: ansible_ssh_pass
          - name: ansible_ssh_password
      private_key_file:
        description: File of a private key, in place of the default ones and beside those of the configuration of ssh.
        ini:
          - {section: defaults, key: private_key_file}
        env:
          - name: ANSIBLE_PRIVATE_KEY_FILE
        vars:
          - name: ansible_private_key_file
          - name: ansible_ssh_private_key_file
        cli:
          - name: private_key_file
            option: '--private-key'
      private_key_passphrase:
        description: Passphrase of that file.
        vars:
          - name: ansible_private_key_passphrase
          - name: ansible_ssh_private_key_passphrase
      ssh_args:
        description: Arguments of ssh. Those about its multiplexing have no meaning here.
        default: ''
        ini:
          - {section: ssh_connection, key: ssh_args}
        env:
          - name: ANSIBLE_SSH_ARGS
        vars:
          - name: ansible_ssh_args
      ssh_common_args:
        description: Further arguments of ssh. Where a hop of the kind V(ssh) does not have one, the ssh program is run.
        default: ''
        ini:
          - {section: ssh_connection, key: ssh_common_args}
        env:
          - name: ANSIBLE_SSH_COMMON_ARGS
        vars:
          - name: ansible_ssh_common_args
        cli:
          - name: ssh_common_args
      ssh_extra_args:
        description: Further arguments of ssh.
        default: ''
        ini:
          - {section: ssh_connection, key: ssh_extra_args}
        env:
          - name: ANSIBLE_SSH_EXTRA_ARGS
        vars:
          - name: ansible_ssh_extra_args
        cli:
          - name: ssh_extra_args
      host_key_checking:
        description: Whether an unknown or a changed key of the host is an error.
        type: boolean
        default: true
        ini:
          - {section: defaults, key: host_key_checking}
          - {section: ssh_connection, key: host_key_checking}
        env:
          - name: ANSIBLE_HOST_KEY_CHECKING
          - name: ANSIBLE_SSH_HOST_KEY_CHECKING
        vars:
          - name: ansible_host_key_checking
          - name: ansible_ssh_host_key_checking
      timeout:
        description: Seconds for the connection and the login. The time for sending the program is not in it.
        type: int
        default: 10
        ini:
          - {section: defaults, key: timeout}
          - {section: ssh_connection, key: timeout}
        env:
          - name: ANSIBLE_TIMEOUT
          - name: ANSIBLE_SSH_TIMEOUT
        vars:
          - name: ansible_ssh_timeout
        cli:
          - name: timeout
      pipelining:
        description: Whether modules go through the input of Python in place of a file at the host.
        type: boolean
        default: true
        ini:
          - {section: mitosis, key: pipelining}
        env:
          - name: ANSIBLE_MITOSIS_PIPELINING
        vars:
          - name: ansible_mitosis_pipelining
      method:
        description:
          - The method of the last hop to the host, such as V(ssh), V(docker), V(podman), V(lxc), V(kubectl), V(chroot) or V(local).
        default: ssh
        vars:
          - name: ansible_mitosis_method
      method_options:
        description: Options of that hop, as in C(run&arg=--network=none).
        default: ''
        vars:
          - name: ansible_mitosis_options
      via:
        description: A hop path from which the host is reached, such as V(ssh:bastion) or V(ssh:jump/sudo). It may be a template.
        default: ''
        vars:
          - name: ansible_mitosis_via
      python:
        description:
          - V(fork) has modules run in a child of a Python that is warm already. V(exec) starts a Python for each, as ssh does.
        choices: [fork, exec]
        default: fork
        ini:
          - {section: mitosis, key: python}
        env:
          - name: ANSIBLE_MITOSIS_PYTHON
        vars:
          - name: ansible_mitosis_python
      executable:
        description: The program mitosis.
        default: mitosis
        ini:
          - {section: mitosis, key: executable}
        env:
          - name: ANSIBLE_MITOSIS_EXECUTABLE
        vars:
          - name: ansible_mitosis_executable
      broker:
        description:
          - V(playbook) has a broker for each run of ansible, which ends with it. V(user) uses the broker of the user, which must be
            running. Any other name is that of a broker of the user that has been started with C(--name).
        default: playbook
        ini:
          - {section: mitosis, key: broker}
        env:
          - name: ANSIBLE_MITOSIS_BROKER
        vars:
          - name: ansible_mitosis_broker
      cache:
        description: Whether hosts keep the program in a cache of the login user, so that it is not sent for the next playbook.
        type: boolean
        default: false
        ini:
          - {section: mitosis, key: cache}
        env:
          - name: ANSIBLE_MITOSIS_CACHE
        vars:
          - name: ansible_mitosis_cache
'''

import io
import multiprocessing
import os
import shutil
import time

from ansible.errors import AnsibleAuthenticationFailure, AnsibleConnectionFailure, AnsibleError, AnsibleFileNotFound
from ansible.module_utils.common.text.converters import to_bytes, to_native, to_text
from ansible.plugins.connection import ConnectionBase
from ansible.utils.display import Display

from ansible_collections.mitosis_go.ansible.plugins.plugin_utils import broker, hops, worker
from ansible_collections.mitosis_go.ansible.plugins.plugin_utils.become import Hop, Prefix

display = Display()


class Connection(ConnectionBase):
    """Reaches a host by requests to a broker."""

    transport = 'mitosis_go.ansible.mitosis'
    has_tty = True  # a become plugin that needs one gets one, and none else

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._hop = None  # of the present become plugin

    def set_become_plugin(self, plugin):
        """Takes a become plugin. Its commands are marked and not prefixed where a hop can do the same."""
        super().set_become_plugin(plugin)
        self._hop = Hop(plugin) if plugin else None

    @property
    def has_pipelining(self):
        """Modules go through the input, unless that is a terminal, which a become plugin without a hop gets."""
        return not self._hop or bool(self._hop.word())

    def _connect(self):
        # The broker connects with the first request, as ssh does with the first command.
        self._connected = True
        return self

    def close(self):
        self._connected = False

    def reset(self):
        """Has the next task connect anew. Tasks that use the present connection, also those of other hosts, go on."""
        try:
            self._request({'op': 'reset', 'path': self._path()}, start=False)
        except AnsibleConnectionFailure as e:
            display.vvv('MITOSIS: nothing to reset: %s' % to_text(e), host=self._host())
        self.close()

    # Commands

    def exec_command(self, cmd, in_data=None, sudoable=True):
        super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
        cmd = to_text(cmd, errors='surrogate_or_strict')
        marked = self._hop.take(cmd) if self._hop else None
        if marked:
            path = self._path() + '/' + marked.word
            argv, shell, cmd = [marked.shell, '-c', marked.command], False, marked.command
        else:
            path, argv, shell = self._path(), ['-c', cmd], True
        if in_data is not None and self.get_option('python') == 'fork':
            payload = worker.Payload.of(cmd, to_bytes(in_data, errors='surrogate_or_strict'))
            result = payload and self._run_payload(path, payload, '' if shell else argv[0])
            if result:
                return result
        prefix = Prefix(self.become, in_data) if sudoable and self.become and not marked and self._hop.is_pending(cmd) else None
        return self._run(path, argv, shell, in_data, prefix)

    def _run(self, path, argv, shell, in_data, prefix):
        display.vvv('MITOSIS EXEC %s: %s' % (path, argv), host=self._host())
        header = {'op': 'exec', 'path': path, 'keep_jobs': True}
        if shell:
            header['shell'] = True
        body = b''.join(to_bytes(word, errors='surrogate_or_strict') + b'\0' for word in argv)
        out = {'stdout': [], 'stderr': []}
        source, sink = None, lambda stream, piece: out[stream].append(piece)
        if prefix:
            header['stdin'] = True
            if in_data is None:
                header['pty'] = {'rows': 24, 'cols': 80, 'term': 'dumb'}
            source, sink = ('stdin', prefix), prefix.sink(sink)
        elif in_data is not None:
            header['stdin'] = True
            source = ('stdin', io.BytesIO(to_bytes(in_data, errors='surrogate_or_strict')))
        answer = self._request(header, body, source, sink)[0]
        if prefix:
            prefix.end()
        return answer['status'], b''.join(out['stdout']), b''.join(out['stderr'])

    def _run_payload(self, path, payload, shell):
        display.vvv('MITOSIS PYTHON %s: %s %s' % (path, payload.interpreter, payload.name), host=self._host())
        try:
            return payload.run(shell, lambda function, argument: self._call(path, function, argument),
                               lambda: self._run(path, ['true'], False, None, None))
        except worker.NoWorker:
            return None

    def _call(self, path, function, argument):
        header = {'op': 'call', 'path': path, 'function': function, 'encoding': 'json'}
        return self._request(header, argument)[1]

    # Files

    def put_file(self, in_path, out_path):
        super().put_file(in_path, out_path)
        display.vvv('MITOSIS PUT %s to %s' % (in_path, out_path), host=self._host())
        try:
            source = open(to_bytes(in_path, errors='surrogate_or_strict'), 'rb')
        except FileNotFoundError:
            raise AnsibleFileNotFound('file or module does not exist: %s' % to_native(in_path))
        with source:
            header = {'op': 'put', 'path': self._path(), 'in_place': True}
            self._request(header, to_bytes(out_path, errors='surrogate_or_strict'), ('data', source), files=True)

    def fetch_file(self, in_path, out_path):
        super().fetch_file(in_path, out_path)
        display.vvv('MITOSIS FETCH %s to %s' % (in_path, out_path), host=self._host())
        with open(to_bytes(out_path, errors='surrogate_or_strict'), 'wb') as target:
            self._request({'op': 'get', 'path': self._path()}, to_bytes(in_path, errors='surrogate_or_strict'), None,
                          lambda _, piece: target.write(piece), files=True)

    # Paths

    def _host(self):
        return self.get_option('host') or self._play_context.remote_addr

    def _path(self):
        """Returns the hop path of the login."""
        method, user = self.get_option('method'), self.get_option('remote_user')
        if method in ('ssh', 'openssh'):
            arguments = ' '.join(self.get_option(name) or '' for name in ('ssh_args', 'ssh_common_args', 'ssh_extra_args'))
            word = hops.ssh(self._host(), user, self.get_option('port'), self.get_option('private_key_file'), arguments,
                            self.get_option('host_key_checking'), self.get_option('timeout'), method)
        else:
            word = hops.container(method, self._host(), user, self.get_option('method_options'))
        via = (self.get_option('via') or '').strip('/')
        return via + '/' + word if via else word

    # Requests

    def _address(self):
        """Returns the name of the broker and the process that it is to end with, if it is ours."""
        name = self.get_option('broker')
        if name == 'playbook':
            parent = multiprocessing.parent_process()
            pid = parent.pid if parent else os.getpid()
            return 'ansible-%d' % pid, pid
        return '' if name == 'user' else name, None

    def _end_with_ansible(self):
        """Ends the process of a task whose ansible was killed. It works for nobody, and would wait without end for
        somebody to take its result."""
        if self._address()[1] not in (None, os.getpid(), os.getppid()):
            os._exit(1)

    def _link(self, start=True):
        name, watch = self._address()
        address = broker.socket_path(name)
        try:
            return broker.link(address)
        except broker.BrokerError as e:
            if e.kind != 'no_broker' or not watch or not start:
                raise
        self._end_with_ansible()
        program = self.get_option('executable')
        found = shutil.which(os.path.expanduser(program))
        if not found:
            raise AnsibleError('there is no program %s: ansible_mitosis_executable says where it is' % program)
        broker.start(found, name, watch, {'MITOSIS_CACHE': 'yes'} if self.get_option('cache') else {})
        return broker.link(address)

    def _request(self, header, body=b'', source=None, sink=None, files=False, start=True):
        """Carries out a request, and tells of its failure as Ansible wants to hear of it."""
        began = time.monotonic()
        if self.get_option('password'):
            header['pool'] = hops.pool(self.get_option('password'))
        try:
            answer = self._link(start).request(header, body, source, sink, self._answer if self._has_answers() else None)
        except broker.BrokerError as e:
            if e.kind in ('gone', 'closed'):
                self._end_with_ansible()
            if header['op'] == 'call' and e.kind == 'not_found':
                raise worker.NoWorker(e.message)
            raise self._error(e, header, files)
        except BaseException:
            broker.drop(broker.socket_path(self._address()[0]))  # the request ends, and what it has started
            raise
        display.vvvv('MITOSIS %s %s: %.1f ms' % (header['op'], header.get('path'), 1000 * (time.monotonic() - began)), host=self._host())
        return answer

    def _has_answers(self):
        """Reports whether questions can be answered. Who can not leaves them to others that wait for the same host."""
        return bool(self.get_option('password') or self.get_option('private_key_passphrase') or self._hop and self._hop.password())

    def _answer(self, question):
        """Answers a question of a connect, or returns None. A question is asked again when an answer was wrong."""
        if question.get('attempt', 1) > 1 or question.get('echo'):
            return None
        login = hops.depth(self._path())
        at = hops.depth(question['path'])
        if at > login and self._hop:
            return self._hop.password()
        if at != login:
            return None
        name = 'private_key_passphrase' if question['kind'] == 'passphrase' else 'password'
        return self.get_option(name) if question['kind'] != 'hostkey' else None

    def _error(self, e, header, files):
        """Returns the exception for an error of the broker."""
        text = to_native(e.message)
        if e.kind in ('password', 'password_required', 'permission', 'connect') and self._hop:
            if hops.depth(e.path or '') > hops.depth(self._path()):
                return self._hop.error(e.kind, text)
        if e.kind in ('password', 'password_required'):
            return AnsibleAuthenticationFailure(text)
        if files and e.kind in ('not_found', 'permission', 'not_directory', 'exists', 'error'):
            return AnsibleFileNotFound(text) if e.kind == 'not_found' else AnsibleError(text)
        if e.kind == 'permission':
            return AnsibleAuthenticationFailure(text)
        if e.kind == 'usage':
            return AnsibleError(text)
        return AnsibleConnectionFailure('%s (%s)' % (text, e.kind))
