//go:build linux

package integration

import (
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/become"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/pool"
	"github.com/mitosis-go/mitosis/integration/lab"
)

// A user of a host and root there share one login. When it is cut, leases that are held fail, and
// the next ones go over one new login.
func TestPoolPathsShareALogin(t *testing.T) {
	lab.Require(t)
	t.Parallel()
	key := lab.NewClientKey(t)
	host := start(t, lab.Host{
		SSHD: &lab.SSHD{}, Users: []lab.User{{Name: "deploy", Keys: []string{key.Authorized}}},
		Sudoers: "deploy ALL=(ALL) NOPASSWD: ALL",
	})
	before := look(host)
	p := pool.New(master(t, nil), nil)
	user := []connect.Method{withKey(reach(t, host, "deploy"), key)}
	root := append(user[:1:1], become.Sudo{})
	lease := func(hops []connect.Method, uid int) *pool.Lease {
		t.Helper()
		l, err := p.GetHops(t.Context(), hops...)
		if err != nil {
			t.Fatal(err)
		}
		if id := who(t, l.Node()); (id.UID == 0) != (uid == 0) {
			t.Errorf("%v is uid %d, want %d", l.Node(), id.UID, uid)
		}
		return l
	}
	logins := func() int { return strings.Count(host.SSHDLog(), "Accepted publickey") }

	asRoot, asUser := lease(root, 0), lease(user, 1000)
	if asRoot.Node().Parent() != asUser.Node() || logins() != 1 {
		t.Errorf("after %d logins root's context is below %v, want one login, and that of the user", logins(), asRoot.Node().Parent())
	}
	asUser.Release()

	// sshd's process of the login ends, as if the link were cut.
	for _, proc := range before.newProcesses() {
		if strings.HasPrefix(strings.Join(proc.Cmdline, " "), "sshd: deploy") {
			kill(t, host, syscall.SIGKILL, proc.PID)
		}
	}
	<-asRoot.Node().Done()
	if _, err := run.Call(t.Context(), asRoot.Node(), []string{"true"}); !errors.Is(err, contexts.ErrGone) {
		t.Errorf("a call by the lease of a lost connection: %v, want ErrGone", err)
	}
	again, userAgain := lease(root, 0), lease(user, 1000)
	if again.Node() == asRoot.Node() || again.Node().Parent() != userAgain.Node() || logins() != 2 {
		t.Errorf("after the loss there were %d logins, want 2: one new one for both", logins())
	}
	asRoot.Release()

	// A wrong password of the last hop leaves the way to it.
	_, err := p.GetHops(t.Context(), user[0], become.Su{User: "deploy", Password: connect.Secret(wrongPassword)})
	if !errors.Is(err, connect.ErrPassword) || logins() != 2 {
		t.Errorf("a wrong password of su: %v after %d logins, want that it is wrong, and no login more", err, logins())
	}
	again.Release()
	userAgain.Release()
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	before.quiet(t, 5*time.Second)
}
