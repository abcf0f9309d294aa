//go:build unix

package tool

// A carrier may be closed so that the far side, which has made up its mind to go
// on without it, is not ended. That takes a tool which is no more than a client of
// another machine's server, or the far side itself. Tools like sudo and docker are
// neither: they wait for what they have started, and end it when they are ended.

// Releasable tells whether the far side can outlive the carrier.
func (p *process) Releasable() bool { return p.tool.IsFarSide || p.tool.IsClient }

// Release has Close spare the far side, where that is a process of ours: it is
// waited for in the background.
func (p *process) Release() { p.released.Store(true) }
