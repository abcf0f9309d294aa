package sftp_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	pkgsftp "github.com/pkg/sftp"

	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/internal/treetest"
	"github.com/mitosis-go/mitosis/contexts/sftp"
)

func TestMain(m *testing.M) {
	contexts.Init()
	os.Exit(m.Run())
}

func child(t *testing.T) *contexts.Node {
	t.Helper()
	return treetest.Child(t, treetest.Start(t, nil))
}

func TestAClientThroughANode(t *testing.T) {
	n := child(t)
	client, err := sftp.NewClient(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "file")
	content := bytes.Repeat([]byte("0123456789"), 300_000)
	f, err := client.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.ReadFrom(bytes.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, content) {
		t.Errorf("%d bytes arrived, %v", len(got), err)
	}
	if f, err = client.Open(name); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(f); err != nil || !bytes.Equal(got, content) {
		t.Errorf("%d bytes came back, %v", len(got), err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if _, err := client.Stat(name + ".none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
	if err := client.Close(); err != nil {
		t.Error(err)
	}
}

func TestReadOnly(t *testing.T) {
	n := child(t)
	dir := t.TempDir()
	conn, err := sftp.Dial(t.Context(), n, sftp.Options{ReadOnly: true, Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	client, err := pkgsftp.NewClientPipe(conn, conn)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if wd, err := client.Getwd(); err != nil || wd != dir {
		t.Errorf("%q, %v", wd, err)
	}
	if err := client.Mkdir(filepath.Join(dir, "x")); err == nil {
		t.Error("a directory was made")
	}
	if list, err := os.ReadDir(dir); err != nil || len(list) != 0 {
		t.Errorf("%v, %v", list, err)
	}
}

func TestAContextThatIsGone(t *testing.T) {
	n := child(t)
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := sftp.NewClient(t.Context(), n); !errors.Is(err, contexts.ErrGone) {
		t.Errorf("%v", err)
	}
}

func TestACallerThatHasGivenUp(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	n := child(t)
	cancel()
	if _, err := sftp.NewClient(ctx, n); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// What is relative to the home directory of a server is what its clients name,
// and not what a link holds.
func TestWhatALinkHoldsIsKept(t *testing.T) {
	dir := t.TempDir()
	conn, err := sftp.Dial(t.Context(), child(t), sftp.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	client, err := pkgsftp.NewClientPipe(conn, conn)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for name, target := range map[string]string{"relative": "../x", "absolute": "/x", "dir/deep": "y"} {
		if err := client.MkdirAll("dir"); err != nil {
			t.Fatal(err)
		}
		if err := client.Symlink(target, name); err != nil {
			t.Error(err)
		}
		if got, err := os.Readlink(filepath.Join(dir, name)); err != nil || got != target {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if err := client.Symlink("z", "relative"); err == nil {
		t.Error("a link was replaced")
	}
	if err := client.Symlink("z", "none/x"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
	if err := client.Symlink("", "empty"); err == nil {
		t.Error("a link that holds nothing was made")
	}
}

// The mode of a directory that a request asks for is its mode from the
// beginning, with the umask off, and a request for none gets all else.
func TestTheModeOfADirectory(t *testing.T) {
	dir := t.TempDir()
	conn, err := sftp.Dial(t.Context(), child(t), sftp.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const mkdir = "\x0e\x00\x00\x00\x07\x00\x00\x00\x01"
	const ok, failure = 0, 4
	for _, c := range []struct {
		attrs  string
		mode   fs.FileMode
		status byte
	}{
		{"\x00\x00\x00\x04\x00\x00\x41\xc0", fs.ModeDir | 0o700, ok},
		{"\x00\x00\x00\x07" + strings.Repeat("\x00", 16) + "\x00\x00\x03\xc0", fs.ModeDir | fs.ModeSticky | 0o700, ok},
		{"\x00\x00\x00\x00", fs.ModeDir | 0o755, ok},
		{"\x00\x00\x00\x00", fs.ModeDir | 0o755, failure},     // it is there
		{"\x00\x00\x00\x04\x00", fs.ModeDir | 0o755, failure}, // cut off
	} {
		name := filepath.Join(dir, "d")
		if c.status == ok {
			_ = os.Remove(name)
		}
		request := mkdir + "d" + c.attrs
		if _, err := conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(request))), request...)); err != nil {
			t.Fatal(err)
		}
		answer := make([]byte, 4+1+4+4)
		if _, err := io.ReadFull(conn, answer); err != nil {
			t.Fatal(err)
		}
		if _, err := io.CopyN(io.Discard, conn, int64(binary.BigEndian.Uint32(answer))+4-int64(len(answer))); err != nil {
			t.Fatal(err)
		}
		if answer[4] != 101 || answer[8] != 7 || answer[12] != c.status {
			t.Errorf("%q: % x", c.attrs, answer)
		}
		if s, err := os.Stat(name); err != nil || s.Mode() != c.mode {
			t.Errorf("%q: %v, %v", c.attrs, s.Mode(), err)
		}
	}
}
