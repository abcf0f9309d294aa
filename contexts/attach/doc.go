// Package attach lets processes take part in a tree that did not start them, and
// contexts live longer than the master that did.
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
// What has joined is a context below the listener, with the rights of a
// descendant: in the listener it may call functions with AllowDescendants. In
// addition it may list the tree, and use the contexts that Config.Grant names as
// an ancestor of them could: functions, commands, files, connections, further
// contexts. Everything else is refused with an error that matches
// [contexts.ErrRefused], by the contexts on the way and not by the process itself.
// What it has running ends when it does. When the listener's tree ends, its nodes
// do, with errors that match [contexts.ErrGone].
//
// # Detach
//
// A context one hop from the master can go on without it, with everything that is
// below it:
//
//	d, err := attach.Detach(ctx, web, attach.Terms{Lease: time.Hour})
//	... // d is kept somewhere safe; this program ends
//
//	host, err := self.Connect(ctx, ssh.Login{Host: "web1"}) // in a later one
//	web, err := attach.Attach(ctx, host, d, nil)
//
// The process is the same, and so are the variables of its program, the contexts
// below it and the nodes that it holds of them. Calls from the old master were
// cancelled, commands that it ran were ended: what is to go on must be the
// context's own, started by its own functions with a ctx that is not that of a
// call.
//
// Attach makes this process the next master of what is left of the old tree, over a
// connection that goes from host to the socket on which the context waits. The tree
// is apart from that of host: web.Local() is its master. Whoever wants to be master
// has to prove that it knows the secret in d, which never travels, and so has the
// context. There is one at a time: [ErrOwned].
//
// A context that has no master for the time of its lease ends, with all that is
// below it, and so does one that is stopped, or killed: its guard sees to it. Being
// without a master begins with Detach, and again whenever a later master is lost.
// web.Close() ends it at once.
//
// Detach needs Linux at the context's host, and a hop that is no more than a
// connection to it, or none: SSH, OpenSSH, Local. Tools like sudo and docker end
// what they started when they are ended.
//
// # Errors
//
// Operations return *[contexts.Error]. See docs/protocol.md for what goes over the
// sockets, docs/security.md for what they protect.
package attach
