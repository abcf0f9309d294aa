//go:build unix && !linux

package guard

// KeepJobs has nothing to do: orphans are given to init, where no guard finds them.
func KeepJobs() error { return nil }

func keepsJobs(int) bool { return false }

// LeftRunning returns nil: orphans are given to init, where no guard finds them.
func LeftRunning() []Left { return nil }

// HeedsHangup returns false: these systems don't show which signals a process ignores.
func HeedsHangup(int) bool { return false }

// GroupThatHeedsHangup returns nil, for the same reason as HeedsHangup.
func GroupThatHeedsHangup(int) []int { return nil }

func isMarked(int) bool      { return false }
func hasNoMark(int) bool     { return false }
func isGone(int) bool        { return false }
func ignoresHangup(int) bool { return false }
func isDying(int) bool       { return false }
func isContext(int) bool     { return false }
func isGuard(int) bool       { return false }
func session(int) int        { return 0 }
