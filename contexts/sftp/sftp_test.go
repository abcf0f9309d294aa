package sftp_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	pkgsftp "github.com/pkg/sftp"

	"github.com/mitosis-go/mitosis/connect/local"
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
		t.Errorf("%d bytes arrived, %v; want %d", len(got), err, len(content))
	}
	if f, err = client.Open(name); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(f); err != nil || !bytes.Equal(got, content) {
		t.Errorf("%d bytes came back, %v; want %d", len(got), err, len(content))
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if _, err := client.Stat(name + ".none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want fs.ErrNotExist", err)
	}
	if err := client.Close(); err != nil {
		t.Error(err)
	}
}

func TestAContextThatIsGone(t *testing.T) {
	n := child(t)
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := sftp.NewClient(t.Context(), n); !errors.Is(err, contexts.ErrGone) {
		t.Errorf("a client of a context that is gone: got %v, want ErrGone", err)
	}
}

func TestACallerThatHasGivenUp(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	n := child(t)
	cancel()
	if _, err := sftp.NewClient(ctx, n); !errors.Is(err, context.Canceled) {
		t.Errorf("with a ctx that has ended: got %v, want context.Canceled", err)
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
			t.Errorf("%s: the link leads to %q, %v; want %q", name, got, err, target)
		}
	}
	if err := client.Symlink("z", "relative"); err == nil {
		t.Error("a link with the name of another: got no error, want one")
	}
	if err := client.Symlink("z", "none/x"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a link in no directory: got %v, want fs.ErrNotExist", err)
	}
	if err := client.Symlink("", "empty"); err == nil {
		t.Error("a link without a text: got no error, want one")
	}
}

// A client that is made after a managed host was lost is a client of its next context.
func TestAClientOfAManagedHost(t *testing.T) {
	h := treetest.Start(t, nil).Manage(local.Child{}, nil)
	defer h.Close()
	dir := t.TempDir()
	makeDir := func(name string) error {
		client, err := sftp.NewClient(t.Context(), h)
		if err != nil {
			return err
		}
		defer client.Close()
		return client.Mkdir(filepath.Join(dir, name))
	}
	if err := makeDir("before"); err != nil {
		t.Fatalf("before the loss: %v", err)
	}
	treetest.Lose(t, h)
	if err := makeDir("after"); err != nil {
		t.Fatalf("after the loss: %v, want that the host is connected again", err)
	}
	if list, err := os.ReadDir(dir); err != nil || len(list) != 2 {
		t.Errorf("got %v, %v; want two directories", list, err)
	}
}
