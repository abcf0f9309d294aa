package worker

// Watch does nothing: Windows has no guard and no SIGTERM.
func Watch() {}
