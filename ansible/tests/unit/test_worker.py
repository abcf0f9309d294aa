"""Needs no Ansible. The forms of installed versions are covered by playbooks: integration/ansible_test.go of mitosis."""
import json
import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'plugins', 'plugin_utils'))
import worker  # noqa: E402

ZIP = 'UEsFBgAAAAAAAAAAAAAAAAAAAAAAAA=='
CONSTANTS = '''#!/usr/bin/python3
def _ansiballz_main():
    import sys, base64, zipfile, runpy, tempfile, shutil
    ZIPDATA = """%s"""
    def invoke_module(modlib_path, temp_path, json_params):
        sys.path.insert(0, modlib_path)
        from ansible.module_utils import basic
        basic._ANSIBLE_ARGS = json_params
        %%s
        runpy.run_module(mod_name='ansible.modules.ping', init_globals=dict(_module_fqn='x', _modlib_path=modlib_path), run_name='__main__', alter_sys=True)
        sys.exit(1)
    def debug(command, zipped_mod, json_params):
        anything(1)
    ANSIBALLZ_PARAMS = '{"a": "it\\'s \\\\ ö"}'
    %%s
    invoke_module('zip', 'dir', ANSIBALLZ_PARAMS.encode('utf-8'))
if __name__ == '__main__':
    _ansiballz_main()
''' % ZIP
ARGUMENTS = '''#!/usr/bin/python3
from __future__ import annotations
import datetime
def _ansiballz_main(zip_data, ansible_module, module_fqn, params, profile, date_time, extensions, rlimit_nofile):
    def invoke_module(modlib_path, json_params):
        from ansible.module_utils._internal._ansiballz import _loader
        _loader.run_module(json_params=json_params, profile=profile, module_fqn=module_fqn, modlib_path=modlib_path, extensions=extensions)
    def debug(command, modlib_path, json_params):
        anything(1)
    invoke_module('zip', params.encode())
if __name__ == "__main__":
    _ansiballz_main(
ansible_module='ping',
module_fqn='ansible.modules.ping',
profile='legacy',
date_time=datetime.datetime(2026, 1, 1),
rlimit_nofile=%%s,
params='{"a": 1}',
extensions=%%s,
zip_data='%s',%%s
)
''' % ZIP
COMMAND = "/bin/sh -c 'A='\"'\"'b c'\"'\"' /usr/bin/python3 && sleep 0'"


def task(source, command=COMMAND):
    payload = worker.Payload.of(command, source.encode())
    return payload and json.loads(payload._task['task'])


class Commands(unittest.TestCase):
    def test_interpreters(self):
        for command, want in (
                ("/bin/sh -c '/usr/bin/python3 && sleep 0'", ({}, '/usr/bin/python3')),
                ('/usr/bin/python3', ({}, '/usr/bin/python3')),
                ('python3.11', ({}, 'python3.11')),
                (COMMAND, ({'A': 'b c'}, '/usr/bin/python3')),
                ("A='$x `y`' PATH=/x /usr/bin/python3", ({'A': '$x `y`', 'PATH': '/x'}, '/usr/bin/python3')),
        ):
            self.assertEqual(worker.interpreter(command), want, command)

    def test_commands_that_do_more(self):
        for command in ('/usr/bin/python3 x', 'A=$B /usr/bin/python3', '/usr/bin/python3; ls', '/usr/bin/ruby', '/usr/bin/python3 <x', '',
                        "'", 'A=`b` /usr/bin/python3', '/usr/bin/python3 && sleep 1', 'cd /x && /usr/bin/python3', 'PATH=/x python3',
                        'LC_ALL=C /usr/bin/python3', 'PYTHONPATH=/x /usr/bin/python3', 'LD_PRELOAD=x /usr/bin/python3', 'HOME=/x /usr/bin/python3'):
            self.assertIsNone(worker.interpreter(command), command)


class Forms(unittest.TestCase):
    def test_constants(self):
        self.assertEqual(task(CONSTANTS % ('pass', 'pass')), {
            'form': 'runpy', 'module': 'ansible.modules.ping', 'params': '{"a": "it\'s \\ ö"}', 'profile': '', 'rlimit_nofile': 0, 'env': {'A': 'b c'}})
        self.assertEqual(task(CONSTANTS % ('pass', 'requested_soft = min(existing_hard, 200)'))['rlimit_nofile'], 200)

    def test_arguments(self):
        self.assertEqual(task(ARGUMENTS % (7, {}, '')), {
            'form': 'loader', 'module': 'ansible.modules.ping', 'params': '{"a": 1}', 'profile': 'legacy', 'rlimit_nofile': 7, 'env': {'A': 'b c'}})

    def test_unknown_programs(self):
        for source in (
                CONSTANTS % ('coverage.Coverage()', 'pass'), CONSTANTS % ('import coverage', 'pass'), CONSTANTS % ('pass', 'os.system("x")'),
                CONSTANTS % ('pass', 'import socket'), CONSTANTS % ('pass', 'pass') + 'print(1)\n', CONSTANTS % ('while 1: pass', 'pass'),
                CONSTANTS % ('pass', '(lambda: 0)()'), (CONSTANTS % ('pass', 'pass')).replace("'__main__', alter", "'other', alter"),
                CONSTANTS % ('pass', 'syntax error'), ARGUMENTS % (0, {'coverage': {}}, ''), ARGUMENTS % (0, {}, '\nsecrets=1,'),
                'import socket\n' + CONSTANTS % ('pass', 'pass'), 'print("no payload")', '', 'ZIPDATA = """%s"""' % ZIP):
            self.assertIsNone(task(source), source)

    def test_large_and_foreign_ones(self):
        self.assertIsNone(task(CONSTANTS % ('pass', '#' * worker._SIZE)))
        self.assertIsNone(worker.Payload.of(COMMAND, b'\xff' + (CONSTANTS % ('pass', 'pass')).encode()))


class Runs(unittest.TestCase):
    def run_with(self, *answers):
        asked, answers = [], list(answers)

        def call(function, argument):
            asked.append((function, json.loads(argument)))
            return json.dumps(answers.pop(0)).encode()
        spared = []
        result = worker.Payload.of(COMMAND, (CONSTANTS % ('pass', 'pass')).encode()).run('/bin/sh', call, lambda: spared.append(1))
        return result, asked, len(spared)

    def test_known_zip(self):
        result, asked, spared = self.run_with({'status': 3, 'stdout': 'b3V0', 'stderr': None})
        self.assertEqual((result, len(asked), spared), ((3, b'out', b''), 1, 0))
        self.assertNotIn('data', asked[0][1])

    def test_zip_that_is_sent(self):
        result, asked, spared = self.run_with({'need': True}, {'status': 0, 'stdout': '', 'stderr': '', 'first': True})
        self.assertEqual((result, len(asked), spared), ((0, b'', b''), 2, 1))
        self.assertEqual(asked[1][1]['data'], ZIP)

    def test_pieces(self):
        result, asked, _ = self.run_with({'status': 0, 'stdout': 'YQ==', 'stderr': '', 'more': '1'},
                                         {'stdout': 'Yg==', 'stderr': 'Yw==', 'more': '2'}, {'stdout': '', 'stderr': 'ZA=='})
        self.assertEqual(result, (0, b'ab', b'cd'))
        self.assertEqual(asked[2], ('ansible.more', {'token': '2'}))

    def test_refused(self):
        self.assertEqual(self.run_with({'refused': 'no python'})[0], None)


if __name__ == '__main__':
    unittest.main()
