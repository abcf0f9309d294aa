//go:build linux

package integration

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
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

// copyHost is a host with places to which nobody can write.
func copyHost(t *testing.T) (*lab.Running, lab.ClientKey) {
	t.Helper()
	key := lab.NewClientKey(t)
	return start(t, lab.Host{
		Users:   []lab.User{{Name: "deploy", Keys: []string{key.Authorized}}},
		Sudoers: "deploy ALL=(ALL) NOPASSWD: ALL",
		SSHD:    &lab.SSHD{},
		Files:   map[string]string{"/srv/old": "old", "/root/secret": "for root only\n"},
		Setup: []string{
			"mkdir /srv/full /srv/ro /srv/dir",
			"mount -t tmpfs -o size=1m full /srv/full",
			"mount -t tmpfs -o ro ro /srv/ro",
		},
	}), key
}

func contentOf(n int) []byte {
	return bytes.Repeat([]byte("0123456789abcde\n"), n/16+1)[:n]
}

// TestCopiesOverSSHAndSudo copies files both ways, as root by sudo behind a login of another
// user.
func TestCopiesOverSSHAndSudo(t *testing.T) {
	t.Parallel()
	host, key := copyHost(t)
	self := master(t, nil)
	user := login(t, self, host, "deploy", key)
	root := child(t, user, become.Sudo{})
	before := host.Snapshot()
	dir := t.TempDir()
	local := filepath.Join(dir, "local")
	content := contentOf(5<<20 + 1)
	if err := os.WriteFile(local, content, 0o640); err != nil {
		t.Fatal(err)
	}

	res, err := files.Put(t.Context(), root, local, "/root/new", &files.Options{Mode: 0o400, Sync: true})
	if err != nil || res.Target != "/root/new" || res.SHA256 != sha256.Sum256(content) {
		t.Fatalf("the copy ended with %+v, %v, want /root/new and the file's checksum", res, err)
	}
	if out, err := host.Exec(t.Context(), "sh", "-c", "stat -c '%U %a' /root/new; sha256sum </root/new"); err != nil || !strings.HasPrefix(out, fmt.Sprintf("root 400\n%x", res.SHA256)) {
		t.Errorf("the copy is %s, %v, want it root's, of mode 400, with checksum %x", out, err, res.SHA256)
	}
	back := filepath.Join(dir, "back")
	if res, err := files.Get(t.Context(), root, "/root/new", back, nil); err != nil || res.Source != "/root/new" || res.SHA256 != sha256.Sum256(content) {
		t.Errorf("the copy back ended with %+v, %v, want /root/new and the file's checksum", res, err)
	}
	if b, err := os.ReadFile(back); err != nil || !bytes.Equal(b, content) {
		t.Errorf("%d bytes came back, error %v, want the %d of the file", len(b), err, len(content))
	}
	if _, err := files.Get(t.Context(), root, "/etc/ssh", filepath.Join(dir, "tree"), nil); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "tree", "sshd_config")); err != nil {
		t.Error(err)
	}
	if err := files.FS(t.Context(), root).Remove("root/new"); err != nil {
		t.Error(err)
	}

	for _, c := range []struct {
		n      *contexts.Node
		target string
		want   error
	}{
		{user, "/root/x", fs.ErrPermission},
		{user, "/srv/x", fs.ErrPermission},
		{root, "/srv/full/x", syscall.ENOSPC},
		{root, "/srv/ro/x", syscall.EROFS},
		{root, "/srv/dir", syscall.EISDIR},
		{root, "/srv/none/x", fs.ErrNotExist},
		{root, "/srv/old/x", syscall.ENOTDIR},
	} {
		_, err := files.Put(t.Context(), c.n, local, c.target, nil)
		e, ok := errors.AsType[*contexts.Error](err)
		if !errors.Is(err, c.want) || !ok || e.Path != c.n.String() || !strings.Contains(err.Error(), c.target) {
			t.Errorf("the copy to %s ended with %v, want %v of %v", c.target, err, c.want, c.n)
		}
	}
	if _, err := files.Get(t.Context(), user, "/root/secret", filepath.Join(dir, "x"), nil); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("getting a file of root as deploy: error %v, want %v", err, fs.ErrPermission)
	}
	if _, err := os.Stat(filepath.Join(dir, "x")); !isNotExist(err) {
		t.Errorf("the target after the failed Get: %v, want no such file", err)
	}
	for _, line := range lab.Diff(before, host.Snapshot(), lab.LoginTraces...) {
		t.Errorf("the copies have changed the host: %s, want no change", line)
	}
}

// TestTheHopDiesDuringACopy kills the context in between, at different points of a Put to the
// context behind it. The target stays as it was, and the copy leaves only the part file that
// Resume needs.
func TestTheHopDiesDuringACopy(t *testing.T) {
	t.Parallel()
	host, key := copyHost(t)
	self := master(t, nil)
	local := filepath.Join(t.TempDir(), "local")
	content := contentOf(6 << 20)
	if err := os.WriteFile(local, content, 0o600); err != nil {
		t.Fatal(err)
	}
	for i := range 8 {
		resume := i%2 == 1
		user := login(t, self, host, "deploy", key)
		root := child(t, user, become.Sudo{})
		pid := who(t, user).PID
		kill := sync.OnceFunc(func() {
			if err := host.Kill(pid, syscall.SIGKILL); err != nil {
				t.Error(err)
			}
			<-root.Done()
		})
		_, err := files.Put(t.Context(), root, local, "/srv/old", &files.Options{Resume: resume, Progress: func(p files.Progress) {
			if p.Bytes >= int64(i)*(700<<10) {
				kill()
			}
		}})
		if !errors.Is(err, contexts.ErrGone) {
			t.Errorf("point %d: the copy ended with %v, want %v", i, err, contexts.ErrGone)
		}
		deadline := time.Now().Add(stretched(deathBudget))
		for {
			out, err := host.Exec(t.Context(), "sh", "-c", "cat /srv/old; ls -A /srv")
			want := "olddir\nfull\nold\nro\n"
			if resume {
				out = strings.Replace(out, ".mitosis-partial-old\n", "", 1)
			}
			if err == nil && out == want {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("point %d: after the loss the target's directory shows %.200q, error %v, want the old file and at most a part file", i, out, err)
			}
		}
		if !resume {
			continue
		}
		again := child(t, login(t, self, host, "deploy", key), become.Sudo{})
		res, err := files.Put(t.Context(), again, local, "/srv/old", &files.Options{Resume: true})
		if err != nil || res.SHA256 != sha256.Sum256(content) {
			t.Errorf("point %d: the resumed copy ended with %+v, %v, want the file's checksum", i, res, err)
		}
		if out, err := host.Exec(t.Context(), "sh", "-c", "ls -A /srv; printf old >/srv/old"); err != nil || out != "dir\nfull\nold\nro\n" {
			t.Errorf("point %d: after the resumed copy /srv has %q, error %v, want no part file", i, out, err)
		}
	}
}
