//go:build linux

package integration

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/connect/become"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/files"
	"github.com/mitosis-go/mitosis/integration/lab"
)

// tcpPayload is the share of a packet of 1500 bytes that is payload of TCP, with timestamps.
const tcpPayload = 1448.0 / 1500

// A large file fills a long link when it goes over several connections, in both directions: 95
// percent of the payload that the link can carry, once the start is over. Where processors are
// too busy for that, it is 95 percent of what as many ssh programs or a TCP stream get. The short form wants
// 75 percent, which is still more than one connection reaches. One of a few attempts has to
// succeed.
func TestALargeFileFillsALongLink(t *testing.T) {
	program := build(t, "spread")
	want := 0.95
	if testing.Short() {
		want = 0.75
	}
	for _, link := range []struct {
		lab.Link
		megabytes, connections int
	}{
		{lab.Link{RTT: 50 * time.Millisecond, Rate: 50e6}, 400, 4},
		{lab.Link{RTT: 200 * time.Millisecond, Rate: 25e6}, 300, 4},
	} {
		t.Run(link.RTT.String(), func(t *testing.T) {
			far, near := farAndNear(t, program)
			for _, cmd := range []*lab.Cmd{
				near.Command(t.Context(), "dd", "if=/dev/urandom", "of=/dev/shm/from", "bs=1000000", fmt.Sprint("count=", link.megabytes)),
				far.Command(t.Context(), "su", "deploy", "-c", fmt.Sprint("dd if=/dev/urandom of=/dev/shm/from bs=1000000 count=", link.megabytes)),
			} {
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Fatalf("%v: %s", err, out)
				}
			}
			if err := far.Shape(link.Link); err != nil {
				t.Fatal(err)
			}
			full := tcpPayload * float64(link.Rate) / 1e6
			missing := []string{"put", "get"}
			for attempt := 0; len(missing) > 0; attempt++ {
				if attempt == 8 {
					t.Fatalf("in 8 attempts %q were too slow, want %.0f %% of %.1f MB/s, or of the rates of ssh and TCP that the log shows", missing, want*100, full)
				}
				tcp := tcpRate(t, far, 2*time.Second) * (1 << 20) / 1e6
				ssh := sshRate(t, near, far, link.connections, 4*time.Second) * (1 << 20) / 1e6
				missing = slices.DeleteFunc(missing, func(what string) bool {
					var r struct{ Whole, Settled float64 }
					err := trafficAt(t.Context(), near, &r, program, "ssh:deploy@"+far.Addr(), fmt.Sprint(link.connections), what, "/dev/shm/from", "/dev/shm/to"+fmt.Sprint(attempt))
					if err != nil {
						t.Fatalf("%s: %v, want no error", what, err)
					}
					t.Logf("MB/s of %.1f: a TCP stream %.1f, %d of ssh %.1f; %s %.1f, with its start %.1f", full, tcp, link.connections, ssh, what, r.Settled, r.Whole)
					return r.Settled >= want*min(full, max(ssh, tcp))
				})
				for _, host := range []*lab.Running{near, far} {
					if out, err := host.Command(t.Context(), "sh", "-c", "rm -f /dev/shm/to*").CombinedOutput(); err != nil {
						t.Fatalf("%v: %s", err, out)
					}
				}
			}
		})
	}
}

// spreadFile makes a file of random contents that is worth several connections.
func spreadFile(t *testing.T) (path string, content []byte) {
	t.Helper()
	path, content = filepath.Join(t.TempDir(), "from"), make([]byte, 30<<20)
	_, _ = rand.Read(content)
	if err := os.WriteFile(path, content, 0o640); err != nil {
		t.Fatal(err)
	}
	return path, content
}

// A copy goes over several logins of one user, and over several ways by sudo. It changes nothing
// at the host but its target.
func TestACopyOverSeveralLogins(t *testing.T) {
	t.Parallel()
	host, key := copyHost(t)
	self := master(t, nil)
	from, content := spreadFile(t)
	var users, roots []contexts.Target
	for range 3 {
		user := login(t, self, host, "deploy", key)
		users, roots = append(users, user), append(roots, child(t, user, become.Sudo{}))
	}
	before := host.Snapshot()
	for to, on := range map[string][]contexts.Target{"/home/deploy/new": users, "/root/new": roots} {
		o := files.Options{Over: on[1:]}
		if res, err := files.Put(t.Context(), on[0], from, to, &o); err != nil || res.SHA256 != sha256.Sum256(content) {
			t.Fatalf("put of %s ended with %+v, %v, want the file's checksum", to, res, err)
		}
		back := filepath.Join(t.TempDir(), "back")
		if _, err := files.Get(t.Context(), on[0], to, back, &o); err != nil {
			t.Fatalf("get of %s: %v, want no error", to, err)
		}
		if b, err := os.ReadFile(back); err != nil || !bytes.Equal(b, content) {
			t.Errorf("%d bytes came back, error %v, want the %d of the file", len(b), err, len(content))
		}
		if err := files.FS(t.Context(), on[0]).Remove(to[1:]); err != nil {
			t.Error(err)
		}
	}
	for _, line := range lab.Diff(before, host.Snapshot(), lab.LoginTraces...) {
		t.Errorf("the copies have changed the host: %s, want no change", line)
	}
}

// Contexts of other users and hosts are refused, and nothing is written anywhere.
func TestACopyIsNotSpreadOverOthers(t *testing.T) {
	t.Parallel()
	key := lab.NewClientKey(t)
	var hosts []*lab.Running
	for _, name := range []string{"one", "two"} {
		hosts = append(hosts, start(t, lab.Host{
			Name:    name,
			Users:   []lab.User{{Name: "deploy", Keys: []string{key.Authorized}}, {Name: "other", Keys: []string{key.Authorized}}},
			Sudoers: "deploy ALL=(ALL) NOPASSWD: ALL",
			SSHD:    &lab.SSHD{},
		}))
	}
	self := master(t, nil)
	from, _ := spreadFile(t)
	on := login(t, self, hosts[0], "deploy", key)
	there, root := login(t, self, hosts[1], "deploy", key), child(t, login(t, self, hosts[0], "deploy", key), become.Sudo{})
	if _, err := files.Put(t.Context(), on, from, "/home/deploy/old", nil); err != nil {
		t.Fatal(err)
	}
	before := []lab.Snapshot{hosts[0].Snapshot(), hosts[1].Snapshot()}
	dir := t.TempDir()
	for _, c := range []struct {
		what, says string
		target     *contexts.Node
		over       contexts.Target
	}{
		{"another user", "it runs as user", on, login(t, self, hosts[0], "other", key)},
		{"root", "it runs as user 0", on, root},
		{"a user for root", "the copy as user 0", root, on},
		{"another host", "is not on its host", on, there},
		{"the master", "it runs as user 0", on, self},
	} {
		_, putErr := files.Put(t.Context(), c.target, from, "/home/deploy/new", &files.Options{Over: []contexts.Target{on, c.over}})
		_, getErr := files.Get(t.Context(), c.target, "/home/deploy/old", filepath.Join(dir, "new"), &files.Options{Over: []contexts.Target{c.over}})
		for _, err := range []error{putErr, getErr} {
			if !errors.Is(err, contexts.ErrRefused) || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), c.over.String()) {
				t.Errorf("%s: got %v, want %v with %q and the path", c.what, err, contexts.ErrRefused, c.says)
			}
		}
	}
	for i, host := range hosts {
		for _, line := range lab.Diff(before[i], host.Snapshot(), lab.LoginTraces...) {
			t.Errorf("the copies have changed %s: %s, want no change", host.Name(), line)
		}
	}
	if list, err := os.ReadDir(dir); err != nil || len(list) > 0 {
		t.Errorf("here are %v, %v, want nothing", list, err)
	}
}

// The server's process of one of the connections is killed in the middle.
func TestAConnectionOfACopyIsLost(t *testing.T) {
	t.Parallel()
	host, key := copyHost(t)
	self := master(t, nil)
	from, content := spreadFile(t)
	servers := func() (all []int) {
		for _, p := range host.Processes() {
			if p.Comm == "sshd" && p.UID != 0 {
				all = append(all, p.PID)
			}
		}
		return all
	}
	on := login(t, self, host, "deploy", key)
	there, dir := "/home/deploy/new", t.TempDir()
	for what, do := range map[string]func(*files.Options) (files.Result, error){
		"put": func(o *files.Options) (files.Result, error) { return files.Put(t.Context(), on, from, there, o) },
		"get": func(o *files.Options) (files.Result, error) {
			if _, err := files.Put(t.Context(), on, from, there, nil); err != nil {
				t.Fatal(err)
			}
			return files.Get(t.Context(), on, there, filepath.Join(dir, "back"), o)
		},
	} {
		before := servers()
		lost := login(t, self, host, "deploy", key)
		after := slices.DeleteFunc(servers(), func(pid int) bool { return slices.Contains(before, pid) })
		if len(after) != 1 {
			t.Fatalf("the login has the server's processes %v, want one", after)
		}
		kill := sync.OnceFunc(func() {
			if err := host.Kill(after[0], syscall.SIGKILL); err != nil {
				t.Error(err)
			}
		})
		res, err := do(&files.Options{Over: []contexts.Target{lost}, Progress: func(p files.Progress) {
			if p.Bytes > int64(len(content)/3) {
				kill()
			}
		}})
		if err != nil || res.SHA256 != sha256.Sum256(content) || res.Sent != res.Size {
			t.Errorf("%s ended with %+v, %v, want the file's checksum and all bytes sent", what, res, err)
		}
		<-lost.Done()
		if err := files.FS(t.Context(), on).Remove(there[1:]); err != nil {
			t.Error(err)
		}
	}
}
