//go:build linux

package integration

import (
	"strings"
	"syscall"
	"testing"
)

// tunnel is a piece of script that opens a tunnel with a control socket, and with ports and
// sockets at both hosts. With the umask 0 it shows that the modes of sockets don't depend on it.
const tunnel = `umask 0; ssh -M -S /run/t/s -fN -L 7001:localhost:8000 -L /run/t/l:localhost:8000 -R 7002:localhost:8001 -R /home/app/r:localhost:8001 -D 7003 web
stat -c '%n %a' /run/t/*; ssh -n web stat -c "'%n %a'" r
`

const tunnelModes = "/run/t/l 600\n/run/t/s 600\nr 600\n"

// Tunnels over ssh and sudo, in the ways in which scripts and people use them.
func TestTunnelsOfTheShim(t *testing.T) {
	t.Parallel()
	there := contentOf(3<<20 + 1)
	o := newOffice(t, map[string]string{"/srv/there": string(there)})
	here := o.sources(t)
	serveHTTP(t, o.web, "8000", "/srv")
	serveHTTP(t, o.desk, "8001", "/srv")
	if out, err := o.desk.Exec(t.Context(), "mkdir", "/run/t"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	scenes := []scene{look(o.desk), look(o.web)}
	start := func(script string) (*journal, func() error, func(syscall.Signal)) {
		t.Helper()
		cmd := o.with(t.Context(), behindSudo, "bash", script)
		out := new(journal)
		cmd.Stdout, cmd.Stderr, cmd.WaitDelay = out, out, patience
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return out, cmd.Wait, func(sig syscall.Signal) { _ = cmd.Process.Signal(sig) }
	}
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		out, wait, kill := start(tunnel + "echo ready; while :; do sleep 0.01; done")
		eventually(t, patience, "the tunnel is open", func() bool { return strings.HasSuffix(out.String(), "ready\n") })
		if got := out.String(); got != tunnelModes+"ready\n" {
			t.Errorf("the script printed %q, want %q and ready", got, tunnelModes)
		}
		for _, host := range []string{"127.0.0.1", "[::1]"} {
			curl(t, o.desk, there, "http://"+host+":7001/there")
			curl(t, o.web, here, "http://"+host+":7002/big")
			curl(t, o.desk, there, "--socks5-hostname", host+":7003", "http://localhost:8000/there")
			curl(t, o.desk, there, "--socks4a", host+":7003", "http://localhost:8000/there")
		}
		curl(t, o.desk, there, "--unix-socket", "/run/t/l", "http://any/there")
		curl(t, o.web, here, "--unix-socket", "/home/app/r", "http://any/big")
		kill(sig)
		_ = wait()
		if sig == syscall.SIGKILL {
			for _, s := range scenes {
				s.quiet(t, patience)
			}
			if out, err := o.desk.Exec(t.Context(), "ls", "/run/t"); err != nil || len(out) > 0 {
				t.Errorf("/run/t still has %s, error %v, want it empty", out, err)
			}
			// The next program removes the rest.
			if got := finish(t, o.with(t.Context(), behindSudo, "true", "")); got != (result{}) {
				t.Errorf("the next program ended with %+v, want status 0 and no output", got)
			}
		}
		for _, s := range scenes {
			s.restored(t, patience, toolTraces...)
		}
	}
	out, wait, _ := start(tunnel + `
		p=$(ssh -S /run/t/s -O forward -R 0:localhost:8001 web)
		ssh -n web curl -sS --fail http://localhost:$p/big | cmp - /srv/big
		ssh -S /run/t/s -O cancel -R 0:localhost:8001 web
		! ssh -n web curl -sS http://localhost:$p/ 2>/dev/null
		ssh -S /run/t/s -O exit web; ls /run/t; ssh -n web ls`)
	if err := wait(); err != nil || out.String() != tunnelModes+"Exit request sent.\r\n" {
		t.Errorf("the script ended with %v and printed %q, want %q and that the tunnel ends", err, out.String(), tunnelModes)
	}
	for _, s := range scenes {
		s.restored(t, patience, toolTraces...)
	}
}

// "mitosis ssh -f" goes to the background as ssh does, and its tunnel with it.
func TestTunnelInTheBackground(t *testing.T) {
	t.Parallel()
	there := contentOf(1 << 20)
	o := newOffice(t, map[string]string{"/srv/there": string(there)})
	serveHTTP(t, o.web, "8000", "/srv")
	scenes := []scene{look(o.desk), look(o.web)}
	for _, sig := range []string{"TERM", "KILL"} {
		if got := finish(t, o.command(t.Context(), "ssh", o.path+"/sudo:app", "-fN", "-L", "7001:localhost:8000")); got != (result{}) {
			t.Fatalf("the tunnel in the background ended with %+v, want status 0 and no output", got)
		}
		curl(t, o.desk, there, "http://[::1]:7001/there")
		if out, err := o.desk.Exec(t.Context(), "pkill", "-"+sig, "-xf", "[^ ]*ssh [^ ]* -fN -L 7001:localhost:8000"); err != nil {
			t.Errorf("the tunnel could not be sent SIG%s, want it there: %v: %s", sig, err, out)
		}
		for _, s := range scenes {
			s.restored(t, patience, "/root/.ssh/known_hosts")
		}
	}
	// The status is decided when the command goes to the background. A port that is in use is
	// an error before that.
	got := finish(t, o.command(t.Context(), "ssh", o.path, "-f", "exit 3"))
	if got != (result{}) {
		t.Errorf("the command in the background ended with %+v, want status 0 and no output", got)
	}
	got = finish(t, o.command(t.Context(), "ssh", o.path, "-fN", "-oExitOnForwardFailure=yes", "-R", "22:localhost:1"))
	if got.status != 255 || got.out != "" || !strings.HasSuffix(got.err, "Error: remote port forwarding failed for listen port 22\r\n") {
		t.Errorf("the tunnel ended with %+v, want status 255 and the words of ssh", got)
	}
	for _, s := range scenes {
		s.restored(t, patience, "/root/.ssh/known_hosts")
	}
}
