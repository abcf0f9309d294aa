//go:build linux

package integration

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/mitosis-go/mitosis/contexts/broker"
	"github.com/mitosis-go/mitosis/integration/lab"
)

// brokerEnv is the environment at the desk of a user with a broker.
var brokerEnv = []string{"XDG_RUNTIME_DIR=/run/desk", "XDG_STATE_HOME=/run/desk/state"}

// byBroker returns a command at the desk that goes by the broker.
func (o *office) byBroker(ctx context.Context, args ...string) *lab.Cmd {
	argv := append([]string{"env"}, brokerEnv...)
	return o.desk.Command(ctx, append(append(argv, o.program), args...)...)
}

// startBroker starts a broker at the desk, which ends with the test.
func (o *office) startBroker(t *testing.T, options ...string) {
	t.Helper()
	if r := finish(t, o.byBroker(t.Context(), append([]string{"broker", "start"}, options...)...)); r.status != 0 || r.out != "/run/desk/mitosis/broker.sock\n" {
		t.Fatalf("the start of a broker ended with %+v, want the path of its socket", r)
	}
	t.Cleanup(func() {
		if r := finish(t, o.byBroker(context.Background(), "broker", "stop")); r.status != 0 && !strings.Contains(r.err, broker.ErrNotRunning.Error()) {
			t.Errorf("stopping the broker ended with %+v", r)
		}
	})
}

// brokerStatus asks the broker at the desk what it holds.
func (o *office) brokerStatus(t *testing.T) *broker.Status {
	t.Helper()
	r := finish(t, o.byBroker(t.Context(), "broker", "status", "--json"))
	s := new(broker.Status)
	if err := json.Unmarshal([]byte(r.out), s); err != nil || r.status != 0 {
		t.Fatalf("the status is %+v, %v", r, err)
	}
	return s
}

// memoryOf returns the resident memory of a process at a host, in bytes, and its open files.
func memoryOf(t *testing.T, host *lab.Running, pid int) (resident, files int) {
	t.Helper()
	out, err := host.Shell(fmt.Sprintf("grep VmRSS /proc/%d/status | tr -dc '0-9\\n'; ls /proc/%d/fd | wc -l", pid, pid))
	words := strings.Fields(out)
	if err != nil || len(words) != 2 {
		t.Fatalf("the memory of process %d: %q, %v", pid, out, err)
	}
	resident, _ = strconv.Atoi(words[0])
	files, _ = strconv.Atoi(words[1])
	return resident << 10, files
}

// A broker serves call after call and many at once over few connections, and does not grow by that.
func TestBrokerServesManyCalls(t *testing.T) {
	t.Parallel()
	o := newOffice(t, nil)
	before := look(o.web)
	o.startBroker(t)
	call := func(i int) {
		want := fmt.Sprintf("call %d\n", i)
		if r := finish(t, o.byBroker(t.Context(), "run", o.path+"/sudo", "--", "printf", "call %s\\n", strconv.Itoa(i))); r.status != 0 || r.out != want || r.err != "" {
			t.Errorf("call %d ended with %+v, want %q and nothing else", i, r, want)
		}
	}
	total := 1000
	if testing.Short() {
		total = 100
	}
	for i := range total / 2 {
		call(i)
	}
	pid := o.brokerStatus(t).PID
	memory, files := memoryOf(t, o.desk, pid)
	for i := range total / 2 {
		call(total/2 + i)
	}
	s := o.brokerStatus(t)
	if len(s.Connections) != 2 || s.Connections[1].Leases < total || s.Uses != 0 || s.PID != pid {
		t.Errorf("after %d calls the broker holds %+v, want one connection to the host and one for root there, and no use", total, s)
	}
	nowMemory, nowFiles := memoryOf(t, o.desk, pid)
	if nowMemory > memory+8<<20 || nowFiles > files {
		t.Errorf("in the second half of %d calls the broker grew from %d to %d bytes and from %d to %d files, want no growth", total, memory, nowMemory, files, nowFiles)
	}
	var all sync.WaitGroup
	for i := range 64 {
		all.Go(func() { call(i) })
	}
	all.Wait()
	if s := o.brokerStatus(t); s.Uses != 0 || len(s.Connections) > 8 {
		t.Errorf("after 64 calls at once the broker holds %+v, want at most 4 connections to each end and no use", s)
	}
	if err := schema(t, "broker-status.json").Validate(o.rawStatus(t)); err != nil {
		t.Error(err)
	}
	if r := finish(t, o.byBroker(t.Context(), "broker", "stop")); r.status != 0 {
		t.Errorf("the stop ended with %+v", r)
	}
	before.restored(t, patience)
	if r := finish(t, o.byBroker(t.Context(), "broker", "status")); r.status != 1 || !strings.Contains(r.err, broker.ErrNotRunning.Error()) {
		t.Errorf("the status of a broker that was stopped is %+v, want an error", r)
	}
}

// rawStatus is the status as JSON.
func (o *office) rawStatus(t *testing.T) any {
	t.Helper()
	r := finish(t, o.byBroker(t.Context(), "broker", "status", "--json"))
	v, err := jsonschema.UnmarshalJSON(strings.NewReader(r.out))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// begin starts a command that prints a line when it runs at the far side, and waits for the line.
func begin(t *testing.T, cmd *lab.Cmd) (line string) {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	line, err = bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the command said %q and ended: %v", line, err)
	}
	return strings.TrimSpace(line)
}

// Clients are killed at random moments. What each has started ends within a second, and nothing
// happens to the broker and to the others.
func TestClientsOfABrokerAreKilled(t *testing.T) {
	t.Parallel()
	o := newOffice(t, nil)
	before := look(o.web)
	o.startBroker(t)
	var other strings.Builder
	lasting := o.byBroker(t.Context(), "run", o.path, "--", "sh", "-c", "read line; echo $line")
	in, err := lasting.StdinPipe()
	lasting.Stdout = &other
	if err == nil {
		err = lasting.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, patience, "the lasting command runs", func() bool {
		return slices.ContainsFunc(o.web.Processes(), func(p lab.Proc) bool { return len(p.Cmdline) == 3 && strings.HasPrefix(p.Cmdline[2], "read line") })
	})
	status := o.brokerStatus(t)
	with := look(o.web)
	rounds := 200
	if testing.Short() {
		rounds = 30
	}
	for i := range rounds {
		cmd := o.byBroker(t.Context(), "run", o.path, "--", "sh", "-c", "sleep 987 & exec sleep 987")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// Any moment of its first 30 ms, in which most of what can be cut off happens.
		<-time.After(time.Duration(rand.IntN(30_000)) * time.Microsecond)
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		with.quiet(t, time.Second)
		if t.Failed() {
			t.Fatalf("in round %d", i)
		}
	}
	eventually(t, time.Second, "only the lasting command uses the broker", func() bool { return o.brokerStatus(t).Uses == status.Uses })
	if now := o.brokerStatus(t); now.PID != status.PID || len(now.Connections) != 1 {
		t.Errorf("the broker was process %d and is %d with the connections %+v, want the same process and one connection", status.PID, now.PID, now.Connections)
	}
	fmt.Fprintln(in, "still here")
	if err := lasting.Wait(); err != nil || other.String() != "still here\n" {
		t.Errorf("the command of another client ended with %q, %v, want it unharmed", other.String(), err)
	}
	finish(t, o.byBroker(t.Context(), "broker", "stop"))
	before.restored(t, patience)
}

// A broker that is killed leaves nothing at the hosts, its clients say what has happened, and the
// next call that wants one starts another.
func TestBrokerIsKilled(t *testing.T) {
	t.Parallel()
	o := newOffice(t, nil)
	before := look(o.web)
	o.startBroker(t)
	cmd := o.byBroker(t.Context(), "run", o.path+"/sudo", "--", "sh", "-c", "echo runs; exec sleep 987")
	var errOut strings.Builder
	cmd.Stderr = &errOut
	begin(t, cmd)
	pid := o.brokerStatus(t).PID
	kill(t, o.desk, syscall.SIGKILL, pid)
	ended := time.Now()
	if status := shellStatus(t, cmd.Wait()); status != 255 || !strings.Contains(errOut.String(), "the broker has ended") {
		t.Errorf("the client ended with status %d and %q, want 255 and that the broker has ended", status, errOut.String())
	}
	if took := time.Since(ended); took > stretched(time.Second) {
		t.Errorf("the client ended %v after its broker, want at once", took)
	}
	before.quiet(t, 5*time.Second)
	if r := finish(t, o.byBroker(t.Context(), "run", o.path, "--", "echo", "direct")); r.status != 0 || r.out != "direct\n" {
		t.Errorf("without a broker a call ended with %+v, want it to connect by itself", r)
	}
	if r := finish(t, o.byBroker(t.Context(), "run", "--broker", o.path, "--", "echo", "by another")); r.status != 0 || r.out != "by another\n" {
		t.Errorf("a call that wants a broker ended with %+v, want it to start one", r)
	}
	if s := o.brokerStatus(t); s.PID == pid || len(s.Connections) != 1 {
		t.Errorf("the next broker is %+v, want another process with one connection", s)
	}
	finish(t, o.byBroker(t.Context(), "broker", "stop"))
	before.restored(t, patience)
}

// Calls that want a broker at the same time end up with one.
func TestBrokersThatStartAtOnceAreOne(t *testing.T) {
	t.Parallel()
	o := newOffice(t, nil)
	before := look(o.web)
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			if r := finish(t, o.byBroker(t.Context(), "run", "--broker", o.path, "--", "echo", "hi")); r.status != 0 || r.out != "hi\n" {
				t.Errorf("one of 16 calls ended with %+v, want hi", r)
			}
		})
	}
	all.Wait()
	serving := 0
	for _, p := range o.desk.Processes() {
		if len(p.Cmdline) > 2 && p.Cmdline[1] == "broker" && p.Cmdline[2] == "serve" {
			serving++
		}
	}
	if serving != 1 {
		t.Errorf("%d brokers serve, want one", serving)
	}
	finish(t, o.byBroker(t.Context(), "broker", "stop"))
	before.restored(t, patience)
}

// A host that goes away and comes back is connected again by the next call, and each call that can't
// be done says why.
func TestBrokerConnectsAgain(t *testing.T) {
	t.Parallel()
	o := newOffice(t, nil)
	o.startBroker(t, "--per-host=1")
	works := func(when string) {
		t.Helper()
		if r := finish(t, o.byBroker(t.Context(), "run", o.path, "--", "echo", "here")); r.status != 0 || r.out != "here\n" {
			t.Fatalf("%s a call ended with %+v, want here", when, r)
		}
	}
	fails := func(when, message string, status int, options ...string) {
		t.Helper()
		args := append(append([]string{"run"}, options...), o.path, "--", "echo", "here")
		if r := finish(t, o.byBroker(t.Context(), args...)); r.status != status || !strings.Contains(r.err, message) || r.out != "" {
			t.Fatalf("%s a call ended with %+v, want status %d and %q", when, r, status, message)
		}
	}
	works("at first")

	// The process at the host is killed while a command runs.
	cmd := o.byBroker(t.Context(), "run", o.path, "--", "sh", "-c", "echo runs; exec sleep 987")
	var errOut strings.Builder
	cmd.Stderr = &errOut
	begin(t, cmd)
	kill(t, o.web, syscall.SIGKILL, o.brokerStatus(t).Connections[0].PID)
	if status := shellStatus(t, cmd.Wait()); status != 255 || !strings.Contains(errOut.String(), "gone") {
		t.Errorf("the command ended with status %d and %q, want 255 and that the context is gone", status, errOut.String())
	}
	works("after the death of the process at the host")

	// The server is restarted: its processes end, and its connections with them.
	for _, p := range o.web.Processes() {
		if p.Comm == "sshd" && len(p.Cmdline) > 0 && strings.Contains(p.Cmdline[0], "deploy") {
			_ = o.web.Kill(p.PID, syscall.SIGTERM)
		}
	}
	eventually(t, patience, "the connection is noticed to be lost", func() bool { return len(o.brokerStatus(t).Connections) == 0 })
	works("after the server's processes were ended")

	// Nobody answers for a while, as of a laptop that sleeps.
	if err := o.web.Cut(); err != nil {
		t.Fatal(err)
	}
	fails("with the link cut,", "", 124, "--timeout=3s")
	if err := o.web.Heal(); err != nil {
		t.Fatal(err)
	}
	works("when the link is there again,")

	// The host has another key than it had.
	other := lab.NewClientKey(t)
	host, _, _ := strings.Cut(strings.TrimSpace(o.web.KnownHosts()), " ")
	changed := fmt.Sprintf("%s %s\n", host, strings.TrimSpace(other.Authorized))
	if _, err := o.desk.Shell("cp /root/.ssh/known_hosts /root/.ssh/kept && printf '%s' '" + changed + "' >/root/.ssh/known_hosts"); err != nil {
		t.Fatal(err)
	}
	works("over the connection that stands, whatever known_hosts says now,")
	if r := finish(t, o.byBroker(t.Context(), "broker", "reset", o.path)); r.status != 0 {
		t.Fatalf("the reset ended with %+v", r)
	}
	fails("with another key in known_hosts", "host key has changed", 255)
	if _, err := o.desk.Shell("mv /root/.ssh/kept /root/.ssh/known_hosts"); err != nil {
		t.Fatal(err)
	}
	works("with the right key again,")

	// The account is locked by an expired password.
	if _, err := o.web.Shell("chage -d 0 deploy"); err != nil {
		t.Fatal(err)
	}
	works("over the connection that stands, with a password that has expired,")
	finish(t, o.byBroker(t.Context(), "broker", "reset", o.path))
	fails("with a password that has expired,", "", 255)
	if _, err := o.web.Shell("chage -d 99999 deploy"); err != nil {
		t.Fatal(err)
	}
	works("with a password that is good again,")
}

// A user of another account can't use a broker, nor pass for one.
func TestBrokerIsOfOneUser(t *testing.T) {
	t.Parallel()
	lab.Require(t)
	program := buildProgram(t)
	desk := lab.Start(t, lab.Host{
		Name: "shared", Users: []lab.User{{Name: "alice"}, {Name: "mallory"}}, Binds: []string{program + ":ro"},
		Setup: []string{"mkdir -m 1777 /run/all", "install -d -o alice -m 700 /run/all/alice"},
	})
	as := func(user, dir string, args ...string) result {
		argv := []string{"env", "XDG_RUNTIME_DIR=" + dir, "XDG_STATE_HOME=/tmp/state-" + user, program}
		return finish(t, desk.CommandAs(t.Context(), user, append(argv, args...)...))
	}
	if r := as("alice", "/run/all/alice", "broker", "start"); r.status != 0 {
		t.Fatalf("the start ended with %+v", r)
	}
	for _, user := range []string{"mallory", "root"} {
		r := as(user, "/run/all/alice", "broker", "status")
		if r.status == 0 || strings.Contains(r.out, "socket") {
			t.Errorf("%s got the status of another user's broker: %+v, want an error", user, r)
		}
	}
	if r := as("mallory", "/run/all/alice", "broker", "start"); r.status == 0 {
		t.Errorf("mallory started a broker in another user's directory: %+v, want an error", r)
	}
	// A socket of mallory's at a place where alice looks.
	if r := as("mallory", "/run/all/mallory", "broker", "start"); r.status != 0 {
		t.Fatalf("the start ended with %+v", r)
	}
	if _, err := desk.Shell("chmod 777 /run/all/mallory /run/all/mallory/mitosis /run/all/mallory/mitosis/broker.sock"); err != nil {
		t.Fatal(err)
	}
	if r := as("alice", "/run/all/mallory", "broker", "status"); r.status == 0 || !strings.Contains(r.err, "another user's") {
		t.Errorf("alice used a broker of mallory's: %+v, want that it is another user's", r)
	}
	for user, dir := range map[string]string{"alice": "/run/all/alice", "mallory": "/run/all/mallory"} {
		if r := as(user, dir, "broker", "stop"); r.status != 0 {
			t.Errorf("the stop by %s ended with %+v", user, r)
		}
	}
}

// The broker ends when its user's directory for sockets is removed, as at a logout.
func TestBrokerEndsWithItsSocket(t *testing.T) {
	t.Parallel()
	o := newOffice(t, nil)
	before := look(o.web)
	o.startBroker(t)
	cmd := o.byBroker(t.Context(), "run", o.path, "--", "sh", "-c", "echo runs; exec sleep 987")
	begin(t, cmd)
	if _, err := o.desk.Shell("rm -r /run/desk/mitosis"); err != nil {
		t.Fatal(err)
	}
	if status := shellStatus(t, cmd.Wait()); status != 255 {
		t.Errorf("the client of a broker whose socket was removed ended with status %d, want 255", status)
	}
	before.restored(t, patience)
	log, err := o.desk.Shell("cat /run/desk/state/mitosis/broker.log")
	if err != nil || !strings.Contains(log, "its socket was removed") {
		t.Errorf("the broker's log is %q, %v, want it to say that the socket was removed", log, err)
	}
}
