// Package fakessh lets local tools that speak through ssh work in the contexts of
// a tree: rsync, git, scp, sftp, scripts full of "ssh host command". A program
// that has a chain of hops open runs them with an environment in which every call
// of ssh leads to it, and so to a context; there is no second connection and no
// second configuration. The context may be in an account that nobody can log in
// to.
//
//	func main() {
//		contexts.Init()
//		...
//		cmd := fakessh.Command(ctx, fakessh.Hosts{Default: root}, "rsync", "-a", "site/", "web:/srv/www/")
//		out, err := cmd.CombinedOutput()
//
// [Command] is for one command, [Open] for several: what it returns makes
// environments. [Hosts] says which context a host's name means. [ParseCommandLine] reads
// command lines as OpenSSH does; docs/fakessh.md has the table of options.
//
// # How
//
// A [Proxy] listens on a socket in a private directory, in memory, beside links to
// this executable that are called ssh, slogin, scp and sftp. Under such a name, and with
// the environment that the proxy makes, an init function turns the process into a
// shim. It passes its arguments and its descriptors to the proxy, and tells it of
// signals; the proxy reads the command line, runs the command in the context,
// and copies between that and the descriptors itself. Main does not run in a shim,
// nor do the init functions of most packages: the shim's package imports little, so
// it is initialised before them. A program that does not import this package has
// none of it.
//
// # Life
//
// A shim that dies takes its command at the far side with it, and its forwardings; with -f
// the shim is a process in the background. It lives on after its command while there are
// connections through its forwardings. When the program
// dies, or closes the proxy, the shims end with status 255; a command that the
// program has started with [Command] gets SIGTERM when the program dies, where
// the kernel does that. Only this user and root are served.
//
// What a tool has left running may call ssh later. It gets status 255 and a
// sentence, not the real ssh: behind the private directory there is another in
// PATH, which stays for good and is the same for all programs of the user. It is in
// XDG_DATA_HOME, or ~/.local/share, or in memory where neither can be written to,
// and has four scripts of a few lines in it. The private directory is removed by
// Close; after a kill, and where a process still has it in its environment, by the
// next proxy of this user that finds no such process.
//
// # The far side
//
// A command line is run as by sshd: by the user's shell with -c, in the home
// directory, and a login shell where there is none; an account whose shell is
// nologin has /bin/sh. Its environment is that of the context, with USER, LOGNAME,
// HOME and SHELL set. The exit status is that of the command, or 255 if it died
// by a signal or something failed on the way. What a command leaves running ends with
// the context, unless [Hosts] says otherwise.
package fakessh
