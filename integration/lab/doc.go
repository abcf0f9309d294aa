// Package lab makes throw-away Linux hosts for integration tests: real
// processes, users, passwords, sudo, PAM, sshd and addresses, in about a tenth
// of a second each, on the machine that runs the tests and without changing it.
//
//	func TestSudoOverSSH(t *testing.T) {
//		lab.Require(t) // root and the tools; skips on a laptop, fails when CI=true
//		web := lab.Start(t, lab.Host{
//			Name:    "web1",
//			Users:   []lab.User{{Name: "deploy", Password: "s3cret"}},
//			Sudoers: "deploy ALL=(ALL) ALL",
//			SSHD:    &lab.SSHD{},
//			Remove:  []string{"perl", "python3"},
//			Noexec:  []string{"/tmp", "/dev/shm"},
//		})
//		before := web.Snapshot()
//		client, err := web.DialSSH(t.Context(), "deploy", ssh.Password("s3cret"))
//		...
//		out, err := web.Exec(t.Context(), "id", "-un")        // as root, in the host
//		out, err = web.ExecAs(t.Context(), "deploy", "id")    // as deploy
//		conn, err := lab.Dial(t.Context(), "tcp", web.Addr()) // from the test process
//		web.Cut()                                             // silently: no FIN, no RST
//		web.Heal()
//		web.Shape(lab.Link{RTT: 20 * time.Millisecond})
//		for _, p := range web.Processes() { ... }
//		for _, line := range lab.Diff(before, web.Snapshot(), lab.LoginTraces...) { ... }
//	}
//
// # What a host is
//
// A host is a set of namespaces (mount, pid, net, uts, ipc) around one process,
// its pid 1. Its root is an overlay. The lower layer is the machine's own root file
// system, so every installed program is there. The upper layer is a tmpfs that goes
// with the host, so a test may change everything. The file systems /dev, /dev/pts,
// /dev/shm, /proc, /run, /tmp, /home and /root are its own and start empty;
// neither the home directories nor the temporary files of the machine can be
// seen in a host. File systems that are mounted elsewhere on the machine are
// absent too. Host.Binds makes chosen paths of the machine visible. The running test
// binary is always visible at its own path, read-only.
//
// Pid 1 is the test binary itself, executed again: this package's init function
// notices that, mounts the file systems, and from then on only reaps. Nothing
// has to be called in TestMain.
//
// # Running things in a host
//
// Every host has a gate: a goroutine on an operating system thread of its own
// that has joined the host's namespaces. Commands are started from it, which is
// why Running.Command gives ordinary pipes, exit codes and signals although the
// process lives in the host. Seen from inside, the parent of such a process is
// 0. A client host, in which the program under test runs, is simply one more
// host.
//
// # Logins
//
// The machine's PAM configuration is used, except that it does not wait after a
// wrong password. sudo's rules are Debian's plus Host.Sudoers; sshd's configuration
// is the lab's plus SSHD.Config. No syslog, no systemd and no D-Bus answer.
//
// # Network
//
// Hosts, the test process's own station (see Dial and Listen) and a router have
// network namespaces of their own. Each host has one interface, eth0, and an
// address in 10.77.0.0/16; the router forwards between all of them. The
// network exists once for each test process, from the first host's start to the
// last host's end, so addresses of two test processes never meet. There is no way
// out of it, no name server, and no IPv6 other than the loopback. A host's
// /etc/hosts has the hosts that were started before it by its own test, or by a test of which
// that is a subtest. So tests that run side by side may use the same names.
//
// # End
//
// A host ends with Running.Close, which Start registers as the test's cleanup.
// It kills pid 1, the kernel kills all others, and Close waits until the last
// one is gone. When the test process dies in any way, SIGKILL included, the
// gate's thread dies with it and pid 1 gets SIGKILL as its parent-death signal;
// the end of a pipe tells it a second time. Mounts, interfaces and files exist
// only inside the namespaces and so need no cleaning up.
package lab
