//go:build linux

package integration

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/mitosis-go/mitosis/bootstrap"
	"github.com/mitosis-go/mitosis/bootstrap/image"
	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/local"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/integration/lab"
)

// inMemory are the directories that the RAM start method tries. The lab does not set
// XDG_RUNTIME_DIR, which it would also try, because no program there makes one.
var inMemory = []string{"/dev/shm", "/run", "/tmp"}

// startMethodHosts are hosts on which all start methods before one are impossible. The causes are
// those of real hosts.
var startMethodHosts = map[string]struct {
	user string
	host lab.Host
	disk bool // the start method writes to a disk, of which a warning is wanted
}{
	bootstrap.StartPerl:   {user: "deploy"},
	bootstrap.StartPython: {user: "deploy", host: lab.Host{Remove: []string{"perl"}}},
	bootstrap.StartRAM:    {user: "deploy", host: lab.Host{Remove: []string{"perl", "python3"}}},
	// memfd is forbidden: both interpreters exist, and both fail.
	bootstrap.StartRAM + " without memfd": {user: "deploy", host: lab.Host{NoMemfd: true}},
	bootstrap.StartTmpfs: {user: "root", host: lab.Host{
		Remove: []string{"perl", "python3"}, Noexec: inMemory,
	}},
	// Only file systems in memory are writable, and they forbid execution.
	bootstrap.StartTmpfs + " with a root that is read-only": {user: "root", host: lab.Host{
		NoMemfd: true, Noexec: inMemory, ReadOnlyRoot: true,
	}},
	bootstrap.StartDisk: {user: "deploy", disk: true, host: lab.Host{
		Remove: []string{"perl", "python3"}, Noexec: inMemory,
	}},
	bootstrap.StartDisk + " without a home": {user: "deploy", disk: true, host: lab.Host{
		Remove: []string{"perl", "python3"}, Noexec: append([]string{"/home"}, inMemory...),
	}},
	bootstrap.StartDisk + " as a root that may not mount": {user: "root", disk: true, host: lab.Host{
		Remove: []string{"perl", "python3", "unshare"}, Noexec: inMemory,
	}},
}

// Each start method starts a child if the methods before it are impossible. None of them leaves a
// file after the child's end, and none has one with a name while the child lives.
func TestEachStartMethod(t *testing.T) {
	lab.Require(t)
	t.Parallel()
	key := lab.NewClientKey(t)
	for name, test := range startMethodHosts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := test.host
			h.Users = []lab.User{{Name: test.user, Keys: []string{key.Authorized}}}
			h.SSHD = &lab.SSHD{}
			host := lab.Start(t, h)
			log, said := newJournal(t)
			self := master(t, &contexts.Config{Log: log})
			before := look(host)

			n := login(t, self, host, test.user, key)
			want, _, _ := strings.Cut(name, " ")
			if got := methodOf(t, self, n); got != want {
				t.Errorf("the child was started by %s, want %s", got, want)
			}
			uid := 2000
			if test.user == "root" {
				uid = 0
			}
			answers(t, n, uid)
			// A grandchild on the same host needs no image, and so none of the places.
			grandchild, err := divide.Call(t.Context(), n, struct{}{})
			if err != nil {
				t.Fatal(err)
			}
			answers(t, grandchild, uid)
			before.untouched(t)

			if err := n.Close(); err != nil {
				t.Error(err)
			}
			before.restored(t, patience)
			warned := slices.ContainsFunc(strings.Split(said.String(), "\n"), func(line string) bool {
				return strings.Contains(line, "level="+slog.LevelWarn.String()) && strings.Contains(line, "disk")
			})
			if warned != test.disk {
				t.Errorf("the log has a warning of a disk: %v, want %v", warned, test.disk)
			}
		})
	}
}

// The child of the tmpfs start method is in the host's own mount namespace: all processes see its
// mounts.
func TestTmpfsChildMountsForAll(t *testing.T) {
	lab.Require(t)
	t.Parallel()
	key := lab.NewClientKey(t)
	host := lab.Start(t, lab.Host{
		Users: []lab.User{{Name: "root", Keys: []string{key.Authorized}}}, SSHD: &lab.SSHD{},
	})
	self := master(t, &contexts.Config{StartMethods: []string{bootstrap.StartTmpfs}})
	n := login(t, self, host, "root", key)
	const script = "mkdir /srv/seen && mount -t tmpfs seen /srv/seen && touch /srv/seen/it"
	if out, err := run.Call(t.Context(), n, []string{"/bin/sh", "-c", script}); err != nil {
		t.Fatal(out, err)
	}
	if out, err := host.Exec(t.Context(), "ls", "/srv/seen"); err != nil || strings.TrimSpace(out) != "it" {
		t.Errorf("/srv/seen has %q, %v, want the child's mount in it", out, err)
	}
	if out, err := host.Exec(t.Context(), "cat", "/proc/mounts"); err != nil || strings.Contains(out, "mitosis") {
		t.Errorf("the host's mounts, %v, want no tmpfs of the image among them:\n%s", err, out)
	}
}

// If no start method is possible, one error says so and gives the reason for each. Nothing is left
// on the host, and the tree goes on working.
func TestEveryStartMethodClosed(t *testing.T) {
	lab.Require(t)
	t.Parallel()
	closed := append([]string{"/home", "/root", "/var/tmp"}, inMemory...)
	host := lab.Start(t, lab.Host{
		Users: []lab.User{
			{Name: "deploy", Password: "s3cret"}, {Name: "root", Password: "r00t"},
		},
		SSHD: &lab.SSHD{}, Noexec: closed, NoMemfd: true, Remove: []string{"python3", "unshare"},
	})
	self := master(t, nil)
	before := look(host)
	for user, test := range map[string]struct {
		password connect.Secret
		reasons  map[string]string
	}{
		"deploy": {"s3cret", map[string]string{bootstrap.StartTmpfs: "not root"}},
		"root":   {"r00t", map[string]string{bootstrap.StartTmpfs: "unshare not found"}},
	} {
		hop := withPassword(reach(t, host, user), test.password)
		err := refused(t, self, hop, bootstrap.ErrNoStartMethod, patience)
		t.Log(err)
		e, ok := errors.AsType[*bootstrap.Error](err)
		if !ok {
			t.Fatalf("the error is %v (%T), want a *bootstrap.Error", err, err)
		}
		reasons := map[string]string{
			bootstrap.StartPerl:   "execution not allowed, Permission denied",
			bootstrap.StartPython: "python3 not found",
			bootstrap.StartRAM:    "execution not allowed",
			bootstrap.StartDisk:   "execution not allowed",
		}
		for method, why := range test.reasons {
			reasons[method] = why
		}
		for method, why := range reasons {
			i := slices.IndexFunc(e.StartMethods, func(r bootstrap.StartMethodError) bool {
				return r.StartMethod == method && strings.Contains(r.Reason, why)
			})
			if i < 0 || !strings.Contains(err.Error(), e.StartMethods[i].Error()) {
				t.Errorf("%s: the reasons are %v, want %q for %s, and that in the error's text", user, e.StartMethods, why, method)
			}
		}
		if label := hop.Label(); !strings.Contains(err.Error(), label) {
			t.Errorf("the error is %q, want the hop %s in it", err, label)
		}
	}
	before.restored(t, patience)
	answers(t, child(t, self, local.Child{}), 0)
}

// A connection that breaks while the image is sent leaves nothing on the host. It may break at any
// byte, and the start method may be the one that writes to the disk.
func TestImageCutShort(t *testing.T) {
	lab.Require(t)
	t.Parallel()
	key := lab.NewClientKey(t)
	img, err := image.Own()
	if err != nil {
		t.Fatal(err)
	}
	// The best packed form is the smallest that can be sent.
	if err := img.Improve(t.Context(), image.Zstd, nil); err != nil {
		t.Fatal(err)
	}
	packed, err := img.Encoded(t.Context(), image.Zstd, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, method := range []string{
		bootstrap.StartPerl, bootstrap.StartPython, bootstrap.StartRAM, bootstrap.StartTmpfs, bootstrap.StartDisk,
	} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			host := lab.Start(t, lab.Host{
				Users: []lab.User{{Name: "root", Keys: []string{key.Authorized}}}, SSHD: &lab.SSHD{},
			})
			self := master(t, &contexts.Config{StartMethods: []string{method}})
			before := look(host)
			for _, percent := range []int{1, 50, 99} {
				hop := withKey(reach(t, host, "root"), key)
				hop.Through = breaking{int64(len(packed) * percent / 100)}
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				n, err := self.Connect(ctx, hop)
				cancel()
				e, ok := errors.AsType[*bootstrap.Error](err)
				if !ok {
					t.Fatalf("a connect whose connection broke at %d%% returned %v, %v, want a *bootstrap.Error", percent, n, err)
				}
				if e.Phase != bootstrap.PhaseImage && e.Phase != bootstrap.PhaseHello {
					t.Errorf("the phase is %q when the connection breaks at %d%%, want %q or %q", e.Phase, percent, bootstrap.PhaseImage, bootstrap.PhaseHello)
				}
				before.restored(t, patience)
			}
			answers(t, login(t, self, host, "root", key), 0)
		})
	}
}

// breaking opens connections to the lab that break after a number of bytes have been written.
type breaking struct{ after int64 }

func (b breaking) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := lab.Dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return &breakingConn{Conn: conn, left: b.after}, nil
}

type breakingConn struct {
	net.Conn
	mu   sync.Mutex
	left int64
}

func (c *breakingConn) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left -= int64(len(b)); c.left < 0 {
		c.Conn.Close()
	}
	return c.Conn.Write(b)
}
