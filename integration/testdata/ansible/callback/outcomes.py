"""Prints a line for each result: task, item, outcome, and those parts that must not depend on the connection."""
import json

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = 'name: outcomes\ntype: stdout\nshort_description: for tests\ndescription: for tests\n'
KEPT = ('rc', 'stdout', 'msg', 'state', 'mode', 'owner', 'group', 'size', 'checksum', 'md5sum', 'dest', 'content', 'uid', 'matched',
        'examined', 'diff', 'backup', 'failed', 'stat', 'value')


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = 'stdout'
    CALLBACK_NAME = 'outcomes'

    def _line(self, outcome, result):
        values = result._result
        kept = {key: values[key] for key in KEPT if key in values and not values.get('_ansible_no_log')}
        for unstable in ('atime', 'mtime', 'ctime', 'inode', 'dev', 'path'):
            if isinstance(kept.get('stat'), dict):
                kept['stat'] = {k: v for k, v in kept['stat'].items() if k not in (unstable, 'version', 'device_type', 'block_size', 'blocks')}
        item = values.get(values.get('ansible_loop_var', 'item'), '')
        outcome = outcome + (' changed' if values.get('changed') else '')
        text = json.dumps(kept, sort_keys=True, default=str).replace('\\r\\n', '\\n')
        print('%s | %s | %s | %s' % (result._task.get_name(), item, outcome, text), flush=True)
        for warning in values.get('warnings') or []:
            print('warning: ' + warning)
        if outcome.startswith(('failed', 'unreachable')) and values.get('exception'):
            print(values['exception'])
        if values.get('module_stderr') and values.get('rc') != 127:
            print(values['module_stderr'])

    def v2_runner_on_ok(self, result): self._line('ok', result)
    def v2_runner_on_skipped(self, result): self._line('skipped', result)
    def v2_runner_on_unreachable(self, result): self._line('unreachable', result)
    def v2_runner_on_failed(self, result, ignore_errors=False): self._line('failed', result)
    def v2_runner_item_on_ok(self, result): self._line('ok', result)
    def v2_runner_item_on_failed(self, result): self._line('failed', result)

    def v2_playbook_on_stats(self, stats):
        for host in sorted(stats.processed):
            print(host, json.dumps(stats.summarize(host), sort_keys=True))
