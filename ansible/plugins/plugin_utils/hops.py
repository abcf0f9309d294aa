"""Hop words of mitosis (docs/hops.md) made of the settings that an inventory has for ssh and for become."""
from __future__ import annotations

import hashlib
import os
import re
import shlex
from urllib.parse import quote as _quote

# The keywords of ssh_config that an ssh hop takes. With any other one ssh itself is run, by an openssh hop.
# docs/ssh_config.md of mitosis has the list.
_HONOURED = '''
    HostName User Port AddressFamily BindAddress ConnectTimeout ConnectionAttempts ServerAliveInterval ServerAliveCountMax
    ProxyJump ProxyCommand IdentityFile CertificateFile IdentitiesOnly IdentityAgent PubkeyAuthentication
    PasswordAuthentication KbdInteractiveAuthentication PreferredAuthentications BatchMode NumberOfPasswordPrompts
    PubkeyAcceptedAlgorithms RequiredRSASize KexAlgorithms Ciphers MACs HostKeyAlgorithms CASignatureAlgorithms
    StrictHostKeyChecking UserKnownHostsFile GlobalKnownHostsFile KnownHostsCommand HostKeyAlias HashKnownHosts
    RevokedHostKeys CheckHostIP NoHostAuthenticationForLocalhost ForwardAgent SetEnv SendEnv
    CanonicalizeHostname CanonicalDomains CanonicalizeFallbackLocal CanonicalizeMaxDots CanonicalizePermittedCNAMEs
'''
# Those that are about a process of ssh, which keeps or shows something. They mean nothing to a hop.
_MEANINGLESS = '''
    Compression ControlMaster ControlPath ControlPersist IPQoS TCPKeepAlive LogLevel LogVerbose SyslogFacility RequestTTY
    EscapeChar EnableEscapeCommandline StdinNull ForkAfterAuthentication VisualHostKey FingerprintHash UpdateHostKeys
    AddKeysToAgent ExitOnForwardFailure ClearAllForwardings
'''
_KEYWORDS = {word.lower(): word for word in _HONOURED.split()}
_DROPPED = {word.lower() for word in _MEANINGLESS.split()}

# Options of ssh that are keywords by another name, and those that mean nothing.
_LETTERS = {'i': 'IdentityFile', 'p': 'Port', 'l': 'User', 'J': 'ProxyJump', 'b': 'BindAddress', 'c': 'Ciphers', 'm': 'MACs'}
_FLAGS = {'4': ('AddressFamily', 'inet'), '6': ('AddressFamily', 'inet6'), 'A': ('ForwardAgent', 'yes'), 'a': ('ForwardAgent', 'no')}
_SILENT = set('CqvtTnxX')
_WITH_VALUE = set('BbcDEeFIiJLlmOopQRSWw')  # of ssh(1)


def quote(text):
    """Returns a text for a target or an option: what has a meaning in a path is written %XX."""
    return _quote(text, safe='@:+,=~ ')


class NotForAHop(Exception):
    """An ssh hop does not have the option. ssh itself may have it."""


def keywords(arguments):
    """Returns the settings, as (keyword, value), that command-line arguments of ssh mean."""
    found, words = [], list(arguments)
    while words:
        word = words.pop(0)
        if not word.startswith('-') or word == '-':
            raise NotForAHop(word)
        letters = word[1:]
        while letters:
            letter, letters = letters[0], letters[1:]
            if letter in _FLAGS:
                found.append(_FLAGS[letter])
            elif letter in _WITH_VALUE:
                value = letters or (words.pop(0) if words else '')
                letters = ''
                if letter == 'o':
                    found.extend(_setting(value))
                elif letter in _LETTERS:
                    found.append((_LETTERS[letter], value))
                elif letter == 'F':
                    found.append(('config', value))
                else:
                    raise NotForAHop('-' + letter)
            elif letter not in _SILENT:
                raise NotForAHop('-' + letter)
    return found


def _setting(text):
    """Returns the setting behind -o."""
    match = re.match(r'\s*(\w+)\s*(?:=|\s)\s*(.*?)\s*$', text, re.S)
    if not match:
        raise NotForAHop('-o ' + text)
    keyword, value = match.groups()
    if len(value) > 1 and value[0] == value[-1] == '"':
        value = value[1:-1]
    if keyword.lower() in _DROPPED:
        return []
    if keyword.lower() not in _KEYWORDS:
        raise NotForAHop('-o ' + text)
    return [(_KEYWORDS[keyword.lower()], value)]


def ssh(host, user=None, port=None, key_file=None, arguments='', check_host_keys=True, timeout=None, method='ssh'):
    """Returns the word of an ssh hop, or of an openssh hop where arguments have what an ssh hop can not express."""
    words = shlex.split(arguments)
    target = '[%s]' % host if ':' in host else quote(host)
    if user:
        target = _quote(user, safe='+=~') + '@' + target
    if port:
        target += ':%d' % int(port)
    options = []
    if not check_host_keys:
        options.append('host-keys=insecure-ignore')
    if key_file:
        options.append('IdentityFile=' + quote(os.path.expanduser(key_file)))
    jumps = ''
    try:
        if method != 'ssh':
            raise NotForAHop(method)
        for keyword, value in keywords(words):
            if keyword == 'ProxyJump' and value != 'none':
                jumps = jumps or quote(value) + ','
            elif keyword == 'IdentityFile':
                options.append(keyword + '=' + quote(os.path.expanduser(value)))
            elif not any(option.startswith(keyword + '=') for option in options) and value:
                options.append(keyword + '=' + quote(value))  # as with ssh, the first of equal ones counts
    except NotForAHop:
        method, jumps = 'openssh', ''
        options = [option for option in options if option.startswith(('host-keys=', 'IdentityFile='))][:2]
        options += ['arg=' + quote(word) for word in words]
    if timeout and not any(option.startswith('ConnectTimeout=') for option in options):
        options.append('ConnectTimeout=%d' % int(timeout))
    return _word(method, jumps + target, options)


# The option by which a method takes a user.
_USER_OPTION = {'docker': 'user', 'podman': 'user', 'buildah': 'user', 'jail': 'user', 'machinectl': 'user', 'chroot': 'user',
                'nsenter': 'user', 'lxd': 'uid', 'incus': 'uid'}


def container(method, target, user=None, options=''):
    """Returns the word of a hop into a container or the like."""
    words = [options] if options else []
    if user and method in _USER_OPTION:
        words.append(_USER_OPTION[method] + '=' + quote(user))
    return _word(method, '' if method == 'local' else quote(target), words)


def _word(method, target, options):
    return method + (':' + target if target else '') + ('?' + '&'.join(options) if options else '')


def become(name, user, exe, flags):
    """Returns the word of the hop that does as a become plugin, or None if no hop does exactly that."""
    name = name.rsplit('.', 1)[-1]
    reader = {'sudo': _sudo, 'su': _su, 'doas': _doas, 'machinectl': _machinectl}.get(name)
    try:
        options = reader and reader(shlex.split(flags or ''))
    except ValueError:
        options = None
    if options is None:
        return None
    exe = exe or name
    if exe != name:
        if len(shlex.split(exe)) != 1:
            return None
        options.append('path=' + quote(exe))
    if name == 'machinectl':
        return _word(name, '.host', options + ['user=' + quote(user or 'root')])
    return _word(name, _quote(user or '', safe='+=~'), options)


def _sudo(flags):
    options = []
    letters = {'H': 'set-home', 'i': 'login', 'E': 'preserve-env', 'S': None, 'n': None}
    words = {'--set-home': 'H', '--login': 'i', '--preserve-env': 'E', '--stdin': 'S', '--non-interactive': 'n'}
    values = {'-g': 'group', '-r': 'role', '-t': 'type', '--group': 'group', '--role': 'role', '--type': 'type'}
    rest = list(flags)
    while rest:
        flag = rest.pop(0)
        name, equals, value = flag.partition('=')
        if name == '--preserve-env' and equals:
            options += ['keep-env=' + quote(variable) for variable in value.split(',')]
            continue
        if name in values and (equals or rest):
            options.append(values[name] + '=' + quote(value if equals else rest.pop(0)))
            continue
        for letter in words.get(flag) or (flag[1:] if re.match(r'-[A-Za-z]+$', flag) else '?'):
            if letter not in letters:
                return None
            if letters[letter]:
                options.append(letters[letter])
    return _distinct(options)


def _su(flags):
    options, rest = [], list(flags)
    while rest:
        flag = rest.pop(0)
        if flag in ('-', '-l', '--login'):
            options.append('login')
        elif flag in ('-m', '-p', '--preserve-environment'):
            options.append('preserve-env')
        elif flag in ('-s', '--shell') and rest:
            options.append('shell=' + quote(rest.pop(0)))
        elif flag.startswith('--shell='):
            options.append('shell=' + quote(flag.split('=', 1)[1]))
        else:
            return None
    return _distinct(options)


def _doas(flags):
    return [] if all(flag == '-n' for flag in flags) else None


def _machinectl(flags):
    return [] if all(flag in ('-q', '--quiet') for flag in flags) else None


def _distinct(options):
    return list(dict.fromkeys(options))


def pool(password):
    """Returns the name of the pool for connections with a password, so that those with another one share none with them.
    It is too short to tell what the password is."""
    return 'password-' + hashlib.sha256(b'mitosis for ansible: ' + password.encode('utf-8', 'surrogateescape')).hexdigest()[:6]


def depth(path):
    """Returns the number of hops of a path, also as errors and questions have it."""
    inside, hops = 0, 1 if path else 0
    for char in path:
        inside += {'[': 1, ']': -1}.get(char, 0)
        hops += char == '/' and not inside
    return hops
