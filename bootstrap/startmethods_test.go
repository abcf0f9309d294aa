//go:build linux

package bootstrap

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/bootstrap/image"
)

// in runs the first stage with PATH holding only what is in dir, after commands
// that may change what is mounted where nobody else sees it.
func (l *Launch) in(dir, before string) *exec.Cmd {
	script := "export PATH=" + dir + ";" + l.Line()
	if before == "" {
		return exec.Command("/bin/sh", "-c", script)
	}
	return exec.Command("unshare", "-m", "/bin/sh", "-c", before+";"+script)
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
}

// Every combination of tools that changes how an image arrives.
func TestWhateverTheFarSideHas(t *testing.T) {
	for name, has := range map[string][]string{
		"perl, sha256sum, zstd":    {"perl", "sha256sum", "zstd"},
		"perl, openssl, gzip":      {"perl", "openssl", "gzip"},
		"perl, tee, sha256sum":     {"perl", "tee", "sha256sum", "gzip"},
		"perl, tee, openssl, zstd": {"perl", "tee", "openssl", "zstd"},
		"perl, tee, nothing else":  {"perl", "tee"},
		"perl alone":               {"perl"},
		"perl, gzip":               {"perl", "gzip"},
		"perl, sha256sum, xz":      {"perl", "sha256sum", "xz"},
		"python3, zstd":            {"python3", "zstd"},
		"python3, xz":              {"python3", "xz"},
		"xz":                       {"xz"},
		"python3, gzip":            {"python3", "gzip"},
		"python3 alone":            {"python3"},
		"nothing":                  {},
		"gzip":                     {"gzip"},
		"zstd, shasum":             {"zstd", "shasum", "perl"},
		"sha256sum":                {"sha256sum"},
		"openssl, zstd":            {"openssl", "zstd"},
		"python3 to hash for perl": {"perl", "python3", "gzip"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := tools(t, append(append([]string{}, basics...), has...)...)
			for _, method := range startMethods {
				if strings.HasPrefix(method, "memfd") && !strings.Contains(strings.Join(has, " "), strings.TrimPrefix(method, "memfd-")) ||
					method == StartTmpfs {
					continue
				}
				o := opts()
				o.StartMethods = []string{method}
				l := NewLaunch(o)
				s := born(t, l, start(t, l.in(dir, "")), "")
				answers(t, s)
				img, _ := image.Own()
				if s.Hello.ImageHash != img.Hash {
					t.Errorf("%s: image %x", method, s.Hello.ImageHash)
				}
			}
		})
	}
}

func TestNoHead(t *testing.T) {
	dir := tools(t, "id", "uname", "stat", "cat", "rm", "chmod", "dd", "gzip")
	o := opts()
	o.StartMethods = []string{StartRAM}
	l := NewLaunch(o)
	answers(t, born(t, l, start(t, l.in(dir, "")), ""))
}

// Where a file could not be rid of its name, none is made.
func TestNoRm(t *testing.T) {
	for _, missing := range []string{"rm", "chmod"} {
		has := slices.DeleteFunc([]string{"id", "uname", "stat", "cat", "head", "gzip", "rm", "chmod"}, func(s string) bool { return s == missing })
		home := t.TempDir()
		o := opts()
		o.StartMethods = []string{StartRAM, StartDisk}
		l := NewLaunch(o)
		cmd := l.in(tools(t, has...), "")
		cmd.Env = append(os.Environ(), "HOME="+home, "XDG_RUNTIME_DIR=")
		_, err := l.Run(bound(t), start(t, cmd))
		if !errors.Is(err, ErrNoStartMethod) || !strings.Contains(err.Error(), "disk: "+home+": "+missing+" not found") {
			t.Error(err)
		}
		for _, dir := range []string{home, "/dev/shm", "/run", "/tmp", "/var/tmp"} {
			path := filepath.Join(dir, ".mitosis-"+l.marker)
			if _, err := os.Lstat(path); err == nil {
				t.Errorf("%s is left without %s", path, missing)
				os.Remove(path)
			}
		}
	}
}

// A damaged host that has an interpreter and nothing that tells its system and its
// user is taken for one like ours.
func TestNoUname(t *testing.T) {
	needRoot(t)
	dir := tools(t, "perl", "cat")
	l := NewLaunch(opts())
	// Where PATH has none of the two, the system's directories are looked through.
	hidden := "for p in uname id;do for d in /usr/bin /bin;do mount --bind /dev/null $d/$p;done;done"
	s := born(t, l, start(t, l.in(dir, hidden)), "")
	answers(t, s)
	if s.Facts.Kernel != unknownFact || s.Facts.UID != -1 {
		t.Errorf("facts %+v, want an unknown kernel and user", s.Facts)
	}
}

// One program that is everything provides all that a shell start method needs: busybox with
// its own shell, toybox with mksh, as on Android.
func TestOneProgramIsEverything(t *testing.T) {
	for name, install := range map[string]string{
		"busybox": "busybox --install -s .",
		"toybox":  "toybox=$(command -v toybox); for x in $(toybox); do ln -s $toybox $x; done",
	} {
		dir := t.TempDir()
		cmd := exec.Command("/bin/sh", "-c", install)
		cmd.Dir = dir
		if _, err := exec.LookPath(name); err != nil {
			t.Skip(err)
		}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v, %s", err, out)
		}
		shell := map[string][]string{"busybox": {"busybox", "ash"}, "toybox": {"mksh"}}[name]
		for _, method := range []string{StartRAM, StartTmpfs, StartDisk} {
			t.Run(name+" "+method, func(t *testing.T) {
				o := opts()
				o.StartMethods = []string{method}
				l := NewLaunch(o)
				answers(t, born(t, l, start(t, asSystemShell(t, shell, "export PATH="+dir+";"+l.script())), ""))
			})
		}
	}
}

const noMemory = "for d in /dev/shm /run /tmp; do mount -t tmpfs -o noexec none $d; done"

func TestStartMethodsGoOn(t *testing.T) {
	needRoot(t)
	for name, test := range map[string]struct {
		has    []string
		before string
		noDisk bool
		method string
		turns  int // round trips above two
	}{
		"perl first":             {[]string{"perl", "gzip"}, "", false, StartPerl, 0},
		"no perl":                {[]string{"python3", "gzip"}, "", false, StartPython, 0},
		"no interpreter":         {[]string{"gzip", "sha256sum"}, "mount -t tmpfs none /dev/shm", false, StartRAM, 0},
		"memory noexec":          {[]string{"gzip", "sha256sum", "unshare"}, noMemory, true, StartTmpfs, 0},
		"no unshare":             {[]string{"gzip", "sha256sum"}, noMemory + ";mount -t tmpfs none /var/tmp", false, StartDisk, 0},
		"memory full":            {[]string{"zstd", "sha256sum"}, "for d in /dev/shm /run; do mount -t tmpfs -o size=1m none $d; done; mount -t tmpfs none /tmp", false, StartRAM, 2},
		"first interpreter dead": {[]string{"python3", "false:perl", "gzip"}, "", false, StartPython, 1},
		"both dead":              {[]string{"false:perl", "false:python3", "gzip"}, "mount -t tmpfs none /dev/shm", false, StartRAM, 2},
		"unpacker dead":          {[]string{"perl", "false:zstd", "sha256sum"}, "", false, "", 0},
		"unpacker of three dead": {[]string{"perl", "false:zstd", "sha256sum", "tee"}, "", false, "", 0},
		"copier of three dead":   {[]string{"perl", "gzip", "sha256sum", "false:tee"}, "mount -t tmpfs none /dev/shm", false, StartRAM, 1},
		"hasher of three dead":   {[]string{"perl", "gzip", "false:sha256sum", "tee"}, "", false, StartPerl, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			names, dead := basics, []string{}
			for _, n := range test.has {
				if f, ok := strings.CutPrefix(n, "false:"); ok {
					dead = append(dead, f)
				} else {
					names = append(names[:len(names):len(names)], n)
				}
			}
			dir := tools(t, names...)
			for _, n := range dead {
				if err := os.WriteFile(filepath.Join(dir, n), []byte("#!/bin/sh\nexit 127\n"), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			// The test's own files are seen from where /tmp is covered.
			before := test.before
			if before != "" {
				before = "mkdir -p /opt; mount -t tmpfs none /opt && cp -a " + dir + "/. /opt/;" + before
				dir = "/opt"
			}
			o := opts()
			o.NoDisk = test.noDisk
			var logged bytes.Buffer
			o.Log = slog.New(slog.NewTextHandler(&logged, nil))
			l := NewLaunch(o)
			c := &counting{Carrier: start(t, l.in(dir, before))}
			s, err := l.Run(bound(t), c)
			if turns := 2 + test.turns; err == nil && c.turns != turns {
				t.Errorf("%d round trips, not %d", c.turns, turns)
			}
			if test.method == "" {
				if !errors.Is(err, ErrNoStartMethod) {
					t.Fatalf("error %v", err)
				}
				t.Log(err)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if s.StartMethod != test.method {
				t.Errorf("start method %s", s.StartMethod)
			}
			if (logged.Len() > 0) != (test.method == StartDisk) {
				t.Errorf("logged %s", &logged)
			}
		})
	}
}

func TestAllStartMethodsClosedNamesEveryReason(t *testing.T) {
	needRoot(t)
	dir := tools(t, append(append([]string{}, basics...), "gzip", "sha256sum", "perl")...)
	os.WriteFile(filepath.Join(dir, "unshare"), []byte("#!/bin/sh\necho 'unshare: unshare failed: Operation not permitted' >&2\nexit 1\n"), 0o755)
	os.Remove(filepath.Join(dir, "perl"))
	os.WriteFile(filepath.Join(dir, "perl"), []byte("#!/bin/sh\necho 'libperl.so: cannot open shared object file' >&2\nexit 127\n"), 0o755)
	before := "mkdir -p /opt; mount -t tmpfs none /opt && cp -a " + dir + "/. /opt/;" +
		"mount -t tmpfs -o noexec none /dev/shm; mount -t tmpfs -o size=64k none /run; mount -t tmpfs -o size=64k none /tmp;" +
		"mount -t tmpfs -o ro none /var/tmp; mount -t tmpfs -o noexec none /root; HOME=/root; export HOME; unset XDG_RUNTIME_DIR"
	l := NewLaunch(opts())
	c := start(t, l.in("/opt", before))
	_, err := l.Run(bound(t), c)
	if !errors.Is(err, ErrNoStartMethod) {
		t.Fatal(err)
	}
	t.Log(err)
	e, _ := errors.AsType[*Error](err)
	for i, want := range []string{
		"memfd-perl: interpreter does not start: cannot open shared object file",
		"memfd-python3: no interpreter: python3 not found",
		"ram: /dev/shm: execution not allowed, Permission denied, ", // then /run and /tmp
		"tmpfs: /mnt: Operation not permitted",
		"disk: /root: execution not allowed, Permission denied, /var/tmp: Read-only file system, /tmp: unpacking: No space left",
	} {
		if i >= len(e.StartMethods) {
			t.Errorf("no reason for %s", want)
		} else if got := e.StartMethods[i].Error(); !strings.HasPrefix(got, want) {
			t.Errorf("reason %q, want %q", got, want)
		}
	}
	if len(e.StartMethods) > 2 && strings.Count(e.StartMethods[2].Reason, "No space left") != 2 {
		t.Errorf("reason %q", e.StartMethods[2].Reason)
	}
}

func TestDiskOnlyWhereAllowed(t *testing.T) {
	o := opts()
	o.StartMethods, o.NoDisk = []string{StartDisk}, true
	l := NewLaunch(o)
	_, err := l.Run(bound(t), start(t, l.command()))
	if !errors.Is(err, ErrNoStartMethod) || !strings.Contains(err.Error(), "not allowed to write to a disk") {
		t.Error(err)
	}
}

// tampered sends other bytes than those whose hash it names.
func tampered(t *testing.T) image.Source {
	img, err := image.Own()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := img.Encoded(t.Context(), image.Raw, nil)
	if err != nil {
		t.Fatal(err)
	}
	other := image.New(raw, img.GOOS, img.GOARCH)
	for _, c := range builtIn { // they are packed before the hash is wrong
		if _, err := other.Encoded(t.Context(), c, nil); err != nil {
			t.Fatal(err)
		}
	}
	other.Hash[0] ^= 1
	return func(context.Context, string, string) (*image.Image, error) { return other, nil }
}

func TestImageThatArrivesHarmed(t *testing.T) {
	for _, has := range [][]string{{"sha256sum"}, {}} {
		dir := tools(t, append(append([]string{"perl", "python3", "unshare"}, basics...), has...)...)
		if len(has) == 0 { // no interpreter may hash either
			dir = tools(t, append([]string{"perl"}, basics...)...)
		}
		for _, method := range startMethods {
			if len(has) == 0 && (method == StartPython || method == StartTmpfs) || method == StartTmpfs && os.Getuid() != 0 {
				continue
			}
			t.Run(fmt.Sprint(method, has), func(t *testing.T) {
				o := opts()
				o.StartMethods, o.Images = []string{method}, tampered(t)
				l := NewLaunch(o)
				c := start(t, l.in(dir, ""))
				_, err := l.Run(bound(t), c)
				if e, ok := errors.AsType[*Error](err); !ok || !errors.Is(err, ErrImageHash) {
					t.Errorf("error %v %+v", err, e)
				}
				gone(t, []int{c.cmd.Process.Pid})
			})
		}
	}
}

func TestOtherSystem(t *testing.T) {
	l := NewLaunch(opts())
	dir := tools(t, "id", "head")
	os.WriteFile(filepath.Join(dir, "uname"), []byte("#!/bin/sh\necho Linux riscv64\n"), 0o755)
	_, err := l.Run(bound(t), start(t, l.in(dir, "")))
	if !errors.Is(err, ErrNoImage) || !strings.Contains(err.Error(), "linux/riscv64") {
		t.Error(err)
	}
}

// A file has lost its name before the first byte of the image is there, and a
// connect that ends at this point leaves nothing.
func TestFileIsUnlinkedBeforeItIsWritten(t *testing.T) {
	for _, method := range []string{StartRAM, StartDisk} {
		t.Run(method, func(t *testing.T) {
			home := t.TempDir()
			o := opts()
			o.StartMethods = []string{method}
			l := NewLaunch(o)
			cmd := l.command()
			cmd.Env = append(os.Environ(), "HOME="+home, "XDG_RUNTIME_DIR=")
			held := &held{procCarrier: start(t, cmd), reached: make(chan struct{}), release: make(chan struct{})}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			result := make(chan error, 1)
			go func() {
				_, err := l.Run(ctx, held)
				result <- err
			}()
			select {
			case <-held.reached: // the plan has been sent, the image has not
			case err := <-result:
				t.Fatalf("the launch ended before an image was sent: %v", err)
			}
			pid := held.cmd.Process.Pid
			path := fmt.Sprintf("/proc/%d/fd/8", pid)
			var target string
			for range 500 {
				if target, _ = os.Readlink(path); strings.HasSuffix(target, "(deleted)") {
					break
				}
				time.Sleep(10 * time.Millisecond)
			}
			if !strings.HasSuffix(target, "(deleted)") {
				t.Errorf("descriptor 8 is %q", target)
			}
			for _, dir := range []string{home, "/dev/shm", "/run", "/tmp", "/var/tmp"} {
				if left, _ := filepath.Glob(dir + "/.mitosis-*"); len(left) > 0 {
					t.Errorf("files %v", left)
				}
			}
			cancel()
			if err := <-result; !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			close(held.release)
			gone(t, tree(pid))
		})
	}
}

// held stops the sender behind the plan.
type held struct {
	*procCarrier
	once             sync.Once
	reached, release chan struct{}
}

func (h *held) Write(b []byte) (int, error) {
	if !ofImage(b) {
		return h.procCarrier.Write(b)
	}
	h.once.Do(func() { close(h.reached) })
	select {
	case <-h.release:
	case <-h.done:
	}
	return 0, io.ErrClosedPipe
}

// ofImage reports whether what is written is a piece of an image, and not a plan, which is
// shorter.
func ofImage(b []byte) bool { return len(b) == sentPiece }

// The context stays in the mount namespace of its host: it is there to repair it.
func TestTmpfsStartMethodStaysInTheHostsNamespace(t *testing.T) {
	needRoot(t)
	o := opts()
	o.StartMethods = []string{StartTmpfs}
	l := NewLaunch(o)
	s := born(t, l, start(t, l.command()), "run readlink /proc/self/ns/mnt")
	want, _ := os.Readlink("/proc/self/ns/mnt")
	if got := readLine(t, s); got != want {
		t.Errorf("namespace %s, not %s", got, want)
	}
	mounts, _ := os.ReadFile("/proc/self/mounts")
	if bytes.Contains(mounts, []byte("mitosis ")) {
		t.Error("the tmpfs shows")
	}
}

func TestOwnImageOfADeletedExecutable(t *testing.T) {
	// A memfd child has an executable without a name, and reads it for its
	// own children; so does one whose file was removed.
	exe, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "copy")
	syscall.ForkLock.RLock() // else a child of another test may hold it open for writing
	err = os.WriteFile(path, exe, 0o700)
	syscall.ForkLock.RUnlock()
	if err != nil {
		t.Fatal(err)
	}
	l := NewLaunch(opts())
	cmd := l.direct()
	cmd.Path = path
	c := start(t, cmd)
	s := born(t, l, c, "run rm -f "+path+"; sha256sum /proc/$PPID/exe")
	if got := readLine(t, s); !strings.HasPrefix(got, fmt.Sprintf("%x", sha256.Sum256(exe))) {
		t.Errorf("hash %s", got)
	}
}
