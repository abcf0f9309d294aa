"""Notes when the tasks of a bench begin and end. The first task warms up, and is not counted."""
import json
import os
import time

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = 'name: stamps\ntype: stdout\nshort_description: for benchmarks\ndescription: for benchmarks\n'


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = 'stdout'
    CALLBACK_NAME = 'stamps'

    def __init__(self):
        super().__init__()
        self.begun, self.tasks, self.failed = None, 0, []

    def v2_playbook_on_task_start(self, task, is_conditional):
        self.tasks += 1
        if self.tasks == 2:
            self.begun = time.time()

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self.failed.append(str(result._result)[:1000])

    v2_runner_on_unreachable = v2_runner_on_failed

    def v2_playbook_on_stats(self, stats):
        with open(os.environ['BENCH_RESULT'], 'w') as f:
            json.dump({'seconds': time.time() - (self.begun or 0), 'failed': self.failed}, f)
