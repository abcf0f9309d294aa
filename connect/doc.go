// Package connect defines hops: the methods by which a context starts a child on this host,
// as another user, on another host, or through any command that relays.
//
// # What a method does
//
// A [Method] is plain data. Its Open runs one command somewhere and returns a pipe to the
// standard input and output of that command: a [bootstrap.Carrier]. The method need not
// know the command, nor the bytes on the pipe. Package bootstrap runs a first stage at the
// far end and sends it an executable; from then on the pipe is the link to the child.
//
// A method is sent to the context that makes the hop, which may be far away, and is opened
// there. So it has to be registered in every copy of the program ([Register]). Passwords
// travel with it, inside the link and nowhere else. A password or code that it lacks is asked
// of the person at the master ([Prompt]), who is also shown what tools tell ([Notice]).
//
// # Where the methods are
//
// Each family of methods is a package, which registers them and their names in hop paths. A
// program, and so each of its copies, has the methods of the packages that it imports:
//
//   - connect/local: a child on this host, and any command that relays
//   - connect/become: sudo, su, doas
//   - connect/container: containers, pods, jails, roots and namespaces
//   - connect/ssh, which speaks the protocol itself, and connect/openssh, which runs ssh
//   - connect/console: a serial line, where there is no network
//   - connect/all: all of them, for programs that take hop paths from people
//
// Most methods run a tool; [DryRun] shows its command line.
//
// # Tools that ask
//
// A tool runs in a session of its own. Its standard input and output are pipes that carry
// the payload, its standard error goes to the log, and its controlling terminal is a
// pseudo-terminal that only we read. A tool can so open /dev/tty to ask for a password,
// while the payload passes beside it, binary clean and at the speed of a pipe. A tool that
// asks on its standard input, as su does, gets the terminal there, and the pipes at
// descriptors 3 and 4 ([TerminalStdio]).
//
// A prompt is an unfinished line on that terminal. A password is typed if the prompt is
// recognised, by a token that the tool was told to print or by a table, and if echo is off.
// The same prompt again means that the answer was wrong, unless it is known to be another
// question. An unknown line that stands still is shown to a person as a question; a given
// password is never typed there. Texts that need no answer go to OpenRequest.Notify. Once
// the far side has spoken, nothing is answered any more.
//
// # Life
//
// Open starts the tool, Close ends it: Close closes the pipe, hangs up the terminal, signals
// the process group, and kills it. It returns when all processes and goroutines have ended:
// within 5 s, and within milliseconds for tools that behave. If this process dies, the
// kernel kills the tool, and hangs up the terminal of one that it may not kill.
//
// # Errors
//
// errors.Is recognises the classes ([ErrPassword], [ErrHostKeyChanged] ...) after any number
// of hops. An [Error] has the hop, the phase, the last lines of the tool, and a hint on what
// can be done, if that is known.
//
// # Your own methods
//
// Most take a few lines around Exec of package connect/local. This one continues inside a
// directory tree without any privilege, by proot(1):
//
//	type Proot struct {
//		Dir string
//	}
//
//	func init() { connect.Register[Proot]("example.com/proot") }
//
//	func (p Proot) Label() string { return "proot:" + p.Dir }
//
//	func (p Proot) Traits() connect.Traits { return connect.Traits{} }
//
//	func (p Proot) Open(ctx context.Context, e *connect.OpenRequest) (bootstrap.Carrier, error) {
//		return local.Exec{Name: p.Label(), Argv: []string{"proot", "-r", p.Dir}}.Open(ctx, e)
//	}
//
// and is used like any other:
//
//	rescue, err := node.Connect(ctx, Proot{"/mnt/sysroot"})
package connect
