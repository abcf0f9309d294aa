//go:build linux

package ssh

import (
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/internal/connecttest"
	"github.com/mitosis-go/mitosis/connect/internal/sshtest"
)

// besideSSH connects by a configuration, once with the ssh program's help, once
// with the parser alone if it can, and once by the ssh program itself, and
// wants the same verdict of all.
type besideSSH struct {
	method Login
	dir    string
	key    string // the user's key
	public string // the host's key as a line without its name
	base   string // the configuration that leads to the server
}

func newBesideSSH(t *testing.T, sshdConfig string) *besideSSH {
	method, key := startSSHD(t, sshdConfig)
	dir := filepath.Dir(key)
	host, err := os.ReadFile(filepath.Join(dir, "host"))
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.ParsePrivateKey(host)
	if err != nil {
		t.Fatal(err)
	}
	return &besideSSH{method: method, dir: dir, key: key, public: strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey()))),
		base: fmt.Sprintf("Host *\nHostName 127.0.0.1\nPort %d\nUser root\nIdentityFile %s\nIdentitiesOnly yes\nUserKnownHostsFile %s\n"+
			"GlobalKnownHostsFile none\nStrictHostKeyChecking yes\nLogLevel VERBOSE\nBatchMode yes\nIdentityAgent none\nConnectTimeout 10\n",
			method.Port, key, method.KnownHostsFiles[0])}
}

// verdict runs the three. onlySSH says that the parser can't evaluate the
// configuration, and must say so.
func (b *besideSSH) verdict(t *testing.T, config string, want bool, onlySSH bool) {
	t.Helper()
	config = strings.NewReplacer("DIR", b.dir, "PORT", fmt.Sprint(b.method.Port), "PUBLIC", b.public).Replace(config)
	file := connecttest.WriteFile(t, filepath.Join(t.TempDir(), "config"), config+"\n"+b.base, 0o600)
	out, err := exec.Command("ssh", "-F", file, "web", "true").CombinedOutput()
	if (err == nil) != want {
		t.Errorf("ssh itself: %v, wanted success: %v\n%s", err, want, out)
	}
	for _, program := range []string{"ssh", ""} {
		places := testPlaces(t)
		places.Program = program
		c, err := Login{Host: "web", ConfigFile: file}.openFrom(connecttest.TestContext(t), testEnv("true"), places)
		if err == nil {
			c.Close()
		}
		switch {
		case program == "" && onlySSH:
			if !errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("the parser took what it can't evaluate: %v", err)
			}
		case (err == nil) != want:
			t.Errorf("by the program %q: %v, wanted success: %v\nssh said %s", program, err, want, out)
		}
	}
}

func TestSettingsThatForbidDoSoAsWithSSH(t *testing.T) {
	connecttest.CheckLeaks(t)
	b := newBesideSSH(t, "Ciphers aes256-ctr,aes128-gcm@openssh.com\nMACs hmac-sha2-256,hmac-sha2-512-etm@openssh.com\nKexAlgorithms curve25519-sha256,ecdh-sha2-nistp521")
	other, _ := sshtest.NewKey(t)
	foreign := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(other.PublicKey())))
	write := func(name, text string) {
		connecttest.WriteFile(t, filepath.Join(b.dir, name), strings.NewReplacer("PORT", fmt.Sprint(b.method.Port), "PUBLIC", b.public, "FOREIGN", foreign).Replace(text), 0o755)
	}
	write("revoked", "PUBLIC\n")
	write("notrevoked", "FOREIGN\n")
	write("known-revoked", "@revoked * PUBLIC\n[127.0.0.1]:PORT PUBLIC\n")
	write("known-localhost", "[localhost]:PORT PUBLIC\n[127.0.0.1]:PORT FOREIGN\n")
	write("empty", "")
	write("print", "#!/bin/sh\n[ \"$2\" = HOSTNAME ] || exit 0\necho \"$1 PUBLIC\"\n")
	write("print-revoked", "#!/bin/sh\necho \"@revoked $1 PUBLIC\"\n")
	write("fail", "#!/bin/sh\necho \"$1 PUBLIC\"\nexit 3\n")
	for _, c := range []struct {
		config string
		want   bool
	}{
		{"", true},
		{"RevokedHostKeys DIR/revoked", false},
		{"RevokedHostKeys DIR/notrevoked", true},
		{"RevokedHostKeys DIR/nosuch", false},
		{"RevokedHostKeys DIR/revoked\nStrictHostKeyChecking no", false},
		{"UserKnownHostsFile DIR/known-revoked", false},
		{"GlobalKnownHostsFile DIR/known-revoked", false},
		{"Ciphers aes128-ctr", false},
		{"Ciphers aes256-ctr", true},
		{"Ciphers -aes*", false},
		{"Ciphers ^aes256-ctr", true},
		{"MACs hmac-sha2-512\nCiphers aes256-ctr", false},
		{"MACs hmac-sha2-512,hmac-sha2-256\nCiphers aes256-ctr", true},
		{"KexAlgorithms ecdh-sha2-nistp256", false},
		{"KexAlgorithms ecdh-sha2-nistp256,ecdh-sha2-nistp521", true},
		{"KexAlgorithms -curve25519*,ecdh*,sntrup*", false},
		{"HostKeyAlgorithms rsa-sha2-512", false},
		{"HostKeyAlgorithms -ssh-ed25519", false},
		{"HostKeyAlgorithms ssh-ed25519", true},
		{"PubkeyAuthentication no", false},
		{"PreferredAuthentications password,keyboard-interactive", false},
		{"PreferredAuthentications password,publickey", true},
		{"PubkeyAcceptedAlgorithms rsa-sha2-512", false},
		{"PubkeyAcceptedKeyTypes -ssh-ed25519", false},
		{"PubkeyAcceptedAlgorithms ssh-ed*", true},
		{"HostName localhost\nCheckHostIP yes\nAddressFamily inet\nUserKnownHostsFile DIR/known-localhost", true},
		{"HostName localhost\nCheckHostIP no\nAddressFamily inet\nUserKnownHostsFile DIR/known-localhost", true},
		{"UserKnownHostsFile DIR/empty", false},
		{"UserKnownHostsFile DIR/empty\nNoHostAuthenticationForLocalhost yes", true},
		{"UserKnownHostsFile DIR/empty\nNoHostAuthenticationForLocalhost yes\nHostKeyAlias web", false},
		{"UserKnownHostsFile DIR/empty\nKnownHostsCommand DIR/print %H %I", true},
		{"UserKnownHostsFile DIR/empty\nKnownHostsCommand DIR/print-revoked %H", false},
		{"KnownHostsCommand DIR/print-revoked %H", false},
		{"UserKnownHostsFile DIR/empty\nKnownHostsCommand DIR/fail %H", false},
		{"HostKeyAlias nosuch", false},
		{"AddressFamily inet6", false},
		{"BindAddress 127.0.0.9", true},
		{"BindAddress 192.0.2.1", false},
		{"BindInterface nosuch0", false},
		{"ProxyCommand nc 127.0.0.1 PORT\nProxyUseFdpass yes", false},
		{"Host web\nProxyJump %r@127.0.0.1:PORT\nHost *", true},
		{"Host web\nUser nosuchuser\nProxyJump %r@127.0.0.1:PORT\nHost *", false},
		{"RekeyLimit 1K", true},
		{"StrictHostKeyCheking yes", false},
		{"CheckHostIP perhaps", false},
	} {
		// ssh puts its -F into a ProxyCommand, in which a % means something.
		t.Run(strings.ReplaceAll(c.config, "%", "_"), func(t *testing.T) { b.verdict(t, c.config, c.want, strings.Contains(c.config, "Cheking")) })
	}
	t.Run("Match", func(t *testing.T) {
		b.verdict(t, "Match exec \"true\"\nRevokedHostKeys DIR/revoked\nMatch all\n", false, true)
		b.verdict(t, "Match final\nRevokedHostKeys DIR/revoked\nMatch all\n", false, true)
		b.verdict(t, "CanonicalizeHostname always\nMatch canonical\nCiphers aes128-ctr\nMatch all\n", false, true)
		b.verdict(t, "Match localuser nobody-at-all\nRevokedHostKeys DIR/revoked\nMatch all\n", true, false)
	})
}

func TestAlgorithmsAreThoseOfOpenSSH(t *testing.T) {
	connecttest.CheckLeaks(t)
	for _, c := range []struct {
		server, config string
		want           bool
	}{
		{"KexAlgorithms diffie-hellman-group-exchange-sha256", "", true},
		{"KexAlgorithms diffie-hellman-group16-sha512", "", true},
		{"KexAlgorithms diffie-hellman-group14-sha256", "", true},
		{"KexAlgorithms diffie-hellman-group14-sha1", "", false},
		{"KexAlgorithms diffie-hellman-group14-sha1", "KexAlgorithms +diffie-hellman-group14-sha1", true},
		{"KexAlgorithms diffie-hellman-group-exchange-sha1", "", false},
		{"KexAlgorithms diffie-hellman-group-exchange-sha1", "KexAlgorithms ^diffie-hellman-group-exchange-sha1", true},
		{"Ciphers aes128-cbc", "", false},
		{"Ciphers aes128-cbc", "Ciphers +aes128-cbc", true},
		{"Ciphers aes192-ctr", "", true},
		{"Ciphers chacha20-poly1305@openssh.com", "", true},
		{"Ciphers aes256-ctr\nMACs hmac-sha1", "", true},
		{"Ciphers aes256-ctr\nMACs hmac-sha1-96", "", false},
		{"Ciphers aes256-ctr\nMACs hmac-sha1-96", "MACs +hmac-sha1-96", true},
	} {
		t.Run(c.server+"/"+c.config, func(t *testing.T) { newBesideSSH(t, c.server).verdict(t, c.config, c.want, false) })
	}
}

// SHA-1 signatures, of the host and of the user, and short RSA keys.
func TestRSAKeysAreHeldToWhatSSHWants(t *testing.T) {
	connecttest.CheckLeaks(t)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(rsaKey)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		server, config string
		want           bool
	}{
		{"", "", true},
		{"", "RequiredRSASize 2048", true},
		{"", "RequiredRSASize 2049", false},
		{"HostKeyAlgorithms ssh-rsa", "", false},
		{"HostKeyAlgorithms ssh-rsa", "HostKeyAlgorithms +ssh-rsa", true},
		{"PubkeyAcceptedAlgorithms ssh-rsa", "", false},
		{"PubkeyAcceptedAlgorithms ssh-rsa", "PubkeyAcceptedAlgorithms ssh-rsa", true},
		{"PubkeyAcceptedAlgorithms rsa-sha2-256", "PubkeyAcceptedAlgorithms rsa-sha2-256", true},
		{"PubkeyAcceptedAlgorithms rsa-sha2-256", "PubkeyAcceptedAlgorithms -rsa-sha2-256", false},
	} {
		t.Run(c.server+"/"+c.config, func(t *testing.T) {
			dir := t.TempDir()
			host := connecttest.WriteFile(t, filepath.Join(dir, "rsahost"), sshtest.PEMKey(t, rsaKey, ""), 0o600)
			authorized := connecttest.WriteFile(t, filepath.Join(dir, "authorized"), string(ssh.MarshalAuthorizedKey(signer.PublicKey())), 0o644)
			os.Chmod(dir, 0o755)
			// The first value of each counts, but for HostKey.
			b := newBesideSSH(t, c.server)
			b.restart(t, "HostKey "+host+"\nAuthorizedKeysFile "+authorized+"\n"+c.server)
			connecttest.WriteFile(t, b.key, sshtest.PEMKey(t, rsaKey, ""), 0o600)
			connecttest.WriteFile(t, b.method.KnownHostsFiles[0], knownHostLine(knownHostName("127.0.0.1", b.method.Port), signer.PublicKey(), false), 0o600)
			b.verdict(t, c.config, c.want, false)
		})
	}
}

// restart runs a server of its own in place of the usual one's settings.
func (b *besideSSH) restart(t *testing.T, config string) {
	t.Helper()
	b.method.Port = connecttest.ClosedPort(t)
	lines := strings.Split(b.base, "\n")
	for i := range lines {
		if strings.HasPrefix(lines[i], "Port ") {
			lines[i] = fmt.Sprint("Port ", b.method.Port)
		}
	}
	b.base = strings.Join(lines, "\n")
	runSSHD(t, b.method.Port, config+"\nPidFile none\nStrictModes no\nPermitRootLogin yes\nUsePAM no\n")
}

func TestVariablesForTheServer(t *testing.T) {
	connecttest.CheckLeaks(t)
	t.Setenv("MITOSIS_TEST_A", "from here")
	t.Setenv("MITOSIS_TEST_B", "also")
	b := newBesideSSH(t, "AcceptEnv MITOSIS_TEST_*")
	config := connecttest.WriteFile(t, filepath.Join(t.TempDir(), "config"), "SetEnv MITOSIS_TEST_C=\"set here\" MITOSIS_TEST_A=other\n"+
		"SendEnv MITOSIS_TEST_?\nSendEnv -MITOSIS_TEST_B\n"+b.base, 0o600)
	const show = `echo "$MITOSIS_TEST_A,$MITOSIS_TEST_B,$MITOSIS_TEST_C"`
	want, err := exec.Command("ssh", "-F", config, "web", show).Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, program := range []string{"ssh", ""} {
		for _, early := range []bool{false, true} {
			places, env := testPlaces(t), testEnv(show)
			places.Program, env.Early = program, early
			c, err := Login{Host: "web", ConfigFile: config}.openFrom(connecttest.TestContext(t), env, places)
			if err != nil {
				t.Fatal(err)
			}
			out := make([]byte, 200)
			n, _ := c.Read(out)
			c.Close()
			if string(out[:n]) != string(want) {
				t.Errorf("by the program %q, early %v: the far side has %q, by ssh %q", program, early, out[:n], want)
			}
		}
	}
}

// A certificate that does not do is no worse than none, as with ssh.
func TestHostCertificateFallsBackOnThePlainKey(t *testing.T) {
	connecttest.CheckLeaks(t)
	authority, _ := sshtest.NewKey(t)
	stranger, _ := sshtest.NewKey(t)
	oldAuthority, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	rsaAuthority, _ := ssh.NewSignerFromKey(oldAuthority)
	sha1Authority, err := ssh.NewSignerWithAlgorithms(rsaAuthority.(ssh.AlgorithmSigner), []string{ssh.KeyAlgoRSA})
	if err != nil {
		t.Fatal(err)
	}
	const soon = time.Hour
	now := time.Now()
	for _, c := range []struct {
		name   string
		change func(*ssh.Certificate)
		signer ssh.Signer
		class  error // where the plain key is not known
	}{
		{"good", func(*ssh.Certificate) {}, authority, nil},
		{"for another name", func(c *ssh.Certificate) { c.ValidPrincipals = []string{"web2"} }, authority, ErrHostCertificateName},
		{"expired", func(c *ssh.Certificate) { c.ValidBefore = uint64(now.Add(-soon).Unix()) }, authority, ErrHostCertificateExpired},
		{"not valid yet", func(c *ssh.Certificate) { c.ValidAfter = uint64(now.Add(soon).Unix()) }, authority, ErrHostCertificateExpired},
		{"for users", func(c *ssh.Certificate) { c.CertType = ssh.UserCert }, authority, ErrHostCertificate},
		{"with an option", func(c *ssh.Certificate) { c.CriticalOptions = map[string]string{"x@example.org": "y"} }, authority, ErrHostCertificate},
		{"of another authority", func(*ssh.Certificate) {}, stranger, connect.ErrHostKeyUnknown},
		{"signed by SHA-1", func(*ssh.Certificate) {}, sha1Authority, ErrHostCertificate},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBesideSSH(t, "")
			host, _, _, _, err := ssh.ParseAuthorizedKey([]byte(b.public))
			if err != nil {
				t.Fatal(err)
			}
			cert := &ssh.Certificate{Key: host, CertType: ssh.HostCert, KeyId: "host", ValidPrincipals: []string{"127.0.0.1"}, ValidBefore: ssh.CertTimeInfinity}
			c.change(cert)
			if err := cert.SignCert(rand.Reader, c.signer); err != nil {
				t.Fatal(err)
			}
			certFile := connecttest.WriteFile(t, filepath.Join(b.dir, "host-cert.pub"), string(ssh.MarshalAuthorizedKey(cert)), 0o600)
			b.restart(t, "HostKey "+b.dir+"/host\nHostCertificate "+certFile+"\nAuthorizedKeysFile "+b.dir+"/authorized\n")
			name := knownHostName("127.0.0.1", b.method.Port)
			authorities := ""
			for _, a := range []ssh.Signer{authority, rsaAuthority} {
				authorities += "@cert-authority " + name + " " + string(ssh.MarshalAuthorizedKey(a.PublicKey()))
			}
			known := func(more string) string {
				return "UserKnownHostsFile " + connecttest.WriteFile(t, filepath.Join(t.TempDir(), "known"), authorities+more, 0o600)
			}
			plain := name + " " + b.public + "\n"
			another, _ := sshtest.NewKey(t)
			changed := knownHostLine(name, another.PublicKey(), false)
			b.verdict(t, known(""), c.class == nil, false)
			b.verdict(t, known(plain), true, false)
			b.verdict(t, known(changed), c.class == nil, false)
			b.verdict(t, known(plain+"@revoked * "+b.public+"\n"), false, false)
			if c.class == nil {
				b.verdict(t, known("")+"\nCASignatureAlgorithms rsa-sha2-512", false, false)
				return
			}
			s := b.method
			s.KnownHostsFiles = []string{strings.TrimPrefix(known(""), "UserKnownHostsFile ")}
			if _, err := dialSSH(t, s, testEnv("true")); !errors.Is(err, c.class) || !errors.Is(err, connect.ErrHostKey) {
				t.Errorf("where nothing else is known: %v, wanted %v", err, c.class)
			}
			s.KnownHostsFiles = []string{strings.TrimPrefix(known(changed), "UserKnownHostsFile ")}
			if _, err := dialSSH(t, s, testEnv("true")); !errors.Is(err, connect.ErrHostKeyChanged) {
				t.Errorf("where another key is known: %v", err)
			}
		})
	}
}
