// Package bootstrap starts a copy of the running program at the far end of a pipe. It
// also has the code that the copy runs before main.
//
// A [Carrier] is the pipe: a command that some tool (ssh, sudo, docker) runs at
// the far side. A [Launch] is one attempt to start a child through it. It supplies
// the command, and [Launch.Run] does the rest:
//
//  1. The far side prints a line of facts.
//  2. The parent sends a plan and the packed image. The plan is for one start method of
//     several, from an anonymous file in memory down to a file on a disk.
//  3. The far side checks the image and executes it, and the child says hello.
//
// That takes two round trips. One is enough where the child is started from the parent's
// own executable, or from a cache at the far side ([Options].Cache, [image.KeepInCache]),
// or where the far side is known from before ([Options].Known).
//
//	l := bootstrap.NewLaunch(bootstrap.Options{Fingerprint: fp})
//	carrier, err := open(l.Line())        // a tool that hands the line to a shell
//	session, err := l.Run(ctx, carrier)   // closes carrier on failure
//	err = session.Welcome(bootstrap.Welcome{ID: id, Path: path})
//	serve(session.Link)                   // frames, both ways
//
// The child's side of it:
//
//	if bootstrap.IsChild() {
//		child, err := bootstrap.Accept(fp)
//		go forward(child.Output)      // standard output and error of this process
//		bootstrap.Exit(serve(child.Link))
//	}
//
// A child is two processes, guard and worker. So nothing is left of it, or of the
// processes that it started, however it ends. docs/bootstrap.md has more of this, and the
// grammar of every line that is exchanged.
//
// # Life and errors
//
// The context of Run bounds every phase of the launch, and nothing after it. Run starts
// goroutines that send, and Line and Argv start one that packs the image while the tool
// authenticates. All of them have ended when Run or Abandon returns.
//
// A Session needs no Close: closing its Link ends the child and closes the Carrier.
//
// A failure is an [*Error]. It has the phase, the reason of each start method, and the last
// lines that the far side printed. errors.Is finds [ErrNoStartMethod], [ErrImageHash] and
// the like in it, and the carrier's own errors.
package bootstrap
