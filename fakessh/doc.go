// Package fakessh lets local tools that run ssh work in the contexts of a tree: rsync, git,
// scp, sftp, scripts full of "ssh host command". A program that has contexts runs such a tool
// with an environment in which every call of ssh leads to the program, and so to a context.
// There is no second connection and no second configuration, and the context may be in an
// account to which nobody can log in.
//
//	func main() {
//		contexts.Init()
//		...
//		cmd := fakessh.Command(ctx, fakessh.Hosts{Default: root}, "rsync", "-a", "site/", "web:/srv/www/")
//		out, err := cmd.CombinedOutput()
//
// [Command] runs one tool; [Open] returns a [Proxy] that makes environments for several.
// [Hosts] maps names of hosts to contexts. [ParseCommandLine] reads command lines as OpenSSH
// does; docs/fakessh.md has the table of options.
//
// # How
//
// A [Proxy] listens on a socket in a private directory, in memory if possible. Beside it are
// links to this executable that are called ssh, slogin, scp and sftp. Under such a name, and
// with the environment that the proxy makes, an init function turns the process into a shim.
// The shim passes its arguments and its descriptors to the proxy, and tells it of signals. The
// proxy reads the command line, runs the command in the context, and copies between the
// command and the descriptors.
//
// Function main does not run in a shim, nor do the init functions of most packages: the shim's
// package imports little, so it is initialised before them. Programs that do not import this
// package have no shim.
//
// # Life
//
// When a shim dies, its command at the far side and its forwardings end. A shim outlives its
// command while there are connections through its forwardings. With -f, another process in
// the background takes its place. When the program dies or closes the proxy, the shims end
// with status 255. A tool that was started with [Command] gets SIGTERM when the program dies,
// on Linux and FreeBSD. The proxy serves only this user and root.
//
// A process that outlives its tool may call ssh later. It gets status 255 and a message, and
// never the real ssh: behind the private directory, PATH has another one, which is never
// removed and is the same for all programs of the user. It is in XDG_DATA_HOME, in
// ~/.local/share, or else in memory, and has four scripts of a few lines.
//
// Close removes the private directory. If a process still has it in its environment, or the
// program was killed, a later proxy of this user removes it, when no such process is left.
//
// # The far side
//
// A command line is run as by sshd: by the user's shell with -c, in the home directory. Without
// a command a login shell runs. For an account whose shell is nologin it is /bin/sh. The
// environment is that of the context, with USER, LOGNAME, HOME and SHELL set. The exit status
// is that of the command, or 255 if a signal killed it or the way to it failed. Processes that
// the command leaves running end with the context, unless [Hosts] says otherwise.
package fakessh
