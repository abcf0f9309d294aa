package sftp_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/mitosis-go/mitosis/contexts/sftp"
)

// dialRaw returns a client of a server in a child context.
func dialRaw(t *testing.T, o sftp.Options) *raw {
	t.Helper()
	conn, err := sftp.Dial(t.Context(), child(t), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return newRaw(t, conn)
}

// A client that does not wait for answers, as sshfs does not wait for those of
// writes, sees and leaves behind what it would if it did.
func TestRequestsTakeEffectInTheirOrder(t *testing.T) {
	dir := t.TempDir()
	c := dialRaw(t, sftp.Options{Dir: dir})
	const size = 8000
	for round := range 300 {
		name := fmt.Sprintf("f%d", round)
		h := c.open(name, wantRead|wantWrite|wantCreate)
		var packets [][]byte
		for i := range 20 {
			packets = append(packets, request(fxWrite, uint32(i), h, uint64(0), string(bytes.Repeat([]byte{byte('a' + i)}, size-i))))
		}
		const last = 'a' + 19
		packets = append(packets,
			request(fxFsetstat, 20, h, hasSize, uint64(100)),
			request(fxFstat, 21, h),
			request(fxWrite, 22, h, uint64(100), "end"),
			request(fxRead, 23, h, uint64(0), 2*size),
			request(fxClose, 24, h),
			request(fxStat, 25, name),
			request(fxRename, 26, name, name+".new"),
			request(fxOpen, 27, name+".new", wantRead, 0),
			request(fxRemove, 28, name+".new"),
			request(fxLstat, 29, name+".new"),
		)
		all := c.answers(packets...)
		for i, a := range all {
			if a.id != uint32(i) {
				t.Fatalf("round %d: answer %d is to request %d, want the same order", round, i, a.id)
			}
		}
		want := string(bytes.Repeat([]byte{last}, 100)) + "end"
		if all[21].uint32(); all[21].uint64() != 100 {
			t.Fatalf("round %d: want the size that was set by the request before, 100", round)
		}
		if got := all[23].string(); got != want {
			t.Fatalf("round %d: %d bytes were read that begin with %.10q; want the last that were written", round, len(got), got)
		}
		if all[25].uint32(); all[25].uint64() != uint64(len(want)) {
			t.Fatalf("round %d: the size by name: want that of the bytes that were written", round)
		}
		if all[27].kind != fxHandle {
			t.Fatalf("round %d: got an answer of type %d, want a handle of the new name after renaming", round, all[27].kind)
		}
		if st := all[29].uint32(); st != stNoSuchFile {
			t.Fatalf("round %d: a file that was removed by the request before: got status %d, want no such file", round, st)
		}
		// What has no name any more is still open.
		h = all[27].string()
		read := c.ask(fxRead, h, uint64(0), 1000)
		if got := read.string(); got != want {
			t.Fatalf("round %d: read after the file was removed: got %q, want its contents", round, got)
		}
		if st := c.status(fxClose, h); st != stOK {
			t.Fatalf("round %d: closing: got status %d, want OK", round, st)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("in the end the directory has %v, %v; want nothing", left, err)
	}
}

// The last of many writes to one place is what is on disk, and a file that was made
// shorter stays so.
func TestWhatIsWrittenLastStays(t *testing.T) {
	dir := t.TempDir()
	c := dialRaw(t, sftp.Options{Dir: dir})
	for round := range 100 {
		h := c.open("f", wantWrite|wantCreate|wantTruncate)
		var packets [][]byte
		var want []byte
		if round%2 == 0 {
			for i := range 20 {
				want = bytes.Repeat([]byte{byte(i)}, 8000)
				packets = append(packets, request(fxWrite, 1, h, uint64(0), string(want)))
			}
		} else {
			want = bytes.Repeat([]byte("x"), 100)
			packets = append(packets, request(fxWrite, 1, h, uint64(0), string(bytes.Repeat([]byte("x"), 14_000))), request(fxFsetstat, 2, h, hasSize, uint64(100)))
		}
		c.answers(append(packets, request(fxClose, 3, h))...)
		if got, err := os.ReadFile(filepath.Join(dir, "f")); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("round %d: %d bytes are on disk that begin with %.10q, want %d with %.10q; %v", round, len(got), got, len(want), want, err)
		}
	}
}
