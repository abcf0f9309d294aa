//go:build linux

package integration

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/connect/become"
	"github.com/mitosis-go/mitosis/connect/local"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/integration/lab"
)

// TestSpine makes the hops for which the project exists. They lead over ssh to a host, through sudo
// with a password at a terminal, and to a child of that context. In the end nothing may be left on
// the host.
func TestSpine(t *testing.T) {
	t.Parallel()
	key := lab.NewClientKey(t)
	web := start(t, lab.Host{
		Name:    "web1",
		Users:   []lab.User{{Name: "deploy", Password: "open sesame", Keys: []string{key.Authorized}}},
		Sudoers: "Defaults requiretty\ndeploy ALL=(ALL) ALL",
		SSHD:    &lab.SSHD{},
		Files:   map[string]string{"/root/secret": "for root only\n"},
	})
	before := look(web)

	log, logged := newJournal(t)
	self, err := contexts.Start(t.Context(), &contexts.Config{Log: log, PackedDir: nothingKept})
	if err != nil {
		t.Fatal(err)
	}
	ended := false
	t.Cleanup(func() {
		if !ended {
			_ = self.Close() // the test has failed already
		}
	})
	user := login(t, self, web, "deploy", key)
	root := child(t, user, become.Sudo{Password: "open sesame"})
	leaf := child(t, root, local.Child{})

	t.Run("who is who", func(t *testing.T) {
		path := fmt.Sprintf("ssh:deploy@%s/sudo:root/local", web.IP())
		if leaf.String() != path {
			t.Errorf("the path is %q, want %q", leaf, path)
		}
		for _, pair := range [][2]*contexts.Node{{leaf, root}, {root, user}, {user, self}} {
			if got := pair[0].Parent(); got.ID() != pair[1].ID() || got.String() != pair[1].String() {
				t.Errorf("the parent of %v is %v, want %v", pair[0], got, pair[1])
			}
		}
		u, r, l := who(t, user), who(t, root), who(t, leaf)
		for _, id := range []identity{u, r, l} {
			if id.Host != "web1" || id.Caller != "master" {
				t.Errorf("the context is %+v, want one on web1 that the master calls", id)
			}
		}
		if u.UID != 2000 || r.UID != 0 || l.UID != 0 || r.PID == l.PID || l.Path != path {
			t.Errorf("the contexts are %+v, %+v and %+v, want uids 2000, 0 and 0, and the last a process of its own at %s", u, r, l, path)
		}
	})
	t.Run("a typed call", func(t *testing.T) {
		got, err := readFile.Call(t.Context(), leaf, "/root/secret")
		if err != nil || got != "for root only\n" {
			t.Errorf("the secret is %q, %v, want the file's text", got, err)
		}
	})
	t.Run("an error keeps its meaning", func(t *testing.T) {
		_, err := fail.Call(t.Context(), leaf, "/no/such/file")
		if !isNotExist(err) || !strings.Contains(err.Error(), leaf.String()) || !strings.Contains(err.Error(), "/no/such/file") {
			t.Errorf("the call ended with %v, want no such file, with context and file", err)
		}
	})
	t.Run("a panic has a stack", func(t *testing.T) {
		_, err := panics.Call(t.Context(), leaf, "deliberate")
		p, ok := errors.AsType[*contexts.PanicError](err)
		if !ok {
			t.Fatalf("the call ended with %v, want a panic", err)
		}
		if p.Value != "deliberate" || !strings.Contains(p.Stack, "panicHere") {
			t.Errorf("the panic has the value %q, want deliberate, and a stack with panicHere: %s", p.Value, p.Stack)
		}
		who(t, leaf) // the context still answers
	})
	t.Run("a large argument", func(t *testing.T) { largeArgument(t, leaf) })
	t.Run("a callback", func(t *testing.T) {
		if _, err := report.Call(t.Context(), leaf, occupation{Topic: t.Name(), Tell: self}); err != nil {
			t.Fatal(err)
		}
		if n := board.await(t, "hello"); n.From != leaf.String() || n.PID != who(t, leaf).PID {
			t.Errorf("the master was called by %+v, want %v", n, leaf)
		}
	})
	t.Run("cancellation", func(t *testing.T) { cancellation(t, self, leaf, web) })
	t.Run("the end of the context", func(t *testing.T) { endKillsProcesses(t, self, root, web) })
	t.Run("a deadline", func(t *testing.T) { deadlineTravels(t, leaf) })
	t.Run("a grandchild made from afar", func(t *testing.T) {
		n, err := divide.Call(t.Context(), leaf, struct{}{})
		if err != nil {
			t.Fatal(err)
		}
		if got, want := who(t, n).Path, leaf.String()+"/local"; got != want {
			t.Errorf("the path is %q, want %q", got, want)
		}
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Run("the tree", func(t *testing.T) {
		infos, err := self.Tree(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var users []string
		for _, i := range infos {
			users = append(users, i.User)
		}
		if len(users) != 4 || !slices.Equal(users[1:], []string{"deploy", "root", "root"}) {
			t.Errorf("the tree is %+v, want users deploy, root and root below the master", infos)
		}
	})

	ended = true
	if err := self.Close(); err != nil {
		t.Error(err)
	}
	before.restored(t, 5*time.Second)
	if strings.Contains(logged.String(), "sesame") {
		t.Error("the log has the password in it, want it without")
	}
}

func largeArgument(t *testing.T, n *contexts.Node) {
	size := 100 << 20
	if testing.Short() {
		size = 10 << 20
	}
	b := make([]byte, size)
	rng := rand.NewChaCha8([32]byte{1})
	rng.Read(b)
	ctx, cancel := context.WithTimeout(t.Context(), 4*patience)
	defer cancel()
	start := time.Now()
	p := sum.Go(ctx, n, b)
	// Small calls do not wait behind it.
	ping, err := n.Ping(ctx)
	if err != nil {
		t.Error(err)
	}
	got, err := p.Wait()
	if err != nil {
		t.Fatal(err)
	}
	if got != sha256.Sum256(b) {
		t.Errorf("the checksum of the argument there is %x, want %x", got, sha256.Sum256(b))
	}
	t.Logf("%d MiB took %v; a ping meanwhile %v", size>>20, time.Since(start), ping)
}

// cancellation checks that a cancelled call ends the function and the programs that it has
// started.
func cancellation(t *testing.T, self, n *contexts.Node, host *lab.Running) {
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	p := occupy.Go(ctx, n, occupation{Argv: []string{"sleep", "86399"}, Topic: t.Name(), Tell: self})
	pid := board.await(t, "started").PID
	if !slices.ContainsFunc(host.Processes(), func(p lab.Proc) bool { return p.PID == pid && p.Comm == "sleep" }) {
		t.Fatalf("the host has the processes %v, want the sleep %d among them", host.Processes(), pid)
	}
	reason := errors.New("changed my mind")
	cancel(reason)
	start := time.Now()
	if _, err := p.Wait(); !errors.Is(err, reason) {
		t.Errorf("the cancelled call ended with %v, want %v", err, reason)
	}
	if took := time.Since(start); took > stretched(soon) {
		t.Errorf("Wait took %v after the cancellation, want at most %v", took, soon)
	}
	board.await(t, "ended")
	if slices.ContainsFunc(host.Processes(), func(p lab.Proc) bool { return p.PID == pid }) {
		t.Errorf("process %d, which the cancelled function has started, still runs", pid)
	}
}

// endKillsProcesses closes a context that has started processes for which no call waits. They must
// end.
func endKillsProcesses(t *testing.T, self, parent *contexts.Node, host *lab.Running) {
	before := look(host)
	n := child(t, parent, local.Child{})
	for _, argv := range [][]string{
		{"sleep", "86398"},
		{"setsid", "sh", "-c", "trap '' TERM HUP; sleep 86397 & wait; sleep 86397"},
	} {
		if _, err := spawn.Call(t.Context(), n, argv); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, patience, "both programs run", func() bool {
		found := 0
		for _, p := range host.Processes() {
			if len(p.Cmdline) == 2 && (p.Cmdline[1] == "86398" || p.Cmdline[1] == "86397") {
				found++
			}
		}
		return found == 2
	})
	if err := n.Close(); err != nil {
		t.Error(err)
	}
	if err := n.Err(); !errors.Is(err, contexts.ErrClosed) && !errors.Is(err, contexts.ErrGone) {
		t.Errorf("the error of the closed node is %v, want %v or %v", err, contexts.ErrClosed, contexts.ErrGone)
	}
	for _, p := range before.newProcesses() {
		t.Errorf("after Close %v still runs, want it ended", p)
	}
	if _, err := whoami.Call(t.Context(), n, struct{}{}); !errors.Is(err, contexts.ErrGone) && !errors.Is(err, contexts.ErrClosed) {
		t.Errorf("a call to a closed context ended with %v, want %v or %v", err, contexts.ErrGone, contexts.ErrClosed)
	}
	who(t, parent)
}

func deadlineTravels(t *testing.T, n *contexts.Node) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	left, err := remaining.Call(ctx, n, struct{}{})
	if err != nil || left > time.Hour || left < time.Hour-time.Minute {
		t.Errorf("the function has %v left, error %v, want the hour of the caller less a minute at most", left, err)
	}
	ctx, cancel = context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	start := time.Now()
	_, err = run.Call(ctx, n, []string{"sleep", "86396"})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a call with a deadline of 200 ms ended with %v, want %v", err, context.DeadlineExceeded)
	}
	if took := time.Since(start); took > stretched(soon) {
		t.Errorf("a call with a deadline of 200 ms took %v, want at most %v", took, soon)
	}
}
