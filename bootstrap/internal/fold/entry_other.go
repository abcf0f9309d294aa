//go:build !linux || (!amd64 && !arm64)

package fold

func link() {}
