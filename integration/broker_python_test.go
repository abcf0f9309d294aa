//go:build linux

package integration

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/integration/lab"
)

// python is the interpreter of the machine, which all hosts of the lab have.
const python = "/usr/bin/python3"

// pythonClient is the directory of the client in Python and of its tests.
func pythonClient(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../clients/python")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// A brokerDesk is a host at which a user has a broker: testdata/broker.
type brokerDesk struct {
	*lab.Running
	socket string
	broker *lab.Cmd
	ended  chan error // gets the end of the broker
}

const brokerUser = "alice"

// newBrokerDesk makes a desk. web is the host that the broker's user reaches by ssh; nil: none.
func newBrokerDesk(t *testing.T, key lab.ClientKey, web *lab.Running, allow ...string) *brokerDesk {
	t.Helper()
	lab.Require(t)
	program := build(t, "broker")
	home := "/home/" + brokerUser
	h := lab.Host{
		Name:    "desk",
		Users:   []lab.User{{Name: brokerUser, Password: rightPassword}, {Name: "mallory"}},
		Sudoers: "Defaults timestamp_timeout=0\n" + brokerUser + " ALL=(ALL) ALL",
		Binds:   []string{program + ":ro", pythonClient(t) + ":ro"},
	}
	if web != nil {
		h.Files = map[string]string{home + "/.ssh/id_ed25519": key.Private, home + "/.ssh/known_hosts": web.KnownHosts()}
	}
	d := &brokerDesk{Running: start(t, h), socket: home + "/run/broker.sock", ended: make(chan error, 1)}
	d.broker = d.CommandAs(t.Context(), brokerUser, append([]string{program, d.socket}, allow...)...)
	var log strings.Builder
	d.broker.Stderr = &log
	out, err := d.broker.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.broker.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != d.socket+"\n" {
		t.Fatalf("the broker begins with %q, %v, want its socket", line, err)
	}
	go func() { d.ended <- d.broker.Wait() }()
	t.Cleanup(func() {
		_ = d.broker.Process.Kill()
		if t.Failed() {
			text := log.String() // the host's end has waited for it
			t.Logf("the broker's log: %s", text[max(0, len(text)-2<<10):])
		}
	})
	return d
}

// try runs a file of tests of the client.
func (d *brokerDesk) try(t *testing.T, file string, env ...string) {
	t.Helper()
	cmd := d.CommandAs(t.Context(), brokerUser, python, "-X", "faulthandler", "-m", "unittest", "-v", strings.TrimSuffix(file, ".py"))
	cmd.Dir = pythonClient(t)
	cmd.Env = append(cmd.Env, "PYTHONDONTWRITEBYTECODE=1", "MITOSIS_BROKER_SOCKET="+d.socket, "MITOSIS_BROKER_FUNCTIONS=yes",
		fmt.Sprintf("MITOSIS_BROKER_SLACK=%.1f", stretched(time.Second).Seconds()))
	if testing.Short() {
		cmd.Env = append(cmd.Env, fmt.Sprint("MITOSIS_BROKER_BULK=", 256<<20))
	}
	cmd.Env = append(cmd.Env, env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("the tests ended with %v:\n%s", err, out)
	}
	ran := 0
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, "Ran ") || strings.Contains(line, " MiB") {
			t.Log(strings.TrimSpace(line))
		}
		_, _ = fmt.Sscanf(line, "Ran %d tests", &ran)
	}
	if ran < 5 || strings.Contains(string(out), "skipped") {
		t.Fatalf("%d tests ran, want all:\n%s", ran, out)
	}
}

// stop has the client end the broker, and checks that nothing of it is left.
func (d *brokerDesk) stop(t *testing.T) {
	t.Helper()
	script := "import sys; from mitosis_broker import Broker; Broker(sys.argv[1]).stop()"
	cmd := d.CommandAs(t.Context(), brokerUser, python, "-c", script, d.socket)
	cmd.Dir = pythonClient(t)
	cmd.Env = append(cmd.Env, "PYTHONDONTWRITEBYTECODE=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("stop ended with %v: %s", err, out)
	}
	select {
	case err := <-d.ended:
		if err != nil {
			t.Errorf("the broker ended with %v, want 0", err)
		}
	case <-time.After(patience):
		t.Fatal("the broker was told to end, and goes on")
	}
	eventually(t, 5*time.Second, "no process is left", func() bool { return len(d.Processes()) == 0 })
	if out, err := d.Exec(t.Context(), "ls", "-A", filepath.Dir(d.socket)); err != nil || out != "broker.lock\n" {
		t.Errorf("the directory of the socket has %q, %v, want the lock alone", out, err)
	}
}

// The client in Python has its own tests, and does not need more than the interpreter.
func TestPythonClient(t *testing.T) {
	t.Parallel()
	d := newBrokerDesk(t, lab.ClientKey{}, nil)
	for _, file := range []string{"test_mitosis_broker.py", "test_files.py", "test_network.py", "test_load.py"} {
		t.Run(file, func(t *testing.T) { d.try(t, file) })
	}
	t.Run("test_prompts.py", func(t *testing.T) {
		d.try(t, "test_prompts.py", "MITOSIS_BROKER_SUDO=sudo", "MITOSIS_BROKER_PASSWORD="+rightPassword)
	})
	d.stop(t)
}

// Clients that break the protocol harm nobody, and those of other users are refused even where the
// socket is open to all.
func TestHostileClientsOfABroker(t *testing.T) {
	t.Parallel()
	d := newBrokerDesk(t, lab.ClientKey{}, nil)
	d.try(t, "test_hostile.py")
	if _, err := d.Exec(t.Context(), "chmod", "-R", "a+rwx", "/home/"+brokerUser); err != nil {
		t.Fatal(err)
	}
	script := `
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.settimeout(60)
s.connect(sys.argv[1])
try: s.sendall(b"\0\0\0\x23\0\0\0\0" + b'{"mitosis":"client","version":1   }' + b"\0\0\0\x0f\0\0\0\0" + b'{"op":"status"}')
except ConnectionError: pass
try: print(s.recv(100))
except ConnectionError: print(b"")
`
	for user, answered := range map[string]bool{brokerUser: true, "mallory": false, "root": false} {
		out, err := d.ExecAs(t.Context(), user, python, "-c", script, d.socket)
		if err != nil || answered != strings.Contains(out, "mitosis") || !answered && out != "b''\n" {
			t.Errorf("%s gets %q, %v, want an answer: %v", user, out, err, answered)
		}
	}
	d.stop(t)
}

// The first command of README.md finds the broker that a user starts.
func TestPythonClientFindsTheBroker(t *testing.T) {
	t.Parallel()
	lab.Require(t)
	program, client := buildProgram(t), pythonClient(t)
	readme, err := os.ReadFile(filepath.Join(client, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, code, _ := strings.Cut(string(readme), "```python\n")
	code, _, _ = strings.Cut(code, "```")
	shown := `"ssh:deploy@web1/sudo", ["systemctl", "is-active", "nginx"]`
	if !strings.Contains(code, shown) || strings.Count(code, "\n") > 6 {
		t.Fatalf("the first command of README.md is %q, want one of a few lines with %s", code, shown)
	}
	code = strings.Replace(code, shown, `"local/local", ["sh", "-c", "echo here; exit 3"]`, 1)
	desk := start(t, lab.Host{Name: "desk", Users: []lab.User{{Name: brokerUser}}, Binds: []string{program + ":ro", client + ":ro"}})
	as := func(argv ...string) result {
		cmd := desk.CommandAs(t.Context(), brokerUser, argv...)
		cmd.Dir = client
		return finish(t, cmd)
	}
	if r := as(python, "-B", "-c", code); r.status != 1 || !strings.Contains(r.err, "`mitosis broker start` starts one") {
		t.Errorf("without a broker the command ended with %+v, want the way to start one", r)
	}
	if r := as(program, "broker", "start"); r.status != 0 {
		t.Fatalf("the start ended with %+v", r)
	}
	if r := as(python, "-B", "-c", code); r != (result{out: "3 here\n\n"}) {
		t.Errorf("the command ended with %+v, want 3 here", r)
	}
	if r := as(program, "broker", "stop"); r.status != 0 {
		t.Errorf("the stop ended with %+v", r)
	}
	eventually(t, 5*time.Second, "no process is left", func() bool { return len(desk.Processes()) == 0 })
}

// The same with a host behind ssh.
func TestPythonClientOverSSH(t *testing.T) {
	t.Parallel()
	lab.Require(t)
	key := lab.NewClientKey(t)
	web := start(t, lab.Host{Name: "web1", Users: []lab.User{{Name: brokerUser, Keys: []string{key.Authorized}}}, SSHD: &lab.SSHD{}})
	before := look(web)
	d := newBrokerDesk(t, key, web)
	path := "MITOSIS_BROKER_PATH=ssh:" + web.Addr()
	for _, file := range []string{"test_mitosis_broker.py", "test_files.py", "test_network.py"} {
		t.Run(file, func(t *testing.T) { d.try(t, file, path) })
	}
	d.stop(t)
	before.restored(t, patience)
}

// A broker that dies takes all with it, and its clients get an error at once.
func TestPythonClientOfADeadBroker(t *testing.T) {
	t.Parallel()
	d := newBrokerDesk(t, lab.ClientKey{}, nil)
	script := `
import sys
from mitosis_broker import *
broker = Broker(sys.argv[1])
process = broker.popen("local", ["sleep", "1000"])
print("ready", flush=True)
try: process.wait()
except Gone as e: print(e.kind, flush=True)
try: broker.status()
except NoBroker as e: print(e.kind, flush=True)
`
	cmd := d.CommandAs(t.Context(), brokerUser, python, "-B", "-c", script, d.socket)
	cmd.Dir = pythonClient(t)
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	out := bufio.NewScanner(pipe)
	if !out.Scan() || out.Text() != "ready" {
		t.Fatalf("the client begins with %q, want that its command runs", out.Text())
	}
	if err := d.broker.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for _, want := range []string{"gone", "no_broker"} {
		if !out.Scan() || out.Text() != want {
			t.Fatalf("the client says %q, want an error of kind %s", out.Text(), want)
		}
	}
	if d, limit := time.Since(began), stretched(time.Second); d > limit {
		t.Errorf("the client learned of the broker's end after %v, want at most %v", d, limit)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the client ended with %v", err)
	}
	eventually(t, 5*time.Second, "no process is left", func() bool { return len(d.Processes()) == 0 })
}
