//go:build linux

package lab

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// SSHD asks for an SSH server in a host: OpenSSH's, or dropbear.
type SSHD struct {
	// Dropbear asks for dropbear, which must be installed; see RequireProgram. Config has
	// then its arguments. KeyTypes has no effect: its host key is ed25519.
	Dropbear bool
	// Port is 22 when zero.
	Port int
	// Config has lines that come before the lab's own. sshd takes the first value of an
	// option, so they win. Match blocks come behind the lab's lines.
	Config []string
	// KeyTypes are the kinds of host keys: ed25519, ecdsa, rsa. Empty means only ed25519.
	// Every host has keys of its own.
	KeyTypes []string
}

// sshdDefaults accept passwords and keys of all users, and need no name server.
const sshdDefaults = `PasswordAuthentication yes
KbdInteractiveAuthentication no
PermitRootLogin yes
UsePAM yes
UseDNS no
PrintMotd no
AcceptEnv LANG LC_*
Subsystem sftp internal-sftp
PidFile ` + sshdPidFile + `
LogLevel VERBOSE
`

const (
	sshdConfigFile = "/etc/ssh/lab_sshd_config"
	sshdLogFile    = "/run/sshd.log"
	sshdPidFile    = "/run/sshd.pid"
)

// readyTimeout bounds each wait of a host's start. It is far above the time that a loaded
// machine needs.
const readyTimeout = 30 * time.Second

// startSSHD writes keys and configuration, starts the server, and waits until it accepts
// connections.
func (r *Running) startSSHD(ctx context.Context, s SSHD) error {
	if s.Port == 0 {
		s.Port = 22
	}
	r.sshPort = s.Port
	if s.Dropbear {
		return r.startDropbear(ctx, s)
	}
	kinds := s.KeyTypes
	if len(kinds) == 0 {
		kinds = []string{"ed25519"}
	}
	var config, match strings.Builder
	to := &config
	for _, line := range s.Config {
		if strings.HasPrefix(strings.ToLower(strings.TrimSpace(line)), "match ") {
			to = &match
		}
		fmt.Fprintln(to, line)
	}
	fmt.Fprintf(&config, "Port %d\n%s", s.Port, sshdDefaults)
	err := r.gate.do(func() error {
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			return err
		}
		for _, kind := range kinds {
			public, private, err := newHostKey(kind)
			if err != nil {
				return err
			}
			file := "/etc/ssh/lab_host_" + kind
			if err := writeOwned(file, private, 0o600, 0); err != nil {
				return err
			}
			fmt.Fprintln(&config, "HostKey", file)
			r.hostKeys = append(r.hostKeys, public)
		}
		return writeOwned(sshdConfigFile, []byte(config.String()+match.String()), 0o644, 0)
	})
	if err != nil {
		return err
	}
	// sshd insists on an absolute argv[0]. It detaches by itself: on a busy machine the
	// daemon may be ready some time after this process has ended.
	_, err = r.Exec(ctx, findTool("sshd"), "-f", sshdConfigFile, "-E", sshdLogFile)
	if err != nil && !errors.Is(err, exec.ErrWaitDelay) {
		return err
	}
	if err := r.awaitPort(ctx, s.Port); err != nil {
		return err
	}
	// sshd writes this file after it has begun to listen.
	return r.await(ctx, "sshd has not written "+sshdPidFile, func() (bool, error) {
		info, err := os.Stat(sshdPidFile)
		return err == nil && info.Size() > 0, nil
	})
}

// startDropbear is startSSHD for dropbear, which has its own format of keys.
func (r *Running) startDropbear(ctx context.Context, s SSHD) error {
	const keyFile = "/etc/lab_dropbear_key"
	out, err := r.Exec(ctx, "dropbearkey", "-t", "ed25519", "-f", keyFile)
	if err != nil {
		return err
	}
	_, line, _ := strings.Cut("\n"+out, "\nssh-ed25519 ")
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte("ssh-ed25519 " + line))
	if err != nil {
		return fmt.Errorf("read dropbear's key: %w: %s", err, out)
	}
	r.hostKeys = append(r.hostKeys, key)
	// dropbear stays in the foreground, so that its messages reach the log. close ends it.
	script := `exec dropbear -F -E "$@" 2>>` + sshdLogFile
	argv := []string{"/bin/sh", "-c", script, "dropbear", "-p", strconv.Itoa(s.Port), "-r", keyFile}
	cmd := r.Command(context.Background(), append(argv, s.Config...)...)
	if err := cmd.Start(); err != nil {
		return err
	}
	return r.awaitPort(ctx, s.Port)
}

// awaitPort returns once a process in the host listens on the port. It makes no connection,
// because sshd would count and log it, and fork for it.
func (r *Running) awaitPort(ctx context.Context, port int) error {
	return r.await(ctx, fmt.Sprintf("nothing listens on port %d", port), func() (bool, error) { return listensOn(port) })
}

// await returns once a condition holds in the host. missing begins the text of its error.
func (r *Running) await(ctx context.Context, missing string, holds func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for {
		ok := false
		err := r.gate.do(func() (err error) {
			ok, err = holds()
			return err
		})
		if err != nil || ok {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w (%s)", missing, ctx.Err(), r.SSHDLog())
		case <-time.After(time.Millisecond):
		}
	}
}

// listensOn reports whether a process listens on the port. It reads the kernel's table of IPv4
// sockets on the gate's thread.
func listensOn(port int) (bool, error) {
	table, err := os.ReadFile("/proc/1/net/tcp")
	if err != nil {
		return false, err
	}
	for line := range strings.Lines(string(table)) {
		const stateListen = "0A"
		f := strings.Fields(line)
		if len(f) > 3 && f[3] == stateListen && strings.HasSuffix(f[1], fmt.Sprintf(":%04X", port)) {
			return true, nil
		}
	}
	return false, nil
}

func newHostKey(kind string) (ssh.PublicKey, []byte, error) {
	var key crypto.Signer
	var err error
	switch kind {
	case "ed25519":
		_, key, err = ed25519.GenerateKey(rand.Reader)
	case "ecdsa":
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "rsa":
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	default:
		err = fmt.Errorf("unknown kind of host key %q", kind)
	}
	if err != nil {
		return nil, nil, err
	}
	block, err := ssh.MarshalPrivateKey(key, "lab")
	if err != nil {
		return nil, nil, err
	}
	public, err := ssh.NewPublicKey(key.Public())
	return public, pem.EncodeToMemory(block), err
}

// Addr is the address and port of the host's sshd; the port is 22 if there is no sshd. All
// hosts and Dial can reach it.
func (r *Running) Addr() string {
	port := r.sshPort
	if port == 0 {
		port = 22
	}
	return net.JoinHostPort(r.ip, strconv.Itoa(port))
}

// HostKeys are the public host keys of the sshd.
func (r *Running) HostKeys() []ssh.PublicKey { return r.hostKeys }

// KnownHosts are the lines of a known_hosts file for this host, by address and name.
func (r *Running) KnownHosts() string {
	_, port, _ := net.SplitHostPort(r.Addr())
	var lines strings.Builder
	for _, key := range r.hostKeys {
		names := []string{knownhosts.Normalize(r.Addr()), knownhosts.Normalize(net.JoinHostPort(r.Name(), port))}
		fmt.Fprintln(&lines, knownhosts.Line(names, key))
	}
	return lines.String()
}

// SSHDLog is the log of the host's sshd so far.
func (r *Running) SSHDLog() string {
	var log []byte
	err := r.gate.do(func() (err error) {
		log, err = os.ReadFile(sshdLogFile)
		return err
	})
	if err != nil {
		return err.Error()
	}
	return string(log)
}

// DialSSH logs in from the test process with x/crypto/ssh and checks the host key.
// The caller closes the client. Closing the host ends its connection.
func (r *Running) DialSSH(ctx context.Context, user string, auth ...ssh.AuthMethod) (*ssh.Client, error) {
	conn, err := Dial(ctx, "tcp", r.Addr())
	if err != nil {
		return nil, err
	}
	config := &ssh.ClientConfig{User: user, Auth: auth, HostKeyCallback: r.checkHostKey}
	// Only algorithms for keys of the host, as with known_hosts: dropbear 2022.83 offers
	// RSA without having such a key, and dies when a client chooses it.
	for _, key := range r.hostKeys {
		config.HostKeyAlgorithms = append(config.HostKeyAlgorithms, hostKeyAlgorithms(key.Type())...)
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	c, channels, requests, err := ssh.NewClientConn(conn, r.Addr(), config)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("lab: ssh %s@%s: %w", user, r.Name(), err)
	}
	return ssh.NewClient(c, channels, requests), nil
}

// hostKeyAlgorithms returns the signature algorithms of a kind of key.
func hostKeyAlgorithms(keyType string) []string {
	if keyType == ssh.KeyAlgoRSA {
		return []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
	}
	return []string{keyType}
}

func (r *Running) checkHostKey(_ string, _ net.Addr, key ssh.PublicKey) error {
	for _, own := range r.hostKeys {
		if string(own.Marshal()) == string(key.Marshal()) {
			return nil
		}
	}
	return errors.New("not a key of this host")
}

// ClientKey is a key pair for logins.
type ClientKey struct {
	// Path is the private key's file, in OpenSSH's format and with mode 0600, on
	// the machine. Hosts see it only through Host.Binds or Host.Files.
	Path string
	// Private is the content of that file.
	Private string
	// Authorized is the line for User.Keys.
	Authorized string
	Signer     ssh.Signer
}

// NewClientKey makes an ed25519 key in a temporary directory of the test.
func NewClientKey(t testing.TB) ClientKey {
	t.Helper()
	public, private, err := newHostKey("ed25519")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.ParsePrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "id_ed25519")
	if err := os.WriteFile(path, private, 0o600); err != nil {
		t.Fatal(err)
	}
	return ClientKey{
		Path:       path,
		Private:    string(private),
		Authorized: strings.TrimSpace(string(ssh.MarshalAuthorizedKey(public))),
		Signer:     signer,
	}
}
