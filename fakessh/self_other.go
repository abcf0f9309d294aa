//go:build unix && !linux

package fakessh

import "os"

func selfPath() string {
	path, _ := os.Executable()
	return path
}
