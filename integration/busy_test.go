//go:build linux

package integration

import (
	"fmt"
	"os"
	"runtime"
	"time"
)

// stretched returns a limit that fits the present load. The limits of tests are for a machine
// that has a processor for every thread that wants to run. If more threads share the
// processors, because of other tests or of other work, each takes as many times as long.
func stretched(limit time.Duration) time.Duration {
	var load float64 // of the last minute: see proc(5)
	if b, err := os.ReadFile("/proc/loadavg"); err == nil {
		_, _ = fmt.Sscan(string(b), &load)
	}
	return time.Duration(float64(limit) * max(1, load/float64(runtime.NumCPU())))
}
