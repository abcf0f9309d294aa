// Package bootstrap brings a copy of the running program to life at the far end
// of a pipe, and is what that copy does before main.
//
// A [Carrier] is the pipe: a command that some tool (ssh, sudo, docker) runs at
// the far side. A [Launch] is one attempt to start a child through it: it supplies
// the command, and [Launch.Run] does the rest. The far side prints a line of
// facts; a plan for one start method of several, from an anonymous file in memory down
// to a disk, and the compressed image go there; the image is checked, executed,
// and says hello. That takes two round trips, or one where the child can be
// started from the parent's own executable, from a cache at the far side
// ([Options].Cache, [image.KeepInCache]), or by what is known of the far side from before
// ([Options].Known).
//
//	l := bootstrap.NewLaunch(bootstrap.Options{Fingerprint: fp})
//	carrier, err := open(l.Line())        // a tool that hands a line to a shell
//	session, err := l.Run(ctx, carrier)   // closes carrier on failure
//	err = session.Welcome(bootstrap.Welcome{ID: id, Path: path})
//	serve(session.Link)                   // frames, both ways
//
// The child's side of it:
//
//	if bootstrap.IsChild() {
//		birth, err := bootstrap.Accept(fp)
//		go forward(birth.Output)      // what is printed here
//		bootstrap.Exit(serve(birth.Link))
//	}
//
// A child is two processes, guard and worker, so that nothing is left of it or of
// anything that it started, however it ends; see docs/bootstrap.md, which also
// has the grammar of every line that is exchanged.
//
// # Life and errors
//
// Run's context bounds every phase of it and nothing after it. Run starts two
// goroutines, which end before it returns. Line and Argv start one that packs
// the image while the tool authenticates; it ends by itself within a fraction of a
// second. A Session needs no Close: closing its Link ends the child, and closes
// the Carrier with all that the Carrier promises. Failures are an [*Error] with
// the phase, the reason of each start method, and the last lines that the far side
// printed; errors.Is finds [ErrNoStartMethod], [ErrImageHash] and their like, and the
// carrier's own errors, in it.
package bootstrap
