package guard

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
)

// checkSelf compares the hash of the running executable with want, and returns an exit status:
// 0 for equal, 1 for different, 2 if the executable can't be read. It serves far sides that
// have no tool to hash with.
func checkSelf(want string) int {
	if want == "" {
		return 0
	}
	exe, err := ReadSelf()
	if err != nil {
		return 2
	}
	if sum := sha256.Sum256(exe); hex.EncodeToString(sum[:]) != want {
		return 1
	}
	return 0
}

// ReadSelf reads this executable.
func ReadSelf() ([]byte, error) {
	path, err := SelfPath()
	if err != nil {
		return nil, fmt.Errorf("own executable: %w", err)
	}
	return os.ReadFile(path)
}
