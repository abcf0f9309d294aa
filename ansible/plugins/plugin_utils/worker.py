"""Modules for a warm Python at the host: package ansible/worker of mitosis.

The payload of a module is a program that unpacks a zip with the module and its libraries, and runs it. The forms of
that program are recognised by parsing it. One that does anything else is not taken here, and runs as over ssh.
"""
from __future__ import annotations

import ast
import base64
import hashlib
import json
import re
import shlex

_ZIP = re.compile(rb'''(ZIPDATA = """|zip_data=')([A-Za-z0-9+/=\n]+)("""|')''')
_PARAMS = re.compile(rb"""(ANSIBALLZ_PARAMS = |[\n( ]params=)('(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*")""")
_ASSIGNMENT = re.compile(r'[A-Za-z_]\w*=', re.A)
_INTERPRETER = re.compile(r'(/\S*/)?python[0-9.]*', re.A)
# Variables that an interpreter heeds only when it starts: a warm one would come too late.
_AT_START = re.compile(r'(PYTHON|LC_|LD_|MALLOC_|GLIBC_)\w*|LANG|LANGUAGE|HOME|TZ', re.A)

_SIZE = 600000  # bytes of a payload that fit into a request, with a zip

# All that the program may call and import, besides defining and running these two functions.
_INVOKE = {
    'zipfile.ZipFile', 'sitecustomize.encode', 'zipfile.ZipInfo', 'date_time.utctimetuple', 'z.writestr', 'z.close',
    'sys.path.insert', 'runpy.run_module', 'dict', 'print', 'sys.exit', '_loader.run_module',
}
_MAIN = {
    'os.getcwd', 'os.chdir', 'os.path.expanduser', 'os.path.dirname', 'os.path.realpath', 'set', 'tempfile.mkdtemp', 'os.path.join',
    'open', 'modlib.write', 'base64.b64decode', 'len', 'debug', 'invoke_module', 'shutil.rmtree', 'sys.exit', 'ANSIBALLZ_PARAMS.encode',
    'params.encode', 'resource.getrlimit', 'resource.setrlimit', 'min',
}
_IMPORTS = {
    'os', 'os.path', 'sys', '__main__', 'base64', 'runpy', 'shutil', 'tempfile', 'zipfile', 'resource', 'datetime',
    '__future__.annotations', 'ansible.module_utils.basic', 'ansible.module_utils._internal._ansiballz._loader',
}
_ARGUMENTS = {'zip_data', 'ansible_module', 'module_fqn', 'params', 'profile', 'date_time', 'extensions', 'rlimit_nofile'}


class NoWorker(Exception):
    """The host has no such function: its copy of the program is another one, or its system has no fork."""


class _Unknown(Exception):
    """The program is none of the known forms."""


def interpreter(cmd):
    """Returns the environment and the interpreter of a command that does nothing but start one, or None."""
    try:
        words = shlex.split(cmd)
    except ValueError:
        return None
    if len(words) == 3 and words[1] == '-c' and re.fullmatch(r'/\S*sh', words[0]):
        return interpreter(words[2])
    if words[-3:] == ['&&', 'sleep', '0']:
        words = words[:-3]
        cmd = cmd.rsplit('&&', 1)[0]
    env = {}
    while words and _ASSIGNMENT.match(words[0]):
        name, value = words.pop(0).split('=', 1)
        env[name] = value
    if len(words) != 1 or not _INTERPRETER.fullmatch(words[0]) or any(_AT_START.fullmatch(name) for name in env):
        return None
    if 'PATH' in env and not words[0].startswith('/'):
        return None  # it says which interpreter
    # A shell must read it as we do: with quotes and nothing else that has a meaning to it.
    parts = ['%s=%s' % (name, shlex.quote(value)) for name, value in env.items()] + words
    return (env, words[0]) if cmd.split() == ' '.join(parts).split() else None


class Payload:
    """A module to run, with the interpreter for it."""

    def __init__(self, env, interpreter, zip_data, task):
        self.env, self.interpreter, self.name = env, interpreter, task['module']
        self._zip = zip_data
        self._task = {'interpreter': interpreter, 'zip': hashlib.sha256(zip_data.encode()).hexdigest(), 'task': json.dumps(dict(task, env=env))}

    @classmethod
    def of(cls, cmd, data):
        """Returns the payload that a command would get as its input, or None if it is none of the known ones."""
        found = interpreter(cmd)
        literal = _ZIP.search(data)
        if not found or not literal or len(data) > _SIZE:
            return None
        rest = data[:literal.start(2)] + data[literal.end(2):]
        params = _PARAMS.search(rest)
        if not params:
            return None
        try:
            task = dict(_form(rest[:params.start(2)] + b"''" + rest[params.end(2):]))
            task['params'] = ast.literal_eval(params.group(2).decode('utf-8'))
            json.dumps([task, found[0]]).encode()
        except (SyntaxError, ValueError, _Unknown):
            return None
        return cls(found[0], found[1], literal.group(2).decode().replace('\n', ''), task)

    def run(self, shell, call, spare):
        """Runs it. call(function, argument) calls a function at the host. spare has processes that modules leave running
        spared, once for each Python. Returns status, output and error output, or None if there is no Python for it."""
        task = dict(self._task, shell=shell)
        answer = self._ask(call, 'ansible.python', task)
        if answer.get('need'):
            answer = self._ask(call, 'ansible.python', dict(task, data=self._zip))
        if answer.get('refused'):
            return None
        if answer.get('first'):
            spare()
        out, err, token = [answer['stdout']], [answer['stderr']], answer.get('more')
        while token:
            more = self._ask(call, 'ansible.more', {'token': token})
            out.append(more['stdout'])
            err.append(more['stderr'])
            token = more.get('more')
        return answer['status'], _bytes(out), _bytes(err)

    @staticmethod
    def _ask(call, function, argument):
        return json.loads(call(function, json.dumps(argument).encode()))


def _bytes(pieces):
    return b''.join(base64.b64decode(piece or '') for piece in pieces)


_forms = {}  # what programs without their zips and parameters would run: the items of a loop have the same one


def _form(source):
    if source not in _forms:
        _forms[source] = _parse(source.decode('utf-8'))
    return _forms[source]


def _parse(source):
    """Returns that which a program without its zip would run."""
    tree = ast.parse(source)
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    if [f.name for f in functions] != ['_ansiballz_main']:
        raise _Unknown('functions')
    main = functions[0]
    inner = {node.name: node for node in ast.walk(main) if isinstance(node, ast.FunctionDef) and node is not main}
    if set(inner) != {'invoke_module', 'debug'}:
        raise _Unknown('inner functions')
    invoke = inner['invoke_module']
    calls = _calls(invoke, _INVOKE, ())
    _calls(main, _MAIN, inner.values())
    _imports(tree.body)
    start = _last_call(tree, main)
    if '_loader.run_module' in calls:
        task = _with_arguments(start)
    elif not start.keywords:
        task = _with_constants(main, calls['runpy.run_module'])
    else:
        raise _Unknown('arguments')
    return task


def _walk(node, without):
    """Yields the nodes of a tree, without some branches."""
    for child in ast.iter_child_nodes(node):
        if not any(child is other for other in without):
            yield child
            yield from _walk(child, without)


def _calls(function, allowed, without):
    """Returns the calls of a function by name, which must all be allowed ones."""
    found = {}
    for node in _walk(function, without):
        if isinstance(node, ast.Call):
            name = _dotted(node.func)
            if name not in allowed:
                raise _Unknown(name)
            found[name] = node
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            _imports([node])
        elif isinstance(node, (ast.ClassDef, ast.Lambda, ast.Delete, ast.Global, ast.While, ast.AsyncFunctionDef)):
            raise _Unknown(type(node).__name__)
    return found


def _imports(nodes):
    """Checks that statements import nothing else than what the known forms do."""
    for node in nodes:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            prefix = (node.module or '?') + '.' if isinstance(node, ast.ImportFrom) else ''
            if not {prefix + alias.name for alias in node.names} <= _IMPORTS:
                raise _Unknown('import')


def _dotted(node):
    if isinstance(node, ast.Attribute):
        return _dotted(node.value) + '.' + node.attr
    return node.id if isinstance(node, ast.Name) else '?'


def _last_call(tree, main):
    """Returns the call that starts the program, the only thing that it does beside imports and constants."""
    starts = []
    for node in tree.body:
        if node is main or isinstance(node, (ast.Import, ast.ImportFrom)):
            continue
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            continue
        call = None
        if isinstance(node, ast.If) and len(node.body) == 1 and isinstance(node.body[0], ast.Expr) and not node.orelse:
            call = node.body[0].value
        if not isinstance(call, ast.Call) or _dotted(call.func) != '_ansiballz_main' or call.args:
            raise _Unknown('top level')
        starts.append(call)
    if len(starts) != 1:
        raise _Unknown('starts')
    return starts[0]


def _with_arguments(start):
    """The form in which all is an argument, and the libraries have the function that runs the module."""
    given = {keyword.arg: keyword.value for keyword in start.keywords}
    if set(given) != _ARGUMENTS:
        raise _Unknown('arguments')
    values = {name: ast.literal_eval(node) for name, node in given.items() if name not in ('date_time', 'zip_data')}
    if values['extensions'] or values['params']:
        raise _Unknown('extensions')
    return {'form': 'loader', 'module': values['module_fqn'], 'profile': values['profile'],
            'rlimit_nofile': int(values['rlimit_nofile'])}


def _with_constants(main, run):
    """The form in which all is written into the program."""
    given = {keyword.arg: keyword.value for keyword in run.keywords}
    if set(given) != {'mod_name', 'init_globals', 'run_name', 'alter_sys'} or ast.literal_eval(given['run_name']) != '__main__':
        raise _Unknown('run_module')
    has_params, limit = False, 0
    for node in ast.walk(main):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            if node.targets[0].id == 'ANSIBALLZ_PARAMS' and isinstance(node.value, ast.Constant):
                has_params = node.value.value == ''  # cut out, as the zip
            elif node.targets[0].id == 'requested_soft':
                limit = ast.literal_eval(node.value.args[1])
    if not has_params:
        raise _Unknown('parameters')
    return {'form': 'runpy', 'module': ast.literal_eval(given['mod_name']), 'profile': '', 'rlimit_nofile': int(limit)}
