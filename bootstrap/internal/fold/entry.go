//go:build linux && (amd64 || arm64)

package fold

import "runtime"

// startFolded is where a folded program starts. It must not be called.
func startFolded()

var start = startFolded

// link has the linker put startFolded into every program that folds.
func link() { runtime.KeepAlive(start) }
