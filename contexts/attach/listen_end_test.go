//go:build linux

package attach_test

import (
	"errors"
	"io/fs"
	"os"
	"testing"

	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/attach"
	"github.com/mitosis-go/mitosis/contexts/internal/treetest"
)

// A listener whose tree ends first removes its socket without Close, and Close still
// waits for all that it has started.
func TestAListenerEndsWithItsTree(t *testing.T) {
	self, err := contexts.Start(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := attach.Listen(self, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	guest := act(t, "lean", ln.Path(), nil)
	guest.must()
	if err := self.Close(); err != nil {
		t.Fatal(err)
	}
	treetest.Eventually(t, "the socket is removed", func() bool {
		_, err := os.Lstat(ln.Path())
		return errors.Is(err, fs.ErrNotExist)
	})
	if v := guest.must(); !v.Gone["listener"] {
		t.Errorf("the guest asks the listener: got %v, want ErrGone", v.err("listener"))
	}
	if err := ln.Close(); err != nil {
		t.Errorf("closing the listener after its tree: got %v, want no error", err)
	}
}
