package sftp_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/contexts/sftp"
)

// A copy within the server is that of OpenSSH. Left out are copies of a file to
// itself under another name, which OpenSSH before 10.4 allows, and lengths that end
// less than 64 KiB behind the end of a file, which it takes for a success.
func TestCopiesAreTheSameAsOpenSSH(t *testing.T) {
	ours, theirs := start(t, openSSH(t), os.Geteuid())
	content := bytes.Repeat([]byte("0123456789abcdef"), 12_000)
	const whole = 192_000
	copyData := func(from any, offset, length uint64, to any, at uint64) step {
		return step{kind: fxExtended, parts: []any{"copy-data", from, offset, length, to, at}}
	}
	const from, to, more, dir, folder = slot(1), slot(2), slot(3), slot(4), slot(5)
	for i, s := range []step{
		step{fxOpen, []any{"from", wantRead | wantWrite | wantCreate, 0}, int(from)},
		step{fxOpen, []any{"to", wantRead | wantWrite | wantCreate, 0}, int(to)},
		step{fxOpen, []any{"more", wantWrite | wantCreate | wantAppend, 0}, int(more)},
		step{fxOpendir, []any{"."}, int(dir)},
		step{fxOpen, []any{".", wantRead, 0}, int(folder)},
		step{kind: fxWrite, parts: []any{from, uint64(0), string(content)}},
		copyData(from, 0, 0, to, 0),
		copyData(from, 1000, 70_000, to, whole+5),
		copyData(from, 0, whole, to, 10),
		copyData(from, whole, 0, to, 0),
		copyData(from, 1<<63+1, 10, to, 0),
		copyData(from, 0, 10, to, 1<<63+1),
		copyData(from, 5, 0, more, 3),
		copyData(from, 5, 100, more, 0),
		copyData(more, 0, 0, to, 0),
		copyData(from, 0, 0, from, 0),
		copyData(from, 0, 0, dir, 0),
		copyData(dir, 0, 0, to, 0),
		copyData(folder, 0, 0, to, 0),
		copyData(from, 0, 0, folder, 0),
		step{kind: fxFstat, parts: []any{to}},
		step{kind: fxRead, parts: []any{to, uint64(0), 1 << 20}},
	} {
		both(t, ours, theirs, uint32(i), s)
	}
	begin := time.Now().Add(-20 * time.Second)
	if got, want := describe(t, ours.dir, begin), describe(t, theirs.dir, begin); got != want {
		t.Error("the copies differ")
	}
}

// odd makes files of each kind, with odd modes and times far off.
func odd(t *testing.T, dir string) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	kinds := map[string]uint32{"file": syscall.S_IFREG, "fifo": syscall.S_IFIFO, "socket": syscall.S_IFSOCK}
	if os.Geteuid() == 0 {
		kinds["character device"], kinds["block device"] = syscall.S_IFCHR, syscall.S_IFBLK
	}
	old := time.Unix(1e9, 0) // so that lines are the same
	for name, kind := range kinds {
		name = filepath.Join(dir, name)
		must(syscall.Mknod(name, kind|0o600, 1<<8|3))
		must(os.Chtimes(name, old, old))
	}
	for mode := uint32(0); mode < 0o10000; mode += 0o421 {
		name := filepath.Join(dir, fmt.Sprintf("mode %o", mode))
		must(os.Mkdir(name, 0o700))
		must(syscall.Chmod(name, mode))
		must(os.Chtimes(name, old, old))
	}
	must(os.Symlink("file", filepath.Join(dir, "link")))
	now := time.Now()
	for i, at := range []time.Time{
		time.Unix(-1e8, 0), time.Unix(0, 0), now.AddDate(0, -7, 0), now.AddDate(0, -5, 0), now.AddDate(0, 0, 1), time.Unix(1<<31+5, 0),
	} {
		name := filepath.Join(dir, fmt.Sprint("time ", i))
		must(os.WriteFile(name, make([]byte, i), 0o644))
		must(os.Chtimes(name, at, at))
		if os.Geteuid() == 0 {
			must(os.Chown(name, i*5, i*1000))
		}
	}
}

// A listing is that of OpenSSH to the letter.
func TestListingsAreTheSameAsOpenSSH(t *testing.T) {
	ours, theirs := start(t, openSSH(t), os.Geteuid())
	odd(t, ours.dir)
	odd(t, theirs.dir)
	for i, s := range []step{{fxOpendir, []any{"."}, 1}, {kind: fxReaddir, parts: []any{slot(1)}}, {kind: fxReaddir, parts: []any{slot(1)}}} {
		both(t, ours, theirs, uint32(i), s)
	}
}

// both asks both servers and compares the answers.
func both(t *testing.T, ours, theirs *side, id uint32, s step) {
	t.Helper()
	begin := time.Now().Add(-5 * time.Second)
	a, b := ours.client.answers(s.packet(id, ours))[0], theirs.client.answers(s.packet(id, theirs))[0]
	if got, want := ours.tell(a, s, begin), theirs.tell(b, s, begin); got != want {
		t.Errorf("%v\ngot  %.10000s\nwant %.10000s", s, got, want)
	}
}

// What is announced is what OpenSSH announces, and so are the limits but for that
// of open files.
func TestTheSameIsAnnounced(t *testing.T) {
	theirs := execute(t, openSSH(t), os.Geteuid(), t.TempDir())
	ours := serve(t, sftp.Options{})
	limits := extension(1, "limits@openssh.com")
	for _, packet := range [][]byte{encode(5, byte(fxInit), 3), limits} {
		a, b := (&raw{t: t, conn: ours}).answers(packet)[0], (&raw{t: t, conn: theirs}).answers(packet)[0]
		if a.kind == fxExtendedReply {
			a.body, b.body = a.body[:24], b.body[:24]
		}
		if a.kind != b.kind || a.id != b.id || !bytes.Equal(a.body, b.body) {
			t.Errorf("got  %q\nwant %q", a.body, b.body)
		}
	}
}
