# The jobs of the bench, done by Mitogen. Prints rows as JSON lines.

import json
import os
import statistics
import subprocess
import sys
import time

import mitogen.core
import mitogen.master
import mitogen.utils

server, user, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])


def counters():
    for line in open('/proc/self/net/dev'):
        name, _, rest = line.strip().partition(':')
        if name == 'eth0':
            n = [int(s) for s in rest.split()]
            return n[8] - 14 * n[9], n[0] - 14 * n[1]


def row(what, values, unit='ms', note=''):
    print(json.dumps({'What': 'Mitogen: ' + what, 'Measured': statistics.median(values),
                      'Unit': unit, 'Note': note}), flush=True)


def timed(fn):
    began = time.time()
    value = fn()
    return 1e3 * (time.time() - began), value


def latency(context, n=200):
    took, _ = timed(lambda: [context.call(os.getpid) for _ in range(n)])
    return 1e3 * took / n


# The functions for the far side are source text that eval runs there. The main module, which is
# this text, can't be imported there.
TRUE = "__import__('subprocess').check_call(['/bin/true'])"
LOOP = "[" + TRUE + " for _ in range(100)]"


def job(code, times):
    """A whole program: connect, sudo, work."""
    broker = mitogen.master.Broker()
    try:
        router = mitogen.master.Router(broker)
        web = router.ssh(hostname=server, username=user, python_path='/usr/bin/python3')
        root = router.sudo(via=web, python_path='/usr/bin/python3')
        for _ in range(times):
            root.call(eval, code)
    finally:
        broker.shutdown()
        broker.join()


def main(router):
    local = router.local()
    row('call to a local child', [latency(local) for _ in range(rounds)], 'us')

    connects, sudos = [], []
    for _ in range(rounds):
        took, web = timed(lambda: router.ssh(hostname=server, username=user, python_path='/usr/bin/python3'))
        used, _ = timed(lambda: web.call(os.getpid))
        connects.append(took + used)
        took, root = timed(lambda: router.sudo(via=web, python_path='/usr/bin/python3'))
        used, _ = timed(lambda: root.call(os.getpid))
        sudos.append(took + used)
    row('connect over ssh, to the first answer', connects)
    row('sudo hop, to its first answer', sudos)
    row('call over ssh', [latency(web) for _ in range(rounds)], 'us')
    row('call over ssh and sudo', [latency(root) for _ in range(rounds)], 'us')

    for what, code, times in (('loop at the far side', LOOP, 1), ('loop in the master', TRUE, 100)):
        took, sent, read = [], [], []
        for _ in range(rounds):
            out, back = counters()
            ms, _ = timed(lambda: job(code, times))
            after = counters()
            took.append(ms)
            sent.append(after[0] - out)
            read.append(after[1] - back)
        row('100 x true by ssh and sudo, ' + what, took, 'ms', 'without the start of Python; on the wire: %.0f kB out, %.0f kB in' % (
            statistics.median(sent) / 1e3, statistics.median(read) / 1e3))


mitogen.utils.run_with_router(main)
