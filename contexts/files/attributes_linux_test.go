package files

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mitosis-go/mitosis/contexts/files/internal/disk"
	"github.com/mitosis-go/mitosis/contexts/files/internal/wire"
)

// listOf makes an access control list of triples of tag, permissions and number, as the
// extended attribute has it (linux/posix_acl_xattr.h).
func listOf(entries ...[3]uint32) []byte {
	l := binary.LittleEndian.AppendUint32(nil, 2) // the version
	for _, e := range entries {
		l = binary.LittleEndian.AppendUint16(l, uint16(e[0]))
		l = binary.LittleEndian.AppendUint16(l, uint16(e[1]))
		l = binary.LittleEndian.AppendUint32(l, e[2])
	}
	return l
}

const (
	nobody      = ^uint32(0) // the number in entries that have none
	tagUserObj  = 0x01
	tagUser     = 0x02
	tagGroupObj = 0x04
	tagGroup    = 0x08
	tagMask     = 0x10
	tagOther    = 0x20
)

// guestList lets user 42 read what only the owner and the group may.
func guestList(mask uint32) []byte {
	return listOf([3]uint32{tagUserObj, 6, nobody}, [3]uint32{tagUser, 4, 42}, [3]uint32{tagGroupObj, 4, nobody},
		[3]uint32{tagGroup, 6, 43}, [3]uint32{tagMask, mask, nobody}, [3]uint32{tagOther, 0, nobody})
}

func setXattr(t *testing.T, path, name string, value []byte) {
	t.Helper()
	if err := unix.Lsetxattr(path, name, value, 0); errors.Is(err, unix.ENOTSUP) {
		t.Skipf("this file system has no %s", name)
	} else if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// described tells all that is kept of a file.
func described(t *testing.T, path string) string {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	uid, gid := disk.OwnerOf(info)
	s := fmt.Sprintf("%v %d:%d", info.Mode(), uid, gid)
	buf := make([]byte, 64<<10)
	n, err := unix.Llistxattr(path, buf)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range bytes.Split(bytes.TrimSuffix(buf[:n], []byte{0}), []byte{0}) {
		if len(name) == 0 {
			continue
		}
		value := make([]byte, 64<<10)
		n, err := unix.Lgetxattr(path, string(name), value)
		if err != nil {
			t.Fatal(err)
		}
		s += fmt.Sprintf(" %s=%x", name, value[:n])
	}
	return s
}

// asRoot skips what an ordinary user can't do.
func asRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root may give files away")
	}
}

// TestAFileKeepsWhatItHas replaces files, and writes them in place, that others
// than the copying user own, or may read.
func TestAFileKeepsWhatItHas(t *testing.T) {
	asRoot(t)
	for what, prepare := range map[string]func(t *testing.T, to string) error{
		"owner and group": func(t *testing.T, to string) error { return errors.Join(os.Chown(to, 7, 8), os.Chmod(to, 0o640)) },
		"nobody may read": func(t *testing.T, to string) error { return os.Chmod(to, 0) },
		"an access list": func(t *testing.T, to string) error {
			setXattr(t, to, "system.posix_acl_access", guestList(7))
			return os.Chown(to, 7, 8)
		},
		"a masked list": func(t *testing.T, to string) error {
			setXattr(t, to, "system.posix_acl_access", guestList(0))
			return nil
		},
		"user attributes": func(t *testing.T, to string) error {
			setXattr(t, to, "user.small", []byte("x"))
			setXattr(t, to, "user.large", bytes.Repeat([]byte("y"), 2000))
			return nil
		},
		"attributes of root": func(t *testing.T, to string) error {
			setXattr(t, to, "trusted.x", []byte("y"))
			setXattr(t, to, "security.label", []byte("system_u:object_r:etc_t:s0\x00"))
			return nil
		},
	} {
		for _, size := range []int{10, disk.MinPartial + 5} {
			for _, o := range []Options{{}, {Overwrite: Replace}, {Overwrite: InPlace}, {Resume: true, Times: true}} {
				for _, how := range []string{"", "named", "tree"} {
					named, tree := how == "named", how == "tree"
					t.Run(fmt.Sprint(what, size, o.Overwrite, o.Resume, how), func(t *testing.T) {
						disk.NoUnnamed.Store(named)
						defer disk.NoUnnamed.Store(false)
						from, dir := filepath.Join(t.TempDir(), "from"), filepath.Join(t.TempDir(), "there")
						target := filepath.Join(dir, "to")
						write(t, filepath.Join(from, "to"), noise(size))
						write(t, target, []byte("old"))
						// A list that the directory gives to new files is none of the target's.
						setXattr(t, dir, "system.posix_acl_default", guestList(7))
						if err := prepare(t, target); err != nil {
							t.Fatal(err)
						}
						if err := errors.Join(os.Chown(dir, 9, 10), os.Chmod(dir, 0o711)); err != nil {
							t.Fatal(err)
						}
						before, dirBefore := described(t, target), described(t, dir)
						var res Result
						if tree {
							res = mustCopy(t, from, dir, o)
						} else {
							res = mustCopy(t, filepath.Join(from, "to"), target, o)
						}
						if after := described(t, target); after != before || len(res.Notes) != 0 {
							t.Errorf("the file has\n%s, want\n%s as before, and no notes; got %+v", after, before, res.Notes)
						}
						if after := described(t, dir); after != dirBefore {
							t.Errorf("the directory has\n%s, want\n%s as before", after, dirBefore)
						}
						if b, err := os.ReadFile(target); err != nil || !bytes.Equal(b, noise(size)) {
							t.Errorf("the target has %d bytes, %v; want the %d of the source", len(b), err, size)
						}
					})
				}
			}
		}
	}
}

// TestWhatIsToldCounts has options that say otherwise: they hold for files that
// are replaced, that are written in place, and that are the same already.
func TestWhatIsToldCounts(t *testing.T) {
	asRoot(t)
	for _, same := range []bool{false, true} {
		for _, size := range []int{10, 3*wire.BlockSize + 5} {
			for _, way := range []Overwrite{Replace, InPlace} {
				for what, c := range map[string]struct {
					o    Options
					want string
				}{
					"nothing": {Options{}, "-rw-r----- 7:8"},
					"a mode":  {Options{Mode: 0o604}, "-rw----r-- 7:8"},
					"perm":    {Options{Perm: true}, "-rwxr-x--x 7:8"},
					"owner":   {Options{Owner: true}, "urwxr-x--x 3:4"},
				} {
					dir := t.TempDir()
					from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
					write(t, from, noise(size))
					write(t, to, []byte("old"))
					if same {
						write(t, to, noise(size))
					}
					err := errors.Join(os.Chown(from, 3, 4), os.Chmod(from, 0o751|fs.ModeSetuid), os.Chown(to, 7, 8), os.Chmod(to, 0o640))
					if err != nil {
						t.Fatal(err)
					}
					c.o.Overwrite = way
					mustCopy(t, from, to, c.o)
					if got := described(t, to); got != c.want {
						t.Errorf("%s, %d bytes, the same %v, way %d: %s, not %s", what, size, same, way, got, c.want)
					}
				}
			}
		}
	}
	// An access list goes with a mode as it does with chmod(1).
	dir := t.TempDir()
	from, to, other := filepath.Join(dir, "from"), filepath.Join(dir, "to"), filepath.Join(dir, "other")
	write(t, from, noise(10))
	for _, name := range []string{to, other} {
		write(t, name, []byte("old"))
		setXattr(t, name, "system.posix_acl_access", guestList(7))
	}
	for _, mode := range []fs.FileMode{0o600, 0o640, 0o775, 0o004} {
		write(t, from, noise(10+int(mode)))
		mustCopy(t, from, to, Options{Mode: mode})
		if err := os.Chmod(other, mode); err != nil {
			t.Fatal(err)
		}
		if got, want := described(t, to), described(t, other); got != want {
			t.Errorf("%o: %s, and by chmod %s", mode, got, want)
		}
	}
}

// What gives a program more rights than its user has was given to the old
// contents.
func TestPrivilegesDoNotPassToNewContents(t *testing.T) {
	asRoot(t)
	capability := binary.LittleEndian.AppendUint32(nil, 0x02000001) // version 2, effective
	capability = append(capability, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	for what, prepare := range map[string]func(t *testing.T, to string) error{
		"set-user-ID":  func(t *testing.T, to string) error { return os.Chmod(to, 0o755|fs.ModeSetuid) },
		"set-group-ID": func(t *testing.T, to string) error { return os.Chmod(to, 0o755|fs.ModeSetgid) },
		"capabilities": func(t *testing.T, to string) error {
			setXattr(t, to, "security.capability", capability)
			return os.Chmod(to, 0o755)
		},
	} {
		for _, size := range inPlaceSizes {
			for _, way := range []Overwrite{ReplaceOrInPlace, Replace, InPlace} {
				dir := t.TempDir()
				from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
				write(t, from, noise(size))
				write(t, to, []byte("old"))
				if err := prepare(t, to); err != nil {
					t.Fatal(err)
				}
				res := mustCopy(t, from, to, Options{Overwrite: way})
				if got := described(t, to); got != "-rwxr-xr-x 0:0" || len(res.Notes) != 1 || res.Notes[0].Kind != NotePrivilegesDropped {
					t.Errorf("%s, %d bytes, way %d: got %s, notes %+v; want -rwxr-xr-x 0:0 and a note that privileges were dropped", what, size, way, got, res.Notes)
				}
			}
		}
	}
	// The same contents keep theirs.
	dir := t.TempDir()
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	write(t, from, noise(10))
	write(t, to, noise(10))
	if err := os.Chmod(to, 0o755|fs.ModeSetuid); err != nil {
		t.Fatal(err)
	}
	if mustCopy(t, from, to, Options{}); described(t, to) != "urwxr-xr-x 0:0" {
		t.Error(described(t, to))
	}
}

// TestNobodyElseCanReadAtAnyMoment has another user try to open whatever is in
// the directory, while a secret takes the place of another. Only the owner's
// group and those of the access list may read it.
func TestNobodyElseCanReadAtAnyMoment(t *testing.T) {
	asRoot(t)
	dir := filepath.Join(t.TempDir(), "d")
	from := [2]string{filepath.Join(t.TempDir(), "from"), filepath.Join(t.TempDir(), "from")}
	for i, size := range []int{1000, disk.MinPartial + 1} {
		write(t, from[i], noise(size))
		if err := os.Chmod(from[i], 0o644); err != nil {
			t.Fatal(err)
		}
	}
	to := filepath.Join(dir, "to")
	write(t, to, []byte("old"))
	setXattr(t, dir, "system.posix_acl_default", listOf([3]uint32{tagUserObj, 7, nobody}, [3]uint32{tagUser, 7, 4711},
		[3]uint32{tagGroupObj, 7, nobody}, [3]uint32{tagMask, 7, nobody}, [3]uint32{tagOther, 7, nobody}))
	setXattr(t, to, "system.posix_acl_access", guestList(7))
	if err := errors.Join(os.Chown(to, 7, 8), os.Chmod(dir, 0o755)); err != nil {
		t.Fatal(err)
	}
	// The directory's list is what the other user could read by.
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Dir(filepath.Dir(dir)), 0o755); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var tries atomic.Int64
	seen := make(chan string, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with its user
		defer close(seen)
		for _, call := range []func() error{
			func() error { _, _, e := unix.RawSyscall(unix.SYS_SETGROUPS, 0, 0, 0); return errnoOr(e) },
			func() error { _, _, e := unix.RawSyscall(unix.SYS_SETRESGID, 4711, 4711, 4711); return errnoOr(e) },
			func() error { _, _, e := unix.RawSyscall(unix.SYS_SETRESUID, 4711, 4711, 4711); return errnoOr(e) },
		} {
			if err := call(); err != nil {
				seen <- err.Error()
				return
			}
		}
		for {
			select {
			case <-stop:
				return
			default:
			}
			list, err := os.ReadDir(dir)
			if err != nil {
				seen <- err.Error()
				return
			}
			for _, e := range list {
				if f, err := os.Open(filepath.Join(dir, e.Name())); err == nil {
					f.Close()
					seen <- e.Name()
					return
				}
				tries.Add(1)
			}
		}
	}()
	for i := range 200 {
		disk.NoUnnamed.Store(i%4 < 2)
		o := Options{}
		switch i % 8 {
		case 5:
			o.Overwrite = InPlace
		case 6:
			o.Mode = 0o640
		case 7:
			o.Resume = true
		}
		mustCopy(t, from[i%2], to, o)
	}
	disk.NoUnnamed.Store(false)
	for deadline := time.Now().Add(10 * time.Second); tries.Load() < 400 && time.Now().Before(deadline); {
		runtime.Gosched()
	}
	close(stop)
	if name, ok := <-seen; ok {
		t.Errorf("another user could open %s, want that only the owner can", name)
	}
	if tries.Load() < 400 {
		t.Errorf("the other user has tried %d times, want at least 400 for the test to mean something", tries.Load())
	}
}

func errnoOr(e syscall.Errno) error {
	if e != 0 {
		return e
	}
	return nil
}
