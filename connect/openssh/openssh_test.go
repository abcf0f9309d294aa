//go:build linux

package openssh

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/internal/connecttest"
	"github.com/mitosis-go/mitosis/connect/internal/pacing"
	"github.com/mitosis-go/mitosis/connect/internal/sshconfig"
	"github.com/mitosis-go/mitosis/connect/internal/sshtest"
	"github.com/mitosis-go/mitosis/connect/internal/tool"
)

// openSSHTo is the ssh program for a server of the test's own, with nothing of
// this machine's configuration.
func openSSHTo(t testing.TB, s *sshtest.Server) Login {
	t.Helper()
	if _, err := exec.LookPath("ssh"); err != nil {
		t.Skip("needs the ssh program")
	}
	t.Setenv("SSH_AUTH_SOCK", "")
	return Login{
		Host: "127.0.0.1", Port: s.Port(), User: "me", KnownHostsFiles: []string{s.KnownHosts(t)},
		ConfigFile: connecttest.WriteFile(t, filepath.Join(t.TempDir(), "config"), "IdentityFile none\n", 0o600),
	}
}

func takes(password string) func(*sshtest.Server) {
	return func(s *sshtest.Server) {
		s.Config.MaxAuthTries = 10
		s.Config.PasswordCallback = func(_ ssh.ConnMetadata, given []byte) (*ssh.Permissions, error) {
			if string(given) != password {
				return nil, errors.New("no")
			}
			return nil, nil
		}
	}
}

func asks(questions ...string) func(*sshtest.Server) {
	return func(s *sshtest.Server) {
		s.Config.KeyboardInteractiveCallback = func(_ ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
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
	signer, private := sshtest.NewKey(t)
	locked := connecttest.WriteFile(t, filepath.Join(dir, "locked"), sshtest.PEMKey(t, private, "open"), 0o600)
	_, otherKey := sshtest.NewKey(t)
	stranger := connecttest.WriteFile(t, filepath.Join(dir, "stranger"), sshtest.PEMKey(t, otherKey, ""), 0o600)
	unknown := connecttest.WriteFile(t, filepath.Join(dir, "unknown"), "", 0o600)
	takesKey := func(s *sshtest.Server) {
		s.Config.PublicKeyCallback = func(_ ssh.ConnMetadata, k ssh.PublicKey) (*ssh.Permissions, error) {
			if string(k.Marshal()) != string(signer.PublicKey().Marshal()) {
				return nil, errors.New("no")
			}
			return nil, nil
		}
	}
	changed := func(t *testing.T, o *Login) {
		other, _ := sshtest.NewKey(t)
		o.KnownHostsFiles = []string{connecttest.WriteFile(t, filepath.Join(dir, "changed"), sshtest.HostLine(o.Host, o.Port, other.PublicKey()), 0o600)}
	}
	for _, c := range []struct {
		name    string
		server  func(*sshtest.Server)
		method  func(*testing.T, *Login)
		answers []string
		want    error
		text    string
	}{
		{name: "nothing asked"},
		{name: "password", server: takes("secret"), method: func(_ *testing.T, o *Login) { o.Password = "secret" }},
		{name: "wrong password", server: takes("secret"), method: func(_ *testing.T, o *Login) { o.Password = "wrong" }, want: connect.ErrPassword, text: "Permission denied"},
		{name: "no password", server: takes("secret"), want: connect.ErrPasswordRequired, text: "me@127.0.0.1's password"},
		{name: "a person", server: takes("secret"), answers: []string{"no", "secret"}},
		{name: "a person thrice wrong", server: takes("secret"), answers: []string{"x", "y", "z"}, want: connect.ErrPassword},
		{name: "nobody at home", server: takes("secret"), answers: []string{}, want: connect.ErrPasswordRequired, text: "nobody is at home"},
		{name: "interactive", server: asks("Password: "), method: func(_ *testing.T, o *Login) { o.Password = "secret" }},
		{name: "interactive in French", server: asks("Mot de passe : "), method: func(_ *testing.T, o *Login) { o.Password = "secret" }},
		{name: "interactive wrong", server: asks("Password: "), method: func(_ *testing.T, o *Login) { o.Password = "wrong" }, want: connect.ErrPassword},
		{name: "second factor", server: asks("Password: ", "Code: "), method: func(_ *testing.T, o *Login) { o.Password = "secret" }, answers: []string{"123456"}},
		{name: "second factor, nobody there", server: asks("Password: ", "Code: "), method: func(_ *testing.T, o *Login) { o.Password = "secret" }, want: connect.ErrPasswordRequired, text: "Code: "},
		{name: "interactive that asks nothing", server: asks()},
		{name: "passphrase", server: takesKey, method: func(_ *testing.T, o *Login) { o.IdentityFiles = []string{locked}; o.Passphrase = "open" }},
		{name: "wrong passphrase", server: takesKey, method: func(_ *testing.T, o *Login) {
			o.IdentityFiles = []string{locked}
			o.Passphrase = "shut"
			o.Options = []string{"NumberOfPasswordPrompts=2"}
		}, want: connect.ErrPassword, text: "locked"},
		{name: "no passphrase", server: takesKey, method: func(_ *testing.T, o *Login) { o.IdentityFiles = []string{locked}; o.Password = "x" }, want: connect.ErrPasswordRequired},
		{name: "denied key", server: takesKey, method: func(_ *testing.T, o *Login) { o.IdentityFiles = []string{stranger}; o.IdentitiesOnly = true }, want: connect.ErrPermission, text: "publickey"},
		{name: "unknown key", method: func(_ *testing.T, o *Login) { o.KnownHostsFiles = []string{unknown} }, want: connect.ErrHostKeyUnknown, text: "fingerprint is SHA256:"},
		{name: "unknown key, somebody there", method: func(_ *testing.T, o *Login) { o.KnownHostsFiles = []string{unknown} }, answers: []string{"yes"}, want: connect.ErrHostKeyUnknown, text: "fingerprint is SHA256:"},
		{name: "unknown key, a person trusts it", method: func(_ *testing.T, o *Login) {
			o.KnownHostsFiles, o.HostKeys = []string{filepath.Join(dir, "trusted")}, connect.HostKeysAsk
		}, answers: []string{"what?", "yes"}},
		{name: "unknown key, a person does not", method: func(_ *testing.T, o *Login) {
			o.KnownHostsFiles, o.Options = []string{unknown}, []string{"StrictHostKeyChecking ask"}
		}, answers: []string{"no"}, want: connect.ErrHostKeyUnknown, text: "fingerprint is SHA256:"},
		{name: "unknown key, nobody at home", method: func(_ *testing.T, o *Login) {
			o.KnownHostsFiles, o.HostKeys = []string{unknown}, connect.HostKeysAsk
		}, answers: []string{}, want: connect.ErrHostKeyUnknown, text: "nobody is at home"},
		{name: "unknown key, then a wrong password", server: takes("secret"), method: func(_ *testing.T, o *Login) {
			o.KnownHostsFiles, o.HostKeys, o.Password = []string{filepath.Join(dir, "trusted too")}, connect.HostKeysAsk, "wrong"
		}, answers: []string{"yes"}, want: connect.ErrPassword, text: "Permission denied"},
		{name: "unknown key accepted", method: func(_ *testing.T, o *Login) {
			o.KnownHostsFiles = []string{filepath.Join(dir, "new")}
			o.HostKeys = connect.HostKeysAcceptNew
		}},
		{name: "changed key", method: changed, want: connect.ErrHostKeyChanged, text: "IDENTIFICATION HAS CHANGED"},
		{name: "changed key, password", server: takes("secret"), method: func(t *testing.T, o *Login) { changed(t, o); o.Password = "secret" }, want: connect.ErrHostKeyChanged},
		{name: "changed key ignored", method: func(t *testing.T, o *Login) {
			changed(t, o)
			o.KnownHostsFiles = nil
			o.HostKeys = connect.InsecureIgnoreHostKeys
		}},
		{name: "refused", method: func(t *testing.T, o *Login) { o.Port = connecttest.ClosedPort(t) }, want: connect.ErrRefused},
		{name: "no such host", method: func(_ *testing.T, o *Login) { o.Host = "no-such-host.invalid" }, want: connect.ErrNoHost, text: "Could not resolve hostname"},
		{name: "bad option", method: func(_ *testing.T, o *Login) { o.Options = []string{"NoSuchOption=1"} }, want: connect.ErrStart, text: "nosuchoption"},
		{name: "silent server", method: func(t *testing.T, o *Login) {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { ln.Close() })
			o.Port = ln.Addr().(*net.TCPAddr).Port
			o.Options = []string{"ConnectTimeout=1"}
		}, want: connect.ErrTimeout},
		{name: "not ssh", method: func(t *testing.T, o *Login) {
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
		}, want: connect.ErrEOF},
		{name: "compressed, verbose", method: func(_ *testing.T, o *Login) { o.Compression = true; o.Verbose = 1 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			connecttest.CheckLeaks(t)
			o := openSSHTo(t, sshtest.Start(t, c.server))
			if c.method != nil {
				c.method(t, &o)
			}
			p := connecttest.Far(`echo "it works"; exec cat`)
			someone := &connecttest.Person{Answers: c.answers}
			if c.answers != nil {
				p.Prompt = someone.Answer
			}
			ch := connecttest.Open(t, o, p)
			head := make([]byte, len("it works\n"))
			if _, err := io.ReadFull(ch, head); err == nil && c.want == nil {
				close(p.Ready)
				ch.Write([]byte("\x00~.\n~?\xff"))
				b := make([]byte, 7)
				if _, err := io.ReadFull(ch, b); err != nil || string(b) != "\x00~.\n~?\xff" {
					t.Errorf("the pipe carried %q, %v", b, err)
				}
				return
			}
			err := connecttest.Cause(t, ch)
			if c.want == nil || !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("cause: %v", err)
			}
			for _, secret := range append(c.answers, tool.Reveal(o.Password), tool.Reveal(o.Passphrase)) {
				if len(secret) > 3 && strings.Contains(err.Error()+p.Logged(), secret) {
					t.Errorf("the secret shows: %v, %s", err, p.Logged())
				}
			}
		})
	}
	if !pacing.Handshakes.Idle() {
		t.Error("turns are kept")
	}
}

// The password for a host is not typed at the prompt of a jump host.
func TestOpenSSHJumpHostDoesNotGetThePassword(t *testing.T) {
	var mu sync.Mutex
	var given []string
	jump := sshtest.Start(t, func(s *sshtest.Server) {
		s.Config.PasswordCallback = func(_ ssh.ConnMetadata, p []byte) (*ssh.Permissions, error) {
			mu.Lock()
			defer mu.Unlock()
			given = append(given, string(p))
			return nil, errors.New("no")
		}
	})
	o := openSSHTo(t, sshtest.Start(t, takes("secret")))
	o.Password = "secret"
	o.ConfigFile = connecttest.WriteFile(t, filepath.Join(t.TempDir(), "config"), fmt.Sprintf("IdentityFile none\nHost jump\nHostName localhost\nPort %d\nUser me\nStrictHostKeyChecking no\nUserKnownHostsFile /dev/null\n", jump.Port()), 0o600)
	o.Options = []string{"ProxyJump=jump"}
	c := connecttest.Open(t, o, connecttest.Far("echo hello"))
	connecttest.ReadAll(t, c)
	if err := connecttest.Cause(t, c); !errors.Is(err, connect.ErrPasswordRequired) || !strings.Contains(err.Error(), "me@localhost") {
		t.Errorf("cause: %v", err)
	}
	// An empty answer is what ssh makes of a terminal that was hung up.
	mu.Lock()
	defer mu.Unlock()
	if got := strings.Join(given, ""); got != "" {
		t.Errorf("the jump host was given %q", got)
	}
}

func TestOpenSSHPrompts(t *testing.T) {
	for line, want := range map[string]tool.AskFor{
		"deploy@web1's password: ":                                                              tool.AsksPassword,
		"(deploy@web1) Password: ":                                                              tool.AsksPassword,
		"(deploy@web1) Passwort für deploy: ":                                                   tool.AsksPassword,
		"Password: ":                                                                            tool.AsksPassword,
		"(deploy@web1) Verification code: ":                                                     tool.AsksOther,
		"Enter passphrase for key '/home/me/.ssh/id_ed25519': ":                                 tool.AsksPassphrase,
		`Enter passphrase for "/home/me/.ssh/id": `:                                             tool.AsksPassphrase,
		"Are you sure you want to continue connecting (yes/no/[fingerprint])? ":                 tool.AsksHostKey,
		"Are you sure you want to continue connecting (yes/no)? ":                               tool.AsksHostKey,
		"Please type 'yes', 'no' or the fingerprint: ":                                          tool.AsksHostKey,
		"Enter PIN for ED25519-SK key /home/me/.ssh/id_sk: ":                                    tool.AsksPassphrase,
		"Enter deploy@web1's old password: ":                                                    tool.AsksNothing,
		"welcome to password:land":                                                              tool.AsksNothing,
		"(deploy@web1) Enter passphrase for key '/home/me/.ssh/id_rsa': ":                       tool.AsksOther, // a server's trick
		"(deploy@web1) Are you sure you want to continue connecting (yes/no/[fingerprint])? no": tool.AsksOther,
	} {
		if got := prompt(line); got.Asks != want {
			t.Errorf("%q is taken for %+v, want Asks %v", line, got, want)
		}
	}
}

func TestAccountsInPrompts(t *testing.T) {
	settings := func(text string) map[string][]string { return sshconfig.ParseAnswer(text) }
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
		if got := accountMatches(c.account, settings(c.answer)); got != c.want {
			t.Errorf("%q of %q: %v", c.account, c.answer, got)
		}
	}
}

func TestOpenSSHRefusesWhatWouldBeAnOption(t *testing.T) {
	marker := filepath.Join(t.TempDir(), "ran")
	for _, bad := range []Login{
		{}, {Host: "-oProxyCommand=touch " + marker}, {Host: "-oProxyCommand=x"}, {Host: "a\x00b"}, {Host: "a b"}, {Host: "web1", User: "-v"},
		{Host: "web1", User: "u@-v"}, {Host: "web1", Port: -1}, {Host: "web1", Port: 65536}, {Host: "web1", ProxyJump: "-oX"},
		{Host: "web1", Options: []string{"x"}}, {Host: "web1", Options: []string{"A=b\nProxyCommand=x"}}, {Host: "web1", IdentityFiles: []string{"-x"}},
		{Host: "web1", Args: []string{"--"}}, {Host: "web1", HostKeys: 9},
	} {
		if _, err := bad.Open(t.Context(), connecttest.Far("").OpenRequest); !errors.Is(err, connect.ErrBadName) {
			t.Errorf("%+v: error %v, want %q", bad, err, connect.ErrBadName)
		}
	}
	if _, err := os.Stat(marker); err == nil {
		t.Error("a command was run")
	}
	good := Login{Host: "fe80::1%eth0", User: `DOM\first+last`, ProxyJump: "me@a:22,[::1]:2222"}
	if err := good.check(); err != nil {
		t.Error(err)
	}
}

// More at once than a server with MaxStartups would take are let through a few at a time.
func TestOpenSSHIsPaced(t *testing.T) {
	s := sshtest.Start(t, nil)
	o := openSSHTo(t, s)
	var ready []*connecttest.Place
	for range pacing.MaxHandshakes {
		p := connecttest.Far("cat")
		connecttest.Open(t, o, p)
		ready = append(ready, p)
	}
	opened := make(chan struct{})
	p := connecttest.Far("cat")
	go func() {
		defer close(opened)
		if c, err := o.Open(t.Context(), p.OpenRequest); err == nil {
			c.Close()
		}
	}()
	select {
	case <-opened:
		t.Error("a ninth was let through")
	case <-time.After(50 * time.Millisecond):
	}
	close(ready[0].Ready)
	<-opened
}

// A hop whose program is missing gives its turn back: the next is not kept waiting.
func TestAMissingSSHKeepsNoTurn(t *testing.T) {
	connecttest.CheckLeaks(t)
	for range pacing.MaxHandshakes + 1 {
		c, err := Login{Host: "x", Path: "/no/such/ssh"}.Open(connecttest.TestContext(t), connecttest.Far(`true`).OpenRequest)
		if !errors.Is(err, connect.ErrStart) {
			t.Fatalf("without a program: %v, %v, want %v", c, err, connect.ErrStart)
		}
	}
}

// The passphrase of a key is not tried as the PIN of a token.
func TestPINsAreOtherQuestions(t *testing.T) {
	if q := prompt("Enter PIN for ED25519-SK key /home/me/.ssh/id_sk: "); !q.Other {
		t.Errorf("the question for a PIN is %+v, want Other", q)
	}
}

// What a hop sets itself comes first, then its options, then those of the settings for all hops,
// then ours. ssh takes the first.
func TestOpenSSHSettings(t *testing.T) {
	key := connecttest.WriteFile(t, filepath.Join(t.TempDir(), "k"), "", 0o600)
	set := connect.SSHSettings{User: "deploy", Port: 2222, IdentityFiles: []string{key}, ConfigFile: "none", Options: []string{"Port=3", "ServerAliveInterval=7"}, HostKeys: connect.HostKeysAcceptNew}
	m, err := Login{Host: "127.0.0.1", Port: 23, Options: []string{"HostName=::1"}}.WithSSHSettings(set)
	if err != nil {
		t.Fatal(err)
	}
	argv, err := connect.DryRun(m)
	if err != nil {
		t.Fatal(err)
	}
	at := slices.Index(argv, "--")
	out, err := exec.Command("ssh", append([]string{"-G"}, append(argv[1:at], "--", "127.0.0.1")...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("%q: %v, %s", argv, err, out)
	}
	for _, line := range []string{"user deploy", "port 23", "hostname ::1", "identityfile " + key, "stricthostkeychecking accept-new", "serveraliveinterval 7", "serveralivecountmax 3"} {
		if !strings.Contains(string(out), line+"\n") {
			t.Errorf("ssh -G lacks %q, with the arguments %q:\n%s", line, argv, out)
		}
	}
	if _, err := (Login{Host: "a"}).WithSSHSettings(connect.SSHSettings{Options: []string{"-x"}}); !errors.Is(err, connect.ErrBadName) {
		t.Errorf("the option -x was taken, %v", err)
	}
}
