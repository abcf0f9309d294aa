//go:build unix && !linux

package guard

func newLease(other int) int { return other }

func (w *worker) released() bool { return false }
