//go:build unix

package fakessh_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/fakessh"
)

// tunnels is what scripts about tunnels have: talk, and a wait with an end. "$1" is the port of
// an echo server, $2 is a free port, and the directory is one of their own.
const tunnels = talk + `
until_() { for i in $(seq 3000); do "$@" && return; sleep .01; done; echo "never: $*"; return 1; }
closed() { ! (exec 3<>/dev/tcp/127.0.0.1/$1) 2>/dev/null; }
gone() { ! kill -0 $1 2>/dev/null || grep -q '^State:.Z' /proc/$1/status 2>/dev/null; }
master() { ssh -S s -O check h 2>&1 | tr -d '\r' | sed 's/^Master running (pid=\([0-9]*\))$/\1/'; }
`

func TestMasters(t *testing.T) {
	runtimeDir(t)
	hosts := fakessh.Hosts{Default: child(t)}
	port := echoServer(t)
	for _, c := range []struct {
		name, script string
		want         outcome
	}{
		{"a tunnel and its end", `ssh -M -S s -fN -L $2:127.0.0.1:$1 h; stat -c '%A' s; talk $2 'hi\n' 3
			ssh -S s -O check anything 2>&1 | sed 's/pid=[0-9]*/pid=N/'; ssh -S s -O exit h 2>&1; ls; closed $2 && echo closed`,
			outcome{"srw-------\n68690a\nMaster running (pid=N)\r\nExit request sent.\r\nclosed\n", "", 0}},
		{"a process that holds it", `ssh -M -S s -fN -L $2:127.0.0.1:$1 h; p=$(master)
			ps -o comm= -o args= -p $p; kill $p; until_ gone $p; ls; closed $2 && echo closed; ssh -S s -O check h`,
			outcome{"ssh             ssh -M -S s -fN -L FREE:127.0.0.1:ECHO h\nclosed\n", "Control socket connect(s): No such file or directory\r\n", 255}},
		{"its death", `ssh -M -S s -fN -L $2:127.0.0.1:$1 h; kill -9 $(master); until_ test ! -e s; until_ closed $2; echo $?`,
			outcome{"0\n", "", 0}},
		{"without a control socket", `ssh -fN -L $2:127.0.0.1:$1 h; p=$(pgrep -f "^[^ ]*ssh -fN -L $2:"); kill $p; until_ gone $p; closed $2; echo $?`,
			outcome{"0\n", "", 0}},
		{"the status of those in the foreground", `for s in TERM HUP; do ssh -M -S s -N h & p=$!; until_ test -S s; kill -$s $p; wait $p; echo $?; done
			ssh -M -S s -N h & p=$!; until_ test -S s; ssh -q -S s -O exit h; wait $p; echo $?`,
			outcome{"0\n255\n255\n", "ssh: killed by signal 1\r\n", 0}},
		{"forward and cancel", `ssh -M -S s -fN h; ssh -S s -O forward -L $2:127.0.0.1:$1 h; talk $2 'hi\n' 3
			p=$(ssh -S s -O forward -R 0:127.0.0.1:$1 h); talk $p 'ho\n' 3; test "$p" = "$(ssh -S s -O forward -R 0:127.0.0.1:$1 h)" && echo same
			ssh -S s -O cancel -L $2:127.0.0.1:$1 -R 0:127.0.0.1:$1 h; closed $2 && closed $p && echo closed
			ssh -S s -O cancel -L $2:127.0.0.1:$1 h; echo $?; ssh -q -S s -O exit h`,
			outcome{"68690a\n686f0a\nsame\nclosed\n0\n",
				"mux_client_forward: forwarding request failed: port not forwarded\r\nmuxclient: master cancel forward request failed\r\n", 0}},
		{"a connection through what is cancelled", `ssh -M -S s -fN -L $2:127.0.0.1:$1 h; exec 3<>/dev/tcp/127.0.0.1/$2; echo a >&3; head -n 1 <&3
			ssh -S s -O cancel -L $2:127.0.0.1:$1 h; closed $2; echo b >&3; head -n 1 <&3; exec 3>&-; ssh -q -S s -O exit h`, outcome{"a\nb\n", "", 0}},
		{"forward of what can't be", `ssh -M -S s -fN h; ssh -S s -O forward -R /nonexistent/x:h:1 h 2>e; echo $?; sed 's/x: .*/x/' e; ssh -q -S s -O exit h`,
			outcome{"255\nmux_client_forward: forwarding request failed: remote port forwarding failed for listen path /nonexistent/x\nmuxclient: master forward request failed\r\n", "", 0}},
		{"stop", `ssh -M -S s -fN -L $2:127.0.0.1:$1 h; p=$(master); exec 3<>/dev/tcp/127.0.0.1/$2; ssh -S s -O stop h 2>&1; ls; echo a >&3; head -n 1 <&3
			talk $2 'hi\n' 3; exec 3>&-; until_ gone $p; closed $2 && echo closed`, outcome{"Stop listening request sent.\r\na\n68690a\nclosed\n", "", 0}},
		{"stop of one with a command", `ssh -M -S s h 'read x; exit 3' < <(until_ test -S s; ssh -q -S s -O stop h; ls >&2; echo) ; echo $?`, outcome{"3\n", "", 0}},
		{"one that persists", `ssh -oControlMaster=auto -oControlPath=s -oControlPersist=yes h 'exit 4'; echo $?; stat -c %F s; p=$(master)
			ssh -oControlMaster=auto -oControlPath=s -oControlPersist=yes -L $2:127.0.0.1:$1 nonsense 'echo shared'; test $p = $(master) && talk $2 'hi\n' 3; ssh -q -S s -O exit h; until_ gone $p`,
			outcome{"4\nsocket\nshared\n68690a\n", "", 0}},
		{"one that persists for a time", `ssh -oControlMaster=auto -oControlPersist=1 -S s h "stat -c %F $3/s"; until_ test ! -e s; ls`, outcome{"socket\n", "", 0}},
		{"one that persists without a command", `ssh -oControlMaster=auto -oControlPersist=yes -S s -N h; echo $?; p=$(master); ssh -q -S s -O stop h; until_ gone $p; ls`, outcome{"0\n", "", 0}},
		{"the forwardings of one who shares it", `ssh -M -S s -fN h; ssh -S s -fN -L $2:127.0.0.1:$1 h; echo $?; talk $2 'hi\n' 3; ssh -q -S s -O exit h; closed $2; echo $?`,
			outcome{"0\n68690a\n0\n", "", 0}},
		{"the master waits for those who share it", `mkfifo f g; exec 8<>f 9<>g; ssh -M -S s h 'read x; echo over; exit 3' <f >o & p=$!; until_ test -S s
			ssh -S s h 'echo shares; read x; exit 6' <g >r & q=$!; until_ test -s r; echo >&8; until_ test -s o; ssh -S s h echo another; kill -0 $p; echo >&9; wait $q; echo $?; wait $p; echo $?; ls -F`,
			outcome{"another\n6\n3\nf|\ng|\no\nr\n", "", 0}},
		{"those who share one that is told to exit", `ssh -M -S s -fN h; ssh -S s h 'echo ready; exec sleep 1000' >o & q=$!; until_ test -s o; ssh -q -S s -O exit h; wait $q; echo $?`,
			outcome{"255\n", "", 0}},
		{"two of the same path", `ssh -M -S s -fN h; p=$(master); ssh -M -S s h echo alone; test $p = $(master); ssh -q -S s -O exit h`,
			outcome{"alone\n", "ControlSocket s already exists, disabling multiplexing\r\n", 0}},
		{"a stale socket", `python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("s")'; ssh -S s -O check h; ssh -M -S s -fN h; ssh -S s -O exit h 2>&1`,
			outcome{"Exit request sent.\r\n", "Control socket connect(s): Connection refused\r\n", 0}},
		{"a file in its place", `echo x >s; ssh -oControlMaster=auto -S s h "cat $3/s"; ssh -S s -O check h`,
			outcome{"x\n", "Control socket connect(s): Connection refused\r\n", 255}},
		{"many at once", `for i in $(seq 20); do ssh -oControlMaster=auto -S s h "echo $i; exit $i" >o$i || echo $? >s$i & done; wait
			for i in $(seq 20); do test $(cat o$i) = $i && test $(cat s$i) = $i || echo wrong: $i; done; test ! -e s; echo $?`, outcome{"0\n", "", 0}},
		{"two names of a directory", `mkdir d; ln -s d e; ssh -M -S d/s -fN h; cd e; ssh -S s -O exit h 2>&1; ls`, outcome{"Exit request sent.\r\n", "", 0}},
		{"a path of tokens", `ssh -M -S './%r@%n:%p-%%' -l me -fN h; ls; ssh -S "$PWD/me@h:22-%%" -O exit h 2>&1; ssh -M -S '%Z' h true`,
			outcome{"me@h:22-%\nExit request sent.\r\n", "vdollar_percent_expand: unknown key %Z\r\n", 255}},
		{"no place for a socket", `ssh -M -S /nonexistent/s h true`, outcome{"", "unix_listener: cannot bind to path /nonexistent/s: No such file or directory\r\n", 255}},
		{"no path", `ssh -O check h; ssh -S none -O exit h`, outcome{"", strings.Repeat("No ControlPath specified for \"-O\" command\r\n", 2), 255}},
		{"who waits for the output does not wait for the tunnel", `echo $(ssh -M -S s -fN h; echo out) | cat; ssh -q -S s -O exit h`, outcome{"out\n", "", 0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			free := freePort(t)
			got := doIn(t, "bash", hosts, tunnels+`cd "$3"; `+c.script, port, free, t.TempDir())
			got.out = strings.NewReplacer(":"+port, ":ECHO", free+":", "FREE:").Replace(got.out)
			if got != c.want {
				t.Errorf("%+v, not %+v", got, c.want)
			}
		})
	}
}

// When the program closes the way, tunnels and masters end, and their sockets are gone.
func TestTunnelsEndWithTheProgram(t *testing.T) {
	runtimeDir(t)
	p, err := fakessh.Open(t.Context(), fakessh.Hosts{Default: child(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	dir, free := t.TempDir(), freePort(t)
	cmd := exec.Command("bash", "-c", tunnels+`ssh -M -S s -fN -L $2:127.0.0.1:$1 -L $PWD/l:127.0.0.1:$1 h; master`, "sh", echoServer(t), free)
	cmd.Env, cmd.Dir = p.Environ(os.Environ()), dir
	out, err := cmd.Output()
	pid, numErr := strconv.Atoi(strings.TrimSpace(string(out)))
	if err != nil || numErr != nil {
		t.Fatalf("the script prints %q (error: %v), want the PID of the ssh master", out, err)
	}
	conn, err := net.Dial("tcp", "127.0.0.1:"+free)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if b, err := io.ReadAll(conn); len(b) > 0 {
		t.Errorf("the tunnel still brings %q (error: %v), want its end", b, err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	eventually(t, "the process in the background has ended", func() bool { return runsNoMore(pid) })
}

// runsNoMore reports whether a process runs no more, even if nobody has waited for it.
func runsNoMore(pid int) bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(status), ") Z ")
}

func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !f(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// lingering is a call of ssh whose command has ended, and a connection through its
// forwarding.
type lingering struct {
	*exec.Cmd
	port string
	conn net.Conn
}

// linger starts one, whose command has status 7.
func linger(t *testing.T, p *fakessh.Proxy, option string) *lingering {
	t.Helper()
	port := freePort(t)
	cmd := exec.Command(p.Path(), option, port+":127.0.0.1:"+echoServer(t), "h", "echo $$; read x; exit 7")
	cmd.Env = p.Environ(os.Environ())
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	line, err := bufio.NewReader(out).ReadString('\n')
	pid, numErr := strconv.Atoi(strings.TrimSpace(line))
	if err != nil || numErr != nil {
		t.Fatalf("the command prints %q (error: %v), want its PID", line, err)
	}
	l := &lingering{Cmd: cmd, port: port}
	l.conn = l.dial(t)
	if _, err := io.WriteString(in, "\n"); err != nil {
		t.Fatal(err)
	}
	in.Close()
	eventually(t, "the command has ended", func() bool { return runsNoMore(pid) })
	return l
}

func (l *lingering) dial(t *testing.T) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", "127.0.0.1:"+l.port)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	echoes(t, conn)
	return conn
}

func echoes(t *testing.T, conn net.Conn) {
	t.Helper()
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 5)
	if _, err := io.WriteString(conn, "hello"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, b); err != nil || string(b) != "hello" {
		t.Fatalf("the echo is %q (error: %v), want hello", b, err)
	}
}

// The end of a command does not cut the connections through its forwardings, and takes
// new ones as long as there are any.
func TestConnectionsOutliveTheCommand(t *testing.T) {
	runtimeDir(t)
	p, err := fakessh.Open(t.Context(), fakessh.Hosts{Default: child(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for _, option := range []string{"-L", "-R"} {
		l := linger(t, p, option)
		echoes(t, l.conn)
		second := l.dial(t)
		l.conn.Close()
		echoes(t, second)
		third := l.dial(t)
		second.Close()
		third.Close()
		_ = l.Wait()
		if got := l.ProcessState.ExitCode(); got != 7 {
			t.Errorf("%s: status %d, not that of the command", option, got)
		}
		if conn, err := net.Dial("tcp", "127.0.0.1:"+l.port); err == nil {
			conn.Close()
			t.Errorf("%s: it still listens", option)
		}
		for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGKILL} {
			l := linger(t, p, option)
			if err := l.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			_ = l.Wait()
			// Before the program has heard of the command's end the status is the command's.
			if got := l.ProcessState.ExitCode(); sig != syscall.SIGKILL && got != 255 && got != 7 {
				t.Errorf("%s, %v: status %d", option, sig, got)
			}
			if b, _ := io.ReadAll(l.conn); len(b) > 0 {
				t.Errorf("%s, %v: the connection still brings %q, want its end", option, sig, b)
			}
		}
	}
}

// A client of SOCKS that has not said where to does not hold up the end: ssh counts channels.
func TestHalfAClientOfSOCKSOutlivesNoCommand(t *testing.T) {
	runtimeDir(t)
	p, err := fakessh.Open(t.Context(), fakessh.Hosts{Default: child(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	port := freePort(t)
	cmd := exec.Command(p.Path(), "-D", port, "h", "read x; exit 7")
	cmd.Env = p.Environ(os.Environ())
	in, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	var conn net.Conn
	eventually(t, "it listens", func() bool {
		conn, err = net.Dial("tcp", "127.0.0.1:"+port)
		return err == nil
	})
	defer conn.Close()
	if _, err := conn.Write([]byte{5}); err != nil {
		t.Fatal(err)
	}
	in.Close()
	began := time.Now()
	_ = cmd.Wait()
	if got, took := cmd.ProcessState.ExitCode(), time.Since(began); got != 7 || took > 20*time.Second {
		t.Errorf("it ended with status %d after %v, want 7 before the time of the client's request is over, which is 30 s", got, took)
	}
}

// As in the background: what is said through a forwarding may take longer than the command.
func TestConnectionsOutliveTheCommandInTheBackground(t *testing.T) {
	runtimeDir(t)
	got := doIn(t, "bash", fakessh.Hosts{Default: child(t)}, tunnels+`cd "$3"
		mkfifo f; exec 9<>f; ssh -f -L $2:127.0.0.1:$1 h "echo \$\$ >$3/pid; read x <$3/f"
		exec 3<>/dev/tcp/127.0.0.1/$2; echo a >&3; head -n 1 <&3; until_ test -s pid; echo >&9; until_ gone $(cat pid)
		echo b >&3; head -n 1 <&3; exec 3>&-; until_ closed $2`, echoServer(t), freePort(t), t.TempDir())
	if want := (outcome{"a\nb\n", "", 0}); got != want {
		t.Errorf("%+v, not %+v", got, want)
	}
}

// A socket that is taken by another program is left to it. Only if a real master is
// behind it the real ssh is asked, which would connect to the host otherwise.
func TestTheMasterOfSomebodyElse(t *testing.T) {
	runtimeDir(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "s")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	says := make(chan string, 1)
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, <-says)
			conn.Close()
		}
	}()
	bin := filepath.Join(dir, "bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(bin, "ssh"), []byte("#!/bin/sh\necho real \"$@\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	hosts := fakessh.Hosts{Default: child(t)}
	run := func(script string, want outcome) {
		t.Helper()
		if got := do(t, hosts, `PATH="${PATH%%:*}:$1:$PATH"; `+script, bin, path); got != want {
			t.Errorf("%+v, not %+v", got, want)
		}
	}
	says <- "\x00\x00\x00\x08\x00\x00\x00\x01\x00\x00\x00\x04"
	run(`ssh -S $2 -O check h`, outcome{"real -S " + path + " -O check h\n", "", 0})
	for _, text := range []string{"", "SSH-2.0-x\r\n", "\x00\x00\x00\x08\x00\x00\x00\x01\x00\x00\x00\x05"} {
		says <- text
		run(`ssh -S $2 -O exit h`, outcome{"", "Control socket connect(" + path + "): No master listens there\r\n", 255})
	}
	close(says)
	run(`ssh -oControlMaster=auto -S $2 h echo ours; ssh -M -S $2 h echo ours; test -S $2`,
		outcome{"ours\nours\n", "ControlSocket " + path + " already exists, disabling multiplexing\r\n", 0})
}

// The master is another program's, which does what is asked; a real ssh is told that it can't
// connect, and does not connect to the host.
func TestAMasterIsAskedByOthers(t *testing.T) {
	ssh, err := exec.LookPath("ssh")
	if err != nil {
		t.Fatal(err)
	}
	runtimeDir(t)
	hosts := fakessh.Hosts{Default: child(t)}
	other, err := fakessh.Open(t.Context(), fakessh.Hosts{})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	got := doIn(t, "bash", hosts, tunnels+`cd "$3"; theirs=$5; other() { MITOSIS_SSH=${theirs%/*}/socket "$theirs" -S s -O "$@" any; }
		ssh -M -S s -fN h; for c in check exit stop "forward -L $2:a:1" "cancel -L $2:a:1"; do "$4" -F none -S s -O $c h; echo $?; done
		other check 2>&1 | sed "s/$(master)/PID/"; other forward -L $2:127.0.0.1:$1; talk $2 'hi\n' 3; p=$(other forward -R 0:127.0.0.1:$1); talk $p 'ho\n' 3
		other cancel -L $2:127.0.0.1:$1; closed $2; other cancel -L $2:127.0.0.1:$1; echo $?; other forward -L /nonexistent/x:a:1 2>/dev/null; echo $?
		other exit 2>&1; echo $?; ls; closed $p && echo closed; other exit; echo $?`, echoServer(t), freePort(t), t.TempDir(), ssh, other.Path())
	want := outcome{
		strings.Repeat("255\n", 5) + "Master running (pid=PID)\r\n68690a\n686f0a\n0\n255\nExit request sent.\r\n0\nclosed\n255\n",
		strings.Repeat("Control socket connect(s): Protocol wrong type for socket\r\n", 5) +
			"mux_client_forward: forwarding request failed: port not forwarded\r\nmuxclient: master cancel forward request failed\r\n" +
			"Control socket connect(s): No such file or directory\r\n", 0}
	if got != want {
		t.Errorf("%+v, not\n%+v", got, want)
	}
}
