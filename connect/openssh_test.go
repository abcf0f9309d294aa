//go:build linux

package connect

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"
)

// openSSHTo is the ssh program for a server of the test's own, with nothing of
// this machine's configuration.
func openSSHTo(t testing.TB, s *sshServer) OpenSSH {
	t.Helper()
	if _, err := exec.LookPath("ssh"); err != nil {
		t.Skip("needs the ssh program")
	}
	t.Setenv("SSH_AUTH_SOCK", "")
	m := s.method(t)
	return OpenSSH{
		Host: m.Host, Port: m.Port, User: m.User, KnownHostsFiles: m.KnownHostsFiles,
		ConfigFile: writeFile(t, filepath.Join(t.TempDir(), "config"), "IdentityFile none\n", 0o600),
	}
}

func takes(password string) func(*sshServer) {
	return func(s *sshServer) {
		s.config.MaxAuthTries = 10
		s.config.PasswordCallback = func(_ ssh.ConnMetadata, given []byte) (*ssh.Permissions, error) {
			if string(given) != password {
				return nil, errors.New("no")
			}
			return nil, nil
		}
	}
}

func asks(questions ...string) func(*sshServer) {
	return func(s *sshServer) {
		s.config.KeyboardInteractiveCallback = func(_ ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
			for i, q := range questions {
				got, err := ask("", "", []string{q}, []bool{false})
				if err != nil {
					return nil, err
				}
				if got[0] != []string{"secret", "123456"}[i] {
					return nil, errors.New("no")
				}
			}
			return nil, nil
		}
	}
}

func TestOpenSSHDialogue(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	dir := t.TempDir()
	signer, private := newKey(t)
	locked := writeFile(t, filepath.Join(dir, "locked"), pemKey(t, private, "open"), 0o600)
	_, otherKey := newKey(t)
	stranger := writeFile(t, filepath.Join(dir, "stranger"), pemKey(t, otherKey, ""), 0o600)
	unknown := writeFile(t, filepath.Join(dir, "unknown"), "", 0o600)
	takesKey := func(s *sshServer) {
		s.config.PublicKeyCallback = func(_ ssh.ConnMetadata, k ssh.PublicKey) (*ssh.Permissions, error) {
			if string(k.Marshal()) != string(signer.PublicKey().Marshal()) {
				return nil, errors.New("no")
			}
			return nil, nil
		}
	}
	changed := func(t *testing.T, o *OpenSSH) {
		other, _ := newKey(t)
		o.KnownHostsFiles = []string{writeFile(t, filepath.Join(dir, "changed"), knownHostLine(knownHostName(o.Host, o.Port), other.PublicKey(), false), 0o600)}
	}
	for _, c := range []struct {
		name    string
		server  func(*sshServer)
		method  func(*testing.T, *OpenSSH)
		answers []string
		want    error
		text    string
	}{
		{name: "nothing asked"},
		{name: "password", server: takes("secret"), method: func(_ *testing.T, o *OpenSSH) { o.Password = "secret" }},
		{name: "wrong password", server: takes("secret"), method: func(_ *testing.T, o *OpenSSH) { o.Password = "wrong" }, want: ErrPassword, text: "Permission denied"},
		{name: "no password", server: takes("secret"), want: ErrPasswordRequired, text: "me@127.0.0.1's password"},
		{name: "a person", server: takes("secret"), answers: []string{"no", "secret"}},
		{name: "a person thrice wrong", server: takes("secret"), answers: []string{"x", "y", "z"}, want: ErrPassword},
		{name: "nobody at home", server: takes("secret"), answers: []string{}, want: ErrPasswordRequired, text: "nobody is at home"},
		{name: "interactive", server: asks("Password: "), method: func(_ *testing.T, o *OpenSSH) { o.Password = "secret" }},
		{name: "interactive in French", server: asks("Mot de passe : "), method: func(_ *testing.T, o *OpenSSH) { o.Password = "secret" }},
		{name: "interactive wrong", server: asks("Password: "), method: func(_ *testing.T, o *OpenSSH) { o.Password = "wrong" }, want: ErrPassword},
		{name: "second factor", server: asks("Password: ", "Code: "), method: func(_ *testing.T, o *OpenSSH) { o.Password = "secret" }, answers: []string{"123456"}},
		{name: "second factor, nobody there", server: asks("Password: ", "Code: "), method: func(_ *testing.T, o *OpenSSH) { o.Password = "secret" }, want: ErrPasswordRequired, text: "Code: "},
		{name: "interactive that asks nothing", server: asks()},
		{name: "passphrase", server: takesKey, method: func(_ *testing.T, o *OpenSSH) { o.IdentityFiles = []string{locked}; o.Passphrase = "open" }},
		{name: "wrong passphrase", server: takesKey, method: func(_ *testing.T, o *OpenSSH) {
			o.IdentityFiles = []string{locked}
			o.Passphrase = "shut"
			o.Options = []string{"NumberOfPasswordPrompts=2"}
		}, want: ErrPassword, text: "locked"},
		{name: "no passphrase", server: takesKey, method: func(_ *testing.T, o *OpenSSH) { o.IdentityFiles = []string{locked}; o.Password = "x" }, want: ErrPasswordRequired},
		{name: "denied key", server: takesKey, method: func(_ *testing.T, o *OpenSSH) { o.IdentityFiles = []string{stranger}; o.IdentitiesOnly = true }, want: ErrPermission, text: "publickey"},
		{name: "unknown key", method: func(_ *testing.T, o *OpenSSH) { o.KnownHostsFiles = []string{unknown} }, want: ErrHostKeyUnknown, text: "fingerprint is SHA256:"},
		{name: "unknown key, somebody there", method: func(_ *testing.T, o *OpenSSH) { o.KnownHostsFiles = []string{unknown} }, answers: []string{"yes"}, want: ErrHostKeyUnknown, text: "fingerprint is SHA256:"},
		{name: "unknown key accepted", method: func(_ *testing.T, o *OpenSSH) {
			o.KnownHostsFiles = []string{filepath.Join(dir, "new")}
			o.HostKeys = HostKeysAcceptNew
		}},
		{name: "changed key", method: changed, want: ErrHostKeyChanged, text: "IDENTIFICATION HAS CHANGED"},
		{name: "changed key, password", server: takes("secret"), method: func(t *testing.T, o *OpenSSH) { changed(t, o); o.Password = "secret" }, want: ErrHostKeyChanged},
		{name: "changed key ignored", method: func(t *testing.T, o *OpenSSH) {
			changed(t, o)
			o.KnownHostsFiles = nil
			o.HostKeys = InsecureIgnoreHostKeys
		}},
		{name: "refused", method: func(t *testing.T, o *OpenSSH) { o.Port = closedPort(t) }, want: ErrRefused},
		{name: "no such host", method: func(_ *testing.T, o *OpenSSH) { o.Host = "no-such-host.invalid" }, want: ErrNoHost, text: "Could not resolve hostname"},
		{name: "bad option", method: func(_ *testing.T, o *OpenSSH) { o.Options = []string{"NoSuchOption=1"} }, want: ErrStart, text: "nosuchoption"},
		{name: "silent server", method: func(t *testing.T, o *OpenSSH) {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { ln.Close() })
			o.Port = ln.Addr().(*net.TCPAddr).Port
			o.Options = []string{"ConnectTimeout=1"}
		}, want: ErrTimeout},
		{name: "not ssh", method: func(t *testing.T, o *OpenSSH) {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { ln.Close() })
			go func() {
				for {
					c, err := ln.Accept()
					if err != nil {
						return
					}
					c.Close()
				}
			}()
			o.Port = ln.Addr().(*net.TCPAddr).Port
		}, want: ErrEOF},
		{name: "compressed, verbose", method: func(_ *testing.T, o *OpenSSH) { o.Compression = true; o.Verbose = 1 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			checkLeaks(t)
			o := openSSHTo(t, startServer(t, c.server))
			if c.method != nil {
				c.method(t, &o)
			}
			p := far(`echo "it works"; exec cat`)
			someone := &person{answers: c.answers}
			if c.answers != nil {
				p.Prompt = someone.answer
			}
			ch := open(t, o, p)
			head := make([]byte, len("it works\n"))
			if _, err := io.ReadFull(ch, head); err == nil && c.want == nil {
				close(p.ready)
				ch.Write([]byte("\x00~.\n~?\xff"))
				b := make([]byte, 7)
				if _, err := io.ReadFull(ch, b); err != nil || string(b) != "\x00~.\n~?\xff" {
					t.Errorf("the pipe carried %q, %v", b, err)
				}
				return
			}
			err := cause(t, ch)
			if c.want == nil || !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("cause: %v", err)
			}
			for _, secret := range append(c.answers, o.Password.reveal(), o.Passphrase.reveal()) {
				if len(secret) > 3 && strings.Contains(err.Error()+p.logged(), secret) {
					t.Errorf("the secret shows: %v, %s", err, p.logged())
				}
			}
		})
	}
	if len(handshakes.queue) != 0 {
		t.Errorf("turns are kept: %v", handshakes.queue)
	}
}

// The password for a host is not typed at the prompt of a jump host.
func TestOpenSSHJumpHostDoesNotGetThePassword(t *testing.T) {
	var given []string
	jump := startServer(t, func(s *sshServer) {
		s.config.PasswordCallback = func(_ ssh.ConnMetadata, p []byte) (*ssh.Permissions, error) {
			given = append(given, string(p))
			return nil, errors.New("no")
		}
	})
	o := openSSHTo(t, startServer(t, takes("secret")))
	o.Password = "secret"
	o.ConfigFile = writeFile(t, filepath.Join(t.TempDir(), "config"), fmt.Sprintf("IdentityFile none\nHost jump\nHostName localhost\nPort %d\nUser me\nStrictHostKeyChecking no\nUserKnownHostsFile /dev/null\n", jump.port()), 0o600)
	o.Options = []string{"ProxyJump=jump"}
	c := open(t, o, far("echo hello"))
	readAll(t, c)
	if err := cause(t, c); !errors.Is(err, ErrPasswordRequired) || !strings.Contains(err.Error(), "me@localhost") {
		t.Errorf("cause: %v", err)
	}
	// An empty answer is what ssh makes of a terminal that was hung up.
	if got := strings.Join(given, ""); got != "" {
		t.Errorf("the jump host was given %q", got)
	}
}

func TestOpenSSHPrompts(t *testing.T) {
	for line, want := range map[string]askFor{
		"deploy@web1's password: ":                                                              asksPassword,
		"(deploy@web1) Password: ":                                                              asksPassword,
		"(deploy@web1) Passwort für deploy: ":                                                   asksPassword,
		"Password: ":                                                                            asksPassword,
		"(deploy@web1) Verification code: ":                                                     asksOther,
		"Enter passphrase for key '/home/me/.ssh/id_ed25519': ":                                 asksPassphrase,
		`Enter passphrase for "/home/me/.ssh/id": `:                                             asksPassphrase,
		"Are you sure you want to continue connecting (yes/no/[fingerprint])? ":                 asksHostKey,
		"Are you sure you want to continue connecting (yes/no)? ":                               asksHostKey,
		"Please type 'yes', 'no' or the fingerprint: ":                                          asksHostKey,
		"Enter PIN for ED25519-SK key /home/me/.ssh/id_sk: ":                                    asksPassphrase,
		"Enter deploy@web1's old password: ":                                                    asksNothing,
		"welcome to password:land":                                                              asksNothing,
		"(deploy@web1) Enter passphrase for key '/home/me/.ssh/id_rsa': ":                       asksOther, // a server's trick
		"(deploy@web1) Are you sure you want to continue connecting (yes/no/[fingerprint])? no": asksOther,
	} {
		if got := sshPrompt(line); got.asks != want {
			t.Errorf("%q: %v", line, got)
		}
	}
}

// The passphrase of a key is not tried as the PIN of a token.
func TestPINsAreNotPassphrases(t *testing.T) {
	if q := sshPrompt("Enter PIN for ED25519-SK key /home/me/.ssh/id_sk: "); !q.other {
		t.Errorf("%+v", q)
	}
	synctest.Test(t, func(t *testing.T) {
		k := startTalk(t, script{recognise: sshPrompt, passphrase: "open", skipPassphrase: true}, nil)
		defer k.end()
		k.shows("Enter PIN for ED25519-SK key /home/me/.ssh/id_sk: ", true, time.Second)
		k.typed("\n")
	})
}

func TestAccountsInPrompts(t *testing.T) {
	settings := func(text string) map[string][]string { return parseAnswer(text) }
	long := strings.Repeat("x", 200)
	for _, c := range []struct {
		account, answer string
		want            bool
	}{
		{"me@web1", "user me\nhostname web1\n", true},
		{"me@10.0.0.1", "host web1\nuser me\nhostname 10.0.0.1\n", true},
		{"me@ALIAS", "user me\nhostname web1\nhostkeyalias alias\n", true},
		{"me@jump", "user me\nhostname web1\nproxyjump jump\n", false},
		{"root@web1", "user me\nhostname web1\n", false},
		{"a@b@web1", "user a@b\nhostname web1\n", true},
		{long[:30] + "@" + long[:128], "user " + long + "\nhostname " + long + "\n", true},
		{"", "user me\nhostname web1\n", true},
		{"", "user me\nhostname web1\nproxyjump jump\n", false},
		{"", "user me\nhostname web1\nproxycommand nc\n", false},
	} {
		if got := sshAccountMatches(c.account, settings(c.answer)); got != c.want {
			t.Errorf("%q of %q: %v", c.account, c.answer, got)
		}
	}
}

func TestOpenSSHRefusesWhatWouldBeAnOption(t *testing.T) {
	marker := filepath.Join(t.TempDir(), "ran")
	for _, bad := range []OpenSSH{
		{}, {Host: "-oProxyCommand=touch " + marker}, {Host: "-oProxyCommand=x"}, {Host: "a\x00b"}, {Host: "a b"}, {Host: "web1", User: "-v"},
		{Host: "web1", User: "u@-v"}, {Host: "web1", Port: -1}, {Host: "web1", Port: 65536}, {Host: "web1", ProxyJump: "-oX"},
		{Host: "web1", Options: []string{"x"}}, {Host: "web1", Options: []string{"A=b\nProxyCommand=x"}}, {Host: "web1", IdentityFiles: []string{"-x"}},
		{Host: "web1", Args: []string{"--"}}, {Host: "web1", HostKeys: 9},
	} {
		if _, err := bad.Open(t.Context(), far("").Env); !errors.Is(err, ErrBadName) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	if _, err := os.Stat(marker); err == nil {
		t.Error("a command was run")
	}
	good := OpenSSH{Host: "fe80::1%eth0", User: `DOM\first+last`, ProxyJump: "me@a:22,[::1]:2222"}
	if err := good.check(); err != nil {
		t.Error(err)
	}
}

// More at once than a server with MaxStartups would take are let through a few at a time.
func TestOpenSSHIsPaced(t *testing.T) {
	s := startServer(t, nil)
	o := openSSHTo(t, s)
	var ready []*place
	for range maxHandshakes {
		p := far("cat")
		open(t, o, p)
		ready = append(ready, p)
	}
	opened := make(chan struct{})
	p := far("cat")
	go func() {
		defer close(opened)
		if c, err := o.Open(t.Context(), p.Env); err == nil {
			c.Close()
		}
	}()
	select {
	case <-opened:
		t.Error("a ninth was let through")
	case <-time.After(50 * time.Millisecond):
	}
	close(ready[0].ready)
	<-opened
}
