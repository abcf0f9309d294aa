package guard

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
)

// checkSelf compares the hash of the running executable with want and returns
// an exit status. It serves far sides that have no tool to hash with.
func checkSelf(want string) int {
	if want == "" {
		return 0
	}
	f, err := openSelf()
	if err != nil {
		return 2
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return 2
	}
	if hex.EncodeToString(h.Sum(nil)) != want {
		return 1
	}
	return 0
}

func openSelf() (*os.File, error) {
	path, err := SelfPath()
	if err != nil {
		return nil, err
	}
	return os.Open(path)
}
