package worker

// Watch does nothing: there is no guard, and no SIGTERM.
func Watch() {}
