"""Needs no Ansible: python3 -m unittest discover -s tests/unit"""
import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'plugins', 'plugin_utils'))
import hops  # noqa: E402


class SSH(unittest.TestCase):
    def check(self, want, *args, **kwargs):
        self.assertEqual(hops.ssh(*args, **kwargs), want)

    def test_targets(self):
        self.check('ssh:web1', 'web1')
        self.check('ssh:deploy@web1:2222', 'web1', 'deploy', 2222)
        self.check('ssh:[fe80::1]:22', 'fe80::1', port=22)
        self.check('ssh:a%40b%2Fc@web1', 'web1', 'a@b/c')
        self.check('ssh:web1?ConnectTimeout=10', 'web1', timeout=10)
        self.check('ssh:web1?host-keys=insecure-ignore', 'web1', check_host_keys=False)
        self.check('ssh:web1?IdentityFile=%2Fk%26ey', 'web1', key_file='/k&ey')

    def test_arguments_that_a_hop_has(self):
        self.check('ssh:web1?Port=23', 'web1', arguments='-p 23')
        self.check('ssh:web1?Port=23', 'web1', arguments='-oPort=23 -o "port 24"')  # the first counts
        self.check('ssh:j1,u@j2:33,web1', 'web1', arguments='-J j1,u@j2:33')
        self.check('ssh:web1?ProxyCommand=ssh -W %25h:%25p j', 'web1', arguments='-o ProxyCommand="ssh -W %h:%p j"')
        self.check('ssh:web1?config=%2Fc', 'web1', arguments='-F/c')
        self.check('ssh:web1?AddressFamily=inet&ForwardAgent=yes', 'web1', arguments='-4A')
        self.check('ssh:web1?ConnectTimeout=3', 'web1', arguments='-o ConnectTimeout=3', timeout=10)

    def test_arguments_without_a_meaning(self):
        self.check('ssh:web1', 'web1', arguments='-C -o ControlMaster=auto -o ControlPersist=60s -o ControlPath=/x -tt -q -vvv')

    def test_arguments_for_ssh_itself(self):
        self.check('openssh:web1?arg=-o&arg=GSSAPIAuthentication=yes&arg=-C', 'web1', arguments='-o GSSAPIAuthentication=yes -C')
        for arguments in ('-w 1', '-o NoSuchThing=1', '-L 1:x:2', 'word', '-Z'):
            self.assertTrue(hops.ssh('web1', arguments=arguments).startswith('openssh:web1?arg='), arguments)
        self.check('openssh:me@web1?ConnectTimeout=5', 'web1', 'me', method='openssh', timeout=5)


class Become(unittest.TestCase):
    def check(self, want, *args):
        self.assertEqual(hops.become(*args), want)

    def test_sudo(self):
        self.check('sudo:root?set-home', 'sudo', 'root', 'sudo', '-H -S -n')
        self.check('sudo:root?set-home', 'sudo', 'root', None, '-HSn')
        self.check('sudo', 'sudo', '', '', '')
        self.check('sudo:app?login', 'sudo', 'app', 'sudo', '-i')
        self.check('sudo:app?path=%2Fopt%2Fsudo', 'sudo', 'app', '/opt/sudo', '')
        self.check('sudo:a%2Fb%3F?group=crew', 'sudo', 'a/b?', 'sudo', '-g crew')
        self.check('sudo:app?keep-env=A&keep-env=B', 'sudo', 'app', 'sudo', '--preserve-env=A,B')

    def test_what_no_hop_has(self):
        for args in (('sudo', 'app', 'sudo', '-P'), ('sudo', 'app', 'sudo', '-u x'), ('sudo', 'app', 'nice sudo', ''),
                     ('sudo', 'app', 'sudo', '-g'), ('sudo', 'app', 'sudo', '"'), ('pbrun', 'app', '', ''), ('su', 'app', 'su', '-G x'),
                     ('doas', 'app', 'doas', '-C /x'), ('machinectl', 'app', 'machinectl', '-M x')):
            self.check(None, *args)

    def test_others(self):
        self.check('su:app?login', 'su', 'app', 'su', '-')
        self.check('su:app?shell=%2Fbin%2Fsh', 'ansible.builtin.su', 'app', '', '--shell=/bin/sh')
        self.check('doas:www', 'community.general.doas', 'www', 'doas', '-n')
        self.check('machinectl:.host?user=app', 'community.general.machinectl', 'app', 'machinectl', '-q')


class Paths(unittest.TestCase):
    def test_depth(self):
        for path, depth in (('', 0), ('ssh:a', 1), ('ssh:a/sudo:root', 2), ('chroot:[/a/b]/su', 2), ('ssh:a/sudo/docker:x', 3)):
            self.assertEqual(hops.depth(path), depth, path)

    def test_containers(self):
        self.assertEqual(hops.container('docker', 'web', 'app', 'run'), 'docker:web?run&user=app')
        self.assertEqual(hops.container('chroot', '/mnt/x'), 'chroot:%2Fmnt%2Fx')
        self.assertEqual(hops.container('lxc', 'web', 'root'), 'lxc:web')
        self.assertEqual(hops.container('local', 'anything'), 'local')


if __name__ == '__main__':
    unittest.main()
