package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/local"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/internal/treetest"
)

func TestMain(m *testing.M) {
	contexts.Init()
	os.Exit(m.Run())
}

var pid = contexts.NewFunc("fleet.pid", func(context.Context, struct{}) (int, error) { return os.Getpid(), nil })

// here makes a group whose members are all this process: for operations in fake time.
func here(t *testing.T, n int, p Policy) *Group {
	t.Helper()
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("h%d", i+1)
	}
	g, err := New(treetest.Start(t, nil), NewHosts(names...), &Config{
		Policy: p,
		Hops:   func(string) ([]connect.Method, error) { return nil, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// memberNumber is that of a member of here.
func memberNumber(m *Member) (n int) {
	_, _ = fmt.Sscanf(m.Name(), "h%d", &n)
	return n
}

// names are those that an operation had results of, in their order.
func (r *Results[Out]) names() []string {
	var names []string
	for m := range r.All() {
		names = append(names, m.Name())
	}
	return names
}

type doing = func(ctx context.Context, m *Member, n *contexts.Node) (int, error)

func TestEachMemberComesOnce(t *testing.T) {
	g := here(t, 100, Policy{FanOut: 7})
	synctest.Test(t, func(t *testing.T) {
		var now, most atomic.Int32
		results := Collect(Do(t.Context(), g, func(_ context.Context, m *Member, _ *contexts.Node) (int, error) {
			most.Store(max(most.Load(), now.Add(1)))
			time.Sleep(time.Duration(memberNumber(m)) * time.Millisecond)
			now.Add(-1)
			return memberNumber(m), nil
		}))
		if most.Load() != 7 {
			t.Errorf("%d members were under way at once, want 7", most.Load())
		}
		got := results.names()
		slices.Sort(got)
		want := g.Hosts().Names()
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("results came from %q, want one of each member", got)
		}
		if r, ok := results.Of("h42"); !ok || r.Value != 42 || r.Attempts != 1 || r.Took != 42*time.Millisecond {
			t.Errorf("the result of h42 is %+v, %v", r, ok)
		}
		if results.Err() != nil || results.OK().Len() != 100 {
			t.Errorf("all succeeded, and Err is %v", results.Err())
		}
	})
	if r := Collect(Do(t.Context(), g.Only(HostSet{}), doing(nil))); r.Len() != 0 || r.Err() != nil || len(r.Fold()) != 0 {
		t.Errorf("an empty group has %d results, %v", r.Len(), r.Err())
	}
}

func TestBatches(t *testing.T) {
	var progress []Progress
	p := Policy{
		Batches: []Share{{N: 1}, {Percent: 10}, {Percent: 50}},
		Between: func(_ context.Context, p Progress) error { progress = append(progress, p); return nil },
	}
	g := here(t, 20, p)
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		at := make(map[time.Duration]int)
		var mu sync.Mutex
		_ = Collect(Do(t.Context(), g, func(context.Context, *Member, *contexts.Node) (int, error) {
			mu.Lock()
			at[time.Since(began)]++
			mu.Unlock()
			time.Sleep(time.Second)
			return 0, nil
		}))
		if at[0] != 1 || at[time.Second] != 2 || at[2*time.Second] != 10 || at[3*time.Second] != 7 {
			t.Errorf("members began at %v, want 1, 2, 10 and 7 of them a second apart", at)
		}
	})
	want := []Progress{{20, 1, 0, 1}, {20, 3, 0, 2}, {20, 13, 0, 3}}
	if !slices.Equal(progress, want) {
		t.Errorf("between the batches the progress was %v, want %v", progress, want)
	}
}

func TestStops(t *testing.T) {
	boom := errors.New("boom")
	for name, c := range map[string]struct {
		policy     Policy
		fails      func(n int) bool
		ok, failed int
	}{
		"the first failure":    {Policy{FanOut: 1, StopAbove: &Share{}}, func(n int) bool { return n == 3 }, 2, 1},
		"more than a fifth":    {Policy{FanOut: 1, StopAbove: &Share{Percent: 20}}, func(n int) bool { return n%2 == 0 }, 3, 3},
		"what runs goes on":    {Policy{FanOut: 4, StopAbove: &Share{}}, func(n int) bool { return n == 1 }, 3, 1},
		"never":                {Policy{FanOut: 1}, func(n int) bool { return true }, 0, 10},
		"an answer between":    {Policy{Batches: []Share{{N: 4}}, Between: func(context.Context, Progress) error { return boom }}, func(int) bool { return false }, 4, 0},
		"a canary that failed": {Policy{Batches: []Share{{N: 1}, {Percent: 100}}, StopAbove: &Share{}}, func(n int) bool { return n == 1 }, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			g := here(t, 10, c.policy)
			synctest.Test(t, func(t *testing.T) {
				r := Collect(Do(t.Context(), g, func(_ context.Context, m *Member, _ *contexts.Node) (int, error) {
					time.Sleep(time.Second)
					if c.fails(memberNumber(m)) {
						return 0, boom
					}
					time.Sleep(time.Second)
					return 0, nil
				}))
				left := 10 - c.ok - c.failed
				if r.Len() != 10 || r.OK().Len() != c.ok || r.NotTried().Len() != left || r.Failed().Len() != c.failed+left {
					t.Errorf("of %d, %d succeeded, %d failed, %d were not tried; want %d, %d, %d", r.Len(), r.OK().Len(), r.Failed().Len()-r.NotTried().Len(), r.NotTried().Len(), c.ok, c.failed, left)
				}
				if left > 0 && !errors.Is(r.Err(), ErrNotTried) || !errors.Is(r.Err(), boom) {
					t.Errorf("the error is %v, want one that matches each reason", r.Err())
				}
			})
		})
	}
}

func TestRetries(t *testing.T) {
	refused := &ConnectError{connect.KindOf(connect.ErrUnreachable, "refused")}
	if !Retryable(refused) || Retryable(connect.ErrUnreachable) || Retryable(&ConnectError{connect.ErrPassword}) {
		t.Error("only a connection that failed for a while may be tried again by default")
	}
	always := func(error) bool { return true }
	for name, c := range map[string]struct {
		retry    Retry
		err      error
		attempts int
		most     time.Duration
	}{
		"by default never":        {Retry{}, refused, 1, 0},
		"three times":             {Retry{Attempts: 3}, refused, 3, 3 * time.Second},
		"at once, then a pause":   {Retry{Attempts: 3, AtOnce: true}, refused, 3, 2 * time.Second},
		"pauses are bounded":      {Retry{Attempts: 10, MaxPause: time.Second}, refused, 10, 9 * time.Second},
		"no time is left":         {Retry{Attempts: 1000, Elapsed: 5 * time.Second}, refused, 0, 5 * time.Second},
		"it has begun":            {Retry{Attempts: 3}, errors.New("it failed"), 1, 0},
		"as the program likes it": {Retry{Attempts: 2, If: always}, errors.New("it failed"), 2, time.Second},
		"a wrong password":        {Retry{Attempts: 3}, &ConnectError{connect.ErrPassword}, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			var told atomic.Int32
			c.retry.Notify = func(*Member, int, error, time.Duration) { told.Add(1) }
			g := here(t, 5, Policy{Retry: c.retry})
			synctest.Test(t, func(t *testing.T) {
				r := Collect(Do(t.Context(), g, func(context.Context, *Member, *contexts.Node) (int, error) { return 0, c.err }))
				pauses := 0
				for m, one := range r.All() {
					if c.attempts != 0 && one.Attempts != c.attempts || c.attempts == 0 && one.Attempts < 3 || one.Took > c.most || !errors.Is(one.Err, c.err) {
						t.Errorf("%v: %d attempts in %v, %v; want %d in at most %v", m, one.Attempts, one.Took, one.Err, c.attempts, c.most)
					}
					pauses += one.Attempts - 1
				}
				if int(told.Load()) != pauses {
					t.Errorf("%d pauses were told, want %d", told.Load(), pauses)
				}
			})
		})
	}
}

// One member that does not end costs the others nothing, and itself only its time.
func TestOneThatHangs(t *testing.T) {
	g := here(t, 50, Policy{FanOut: 2, Timeout: time.Hour})
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		for m, r := range Do(t.Context(), g, func(ctx context.Context, m *Member, _ *contexts.Node) (int, error) {
			if memberNumber(m) == 1 {
				<-ctx.Done()
				return 0, context.Cause(ctx)
			}
			time.Sleep(time.Second)
			return 0, nil
		}) {
			took := time.Since(began)
			if memberNumber(m) == 1 && (took != time.Hour || !errors.Is(r.Err, context.DeadlineExceeded)) {
				t.Errorf("the one that hangs ended after %v: %v, want after an hour", took, r.Err)
			}
			if memberNumber(m) != 1 && took > 50*time.Second {
				t.Errorf("%v had its result after %v", m, took)
			}
		}
	})
}

// The end of ctx, and of the loop, ends what is under way and tries nothing more.
func TestOperationsEnd(t *testing.T) {
	g := here(t, 20, Policy{FanOut: 5})
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		var begun atomic.Int32
		wait := func(ctx context.Context, _ *Member, _ *contexts.Node) (int, error) {
			begun.Add(1)
			<-ctx.Done()
			return 0, context.Cause(ctx)
		}
		r := Collect(Do(ctx, g, wait))
		if r.Len() != 20 || begun.Load() != 5 || r.NotTried().Len() != 15 || !errors.Is(r.Err(), context.Canceled) {
			t.Errorf("%d results, %d begun, %d not tried, %v; want 20, 5, 15 and Canceled", r.Len(), begun.Load(), r.NotTried().Len(), r.Err())
		}
		var ended atomic.Int32
		for range Do(t.Context(), g, func(ctx context.Context, m *Member, _ *contexts.Node) (int, error) {
			defer ended.Add(1)
			if memberNumber(m) > 1 {
				<-ctx.Done()
				time.Sleep(time.Second) // it does not heed the end at once
			}
			return 0, nil
		}) {
			break
		}
		if ended.Load() < 5 {
			t.Errorf("the loop was left while members were under way: %d have ended, want at least 5", ended.Load())
		}
	})
}

// Tools name the host that they could not reach. Such errors are equal nevertheless.
func TestErrorsThatNameTheirHostFold(t *testing.T) {
	for _, test := range []struct{ text, name, want string }{
		{"Could not resolve hostname web7: no such name", "web7", "Could not resolve hostname {host}: no such name"},
		{"web7: no route to web7.", "deploy@web7:22", "{host}: no route to {host}."},
		{"no container c1, but c10, c1-old, c1.old and ac1", "podman:c1", "no container {host}, but c10, c1-old, c1.old and ac1"},
		{"c1c1 c1", "c1", "c1c1 {host}"},
		{"rack-é: down", "ssh:rack-é/sudo:x", "{host}: down"},
		{"nothing of it", "web1", "nothing of it"},
		{"", "a", ""},
	} {
		if got := withoutName(test.text, test.name); got != test.want {
			t.Errorf("%q without the name %s is %q, want %q", test.text, test.name, got, test.want)
		}
	}
	r := Collect(Do(t.Context(), here(t, 10, Policy{}), func(_ context.Context, m *Member, _ *contexts.Node) (struct{}, error) {
		return struct{}{}, fmt.Errorf("%v is down", m)
	}))
	if f := r.Fold(); len(f) != 1 || f[0].Hosts.Len() != 10 {
		t.Errorf("the errors fold to %v, want one for all ten hosts", f)
	}
}

func TestFoldResults(t *testing.T) {
	g := here(t, 10, Policy{})
	r := Collect(Do(t.Context(), g, func(_ context.Context, m *Member, n *contexts.Node) ([]string, error) {
		switch memberNumber(m) {
		case 3, 5:
			return nil, &contexts.Error{Op: "read", Path: m.Name(), Err: fs.ErrNotExist}
		case 7:
			return []string{"other"}, nil
		}
		return []string{"same", "lines"}, nil
	}))
	var got []string
	for _, f := range r.Fold() {
		got = append(got, fmt.Sprint(f.Hosts, f.Value, f.Err != nil))
	}
	if want := []string{"h[1-2,4,6,8-10] [same lines] false", "h[3,5] [] true", "h7 [other] false"}; !slices.Equal(got, want) {
		t.Errorf("the results fold to %q, want %q", got, want)
	}
	err := r.Err()
	if !errors.Is(err, fs.ErrNotExist) || !strings.HasPrefix(err.Error(), "2 of 10 hosts failed: h") || r.Failed().String() != "h[3,5]" {
		t.Errorf("the error is %v", err)
	}
	var rows []map[string]any
	text, jsonErr := json.Marshal(r.Rows())
	if jsonErr = errors.Join(jsonErr, json.Unmarshal(text, &rows)); jsonErr != nil || len(rows) != 10 {
		t.Fatalf("%s, %v", text, jsonErr)
	}
	for _, row := range rows {
		failed := row["host"] == "h3" || row["host"] == "h5"
		if row["ok"] == failed || (row["value"] == nil) != failed || (row["error"] == nil) == failed {
			t.Errorf("a row is %v", row)
		}
	}
	many := &FailedError{Members: 30}
	for i := range 25 {
		many.Failed = append(many.Failed, MemberError{fmt.Sprintf("h%d", i), fs.ErrExist})
	}
	if s := many.Error(); !strings.HasPrefix(s, "25 of 30 hosts failed: h0: ") || !strings.HasSuffix(s, "; and 22 more") {
		t.Errorf("the error of many is %q", s)
	}
}

func TestShares(t *testing.T) {
	for text, want := range map[string]int{"0": 0, "5": 5, "300": 200, "20%": 40, "0.5%": 1, "100%": 200, "0%": 0} {
		s, err := ParseShare(text)
		if err != nil || s.of(200) != want {
			t.Errorf("%s of 200 is %d, %v, want %d", text, s.of(200), err, want)
		}
		if again, err := ParseShare(s.String()); err != nil || again.of(200) != want {
			t.Errorf("%s is printed as %s", text, s)
		}
	}
	for _, text := range []string{"", "-1", "101%", "x", "%", "5.5", "NaN%", "-3%"} {
		if s, err := ParseShare(text); err == nil {
			t.Errorf("%q is taken for %v", text, s)
		}
	}
}

// Real contexts: members behind one hop share it, groups made of others share connections,
// and a member that was lost is connected again.
func TestGroupOfContexts(t *testing.T) {
	self := treetest.Start(t, nil)
	g, err := New(self, NewHosts("a", "b", "c", "gone"), &Config{Hops: func(name string) ([]connect.Method, error) {
		tool := "env"
		if name == "gone" {
			tool = "/no/such/tool"
		}
		return []connect.Method{local.Child{}, local.Exec{Name: name, Argv: []string{tool}}}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	first := Collect(Call(t.Context(), g, pid, struct{}{}))
	if first.OK().String() != "a,b,c" || first.Failed().String() != "gone" || !errors.Is(first.Err(), connect.ErrStart) {
		t.Fatalf("%v answered, %v: %v; want a, b, c and no such tool", first.OK(), first.Failed(), first.Err())
	}
	if _, ok := errors.AsType[*ConnectError](first.Err()); !ok {
		t.Errorf("the error is %v, want one that says that the operation did not begin", first.Err())
	}
	tree, err := self.Tree(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(tree) != 5 {
		t.Errorf("there are %d contexts, want this one, the hop that all share and three members", len(tree))
	}
	lost, err := contexts.NodeOf(t.Context(), g.Member("b").Target())
	if err != nil {
		t.Fatal(err)
	}
	_ = lost.Close()
	again := Collect(Call(t.Context(), g.Only(NewHosts("a", "b")), pid, struct{}{}))
	of := func(r *Results[int], name string) int { one, _ := r.Of(name); return one.Value }
	if again.Err() != nil || of(again, "a") != of(first, "a") || of(again, "b") == of(first, "b") {
		t.Errorf("a: %d, then %d; b: %d, then %d, %v; want the same a and another b", of(first, "a"), of(again, "a"), of(first, "b"), of(again, "b"), again.Err())
	}
	if err := g.Close(); err != nil {
		t.Error(err)
	}
	if tree, err := self.Tree(t.Context()); err != nil || len(tree) != 1 {
		t.Errorf("after Close there are %d contexts, %v, want this one", len(tree), err)
	}
	if _, err := New(self, NewHosts("ssh:-x"), nil); err == nil || !strings.Contains(err.Error(), "member ssh:-x") {
		t.Errorf("hops that can't be made: %v, want an error that names the member", err)
	}
}

func TestSetsOfGroups(t *testing.T) {
	g := here(t, 5, Policy{FanOut: 3})
	a, b := g.Only(NewHosts("h1", "h2", "h3")), g.Filter(func(m *Member) bool { return memberNumber(m) >= 3 })
	for name, c := range map[string]struct {
		got  *Group
		want string
	}{
		"union": {a.Union(b), "h[1-5]"}, "intersection": {a.Intersect(b), "h3"}, "difference": {a.Minus(b), "h[1-2]"},
		"symmetric difference": {a.SymmetricDifference(b), "h[1-2,4-5]"}, "nothing": {a.Minus(a), ""},
	} {
		if c.got.Hosts().String() != c.want || c.got.Len() != len(slices.Collect(c.got.Members())) {
			t.Errorf("the %s is %v, want %s", name, c.got.Hosts(), c.want)
		}
	}
	if a.Member("h5") != nil || a.Union(b).Member("h5") != g.Member("h5") || a.With(Policy{}).policy.FanOut != 0 || a.policy.FanOut != 3 {
		t.Error("a part has members of the whole, or another group's policy")
	}
}
