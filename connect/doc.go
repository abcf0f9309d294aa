// Package connect has the ways to start a child: on this host, as another user, on
// another host, through any command that relays.
//
// # What a method does
//
// A [Method] is plain data. It says how to run one command somewhere and gets a
// pipe to that command's standard input and output: a [bootstrap.Carrier]. What
// the command is, and what happens on the pipe, is none of its business: package
// bootstrap puts a first stage at the far end, an executable behind it, and the
// pipe is the link to the child from then on.
//
// A method is sent, as data, to the context that is to connect, which may be far
// away, and is opened there; so it has to be registered in every copy of the
// program ([Register]). Passwords travel with it, inside the link and nowhere
// else. What it was not given is asked of the person at the master ([Prompt]), who
// is also shown what is told on the way ([Notice]).
//
// # Where the methods are
//
// Each family is a package of its own, which registers its methods and their names in hop
// paths. A program, and so each of its copies, has the methods of those that it imports:
//
//   - connect/local: a child on this host, and any command that relays
//   - connect/become: sudo, su, doas
//   - connect/container: containers, pods, jails, roots and namespaces
//   - connect/ssh, which speaks the protocol itself, and connect/openssh, which runs ssh
//   - connect/console: a serial line, where there is no network
//   - connect/all: all of them, for programs that take hop paths from people
//
// Most run a program, whose command line [DryRun] shows.
//
// # Programs that ask
//
// A program gets a session of its own. Its standard input and output are pipes,
// for the payload; its standard error goes to the log; its controlling terminal
// is a pseudo-terminal that only we read. So a program that opens /dev/tty to
// ask for a password can, while the payload passes beside it, binary clean and
// at the speed of a pipe. One that asks on its standard input, as su does, gets the
// terminal there, and the pipes at descriptors 3 and 4 ([TerminalStdio]).
//
// A prompt is an unfinished line on that terminal. One for a password is answered if
// it is recognised (by a token that the program was told to print, or by a table) and if
// echo is off. The same prompt again means that the answer was wrong, except where it
// is known to be another question. A line that nobody knows and that stands still is
// put to a person as it stands, and never answered with a password that is at hand. What
// the program tells and does not ask goes to OpenRequest.Notify. When the far side has
// spoken, nothing is answered any more.
//
// # Life
//
// Open starts, Close ends: it closes the pipe, hangs up the terminal, signals
// the process group, kills it, and returns when everything has ended and all
// goroutines have; that takes 5 s at most, and a few milliseconds for programs
// that behave. When we die, the kernel kills the program, and hangs up on one
// that it may not kill.
//
// # Errors
//
// The classes ([ErrPassword], [ErrHostKeyChanged] ...) are recognised by
// errors.Is after any number of hops. An [Error] has the hop, what was going on,
// the last words of the program, and what can be done about it where that is known.
//
// # A method of one's own
//
// Most take a few lines around Command of package connect/local. This one continues inside a directory
// tree without any privilege, by proot(1):
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
//		return local.Command{Name: p.Label(), Argv: []string{"proot", "-r", p.Dir}}.Open(ctx, e)
//	}
//
// and is used like any other:
//
//	rescue, err := node.Connect(ctx, Proot{"/mnt/sysroot"})
package connect
