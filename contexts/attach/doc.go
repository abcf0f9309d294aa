// Package attach lets processes take part in a tree that did not start them, and lets
// contexts live longer than the master that started them.
//
// # Attach
//
// A program listens on a unix socket; another process of the same program and
// the same user joins:
//
//	ln, err := attach.Listen(self, path, &attach.Config{ // in the one
//		Grant: func(p attach.Peer, n *contexts.Node) bool { return n.String() == "ssh:web1" },
//	})
//	defer ln.Close()
//
//	m, err := attach.Join(ctx, path, nil) // in the other
//	defer m.Close()
//	tree, err := m.Tree(ctx)
//	out, err := tree[1].Node.Command(ctx, "uptime").Output()
//
// A process that has joined is a context below the listener, with the rights of a
// descendant: in the listener it may call functions with AllowDescendants. In addition
// it may list the tree, and use the contexts that Config.Grant allows as an ancestor
// of them could: functions, commands, files, connections, further contexts. Everything
// else is refused with an error that matches [contexts.ErrRefused], by the contexts on
// the way and not by the process itself. Its calls and commands end when it ends. When
// the listener's tree ends, its nodes are gone: their errors match [contexts.ErrGone].
//
// # Detach
//
// A context one hop from the master can go on without it, with everything below it:
//
//	d, err := attach.Detach(ctx, web, attach.Terms{Lease: time.Hour})
//	... // d is kept somewhere safe; this program ends
//
//	host, err := self.Connect(ctx, ssh.Login{Host: "web1"}) // in a later one
//	web, err := attach.Attach(ctx, host, d, nil)
//
// The process is the same, and so are the variables of its program, the contexts
// below it and the nodes that it holds of them. Calls from the old master were
// cancelled, and commands that it ran were ended. Work that is to go on must be
// started by the context's own functions, with a ctx that is not the ctx of a call.
//
// Attach makes this process the next master of the rest of the old tree, over a
// connection from host to the socket on which the context waits. This is another tree
// than that of host: web.Local() is its master. The process has to prove that it knows
// the secret in d, which never travels, and so has the context. There is one master at
// a time: [ErrOwned].
//
// A context without a master ends when its lease is over, with everything below it.
// Its guard ends it even if it was stopped or killed. The lease begins with Detach, and
// again whenever a later master is lost. web.Close() ends the context at once.
//
// Detach needs Linux at the context's host, and one of the hops that only connect to
// it: SSH, OpenSSH, Local. Tools like sudo and docker end the processes that they
// started when they are ended.
//
// # Errors
//
// Operations return *[contexts.Error]. docs/protocol.md describes the messages on the
// sockets, docs/security.md what protects them.
package attach
