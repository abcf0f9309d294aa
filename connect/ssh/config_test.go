//go:build unix

package ssh

import (
	"crypto/sha1"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/internal/connecttest"
	"github.com/mitosis-go/mitosis/connect/internal/sshconfig"
)

func resolveWith(t *testing.T, s Login, config, program string) (*settings, error) {
	t.Helper()
	places := testPlaces(t)
	places.Program, places.Home = program, "/home/local"
	s.ConfigFile = connecttest.WriteFile(t, filepath.Join(t.TempDir(), "config"), config, 0o600)
	return s.resolve(connecttest.TestContext(t), places)
}

// Every case is resolved by `ssh -G` and by the parser for where there is no ssh.
func TestSSHConfiguration(t *testing.T) {
	t.Setenv("KEYDIR", "/keys")
	programs := []string{""}
	if _, err := exec.LookPath("ssh"); err == nil {
		programs = append(programs, "ssh")
	}
	for _, c := range []struct {
		name   string
		config string
		method Login
		check  func(*settings) any
		want   any
	}{
		{"nothing", "", Login{}, func(s *settings) any { return s.host + s.user }, "weblocal"},
		{"host name, user, port", "Host w*\nHostName %h.example\nUser deploy\nPort 2222\n", Login{},
			func(s *settings) any { return []any{s.host, s.user, s.port} }, []any{"web.example", "deploy", 2222}},
		{"the method comes first", "Host web\nUser deploy\nPort 2222\n", Login{User: "me", Port: 23},
			func(s *settings) any { return []any{s.user, s.port} }, []any{"me", 23}},
		{"first value wins", "Host web\nPort 1\nHost *\nPort 2\n", Login{}, func(s *settings) any { return s.port }, 1},
		{"negated host", "Host * !web\nPort 1\nHost *\nPort=2\n", Login{}, func(s *settings) any { return s.port }, 2},
		{"another host", "Host db\nHostName other\n", Login{}, func(s *settings) any { return s.host }, "web"},
		{"identity files add up", "IdentityFile ~/.ssh/a\nIdentityFile \"/b c/%h-%r\"\nIdentityFile ${KEYDIR}/k\nUser u\n", Login{},
			func(s *settings) any { return s.identityFiles },
			[]identityFile{{"/home/local/.ssh/a", true}, {"/b c/web-u", true}, {"/keys/k", true}}},
		{"usual identities", "Port 23\n", Login{}, func(s *settings) any { return s.identityFiles },
			[]identityFile{{"/home/local/.ssh/id_rsa", false}, {"/home/local/.ssh/id_ecdsa", false}, {"/home/local/.ssh/id_ed25519", false}}},
		{"keys of the method replace them", "IdentityFile ~/.ssh/a\n", Login{IdentityFiles: []string{"~/mine"}},
			func(s *settings) any { return s.identityFiles }, []identityFile{{"/home/local/mine", true}}},
		{"certificate", "CertificateFile ~/c-%h.pub\nIdentitiesOnly yes\n", Login{},
			func(s *settings) any { return []any{s.certificateFiles, s.identitiesOnly} }, []any{[]string{"/home/local/c-web.pub"}, true}},
		{"no agent", "IdentityAgent none\n", Login{}, func(s *settings) any { return s.agentSocket }, ""},
		{"agent by variable", "IdentityAgent $KEYDIR\n", Login{}, func(s *settings) any { return s.agentSocket }, "/keys"},
		{"agent", "IdentityAgent /run/agent-%r\nUser u\n", Login{}, func(s *settings) any { return s.agentSocket }, "/run/agent-u"},
		{"known hosts", "UserKnownHostsFile /k/%h /etc/known\nGlobalKnownHostsFile none\nHostKeyAlias al\nHashKnownHosts yes\n", Login{},
			func(s *settings) any {
				return []any{s.userKnownHosts, s.globalKnownHosts, s.hostKeyAlias, s.hashKnownHosts}
			}, []any{[]string{"/k/web", "/etc/known"}, []string(nil), "al", true}},
		{"accept-new", "StrictHostKeyChecking accept-new\n", Login{}, func(s *settings) any { return s.hostKeys }, connect.HostKeysAcceptNew},
		{"no checking is accept-new", "StrictHostKeyChecking no\n", Login{}, func(s *settings) any { return s.hostKeys }, connect.HostKeysAcceptNew},
		{"strict", "StrictHostKeyChecking yes\n", Login{}, func(s *settings) any { return s.hostKeys }, connect.HostKeysStrict},
		{"timeout", "ConnectTimeout 7\nServerAliveInterval 5\nServerAliveCountMax 2\n", Login{},
			func(s *settings) any { return []any{s.connectTimeout, s.keepalive, s.keepaliveCount} },
			[]any{7 * time.Second, 5 * time.Second, 2}},
		{"usual timeouts", "Port 23\n", Login{},
			func(s *settings) any { return []any{s.connectTimeout, s.keepalive, s.keepaliveCount} },
			[]any{30 * time.Second, 15 * time.Second, 3}},
		{"jumps", "ProxyJump u@a:23,[::1]:24,b\nProxyCommand nc %h %p\n", Login{},
			func(s *settings) any {
				var out []string
				for _, j := range s.jumps {
					out = append(out, j.destination())
				}
				return append(out, s.proxyCommand)
			}, []string{"u@a:23", "[::1]:24", "b", ""}},
		{"tokens of jumps", "ProxyJump %r@jump-%n,%h.inner:23\nUser u\nHostName %h.example\n", Login{},
			func(s *settings) any {
				var out []string
				for _, j := range s.jumps {
					out = append(out, j.destination())
				}
				return out
			}, []string{"u@jump-web", "web.example.inner:23"}},
		{"tokens of files", "UserKnownHostsFile /k/%k-%n-%h-%p-%r-%u-%i-%d-%%\nUser u\nHostKeyAlias al\n", Login{},
			func(s *settings) any { return s.userKnownHosts },
			[]string{fmt.Sprintf("/k/al-web-web-22-u-local-%d-/home/local-%%", os.Getuid())}},
		{"tokens of host and local names", "UserKnownHostsFile /k/%l-%L-%C\nUser u\n", Login{},
			func(s *settings) any { return s.userKnownHosts }, []string{"/k/" + hostTokens()}},
		{"homes of others", "IdentityFile ~root/../keys/%r\nCertificateFile ~root/../cert\nUser u\n", Login{},
			func(s *settings) any { return []any{s.identityFiles, s.certificateFiles} },
			[]any{[]identityFile{{"/keys/u", true}}, []string{"/cert"}}},
		{"agent to forward", "ForwardAgent /run/agent-%r\nUser u\n", Login{}, func(s *settings) any { return s.forwardAgent }, "/run/agent-u"},
		{"agent to forward by variable", "ForwardAgent $KEYDIR\n", Login{}, func(s *settings) any { return s.forwardAgent }, "/keys"},
		{"agent that stays", "ForwardAgent no\n", Login{}, func(s *settings) any { return s.forwardAgent }, ""},
		{"key exchanges added", "KexAlgorithms +diffie-hellman-group14-sha1\nPort 23\n", Login{},
			func(s *settings) any { return s.kex }, append(kexNames.defaults(), "diffie-hellman-group14-sha1")},
		{"key exchanges at the head", "KexAlgorithms ^ecdh-sha2-nistp521\nPort 23\n", Login{},
			func(s *settings) any { return []any{s.kex[0], len(s.kex)} }, []any{"ecdh-sha2-nistp521", len(kexNames.defaults())}},
		{"ciphers taken away", "Ciphers -*gcm*,chacha*\nPort 23\n", Login{},
			func(s *settings) any { return s.ciphers }, []string{"aes128-ctr", "aes192-ctr", "aes256-ctr"}},
		{"ciphers of another host", "Host other\nCiphers aes128-ctr\nHost *\nPort 23\n", Login{}, func(s *settings) any { return len(s.ciphers) }, 0},
		{"ciphers that are named", "Ciphers aes256-ctr,aes192-cbc,aes128-gcm@openssh.com\n", Login{},
			func(s *settings) any { return s.ciphers }, []string{"aes256-ctr", "aes128-gcm@openssh.com"}},
		{"host keys are taken by kind", "HostKeyAlgorithms -ssh-rsa*,ecdsa*\nPort 23\n", Login{},
			func(s *settings) any {
				return without([]string{"ecdsa-sha2-nistp256", "ssh-ed25519"}, s.offers(hostRecord{}, nil))
			}, []string{"ecdsa-sha2-nistp256"}},
		{"methods", "PreferredAuthentications hostbased,password,publickey\nPort 23\n", Login{},
			func(s *settings) any { return s.methods }, []string{"password", "publickey"}},
		{"a method that is forbidden", "PasswordAuthentication no\nChallengeResponseAuthentication no\nPort 23\n", Login{},
			func(s *settings) any { return s.methods }, []string{"publickey"}},
		{"prompts", "NumberOfPasswordPrompts 1\nBatchMode yes\nPort 23\n", Login{},
			func(s *settings) any { return []any{s.maxPrompts(), s.batch} }, []any{1, true}},
		{"rekeying", "RekeyLimit 64M 1h\nPort 23\n", Login{},
			func(s *settings) any { return []any{s.rekeyBytes, len(s.without)} }, []any{uint64(64 << 20), 1}},
		{"without effect", "LocalForward 1 h:2\nPermitLocalCommand yes\nLocalCommand echo a\nPKCS11Provider /p.so\nForwardX11 yes\nPort 23\n", Login{},
			func(s *settings) any { return len(s.without) }, 4},
		{"the way there", "AddressFamily inet6\nBindAddress ::1\nConnectionAttempts 3\n", Login{},
			func(s *settings) any { return []any{s.network, s.bindAddress.String(), s.attempts} }, []any{"tcp6", "::1", 3}},
		{"revoked", "RevokedHostKeys ~/revoked\n", Login{}, func(s *settings) any { return s.revoked }, []string{"/home/local/revoked"}},
		{"revoked by the method", "RevokedHostKeys /etc/revoked\n", Login{RevokedHostKeys: []string{"/mine"}},
			func(s *settings) any { return s.revoked }, []string{"/mine"}},
		{"proxy command", "ProxyCommand = nc -X \"5\" %h %p # x\nProxyJump a\n", Login{},
			func(s *settings) any { return []any{len(s.jumps), s.proxyCommand} }, []any{0, "nc -X \"5\" %h %p # x"}},
		{"proxies switched off", "ProxyJump a\n", Login{ProxyCommand: "none"}, func(s *settings) any { return len(s.jumps) }, 0},
		{"comments and blanks", "  # x\n\tHost\tweb # y\n Port = 7 # z\n", Login{}, func(s *settings) any { return s.port }, 7},
		{"match by names", "Match host web user me\nPort 5\nMatch originalhost x,w* !localuser local\nPort 6\nMatch all\nPort 7\n", Login{User: "me"},
			func(s *settings) any { return s.port }, 5},
	} {
		for _, program := range programs {
			t.Run(c.name+"/"+program, func(t *testing.T) {
				s := c.method
				s.Host = "web"
				set, err := resolveWith(t, s, c.config, program)
				if err != nil {
					t.Fatal(err)
				}
				// ssh always prints a user, and it knows only the real one.
				if program == "ssh" && !strings.Contains(c.config, "User ") && s.User == "" && c.config != "" {
					set.user = "local"
				}
				if got := c.check(set); !reflect.DeepEqual(got, c.want) {
					t.Fatalf("got %#v, want %#v", got, c.want)
				}
			})
		}
	}
}

// hostTokens are %l-%L-%C for user u on web, whose hash `ssh -G` can't be asked for.
func hostTokens() string {
	local, _ := os.Hostname()
	short, _, _ := strings.Cut(local, ".")
	return fmt.Sprintf("%s-%s-%x", local, short, sha1.Sum([]byte(local+"web22u")))
}

func TestIncludeOfAnothersHome(t *testing.T) {
	dir := t.TempDir()
	for _, program := range []string{"ssh", ""} {
		connecttest.WriteFile(t, filepath.Join(dir, "web.conf"), "Port 4711\n", 0o600)
		set, err := resolveWith(t, Login{Host: "web"}, "Include ~root/.."+dir+"/*.conf\n", program)
		if err != nil || set.port != 4711 {
			t.Errorf("by %q: %+v, %v", program, set, err)
		}
	}
	// Since OpenSSH 9.9 it may have tokens.
	if set, err := resolveWith(t, Login{Host: "web"}, "Include "+dir+"/%h.conf\n", ""); err != nil || set.port != 4711 {
		t.Errorf("the port of an Include with a token is that of %+v, want 4711 (error: %v)", set, err)
	}
	if _, err := resolveWith(t, Login{Host: "web"}, "Include ~nosuchuser/x\n", ""); err == nil {
		t.Error("a home that does not exist was passed over")
	}
}

func TestSSHConfigurationErrors(t *testing.T) {
	for _, c := range []struct{ config, program, want string }{
		{"Match exec true\nPort 5\n", "", "Match exec"},
		{"CanonicalizeHostname yes\n", "", "CanonicalizeHostname"},
		{"Port \"7\nUser x\n", "", ":1: quote"},
		{"Include config\n", "", ""},
		{"IdentityFile /k/%z\n", "", "unknown token"},
		{"IdentityFile /k/${MITOSIS_NOT_SET}\n", "", "MITOSIS_NOT_SET"},
		{"Port 99999\n", "", "Port"},
		{"ProxyJump a:b:c@d:x\n", "", "a:b:c@d:x"},
		{"ProxyJump %z@jump\n", "", "unknown token"},
		{"IdentityFile ~nosuchuser/k\n", "", "nosuchuser"},
		{"Ciphers aes192-cbc\n", "", "has none of"},
		{"ProxyCommand x\nProxyUseFdpass yes\n", "ssh", "openssh hop"},
		{"BindInterface eth0\n", "", "set BindAddress"},
		{"BindAddress nosuch\n", "", "BindAddress"},
		{"RefuseConnection \"not from here\"\n", "", "not from here"},
		{"SetEnv FOO\n", "", "NAME=value"},
		{"NoSuchKeyword x\nPort 7\n", "ssh", "nosuchkeyword"},
	} {
		_, err := resolveWith(t, Login{Host: "web"}, c.config, c.program)
		if c.want == "" {
			if err != nil {
				t.Errorf("%q: %v, want no error", c.config, err)
			}
			continue
		}
		if err == nil || !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(c.want)) {
			t.Errorf("%q: error %v, want one with %q", c.config, err, c.want)
		}
	}
}

// What the distributions ship must not cost a process per connection.
func TestSSHConfigurationIsNotAskedForInVain(t *testing.T) {
	places := testPlaces(t)
	places.Program = "/bin/false"
	os.Mkdir(filepath.Join(places.Home, ".ssh"), 0o700)
	dir := filepath.Dir(places.SystemConfig)
	os.Mkdir(filepath.Join(dir, "ssh_config.d"), 0o755)
	connecttest.WriteFile(t, filepath.Join(dir, "ssh_config.d", "50-policy.conf"), "Ciphers aes256-gcm@openssh.com\n", 0o644)
	connecttest.WriteFile(t, places.SystemConfig, "Include "+dir+"/ssh_config.d/*.conf\nHost *\n#   Port 22\n    SendEnv LANG LC_*\n    HashKnownHosts yes\n    GSSAPIAuthentication yes\n", 0o644)
	user := places.InHome("config")
	connecttest.WriteFile(t, user, "Host db\n  HostName db.example\n  Match\n", 0o600)
	set, err := (&Login{Host: "web"}).resolve(connecttest.TestContext(t), places)
	if err == nil || set != nil {
		t.Fatal("a Match without criteria is for ssh to judge")
	}
	connecttest.WriteFile(t, user, "Host db\n  HostName db.example\n", 0o600)
	if set, err = (&Login{Host: "web"}).resolve(connecttest.TestContext(t), places); err != nil || !set.hashKnownHosts {
		t.Fatal(set, err)
	}
	if !slices.Equal(set.ciphers, []string{"aes256-gcm@openssh.com"}) {
		t.Fatalf("the ciphers of the policy are %q", set.ciphers)
	}
	if _, err = (&Login{Host: "db"}).resolve(connecttest.TestContext(t), places); err == nil {
		t.Fatal("the configuration for this host was not asked for")
	}
}

func TestSSHConfigurationIsAskedForOnce(t *testing.T) {
	dir := t.TempDir()
	count := filepath.Join(dir, "count")
	places := testPlaces(t)
	places.Program = connecttest.WriteFile(t, filepath.Join(dir, "ssh"), "#!/bin/sh\necho x >>"+count+"\necho hostname there\n", 0o700)
	config := connecttest.WriteFile(t, filepath.Join(dir, "config"), "Port 2222\n", 0o600)
	s := Login{Host: "web", ConfigFile: config}
	for range 3 {
		if set, err := s.resolve(connecttest.TestContext(t), places); err != nil || set.host != "there" {
			t.Fatal(set, err)
		}
	}
	connecttest.WriteFile(t, config, "Port 2223\n", 0o600)
	if _, err := s.resolve(connecttest.TestContext(t), places); err != nil {
		t.Fatal(err)
	}
	if text, _ := os.ReadFile(count); len(text) != 4 {
		t.Fatalf("asked %d times", len(text)/2)
	}
}

func TestSSHDestination(t *testing.T) {
	for text, want := range map[string]Login{
		"web":                     {Host: "web"},
		"me@web":                  {User: "me", Host: "web"},
		"me@corp@web:23":          {User: "me@corp", Host: "web", Port: 23},
		"ssh://me@web:23/":        {User: "me", Host: "web", Port: 23},
		"::1":                     {Host: "::1"},
		"me@[fe80::1%eth0]:22022": {User: "me", Host: "fe80::1%eth0", Port: 22022},
	} {
		got, err := parseDestination(text)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s is read as %+v (error: %v), want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "@web", "web:", "web:0", "web:70000", "web:x", "[::1", "[::1]x", "[::1]:", "me@"} {
		if got, err := parseDestination(text); !errors.Is(err, connect.ErrBadName) {
			t.Errorf("%q is read as %+v, error %v; want %q", text, got, err, connect.ErrBadName)
		}
	}
}

func TestSSHTravels(t *testing.T) {
	s := Login{Host: "web", User: "me", Port: 2222, Password: "tiger", Keys: []connect.Secret{"k"}, HostKeys: connect.HostKeysAcceptNew,
		KnownHostsFiles: []string{}, Keepalive: -1, ProxyJump: []Login{{Host: "a", ProxyJump: []Login{{Host: "b"}}}}}
	sent := s
	sent.Through = &countingDialer{}
	b, err := connect.Encode(sent)
	if err != nil {
		t.Fatal(err)
	}
	got, err := connect.Decode(b)
	if err != nil || !reflect.DeepEqual(got, s) {
		t.Fatalf("decoded: %#v (error: %v), want %#v", got, err, s)
	}
}

func TestSSHBadNames(t *testing.T) {
	for _, s := range []Login{{Host: ""}, {Host: "-oProxyCommand=x"}, {Host: "u@-v"}, {Host: "a\x00b"}, {Host: "a b"},
		{Host: "web", User: "-x"}, {Host: "web", User: "a\nb"}, {Host: "web", Port: -1}, {Host: "web", Port: 70000}} {
		if _, err := dialSSH(t, s, testEnv("true")); !errors.Is(err, connect.ErrBadName) {
			t.Errorf("%+v: error %v, want %q", s, err, connect.ErrBadName)
		}
	}
}

func TestSSHLabel(t *testing.T) {
	for want, s := range map[string]Login{
		"ssh:web":             {Host: "web", Password: "tiger"},
		"ssh:deploy@web:2222": {Host: "web", User: "deploy", Port: 2222},
		"ssh:deploy@[::1]:23": {Host: "::1", User: "deploy", Port: 23},
		"ssh:::1":             {Host: "::1", Port: 22},
	} {
		if got := s.Label(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func FuzzSSHConfig(f *testing.F) {
	for _, seed := range []string{"Host a\nPort 1", "Match host=a user b\nUser x", "Include x", "IdentityFile \"a b\" # c", "ProxyCommand a=b", "Host !a *", "=\n\"", "Match !all"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(strings.ToLower(text), "include") {
			return // reads whatever it names
		}
		places := sshconfig.Places{User: "u", Home: "/nonexistent"}
		file := connecttest.WriteFile(t, filepath.Join(t.TempDir(), "c"), text, 0o600)
		values, err := sshconfig.Values(t.Context(), places, file, nil, sshconfig.Destination{Host: "a"})
		if err != nil {
			return
		}
		s := Login{Host: "a"}
		s.settings(values, places)
	})
}

// The ssh program refuses a keyword that it does not know, and so do we without one:
// it may be a restriction with a slip of the pen.
func TestUnknownKeywordsAreNotPassedOver(t *testing.T) {
	for _, program := range []string{"", "ssh"} {
		for _, config := range []string{"RevokedHostKey /dev/null\n", "Host other\n  StrictHostKeyCheking yes\n"} {
			if set, err := resolveWith(t, Login{Host: "web"}, config, program); err == nil {
				t.Errorf("by %q: %q was taken: %+v", program, config, set)
			}
		}
		for _, config := range []string{"IgnoreUnknown Revoked*,foo\nRevokedHostKey /dev/null\n", "DSAAuthentication yes\n", "UseRoaming no\n"} {
			if _, err := resolveWith(t, Login{Host: "web"}, config, program); err != nil {
				t.Errorf("by %q: %q was refused: %v", program, config, err)
			}
		}
	}
}
