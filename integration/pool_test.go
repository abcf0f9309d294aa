//go:build linux

package integration

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/pool"
	"github.com/mitosis-go/mitosis/contexts/retry"
	"github.com/mitosis-go/mitosis/integration/lab"
)

// poolOrders say what a process does with its pools; see TestActAsPoolUser.
type poolOrders struct {
	Path    string // of the host
	Calls   int    // of echo hello, each in the one lease of the shared pool
	Streams int    // of Bytes, each with a connection of its own
	Bytes   int
	AtOnce  int // calls of echo hello, all at the same time
	// Rounds of one call after the other, before those, by a lease and by `ssh -S Master`, in
	// turn. Without a Master it is only by a lease.
	Rounds int
	Master string
}

// poolReport is what became of them.
type poolReport struct {
	Order  []int    // of the calls, by their number
	Errors []string // of all
	// How long each took, with the wait for its lease.
	Calls, Streams, AtOnce, Leased, Multiplexed []time.Duration
	Most                                        int // connections to the host at once, as far as they were seen
}

const (
	poolVariable = "MITOSIS_TEST_POOL"
	poolAnswer   = "the report: "
)

// TestActAsPoolUser is no test. Others execute it on a host as one of several programs that have
// pools of their own.
func TestActAsPoolUser(t *testing.T) {
	text := os.Getenv(poolVariable)
	if text == "" {
		t.Skip("is executed by other tests")
	}
	var o poolOrders
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		t.Fatal(err)
	}
	self, err := contexts.Start(t.Context(), &contexts.Config{PackedDir: nothingKept})
	if err != nil {
		t.Fatal(err)
	}
	defer self.Close()
	ctx, cancel := context.WithTimeout(t.Context(), stretched(2*patience))
	defer cancel()
	u := &poolUser{ctx: ctx, orders: o}
	again := retry.Policy[string]{Attempts: 1000, Pause: 200 * time.Millisecond, MaxPause: 2 * time.Second}
	small := pool.New(self, &pool.Config{Uses: 1, PerHost: 2, Retry: again})
	u.callsAndStreams(small)
	u.note(small.Close())
	large := pool.New(self, &pool.Config{Uses: 8, Retry: again})
	u.inTurn(large)
	u.allAtOnce(large)
	u.note(large.Close())
	answer, err := json.Marshal(u.report)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("%s%s\n", poolAnswer, answer)
}

type poolUser struct {
	ctx    context.Context
	orders poolOrders

	mu     sync.Mutex
	report poolReport
}

// note keeps an error.
func (u *poolUser) note(err error) {
	if err != nil {
		u.mu.Lock()
		defer u.mu.Unlock()
		u.report.Errors = append(u.report.Errors, err.Error())
	}
}

// use runs a command by a lease. It keeps how long that took, and calls got once it has the lease.
func (u *poolUser) use(p *pool.Pool, took *[]time.Duration, got func(), size int, argv ...string) {
	began := time.Now()
	lease, err := p.Get(u.ctx, u.orders.Path)
	if err != nil {
		u.note(err)
		return
	}
	defer lease.Release()
	got()
	out, err := lease.Node().Command(u.ctx, argv[0], argv[1:]...).Output()
	if err == nil && len(out) != size {
		err = fmt.Errorf("%v has printed %d bytes, want %d", argv, len(out), size)
	}
	u.note(err)
	connections := 0
	for _, h := range p.Hosts() {
		connections += h.Connections
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	*took = append(*took, time.Since(began))
	u.report.Most = max(u.report.Most, connections)
}

func (u *poolUser) echo(p *pool.Pool, took *[]time.Duration, got func()) {
	u.use(p, took, got, len("hello\n"), "echo", "hello")
}

// callsAndStreams has calls wait in a line for one connection, and streams for another.
func (u *poolUser) callsAndStreams(shared *pool.Pool) {
	dedicated := shared.Named("dedicated", 1)
	var all sync.WaitGroup
	for range u.orders.Streams {
		all.Go(func() {
			u.use(dedicated, &u.report.Streams, func() {}, u.orders.Bytes, "head", "-c", fmt.Sprint(u.orders.Bytes), "/dev/zero")
		})
	}
	var first *pool.Lease
	for i := range u.orders.Calls {
		all.Go(func() {
			u.echo(shared, &u.report.Calls, func() {
				u.mu.Lock()
				defer u.mu.Unlock()
				u.report.Order = append(u.report.Order, i)
			})
		})
		if first == nil {
			// The others come while this one has the lease or waits for it.
			u.awaitWaiting(shared, 1)
		}
		u.awaitWaiting(shared, i+1)
	}
	all.Wait()
}

// awaitWaiting returns when so many have come to the line of the shared pool, served ones included.
func (u *poolUser) awaitWaiting(p *pool.Pool, n int) {
	for u.ctx.Err() == nil {
		come := 0
		for _, h := range p.Hosts() {
			come += h.Waiting[""]
		}
		for _, s := range p.Stats() {
			if s.Pool == "" {
				come += s.Leases
			}
		}
		if come >= n {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

func (u *poolUser) allAtOnce(p *pool.Pool) {
	var all sync.WaitGroup
	for range u.orders.AtOnce {
		all.Go(func() { u.echo(p, &u.report.AtOnce, func() {}) })
	}
	all.Wait()
}

// inTurn runs one command after the other, over the pool and over the master of ssh.
func (u *poolUser) inTurn(p *pool.Pool) {
	_, host, _ := strings.Cut(u.orders.Path, ":")
	for range u.orders.Rounds {
		u.echo(p, &u.report.Leased, func() {})
		if u.orders.Master == "" {
			continue
		}
		began := time.Now()
		out, err := exec.CommandContext(u.ctx, "ssh", "-S", u.orders.Master, host, "echo", "hello").Output()
		if err == nil && string(out) != "hello\n" {
			err = fmt.Errorf("ssh -S has printed %q, want hello", out)
		}
		u.note(err)
		u.report.Multiplexed = append(u.report.Multiplexed, time.Since(began))
	}
}

// startPoolUser executes TestActAsPoolUser on a host. The result waits for its report.
func startPoolUser(t testing.TB, host *lab.Running, o poolOrders) func() poolReport {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	cmd := host.CommandAs(t.Context(), "deploy", "/usr/bin/env", poolVariable+"="+string(text), binary, "-test.run=^TestActAsPoolUser$")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return func() (r poolReport) {
		t.Helper()
		err := cmd.Wait()
		_, answer, ok := strings.Cut(out.String(), poolAnswer)
		answer, _, _ = strings.Cut(answer, "\n")
		if !ok {
			err = errors.Join(err, errors.New("there is no report"))
		} else {
			err = errors.Join(err, json.Unmarshal([]byte(answer), &r))
		}
		if err != nil {
			t.Fatalf("the user of pools: %v: %s", err, out.String())
		}
		return r
	}
}

// poolStage starts a server and a client from which deploy logs in there.
func poolStage(t testing.TB, config ...string) (server, client *lab.Running) {
	t.Helper()
	key := lab.NewClientKey(t)
	server = lab.Start(t, lab.Host{
		Name: "server", SSHD: &lab.SSHD{Config: config},
		Users: []lab.User{{Name: "deploy", Keys: []string{key.Authorized}}},
	})
	client = lab.Start(t, lab.Host{
		Name: "client", Users: []lab.User{{Name: "deploy"}},
		Files: map[string]string{keyFile: key.Private, knownFile: server.KnownHosts()},
	})
	return server, client
}

// Two programs use a host that lets in few, each with a pool for calls and one for streams. All
// are served, in the order in which they came.
func TestPoolsOfTwoProcesses(t *testing.T) {
	lab.Require(t)
	for name, test := range map[string]struct {
		method string
		config []string
	}{
		"MaxSessions 3":                     {"ssh", []string{"MaxSessions 3"}},
		"MaxStartups 1":                     {"ssh", []string{"MaxStartups 1"}},
		"MaxStartups 1, by the ssh program": {"openssh", []string{"MaxStartups 1", "MaxSessions 3"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, client := poolStage(t, test.config...)
			before := look(server)
			o := poolOrders{Path: test.method + ":deploy@" + server.IP(), Calls: 40, Streams: 6, Bytes: 8 << 20, AtOnce: 64}
			waitA, waitB := startPoolUser(t, client, o), startPoolUser(t, client, o)
			for i, r := range []poolReport{waitA(), waitB()} {
				if len(r.Errors) > 0 {
					t.Errorf("process %d: %d were refused what waiting could serve, the first: %s", i, len(r.Errors), r.Errors[0])
				}
				if len(r.Order) != o.Calls || !slices.IsSorted(r.Order) {
					t.Errorf("process %d: its calls were served in the order %v, want that in which they came", i, r.Order)
				}
				if len(r.Streams) != o.Streams || len(r.AtOnce) != o.AtOnce {
					t.Errorf("process %d: %d streams and %d calls at once have ended, want %d and %d", i, len(r.Streams), len(r.AtOnce), o.Streams, o.AtOnce)
				}
				if r.Most > 4 {
					t.Errorf("process %d: %d connections, want at most 4", i, r.Most)
				}
				t.Logf("process %d: calls %v, streams %v, %d at once %v, with at most %d connections", i, spread(r.Calls), spread(r.Streams), o.AtOnce, spread(r.AtOnce), r.Most)
			}
			t.Logf("the server has refused %d logins", strings.Count(server.SSHDLog(), "MaxStartups"))
			before.quiet(t, 5*time.Second)
		})
	}
}

// spread writes how long things took: half of them at most, and 99 % of them at most.
func spread(took []time.Duration) string {
	at := func(part float64) time.Duration { return percentile(took, part).Round(10 * time.Microsecond) }
	return fmt.Sprintf("p50 %v p99 %v", at(0.50), at(0.99))
}

func percentile(took []time.Duration, part float64) time.Duration {
	if len(took) == 0 {
		return 0
	}
	sorted := slices.SortedFunc(slices.Values(took), cmp.Compare[time.Duration])
	return sorted[min(int(float64(len(sorted))*part), len(sorted)-1)]
}

// BenchmarkPoolEcho measures `echo hello` by a lease of a standing connection, and in the same run
// by a new `ssh -S` over a standing master; and 64 at once in two processes, by leases only: the
// master refuses what is above MaxSessions.
func BenchmarkPoolEcho(b *testing.B) {
	lab.Require(b)
	server, client := poolStage(b, "MaxSessions 3")
	path := "ssh:deploy@" + server.IP()
	const master = "/home/deploy/master"
	if out, err := client.ExecAs(b.Context(), "deploy", "ssh", "-fNMS", master, "deploy@"+server.IP()); err != nil {
		b.Fatalf("the master of ssh: %v: %s", err, out)
	}
	var one poolReport
	var atOnce []time.Duration
	for b.Loop() {
		rs := []poolReport{startPoolUser(b, client, poolOrders{Path: path, Rounds: 300, Master: master})()}
		crowd := poolOrders{Path: path, Rounds: 10, AtOnce: 64}
		waitA, waitB := startPoolUser(b, client, crowd), startPoolUser(b, client, crowd)
		rs = append(rs, waitA(), waitB())
		for _, r := range rs {
			if len(r.Errors) > 0 {
				b.Errorf("%d errors, the first: %s", len(r.Errors), r.Errors[0])
			}
			atOnce = append(atOnce, r.AtOnce...)
		}
		one.Leased = append(one.Leased, rs[0].Leased...)
		one.Multiplexed = append(one.Multiplexed, rs[0].Multiplexed...)
	}
	b.ReportMetric(0, "ns/op")
	for name, took := range map[string][]time.Duration{"lease": one.Leased, "ssh-S": one.Multiplexed, "64-leases": atOnce} {
		b.ReportMetric(float64(percentile(took, 0.50))/1e6, name+"-p50-ms")
		b.ReportMetric(float64(percentile(took, 0.99))/1e6, name+"-p99-ms")
	}
}
