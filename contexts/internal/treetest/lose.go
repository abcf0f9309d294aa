package treetest

import (
	"os"
	"testing"

	"github.com/mitosis-go/mitosis/contexts"
)

// Lose kills the process of a managed host's context, which must be on this machine, and
// waits until its node is gone.
func Lose(t *testing.T, h *contexts.ManagedHost) {
	t.Helper()
	n, err := h.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	tree, err := n.Local().Tree(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range tree {
		if i.ID != n.ID() {
			continue
		}
		p, err := os.FindProcess(i.PID)
		if err == nil {
			err = p.Kill()
		}
		if err != nil {
			t.Fatal(err)
		}
		<-n.Done()
		return
	}
	t.Fatalf("%v is not in the tree: %v", n, tree)
}
