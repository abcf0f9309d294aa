//go:build linux

package integration

import (
	"context"
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/connect/become"
	"github.com/mitosis-go/mitosis/connect/local"
	"github.com/mitosis-go/mitosis/connect/openssh"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/attach"
	"github.com/mitosis-go/mitosis/integration/lab"
)

// TestDetachOverSSH detaches the context of a host. It outlives the connection by which it was
// started, and so does a context of another user below it. Masters attach it through other
// connections. A context below sudo, or below another context of the same host, can't be
// detached.
func TestDetachOverSSH(t *testing.T) {
	lab.Require(t)
	t.Parallel()
	key := lab.NewClientKey(t)
	web := start(t, lab.Host{
		Name:    "web1",
		Users:   []lab.User{{Name: "deploy", Keys: []string{key.Authorized}}, {Name: "other", Keys: []string{key.Authorized}}},
		Sudoers: "deploy ALL=(ALL) NOPASSWD: ALL",
		SSHD:    &lab.SSHD{},
	})
	before := look(web)
	log, _ := newJournal(t)
	master := func() *contexts.Node {
		self, err := contexts.Start(t.Context(), &contexts.Config{Log: log, PackedDir: nothingKept})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = self.Close() })
		return self
	}
	hop := func(self *contexts.Node, user string) *contexts.Node {
		return login(t, self, web, user, key)
	}

	first := master()
	n := hop(first, "deploy")
	root := child(t, n, become.Sudo{})
	was, below := who(t, n), who(t, root)
	for _, held := range []*contexts.Node{root, child(t, n, local.Child{})} {
		if _, err := attach.Detach(t.Context(), held, attach.Terms{}); !errors.Is(err, contexts.ErrRefused) {
			t.Errorf("detaching %v ended with %v, want %v", held, err, contexts.ErrRefused)
		}
	}
	d, err := attach.Detach(t.Context(), n, attach.Terms{Lease: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	// The processes of sshd for this connection have ended.
	eventually(t, patience, "the connection has ended", func() bool { return len(connections(before)) == 0 })

	second := master()
	if _, err := attach.Attach(t.Context(), hop(second, "other"), d, nil); !errors.Is(err, attach.ErrOtherUser) {
		t.Errorf("attaching as another user ended with %v, want %v", err, attach.ErrOtherUser)
	}
	owned, err := attach.Attach(t.Context(), hop(second, "deploy"), d, &contexts.Config{Log: log, PackedDir: nothingKept})
	if err != nil {
		t.Fatal(err)
	}
	if now := who(t, owned); now != was {
		t.Errorf("the attached context is %+v, want that of before, %+v", now, was)
	}
	tree, err := owned.Local().Tree(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(tree, func(c contexts.Info) bool { return strings.HasSuffix(c.Path, "/sudo:root") })
	if i < 0 {
		t.Fatalf("the tree is %+v, want a context below sudo in it", tree)
	}
	if now := who(t, tree[i].Node); now != below || now.UID != 0 {
		t.Errorf("the context below sudo is %+v, want that of before, %+v, as root", now, below)
	}
	if out, err := tree[i].Node.Command(t.Context(), "id", "-u").Output(); string(out) != "0\n" || err != nil {
		t.Errorf("id -u printed %q, %v, want 0", out, err)
	}

	// The connection breaks off: the context has no master until another one attaches it.
	for _, p := range connections(before) {
		_ = web.Kill(p.PID, syscall.SIGKILL)
	}
	<-owned.Done()
	if err := owned.Err(); !errors.Is(err, contexts.ErrGone) {
		t.Errorf("the context ended by %v, want %v", err, contexts.ErrGone)
	}
	third := master()
	host := hop(third, "deploy")
	eventually(t, patience, "the context is attached again", func() bool {
		owned, err = attach.Attach(t.Context(), host, d, &contexts.Config{Log: log, PackedDir: nothingKept})
		if err != nil && !errors.Is(err, attach.ErrOwned) {
			t.Fatal(err)
		}
		return err == nil
	})
	if now := who(t, owned); now != was {
		t.Errorf("the context that was attached again is %+v, want that of before, %+v", now, was)
	}
	if err := owned.Close(); err != nil {
		t.Error(err)
	}
	for _, self := range []*contexts.Node{second, third} {
		if err := self.Close(); err != nil {
			t.Error(err)
		}
	}
	before.restored(t, deathBudget)
}

// connections returns the processes of sshd that serve connections.
func connections(s scene) []lab.Proc {
	return slices.DeleteFunc(s.newProcesses(), func(p lab.Proc) bool {
		return len(p.Cmdline) == 0 || !strings.HasPrefix(p.Cmdline[0], "sshd")
	})
}

// detachProgram starts a master that connects to a host by the ssh program, detaches the context
// there, and ends. Then it starts another master that attaches the context.
var detachProgram = contexts.NewFunc("lab.detach.program", func(ctx context.Context, host string) (was [2]identity, err error) {
	hop := openssh.Login{
		Host: host, User: "deploy", ConfigFile: "none", IdentitiesOnly: true,
		IdentityFiles: []string{keyFile}, KnownHostsFiles: []string{knownFile},
	}
	master := func(f func(n *contexts.Node) error) error {
		self, err := contexts.Start(ctx, &contexts.Config{PackedDir: nothingKept})
		if err != nil {
			return err
		}
		n, err := self.Connect(ctx, hop)
		if err == nil {
			err = f(n)
		}
		return errors.Join(err, self.Close())
	}
	var d attach.Detached
	err = master(func(n *contexts.Node) (err error) {
		if was[0], err = whoami.Call(ctx, n, struct{}{}); err == nil {
			d, err = attach.Detach(ctx, n, attach.Terms{Lease: time.Minute})
		}
		return err
	})
	if err != nil {
		return was, err
	}
	return was, master(func(n *contexts.Node) error {
		owned, err := attach.Attach(ctx, n, d, nil)
		if err != nil {
			return err
		}
		was[1], err = whoami.Call(ctx, owned, struct{}{})
		return errors.Join(err, owned.Close())
	})
})

func TestDetachOverTheSSHProgram(t *testing.T) {
	lab.Require(t)
	t.Parallel()
	key := lab.NewClientKey(t)
	web := start(t, lab.Host{
		Name: "web1", Users: []lab.User{{Name: "deploy", Keys: []string{key.Authorized}}}, SSHD: &lab.SSHD{},
	})
	before := look(web)
	self, err := contexts.Start(t.Context(), &contexts.Config{PackedDir: nothingKept})
	if err != nil {
		t.Fatal(err)
	}
	defer self.Close()
	client := enter(t, self, clientHost(t, key, nil, web), "")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	was, err := detachProgram.Call(ctx, client, web.IP())
	if err != nil {
		t.Fatal(err)
	}
	if was[0] != was[1] || was[0].Host != "web1" {
		t.Errorf("the context was %+v and the attached one is %+v, want them equal, on web1", was[0], was[1])
	}
	before.restored(t, deathBudget)
}
