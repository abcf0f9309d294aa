package sftp_test

import (
	"bytes"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/contexts/sftp"
)

// The time of access is told as such, by name, by handle and in a listing, and
// is set apart from that of modification.
func TestTimesOfAccess(t *testing.T) {
	dir := t.TempDir()
	c := serveRaw(t, sftp.Options{Dir: dir})
	h := c.open("f", wantWrite|wantCreate)
	const atime, mtime = 978307200, 1012608000
	if st := c.status(fxFsetstat, h, hasTimes, atime, mtime); st != stOK {
		t.Fatal(st)
	}
	times := func(what string, a answer) {
		t.Helper()
		if flags := a.uint32(); flags != hasSize|hasOwners|hasMode|hasTimes {
			t.Fatalf("%s: got flags %x, want size, owners, mode and times", what, flags)
		}
		a.uint64()
		a.uint64()
		a.uint32()
		if got, want := [2]uint32{a.uint32(), a.uint32()}, [2]uint32{atime, mtime}; got != want {
			t.Errorf("%s: accessed and modified at %v, want %v", what, got, want)
		}
	}
	times("by handle", c.ask(fxFstat, h))
	times("by name", c.ask(fxStat, "f"))
	times("of the link", c.ask(fxLstat, "f"))
	list := c.ask(fxReaddir, func() string { a := c.ask(fxOpendir, "."); return a.string() }())
	for range list.uint32() {
		name, _ := list.string(), list.string()
		if name == "f" {
			times("in a listing", list)
		}
		list.body = list.body[4+8+8+4+8:]
	}
	// The file is the one that is open, whatever has its name now.
	if err := os.Rename(filepath.Join(dir, "f"), filepath.Join(dir, "g")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "f"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if st := c.status(fxFsetstat, h, hasTimes|hasMode, 0o640, 1, 2); st != stOK {
		t.Fatal(st)
	}
	if s, err := os.Stat(filepath.Join(dir, "g")); err != nil || s.ModTime().Unix() != 2 || s.Mode() != 0o640 {
		t.Errorf("the open file: got %v, %v; want mode 0640 and a time of 2 s", s, err)
	}
	if s, err := os.Stat(filepath.Join(dir, "f")); err != nil || time.Since(s.ModTime()) > time.Hour || s.Mode() != 0o600 {
		t.Errorf("the file that has its name: got %v, %v; want mode 0600 and a recent time", s, err)
	}
}

func TestCopyData(t *testing.T) {
	dir := t.TempDir()
	content := bytes.Repeat([]byte("0123456789"), 3<<20) // more than is copied at once
	if err := os.WriteFile(filepath.Join(dir, "f"), content, 0o600); err != nil {
		t.Fatal(err)
	}
	c := serveRaw(t, sftp.Options{Dir: dir})
	from, to := c.open("f", wantRead), c.open("g", wantRead|wantWrite|wantCreate)
	copyData := func(from string, offset, length uint64, to string, at uint64) uint32 {
		return c.status(fxExtended, "copy-data", from, offset, length, to, at)
	}
	if st := copyData(from, 5, 0, to, 3); st != stOK {
		t.Errorf("to the end: got status %d, want OK", st)
	}
	if st := copyData(from, 0, 3, to, 0); st != stOK {
		t.Errorf("three bytes: got status %d, want OK", st)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "g")); err != nil || string(got[:3]) != "012" || !bytes.Equal(got[3:], content[5:]) {
		t.Errorf("the copy has %d bytes, %v; want the first three of the source and then those from 5", len(got), err)
	}
	if st := copyData(from, uint64(len(content))-1, 2, to, 0); st != stEOF {
		t.Errorf("more than the file has: got status %d, want EOF", st)
	}
	if err := os.Link(filepath.Join(dir, "f"), filepath.Join(dir, "h")); err != nil {
		t.Fatal(err)
	}
	if st := copyData(from, 0, 0, c.open("h", wantWrite), 5); st != stFailure {
		t.Errorf("to itself by another name: got status %d, want failure", st)
	}
	if st := copyData(to, 0, 0, to, 5); st != stFailure {
		t.Errorf("to itself: got status %d, want failure", st)
	}
}

// A copy that would go on for ever ends with the connection.
func TestACopyEndsWithItsClient(t *testing.T) {
	if _, err := os.Stat("/dev/zero"); err != nil {
		t.Skip("a file without an end is needed: ", err)
	}
	dir := t.TempDir()
	ours, ended := serveUntil(t, sftp.Options{Dir: dir})
	c := newRaw(t, ours)
	from, to := c.open("/dev/zero", wantRead), c.open("g", wantWrite|wantCreate)
	if _, err := ours.Write(extension(1, "copy-data", from, uint64(0), uint64(0), to, uint64(0))); err != nil {
		t.Fatal(err)
	}
	ours.Close()
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Error("after 20 s the copy still goes on, want that it ends with the connection")
	}
}

func TestPathsThatAreExpanded(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(dir, filepath.Join(dir, "l")); err != nil {
		t.Fatal(err)
	}
	u, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	c := serveRaw(t, sftp.Options{Dir: dir})
	for path, want := range map[string]string{
		"": dir, "~": dir, "~/": dir, "~/l/x": dir + "/x", "l/l": dir, "/..": "/", "~" + u.Username: u.HomeDir, "~" + u.Username + "/..": filepath.Dir(u.HomeDir),
	} {
		if a := c.ask(fxExtended, "expand-path@openssh.com", path); a.kind != fxName || a.uint32() != 1 {
			t.Errorf("%q: want an answer with one name", path)
		} else if got := a.string(); got != want {
			t.Errorf("%q: %q, want %q", path, got, want)
		}
	}
	if st := c.status(fxExtended, "expand-path@openssh.com", "~no-such-user"); st != stNoSuchFile {
		t.Errorf("a user who does not exist: got status %d, want no such file", st)
	}
	for name, want := range map[string]string{"": u.HomeDir, u.Username: u.HomeDir} {
		if a := c.ask(fxExtended, "home-directory", name); a.uint32() != 1 || a.string() != want {
			t.Errorf("the home directory of %q: want %s", name, want)
		}
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		t.Skip("no number: ", err)
	}
	if a := c.ask(fxExtended, "users-groups-by-id@openssh.com", string(encode(uid, 123456789, uid)), ""); a.string() != string(encode(u.Username, "", u.Username)) || a.string() != "" {
		t.Error("want the name of the user twice, and none for a number without one")
	}
}

// A listing may take many answers, and tells each name once.
func TestLargeDirectories(t *testing.T) {
	dir := t.TempDir()
	const files = 1234
	want := map[string]bool{".": true, "..": true}
	for i := range files {
		name := strings.Repeat("n", 200) + strconv.Itoa(i)
		want[name] = true
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := serveRaw(t, sftp.Options{Dir: dir})
	a := c.ask(fxOpendir, ".")
	h := a.string()
	answers := 0
	for {
		if a = c.ask(fxReaddir, h); a.kind != fxName {
			break
		}
		if answers++; answers > files {
			t.Fatal("it does not end")
		}
		for range a.uint32() {
			name, long := a.string(), a.string()
			a.body = a.body[4+8+8+4+8:]
			if !want[name] {
				t.Errorf("%q was listed, want each name once", name)
			}
			if !strings.HasSuffix(long, " "+name) {
				t.Errorf("the long name of %q is %q, want the name at its end", name, long)
			}
			delete(want, name)
		}
	}
	if a.uint32() != stEOF || len(want) != 0 {
		t.Errorf("%d names are missing", len(want))
	}
}
