package guard

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"

	"github.com/mitosis-go/mitosis/bootstrap/internal/fold"
)

// checkSelf compares the hash of the running executable, or of what it looked like
// on its way here, with want and returns an exit status. It serves far sides that
// have no tool to hash with.
func checkSelf(want string) int {
	if want == "" {
		return 0
	}
	exe, err := ReadSelf()
	if err != nil {
		return 2
	}
	if hashIs(exe, want) || fold.Fold(exe) == nil && hashIs(exe, want) {
		return 0
	}
	return 1
}

func hashIs(b []byte, want string) bool {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:]) == want
}

// ReadSelf reads this executable, and unfolds it where the system executes a folded
// one (see package fold).
func ReadSelf() ([]byte, error) {
	path, err := SelfPath()
	if err != nil {
		return nil, fmt.Errorf("own executable: %w", err)
	}
	exe, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	fold.Unfold(exe)
	return exe, nil
}
