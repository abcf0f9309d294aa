package contexts

import (
	"testing"

	"github.com/google/uuid"
)

// Trees have random UUIDs, which are 16 bytes on the wire.
func TestTreesHaveIdentities(t *testing.T) {
	seen := make(map[treeID]bool)
	for range 2 {
		self, err := Start(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer self.Close()
		id := self.self.tree
		if id.Version() != 4 || id.Variant() != uuid.RFC4122 || seen[id] || len(id) != 16 {
			t.Errorf("the tree's ID is %v, want a random UUID that no other tree has", id)
		}
		seen[id] = true
	}
}
