// Package broker lets a process of a user hold connections to hosts for other programs of that
// user, as ssh does with ControlMaster and ControlPersist.
//
//	err := broker.Serve(ctx, nil) // in one process; it returns when nobody has used it for a while
//
//	c, err := broker.Dial(ctx, nil) // in others, of the same program
//	defer c.Close()
//	lease, err := c.Get(ctx, "ssh:web1/sudo") // connected by the broker, if it is not yet
//	defer lease.Release()
//	out, err := lease.Node().Command(ctx, "uptime").Output()
//
// Processes of the same program join the broker's tree, and have all of the interface of package
// contexts. Those of other programs, in any language, use the protocol that
// docs/broker-protocol.md describes, on the same socket; package contexts/broker/client has it
// in Go.
//
// # Who may do what
//
// The broker serves processes of its own user only, and they may do whatever the broker may, unless
// Config.Allow narrows that. Secrets travel on the socket and nowhere else. A question of a hop goes
// to the client that has caused it.
//
// # Life
//
// There is one broker of a name. It holds a lock as long as it lives, so that of two that start at
// once one ends with [ErrRunning], and a socket of a dead one is replaced. It ends when nobody has
// used it for Config.Idle, when its ctx ends, when a client tells it to, and when its socket is
// removed: that is how a user's logout shows, where the system then removes $XDG_RUNTIME_DIR.
//
// What a client has started ends with the client. When the broker ends, its connections do, and
// what it had started at the hosts: nothing outlives the tree.
package broker
