// Package tree has the owners of the state in which a context keeps its tree. Each has one lock,
// and none knows nodes or calls.
//
//   - lifetime.go: how long a context goes on, and the goroutines it waits for.
//   - children.go: contexts that were started from here, and connects under way.
//   - farsides.go: hosts at the end of hops, as they were the last time.
//   - progress.go: how far a connect has come, and when it is given up.
//   - pauses.go: when a host that was lost is tried again.
//   - leftovers.go: files that must not outlive the context.
//   - text.go: text from other contexts, made fit to be shown.
//   - host_*.go: facts of the system of this host.
package tree
