package sftp_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mitosis-go/mitosis/contexts/sftp"
)

// Where nothing may be changed, each request that would change something is
// refused, and the rest is done.
func TestReadOnly(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "f")
	if err := os.WriteFile(file, []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	c := dialRaw(t, sftp.Options{ReadOnly: true, Dir: dir})
	h := c.open("f", wantRead)
	attrs := encode(hasSize|hasMode, uint64(1), 0o777)
	for _, request := range []struct {
		kind  byte
		parts []any
	}{
		{fxOpen, []any{"f", wantWrite, 0}},
		{fxOpen, []any{"f", wantRead | wantWrite, 0}},
		{fxOpen, []any{"f", wantRead | wantTruncate, 0}},
		{fxOpen, []any{"g", wantRead | wantCreate, 0}},
		{fxWrite, []any{h, uint64(0), "x"}},
		{fxSetstat, []any{"f", attrs}},
		{fxFsetstat, []any{h, attrs}},
		{fxRemove, []any{"f"}},
		{fxMkdir, []any{"g", 0}},
		{fxRmdir, []any{"."}},
		{fxRename, []any{"f", "g"}},
		{fxSymlink, []any{"f", "g"}},
		{fxExtended, []any{"posix-rename@openssh.com", "f", "g"}},
		{fxExtended, []any{"hardlink@openssh.com", "f", "g"}},
		{fxExtended, []any{"fsync@openssh.com", h}},
		{fxExtended, []any{"lsetstat@openssh.com", "f", encode(hasMode, 0o777)}},
		{fxExtended, []any{"copy-data", h, uint64(0), uint64(0), h, uint64(0)}},
	} {
		if st := c.status(request.kind, request.parts...); st != stDenied {
			t.Errorf("type %d %.40q: status %d, want %d", request.kind, request.parts, st, stDenied)
		}
	}
	if read := c.ask(fxRead, h, uint64(0), 100); read.string() != "content" {
		t.Error("reading it: want its content")
	}
	if got := c.ask(fxRealpath, "."); got.uint32() != 1 || got.string() != dir {
		t.Errorf("relative paths: want that they start in %s", dir)
	}
	after, err := os.Stat(file)
	if err != nil || after.Size() != before.Size() || after.Mode() != before.Mode() {
		t.Errorf("the file is %v, %v; want that it stays", after, err)
	}
	if list, err := os.ReadDir(dir); err != nil || len(list) != 1 {
		t.Errorf("the directory has %v, %v; want one file", list, err)
	}
	announced := (&raw{t: t, conn: serve(t, sftp.Options{ReadOnly: true})}).answers(request(fxInit, 3))[0]
	if bytes.Contains(announced.body, []byte("rename")) || !bytes.Contains(announced.body, []byte("limits@openssh.com")) {
		t.Errorf("announced are %q; want limits@openssh.com, and nothing that renames", announced.body)
	}
}

// A request that makes no sense is answered, and the next one is done.
func TestRequestsThatMakeNoSense(t *testing.T) {
	dir := t.TempDir()
	c := serveRaw(t, sftp.Options{Dir: dir})
	h := c.open("f", wantRead|wantWrite|wantCreate)
	for _, request := range []struct {
		about string
		kind  byte
		parts []any
		want  uint32
	}{
		{"nothing but a number", fxOpen, nil, stBadMessage},
		{"a path that is cut off", fxOpen, []any{[]byte("\x00\x00\x00\x09name")}, stBadMessage},
		{"a path as long as numbers get", fxStat, []any{[]byte("\xff\xff\xff\xffname")}, stBadMessage},
		{"no flags", fxOpen, []any{"x"}, stBadMessage},
		{"a size that is cut off", fxOpen, []any{"x", wantCreate, hasSize, []byte("\x00\x00")}, stBadMessage},
		{"a mode that is cut off", fxMkdir, []any{"x", hasMode, []byte("\x00")}, stBadMessage},
		{"more attributes than there are", fxMkdir, []any{"x", hasExtended, uint32(1<<32 - 1), "name", "value"}, stBadMessage},
		{"data that is cut off", fxWrite, []any{h, uint64(0), []byte("\x00\x00\x00\x05data")}, stBadMessage},
		{"a path with a zero byte", fxRemove, []any{"f\x00"}, stBadMessage},
		{"a path that is too long", fxRemove, []any{strings.Repeat("x", 200_000)}, stBadMessage},
		{"a real path of too many parts", fxRealpath, []any{strings.Repeat("x/../", 50_000)}, stNoSuchFile},
		{"an extension without a name", fxExtended, nil, stBadMessage},
		{"an unknown extension", fxExtended, []any{"name@example.com"}, stUnsupported},
		{"an extension that is cut off", fxExtended, []any{"copy-data", h, uint64(0)}, stBadMessage},
		{"half a number", fxExtended, []any{"users-groups-by-id@openssh.com", "\x00\x00\x00", ""}, stBadMessage},
		{"more names than an answer holds", fxExtended, []any{"users-groups-by-id@openssh.com", strings.Repeat("\x00\x00\x00\x00", 60_000), ""}, stBadMessage},
		{"an unknown type", 77, nil, stUnsupported},
		{"no handle", fxRead, []any{"", uint64(0), 1}, stFailure},
		{"a handle that never was", fxRead, []any{"\x00\x00\x00\x00\x00\x00\x00\x63", uint64(0), 1}, stFailure},
		{"a place that no file has", fxRead, []any{h, uint64(1 << 63), 1}, stBadMessage},
		{"a size that no file has", fxFsetstat, []any{h, hasSize, uint64(1 << 63)}, stBadMessage},
	} {
		if st := c.status(request.kind, request.parts...); st != request.want {
			t.Errorf("%s: status %d, want %d", request.about, st, request.want)
		}
	}
	if st := c.status(fxWrite, h, uint64(0), "data", []byte("and more than belongs there")); st != stOK {
		t.Errorf("a write with more behind it: got status %d, want OK", st)
	}
	if read := c.ask(fxRead, h, uint64(0), uint32(1<<32-1)); read.string() != "data" {
		t.Error("reading the file: want what was written")
	}
	if st := c.status(fxClose, h); st != stOK {
		t.Errorf("closing: got status %d, want OK", st)
	}
	if st := c.status(fxClose, h); st != stNoSuchFile {
		t.Errorf("closing a second time: got status %d, want no such file", st)
	}
	if list, err := os.ReadDir(dir); err != nil || len(list) != 1 {
		t.Errorf("the directory has %v, %v; want one file", list, err)
	}
}

// What is no packet ends the connection, with an error, and nothing is done
// after it.
func TestWhatIsNoPacket(t *testing.T) {
	version := request(fxInit, 3)
	for _, c := range []struct {
		about, sent string
		ok          bool
	}{
		{"nothing", "", true},
		{"a version and the end", string(version), true},
		{"half a length", string(version) + "\x00\x00", false},
		{"half a packet", string(version) + "\x00\x00\x00\x05\x11", false},
		{"an empty packet", string(version) + "\x00\x00\x00\x00", false},
		{"a packet that is too long", string(version) + "\x00\x04\x00\x01", false},
		{"a length as long as numbers get", string(version) + "\xff\xff\xff\xff", false},
		{"a request without a number", string(version) + "\x00\x00\x00\x03\x11\x00\x00", false},
		{"a request before the version", string(request(fxMkdir, 1, "x", 0)), false},
	} {
		dir := t.TempDir()
		conn := &memory{Reader: strings.NewReader(c.sent + string(request(fxMkdir, 2, "never", 0)))}
		if c.ok || strings.HasPrefix(c.about, "half") {
			conn.Reader = strings.NewReader(c.sent)
		}
		err := sftp.Serve(conn, sftp.Options{Dir: dir})
		if (err == nil) != c.ok || err == io.EOF {
			t.Errorf("%s: the server returns %v, want success: %v", c.about, err, c.ok)
		}
		if list, _ := os.ReadDir(dir); len(list) != 0 {
			t.Errorf("%s: the directory has %v, want that nothing was done", c.about, list)
		}
	}
}

// memory is a connection whose other side has sent everything.
type memory struct {
	io.Reader
	bytes.Buffer
}

func (m *memory) Read(b []byte) (int, error) { return m.Reader.Read(b) }
func (m *memory) Close() error               { return nil }

// A connection has so many files open and no more; closing one makes room.
func TestOpenFilesAreBounded(t *testing.T) {
	dir := t.TempDir()
	c := serveRaw(t, sftp.Options{Dir: dir})
	limits := c.ask(fxExtended, "limits@openssh.com")
	limits.body = limits.body[24:]
	limit := int(limits.uint64())
	if limit < 16 || limit > 4096 {
		t.Fatalf("the limit of open files is %d, want 16 to 4096", limit)
	}
	var last string
	for range limit {
		h := c.ask(fxOpendir, ".")
		if h.kind != fxHandle {
			t.Fatalf("got status %d before the limit of %d open files, want a handle", h.uint32(), limit)
		}
		last = h.string()
	}
	for _, kind := range []byte{fxOpen, fxOpendir} {
		if st := c.status(kind, ".", wantRead, 0); st != stFailure {
			t.Errorf("one file more: got status %d, want failure", st)
		}
	}
	if st := c.status(fxClose, last); st != stOK {
		t.Errorf("closing one: got status %d, want OK", st)
	}
	if h := c.ask(fxOpendir, "."); h.kind != fxHandle || h.string() == last {
		t.Error("opening after closing one: want a handle that was not used before")
	}
}
