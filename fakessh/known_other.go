//go:build unix && !linux

package fakessh

import "time"

// whoKnow: the environment of other processes is not to be had everywhere.
func whoKnow([]string) map[string][]int { return nil }

// awaitEnd: nobody is known, so nobody is waited for.
func awaitEnd([]int, time.Time) bool { return true }
