// Package router moves messages between the contexts of a tree.
//
// Each context has one Router. It has a Link to the parent (the master has none) and one to
// each child. It knows which contexts are below which child, and sends everything else to
// the parent. A message has a destination, a source, the context whose rights it acts with, a
// handle at the destination, and a handle at the source for the answer:
//
//	r := router.New(router.Config{
//		Self:  core.Master,
//		Block: core.Block{First: 1, N: 1 << 30},
//		Handlers: map[core.Handle]func(router.Message){
//			core.HandleCall: func(m router.Message) { go serve(m) },
//		},
//	})
//	defer r.Close(nil)
//	id, block, err := r.AllocID(ctx) // the child is told both
//	link, err := r.Attach(ctx, router.LinkConfig{Peer: id, Carrier: pipe})
//
//	reply := r.NewReply(id)
//	defer reply.Close()
//	err = r.Send(ctx, id, core.HandleCall, reply.Handle(), 0, []byte("question"))
//	answer := <-reply.C()
//
// # Goroutines
//
// A link has three goroutines, which Attach starts:
//
//   - readLoop reads frames, checks them against the current routes, and delivers them or
//     queues them to another link;
//   - writeLoop writes queued frames;
//   - watch keeps the heartbeat, and takes the link down in the end.
//
// A reader never waits for a peer, for a slow link or for user code. A frame that does not
// fit a queue is refused, with an answer. Where the carrier is a TryWriter, a reader or sender
// writes small frames itself as far as it need not wait, and writeLoop writes the rest. The
// queue's baton says which goroutine may write.
//
// The multiplexer is one goroutine per router. It owns the changes of the tree, and publishes
// new immutable routes for each. Readers hand it announcements, grants and losses. They may
// wait for it, because it waits for nothing.
//
// Router.Close waits for all goroutines.
//
// # The path of a frame
//
//  1. Router.Send (router.go), a stream (stream_io.go) or a transfer (transfer.go)
//     makes it and puts it into the queue of a link (queue.go).
//  2. The queue's baton (baton.go) says which goroutine writes it, by writer.go.
//  3. The reader of the next context (reader.go) checks that its source is behind
//     the link that it came over.
//  4. dispatch (deliver.go) decides by the tables in authority.go. forward queues
//     it to the next link; deliver hands it to an endpoint (endpoint.go), to the
//     message that it is a part of (partial.go), to a handler, or to the router
//     itself (announce.go, ids.go, grants.go, loss.go, heartbeat.go).
//  5. A frame that can go no further is answered (refuse.go), and that answer never is.
//
// # Sizes
//
// A message that fits one frame is sent at once. A larger one is split, and waits at its
// sender until the receiver has reserved memory for all of it. Streams need credit as well,
// which the other end grants as it reads. So the two ends bound the bytes that can wait in the
// contexts in between. Only misbehaving peers meet the hard limits of Limits.
//
// # Loss
//
// A lost link is final. Everything that waits for a context behind it gets an error that
// matches core.ErrGone and has the reason. The routers in between tell the ancestors, and all
// contexts that ever exchanged a frame with the lost ones, after the last frames of these.
// When the link to the parent is lost the context has to end. That is left to the owner of
// the Router (see EventParentLost).
//
// # Authority
//
// The tables in authority.go decide what each context may do. docs/protocol.md describes the
// protocol.
package router
