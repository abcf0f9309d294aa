//go:build linux

package bootstrap

import (
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mitosis-go/mitosis/bootstrap/image"
)

// A far is a far side with a cache of its own.
type far struct {
	home   string
	shell  []string // that runs the line
	before string   // commands that change what is mounted
	path   string   // of programs
	uid    uint32   // of the user there
}

func newFar(t *testing.T) *far {
	return &far{home: t.TempDir(), shell: []string{"/bin/sh", "-c"}, path: os.Getenv("PATH"), uid: uint32(os.Getuid())}
}

func (f *far) dir() string { return filepath.Join(f.home, "mitosis") }

// contact starts a child there, and says by which start method, and how many round trips
// it took. The child keeps its image if that is wanted, and what it says of it is
// returned.
func (f *far) contact(t *testing.T, o Options, keep bool) (method, kept string, turns int) {
	t.Helper()
	o.Cache = true
	l := NewLaunch(o)
	cmd := exec.Command(f.shell[0], append(slices.Clone(f.shell[1:]), l.Line())...)
	if f.before != "" {
		cmd = exec.Command("unshare", "-m", "/bin/sh", "-c", f.before+";"+l.Line())
	}
	cmd.Env = append(os.Environ(), "XDG_CACHE_HOME="+f.home, "PATH="+f.path)
	if int(f.uid) != os.Getuid() {
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: f.uid, Gid: f.uid}}
	}
	c := &counting{Carrier: start(t, cmd)}
	s, err := l.Run(bound(t), c)
	if err != nil {
		t.Fatal(err)
	}
	turns = c.turns
	if err := s.Welcome(Welcome{ID: 7, Path: "test"}); err != nil {
		t.Fatal(err)
	}
	answers(t, s)
	if keep {
		kept = ask(t, s, "keep")
	}
	s.Link.Close()
	return s.StartMethod, kept, turns
}

// image is the file in the cache, "" where there is none.
func (f *far) image(t *testing.T) string {
	t.Helper()
	img, err := image.Own()
	if err != nil {
		t.Fatal(err)
	}
	var host unix.Utsname
	if err := unix.Uname(&host); err != nil {
		t.Fatal(err)
	}
	name := hex.EncodeToString(img.Hash[:]) + "-" + unix.ByteSliceToString(host.Machine[:])
	path := filepath.Join(f.dir(), name)
	if _, err := os.Lstat(path); err != nil {
		return ""
	}
	return path
}

// These are the constants of package image.
const (
	halfPrefix  = ".new-"
	keptInCache = 8
)

const keptWell = "harmed false, <nil>"

func TestSecondContactStartsFromTheCache(t *testing.T) {
	for _, shell := range loginShells {
		t.Run(strings.Join(shell, " "), func(t *testing.T) {
			t.Parallel()
			path, err := exec.LookPath(shell[0])
			if err != nil {
				t.Skip(err)
			}
			f := newFar(t)
			f.shell = append(append([]string{path}, shell[1:]...), "-c")
			if method, kept, turns := f.contact(t, opts(), true); method == StartCache || kept != keptWell || turns != 2 {
				t.Fatalf("first: start method %s, %s, %d round trips", method, kept, turns)
			}
			for range 2 {
				if method, kept, turns := f.contact(t, opts(), true); method != StartCache || kept != keptWell || turns != 1 {
					t.Fatalf("later: start method %s, %s, %d round trips", method, kept, turns)
				}
			}
		})
	}
}

func TestEverySystemShellStartsFromTheCache(t *testing.T) {
	for _, shell := range systemShells {
		for _, has := range []string{"openssl", "sha256sum", "shasum"} {
			t.Run(strings.Join(shell, " ")+" "+has, func(t *testing.T) {
				t.Parallel()
				path, err := exec.LookPath(shell[0])
				if err != nil {
					t.Skip(err)
				}
				f := newFar(t)
				f.path = tools(t, append(slices.Clone(basics), "ls", "gzip", "perl", has)...)
				// As if it were /bin/sh, to which a login shell hands the script.
				f.shell = []string{"/bin/sh", "-c", `l=${1#"exec /bin/sh -c '"};exec ` + path + " " + strings.Join(shell[1:], " ") + ` -c "${l%"'"}"`, "-"}
				if _, kept, _ := f.contact(t, opts(), true); kept != keptWell {
					t.Fatal(kept)
				}
				method, _, turns := f.contact(t, opts(), false)
				if shell[0] == "posh" { // has no -O
					if method == StartCache {
						t.Error("a cache was used without looking whose it is")
					}
				} else if method != StartCache || turns != 1 {
					t.Errorf("start method %s, %d round trips", method, turns)
				}
			})
		}
	}
}

// What is not exactly as it was left is refused, and replaced where the cache
// itself is in order.
func TestCacheIsRefused(t *testing.T) {
	for name, test := range map[string]struct {
		harm   func(t *testing.T, f *far, img string) error
		before string
		kept   string // what the child says of the cache; "" is that it has replaced the file
		root   bool
	}{
		"one bit changed": {harm: func(t *testing.T, f *far, img string) error {
			if err := os.Chmod(img, 0o700); err != nil {
				return err
			}
			b, err := os.ReadFile(img)
			if err != nil {
				return err
			}
			b[len(b)/2] ^= 1
			return rewrite(img, b)
		}},
		"another program": {harm: func(t *testing.T, f *far, img string) error {
			return rewrite(img, []byte("#!/bin/sh\ntouch "+f.home+"/executed\n"))
		}},
		"truncated": {harm: func(t *testing.T, f *far, img string) error {
			if err := os.Chmod(img, 0o700); err != nil {
				return err
			}
			return os.Truncate(img, 100_000)
		}},
		"empty": {harm: func(t *testing.T, f *far, img string) error { return rewrite(img, nil) }},
		"symbolic link to the image": {harm: func(t *testing.T, f *far, img string) error {
			other := filepath.Join(f.home, "elsewhere")
			return firstOf(os.Rename(img, other), os.Symlink(other, img))
		}},
		"dangling link": {harm: func(t *testing.T, f *far, img string) error {
			return firstOf(os.Remove(img), os.Symlink("/nowhere", img))
		}},
		"fifo": {harm: func(t *testing.T, f *far, img string) error {
			return firstOf(os.Remove(img), syscall.Mkfifo(img, 0o700))
		}},
		"directory": {harm: func(t *testing.T, f *far, img string) error {
			return firstOf(os.Remove(img), os.MkdirAll(img+"/below", 0o700))
		}},
		"writable by the group": {harm: func(t *testing.T, f *far, img string) error { return os.Chmod(img, 0o720) }},
		"readable by all":       {harm: func(t *testing.T, f *far, img string) error { return os.Chmod(img, 0o755) }},
		"not executable":        {harm: func(t *testing.T, f *far, img string) error { return os.Chmod(img, 0o600) }},
		"somebody else's": {root: true, harm: func(t *testing.T, f *far, img string) error {
			return os.Chown(img, 12345, 12345)
		}},
		"open directory": {
			harm: func(t *testing.T, f *far, img string) error { return os.Chmod(f.dir(), 0o770) },
			kept: "open to other users",
		},
		"somebody else's directory": {
			root: true, harm: func(t *testing.T, f *far, img string) error { return os.Chown(f.dir(), 12345, 12345) },
			kept: "belongs to another user",
		},
		"symbolic link to the directory": {
			harm: func(t *testing.T, f *far, img string) error {
				return firstOf(os.Rename(f.dir(), f.home+"/real"), os.Symlink(f.home+"/real", f.dir()))
			},
			kept: "not a directory",
		},
		"file for a directory": {
			harm: func(t *testing.T, f *far, img string) error {
				return firstOf(os.RemoveAll(f.dir()), os.WriteFile(f.dir(), nil, 0o600))
			},
			kept: "not a directory",
		},
		"no execution there": {root: true, before: "mount -o bind,noexec HOME HOME", kept: "does not allow execution"},
		"read-only":          {root: true, before: "mount -o bind,ro HOME HOME", kept: "read-only", harm: func(t *testing.T, f *far, img string) error { return os.Remove(img) }},
		"full":               {root: true, before: "mount -t tmpfs -o size=200k none HOME", kept: "no space left"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if test.root {
				needRoot(t)
			}
			f := newFar(t)
			if _, kept, _ := f.contact(t, opts(), true); kept != keptWell {
				t.Fatal(kept)
			}
			if test.harm != nil {
				if err := test.harm(t, f, f.image(t)); err != nil {
					t.Fatal(err)
				}
			}
			f.before = strings.ReplaceAll(test.before, "HOME", f.home)
			method, kept, turns := f.contact(t, opts(), true)
			if method == StartCache || turns != 2 {
				t.Errorf("start method %s, %d round trips", method, turns)
			}
			if _, err := os.Lstat(f.home + "/executed"); err == nil {
				t.Error("what was found there was executed")
			}
			if left, _ := filepath.Glob(f.dir() + "/" + halfPrefix + "*"); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
			if test.kept != "" {
				if !strings.Contains(kept, test.kept) {
					t.Errorf("the child says %q, not %q", kept, test.kept)
				}
				return
			}
			if kept != "harmed true, <nil>" {
				t.Errorf("the child says %q", kept)
			}
			if method, kept, _ := f.contact(t, opts(), true); method != StartCache || kept != keptWell {
				t.Errorf("afterwards: start method %s, %s", method, kept)
			}
		})
	}
}

func rewrite(path string, b []byte) error {
	syscall.ForkLock.RLock() // else a child of another test may hold it open for writing
	defer syscall.ForkLock.RUnlock()
	return firstOf(os.Remove(path), os.WriteFile(path, b, 0o700))
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// A home that belongs to somebody else, as after su without its own environment,
// gets no directory of ours.
func TestNoCacheInAForeignHome(t *testing.T) {
	needRoot(t)
	f := newFar(t)
	if err := os.Chown(f.home, 12345, 12345); err != nil {
		t.Fatal(err)
	}
	if _, kept, _ := f.contact(t, opts(), true); !strings.Contains(kept, "belongs to another user") {
		t.Error(kept)
	}
	if entries, _ := os.ReadDir(f.home); len(entries) > 0 {
		t.Errorf("%v was made there", entries)
	}
}

// A umask that leaves nothing is no reason for a cache that can't be used.
func TestCacheUnderAUmaskThatLeavesNothing(t *testing.T) {
	for _, uid := range []uint32{uint32(os.Getuid()), 65534} {
		t.Run(fmt.Sprint(uid), func(t *testing.T) {
			if int(uid) != os.Getuid() {
				needRoot(t)
			}
			above, err := os.MkdirTemp("/tmp", "mitosis-test-") // that other users can reach
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.RemoveAll(above) })
			f := newFar(t)
			f.home, f.shell = filepath.Join(above, "home", "cache"), []string{"/bin/sh", "-c", `umask 0777;eval "$1"`, "-"}
			f.uid = uid
			home := filepath.Dir(f.home)
			if err := firstOf(os.Chmod(above, 0o711), os.Mkdir(home, 0o700), os.Chown(home, int(uid), int(uid))); err != nil {
				t.Fatal(err)
			}
			if _, kept, _ := f.contact(t, opts(), true); kept != keptWell {
				t.Fatal(kept)
			}
			if method, kept, _ := f.contact(t, opts(), true); method != StartCache || kept != keptWell {
				t.Errorf("start method %s, %s", method, kept)
			}
		})
	}
}

func TestManyChildrenKeepTheirImageAtOnce(t *testing.T) {
	f := newFar(t)
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			if _, kept, _ := f.contact(t, opts(), true); kept != keptWell {
				t.Error(kept)
			}
		})
	}
	wg.Wait()
	entries, err := os.ReadDir(f.dir())
	if err != nil || len(entries) != 1 {
		t.Errorf("the cache has %v, %v; want one file", entries, err)
	}
	if method, _, _ := f.contact(t, opts(), false); method != StartCache {
		t.Errorf("start method %s", method)
	}
}

// The images that were used last stay; what was never completed goes when nobody
// can be writing it any more, and what is not ours is let alone.
func TestOldImagesLeaveTheCache(t *testing.T) {
	f := newFar(t)
	if err := os.Mkdir(f.dir(), 0o700); err != nil {
		t.Fatal(err)
	}
	put := func(name string, age time.Duration) {
		t.Helper()
		path := filepath.Join(f.dir(), name)
		when := time.Now().Add(-age)
		if err := firstOf(os.WriteFile(path, nil, 0o500), os.Chtimes(path, when, when)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 20 {
		put(fmt.Sprintf("%064x-x86_64", i), time.Duration(i+1)*time.Hour)
	}
	put(halfPrefix+"old", time.Hour)
	put(halfPrefix+"young", time.Minute)
	put("notes", 1000*time.Hour)
	if err := os.MkdirAll(f.dir()+"/images/x", 0o700); err != nil {
		t.Fatal(err)
	}
	if _, kept, _ := f.contact(t, opts(), true); kept != keptWell {
		t.Fatal(kept)
	}
	want := []string{halfPrefix + "young", "images", "notes", filepath.Base(f.image(t))}
	for i := range keptInCache - 1 {
		want = append(want, fmt.Sprintf("%064x-x86_64", i))
	}
	var got []string
	entries, _ := os.ReadDir(f.dir())
	for _, e := range entries {
		got = append(got, e.Name())
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%q are there, not %q", got, want)
	}
}

// Where the far side turns out to be of another system than the first stage
// thought, its image is looked for in a second round trip, without being sent.
func TestCacheOfAnotherSystem(t *testing.T) {
	f := newFar(t)
	if _, kept, _ := f.contact(t, opts(), true); kept != keptWell {
		t.Fatal(kept)
	}
	o := opts()
	o.Known = &Facts{Kernel: "Linux", Machine: "riscv64"}
	o.Images = func(ctx context.Context, goos, goarch string) (*image.Image, error) {
		if goarch == "riscv64" {
			return image.New([]byte("not this one"), goos, goarch), nil
		}
		return image.OwnSource(ctx, goos, goarch)
	}
	if method, _, turns := f.contact(t, o, false); method != StartCache || turns != 2 {
		t.Errorf("start method %s, %d round trips", method, turns)
	}
	if err := os.RemoveAll(f.dir()); err != nil {
		t.Fatal(err)
	}
	if method, _, turns := f.contact(t, o, false); method == StartCache || turns != 3 {
		t.Errorf("start method %s, %d round trips", method, turns)
	}
}

// Nothing is looked for where the cache is not asked for, or not needed.
func TestNoCacheUnlessAskedFor(t *testing.T) {
	o := opts()
	o.Cache = true
	if line := NewLaunch(o).Line(); !strings.Contains(line, "/mitosis;") {
		t.Error(line)
	}
	o.Same = true
	for _, o := range []Options{opts(), o} {
		if line := NewLaunch(o).Line(); strings.Contains(line, "/mitosis;") {
			t.Error(line)
		}
	}
}
