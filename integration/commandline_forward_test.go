//go:build linux

package integration

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"

	"github.com/mitosis-go/mitosis/integration/lab"
)

// serveHTTP has python serve a directory of a host, on a port of its loopback
// interface.
func serveHTTP(t *testing.T, host *lab.Running, port, dir string) {
	t.Helper()
	server := host.Command(t.Context(), "/usr/bin/python3", "-m", "http.server", "--bind", "127.0.0.1", "--directory", dir, port)
	server.Stdout, server.Stderr = io.Discard, io.Discard
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	})
	eventually(t, patience, "the server is ready", func() bool {
		c, err := host.Dial(t.Context(), "tcp", "127.0.0.1:"+port)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

// A forwarder is a "mitosis forward" or "mitosis socks" that runs at the desk.
type forwarder struct {
	*lab.Cmd
	out, err journal
	addrs    []string // of its listeners, in the order of the options
}

// forward starts a forwarder and waits until its listeners are open.
func (o *office) forward(t *testing.T, listeners int, args ...string) *forwarder {
	t.Helper()
	f := &forwarder{Cmd: o.command(t.Context(), args...)}
	f.Stdout, f.Stderr = &f.out, &f.err
	if err := f.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, patience, "the forwarder listens", func() bool {
		if hasEnded(f.Cmd) {
			t.Fatalf("%q has ended: %s", args, &f.err)
		}
		return strings.Count(f.out.String(), "\n") == listeners
	})
	for line := range strings.Lines(f.out.String()) {
		f.addrs = append(f.addrs, strings.Fields(line)[1])
	}
	return f
}

// port returns the port of a listener.
func (f *forwarder) port(t *testing.T, listener int) string {
	t.Helper()
	_, port, err := net.SplitHostPort(f.addrs[listener])
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// curl fetches a file with curl on a host, and compares it with want.
func curl(t *testing.T, host *lab.Running, want []byte, args ...string) {
	t.Helper()
	cmd := host.Command(t.Context(), append([]string{"curl", "-sS", "--fail", "--max-time", fmt.Sprint(patience.Seconds())}, args...)...)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil || sha256.Sum256(out.Bytes()) != sha256.Sum256(want) {
		t.Errorf("curl %q on %s fetched %d bytes, error %v, want the %d bytes of the file: %s", args, host.Name(), out.Len(), err, len(want), &errOut)
	}
}

func TestForwardFromTheCommandLine(t *testing.T) {
	t.Parallel()
	there := contentOf(20<<20 + 3)
	o := newOffice(t, map[string]string{"/srv/there": string(there)})
	here := o.sources(t)
	if out, err := o.web.Exec(t.Context(), "sh", "-c", "echo 127.0.0.1 only.there >>/etc/hosts"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	serveHTTP(t, o.web, "8000", "/srv")
	serveHTTP(t, o.desk, "8001", "/srv")
	before := look(o.web)
	args := []string{"forward", o.path,
		"-L", "0:only.there:8000", "-L", "/run/l:127.0.0.1:8000", "-L", "0:127.0.0.1:9",
		"-R", "0:localhost:8001", "-R", "/home/deploy/r:localhost:8001", "-R", "0",
		"-D", "0"}
	f := o.forward(t, 7, args...)
	const file, big = "/there", "/big"
	uses := func() {
		curl(t, o.desk, there, "http://"+f.addrs[0]+file)
		curl(t, o.desk, there, "--unix-socket", "/run/l", "http://any"+file)
		curl(t, o.web, here, "http://"+f.addrs[3]+big)
		curl(t, o.web, here, "--unix-socket", "/home/deploy/r", "http://any"+big)
		curl(t, o.web, here, "--socks5-hostname", f.addrs[5], "http://127.0.0.1:8001"+big)
		curl(t, o.desk, there, "--socks5-hostname", f.addrs[6], "http://only.there:8000"+file)
		// localhost stands for IPv4 and IPv6, and SOCKS for three protocols.
		curl(t, o.desk, there, "http://[::1]:"+f.port(t, 0)+file)
		curl(t, o.web, here, "http://[::1]:"+f.port(t, 3)+big)
		curl(t, o.desk, there, "--socks4a", "[::1]:"+f.port(t, 6), "http://only.there:8000"+file)
		curl(t, o.web, here, "--socks4", f.addrs[5], "http://127.0.0.1:8001"+big)
	}
	uses()
	for path, host := range map[string]*lab.Running{"/run/l": o.desk, "/home/deploy/r": o.web} {
		if out, err := host.Exec(t.Context(), "stat", "-c", "%A", path); err != nil || string(out) != "srw-------\n" {
			t.Errorf("the socket %s of %s has the mode %s, %v, want srw-------", path, host.Name(), out, err)
		}
	}
	// Connections that can't be made are errors for the client, and the forwarder goes on.
	for _, url := range [][]string{{"http://" + f.addrs[2]}, {"--socks5-hostname", f.addrs[6], "http://no.such.name:80"}, {"--socks5-hostname", f.addrs[6], "http://127.0.0.1:9"}} {
		if out, err := o.desk.Exec(t.Context(), append([]string{"curl", "-sS"}, url...)...); err == nil {
			t.Errorf("curl %q succeeded and printed %s, want an error", url, out)
		}
	}
	for _, told := range []string{f.addrs[2] + " 127.0.0.1:9: ", "lookup no.such.name", "dial tcp 127.0.0.1:9: connect: connection refused"} {
		eventually(t, patience, "the message "+told, func() bool { return strings.Contains(f.err.String(), told) })
	}
	uses()

	ports := func(host *lab.Running, listeners ...int) {
		t.Helper()
		for _, i := range listeners {
			if c, err := host.Dial(t.Context(), "tcp", "127.0.0.1:"+f.port(t, i)); err == nil {
				c.Close()
				t.Errorf("port %s of %s is still open", f.port(t, i), host.Name())
			}
		}
	}
	// A connection in use does not hold up the end.
	idle, err := o.desk.Dial(t.Context(), "tcp", f.addrs[0])
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	for i, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGKILL, 0} {
		if i > 0 {
			f = o.forward(t, 7, args...)
			curl(t, o.desk, there, "http://"+f.addrs[0]+file)
		}
		want := 0
		switch sig {
		case 0:
			kill(t, o.web, syscall.SIGKILL, sessions(o.web)...)
			want = 255
		case syscall.SIGKILL:
			want = 128 + int(sig)
			fallthrough
		default:
			if err := f.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
		}
		if got := shellStatus(t, f.Wait()); got != want {
			t.Errorf("after %v: status %d, want %d: %s", sig, got, want, &f.err)
		}
		before.restored(t, deathBudget)
		ports(o.desk, 0, 2, 6)
		ports(o.web, 3, 5)
		if sig == syscall.SIGKILL {
			// As after a kill of ssh.
			if out, err := o.desk.Exec(t.Context(), "rm", "/run/l"); err != nil {
				t.Errorf("the socket could not be removed, want it left as by ssh: %v: %s", err, out)
			}
		}
	}
}

func TestSocksFromTheCommandLine(t *testing.T) {
	t.Parallel()
	there := contentOf(1 << 20)
	o := newOffice(t, map[string]string{"/srv/there": string(there)})
	serveHTTP(t, o.web, "8000", "/srv")
	before := look(o.web)
	f := o.forward(t, 1, "socks", o.path+"/sudo:app", "0")
	curl(t, o.desk, there, "--socks5-hostname", f.addrs[0], "http://localhost:8000/there")
	if err := f.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if got := shellStatus(t, f.Wait()); got != 0 || f.err.String() != "" {
		t.Errorf("after SIGTERM: status %d and message %q, want 0 and none", got, &f.err)
	}
	before.restored(t, deathBudget)
	for want, args := range map[int][]string{
		1:   {"socks", o.path, "192.0.2.1:1080"},
		2:   {"forward", o.path, "-L", "80:web"},
		255: {"socks", "ssh:nobody@" + o.web.Addr()},
	} {
		if got := finish(t, o.command(t.Context(), args...)); got.status != want || got.out != "" || got.err == "" {
			t.Errorf("%q ended with %+v, want status %d and a message", args, got, want)
		}
	}
}
