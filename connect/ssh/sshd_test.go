//go:build linux

package ssh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/bootstrap"
	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/internal/check"
	"github.com/mitosis-go/mitosis/connect/internal/connecttest"
	"github.com/mitosis-go/mitosis/connect/internal/sshconfig"
	"github.com/mitosis-go/mitosis/connect/internal/sshtest"
	"golang.org/x/crypto/ssh"
)

// startSSHD runs OpenSSH's server on loopback, in the foreground and without
// touching the machine's configuration. It takes one key, which method has.
func startSSHD(t testing.TB, more string) (s Login, keyFile string) {
	t.Helper()
	if _, err := os.Stat(sshd); err != nil || os.Getuid() != 0 {
		t.Skip("needs root and OpenSSH's server")
	}
	dir := t.TempDir()
	os.Chmod(dir, 0o755)
	host, hostPrivate := sshtest.NewKey(t)
	_, private := sshtest.NewKey(t)
	signer, _ := ssh.NewSignerFromKey(private)
	keyFile = connecttest.WriteFile(t, filepath.Join(dir, "id"), sshtest.PEMKey(t, private, ""), 0o600)
	connecttest.WriteFile(t, filepath.Join(dir, "host"), sshtest.PEMKey(t, hostPrivate, ""), 0o600)
	connecttest.WriteFile(t, filepath.Join(dir, "authorized"), string(ssh.MarshalAuthorizedKey(signer.PublicKey())), 0o644)
	port := connecttest.ClosedPort(t)
	config := fmt.Sprintf(`
HostKey %s/host
AuthorizedKeysFile %s/authorized
PidFile none
StrictModes no
PermitRootLogin yes
UsePAM no
PrintMotd no
%s
`, dir, dir, more)
	runSSHD(t, port, config)
	known := connecttest.WriteFile(t, filepath.Join(dir, "known_hosts"), knownHostLine(knownHostName("127.0.0.1", port), host.PublicKey(), true), 0o600)
	return Login{Host: "127.0.0.1", Port: port, User: "root", NoConfig: true, NoAgent: true,
		KnownHostsFiles: []string{known}, IdentityFiles: []string{keyFile}}, keyFile
}

const sshd = "/usr/sbin/sshd"

// runSSHD runs a server until the test ends.
func runSSHD(t testing.TB, port int, config string) {
	t.Helper()
	file := connecttest.WriteFile(t, filepath.Join(t.TempDir(), "sshd_config"), fmt.Sprintf("ListenAddress 127.0.0.1:%d\n%s", port, config), 0o600)
	// The privilege separation directory that the service manager would make.
	os.Mkdir("/run/sshd", 0o755)
	cmd := exec.Command(sshd, "-D", "-e", "-f", file)
	var log strings.Builder
	cmd.Stderr = &log
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	for range 500 {
		conn, err := net.Dial("tcp", check.HostPort("127.0.0.1", port))
		if err == nil {
			conn.Close()
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestSSHToOpenSSH(t *testing.T) {
	connecttest.CheckLeaks(t)
	s, _ := startSSHD(t, "Banner /etc/hostname")
	mustRun(t, s, nil)
	t.Run("jump", func(t *testing.T) {
		jumped := s
		jumped.ProxyJump = []Login{s}
		mustRun(t, jumped, nil)
	})
	t.Run("more keys than MaxAuthTries", func(t *testing.T) {
		many := s
		many.IdentityFiles = nil
		for range 8 {
			_, k := sshtest.NewKey(t)
			many.Keys = append(many.Keys, connect.Secret(sshtest.PEMKey(t, k, "")))
		}
		if _, err := dialSSH(t, many, testEnv("true")); !errors.Is(err, connect.ErrPermission) {
			t.Fatal(err)
		}
		text, _ := os.ReadFile(s.IdentityFiles[0])
		many.Keys = append(many.Keys, connect.Secret(text))
		mustRun(t, many, nil)
	})
	t.Run("killed", func(t *testing.T) {
		c, err := dialSSH(t, s, testEnv("echo last words >&2; kill -9 $$"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		io.Copy(io.Discard, c)
		if err := c.Cause(connecttest.TestContext(t)); !errors.Is(err, connect.ErrEOF) || !strings.Contains(err.Error(), "KILL: last words") {
			t.Fatal(err)
		}
	})
}

// Fifty at once against the default MaxStartups: paced, none refused.
func TestSSHManyAtOnce(t *testing.T) {
	connecttest.CheckLeaks(t)
	s, _ := startSSHD(t, "MaxStartups 10:30:100")
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			c, err := dialSSH(t, s, testEnv("echo up"))
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			if out, _ := io.ReadAll(c); string(out) != "up\n" {
				t.Errorf("the command prints %q, want up", out)
			}
		})
	}
	wg.Wait()
}

func openTrue(b *testing.B, s Login, places sshconfig.Places) bootstrap.Carrier {
	c, err := s.openFrom(b.Context(), testEnv("true"), places)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, c); err != nil {
		b.Fatal(err)
	}
	return c
}

// BenchmarkSSHTrue compares a connection that runs `true` with OpenSSH's own
// client doing the same; "ratio" is ours over theirs.
func BenchmarkSSHTrue(b *testing.B) {
	s, key := startSSHD(b, "")
	places := sshconfig.DefaultPlaces()
	s.NoConfig = false
	client := func(more ...string) {
		args := append([]string{"-F", "none", "-o", "BatchMode=yes", "-o", "UserKnownHostsFile=" + s.KnownHostsFiles[0],
			"-o", "IdentitiesOnly=yes", "-i", key, "-p", fmt.Sprint(s.Port)}, more...)
		if out, err := exec.CommandContext(context.Background(), "ssh", append(args, "root@127.0.0.1", "true")...).CombinedOutput(); err != nil {
			b.Fatalf("%v: %s", err, out)
		}
	}
	var ours, theirs, theirs25519 time.Duration
	for b.Loop() {
		start := time.Now()
		openTrue(b, s, places).Close()
		ours += time.Since(start)
		start = time.Now()
		client()
		theirs += time.Since(start)
		start = time.Now()
		client("-o", "KexAlgorithms=curve25519-sha256")
		theirs25519 += time.Since(start)
	}
	n := time.Duration(b.N)
	b.ReportMetric(float64((ours/n).Microseconds())/1000, "ours-ms")
	b.ReportMetric(float64((theirs/n).Microseconds())/1000, "ssh-ms")
	b.ReportMetric(float64((theirs25519/n).Microseconds())/1000, "ssh-curve25519-ms")
	b.ReportMetric(float64(ours)/float64(theirs), "ratio")
}

// BenchmarkSSHUpload is the throughput of `cat >/dev/null`.
func BenchmarkSSHUpload(b *testing.B) {
	s, key := startSSHD(b, "")
	block := make([]byte, 64<<10)
	const total = 512 << 20
	b.Run("native", func(b *testing.B) {
		b.SetBytes(total)
		for b.Loop() {
			c, err := s.openFrom(b.Context(), testEnv("head -c "+fmt.Sprint(total)+" | wc -c"), testPlaces(b))
			if err != nil {
				b.Fatal(err)
			}
			for sent := 0; sent < total; sent += len(block) {
				if _, err := c.Write(block); err != nil {
					b.Fatal(err)
				}
			}
			if out, _ := io.ReadAll(c); strings.TrimSpace(string(out)) != fmt.Sprint(total) {
				b.Fatalf("%q", out)
			}
			c.Close()
		}
	})
	b.Run("openssh", func(b *testing.B) {
		b.SetBytes(total)
		for b.Loop() {
			cmd := exec.Command("ssh", "-F", "none", "-o", "UserKnownHostsFile="+s.KnownHostsFiles[0], "-i", key, "-p", fmt.Sprint(s.Port),
				"root@127.0.0.1", "head -c "+fmt.Sprint(total)+" | wc -c")
			cmd.Stdin = io.LimitReader(zeros{}, total)
			if out, err := cmd.Output(); err != nil || strings.TrimSpace(string(out)) != fmt.Sprint(total) {
				b.Fatalf("%q %v", out, err)
			}
		}
	})
	b.Run("native-download", func(b *testing.B) {
		b.SetBytes(total)
		for b.Loop() {
			c, err := s.openFrom(b.Context(), testEnv("head -c "+fmt.Sprint(total)+" /dev/zero"), testPlaces(b))
			if err != nil {
				b.Fatal(err)
			}
			if n, err := io.Copy(io.Discard, c); n != total {
				b.Fatal(n, err)
			}
			c.Close()
		}
	})
	b.Run("openssh-download", func(b *testing.B) {
		b.SetBytes(total)
		for b.Loop() {
			cmd := exec.Command("ssh", "-F", "none", "-o", "UserKnownHostsFile="+s.KnownHostsFiles[0], "-i", key, "-p", fmt.Sprint(s.Port),
				"root@127.0.0.1", "head -c "+fmt.Sprint(total)+" /dev/zero")
			out, _ := cmd.StdoutPipe()
			cmd.Start()
			n, err := io.Copy(io.Discard, out)
			if cmd.Wait(); n != total {
				b.Fatal(n, err)
			}
		}
	})
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
