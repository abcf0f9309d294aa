// Package router moves messages between the contexts of a tree.
//
// Each context has one Router. It holds a Link to its parent (the master has
// none) and one to each of its children, and knows which contexts are below
// which child; everything else is up. A message names its destination, its
// source, the context under whose rights it acts, a handle (the door at the
// destination) and where an answer is awaited:
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
// A link has three: readLoop takes frames in, checks them against the current
// table and delivers them or queues them to another link; writeLoop writes what
// is queued; watch keeps the heartbeat and takes the link down. A reader never
// waits for a peer, for a slow link or for user code: what does not fit a queue
// is refused, with an answer. Where the carrier is a TryWriter, small frames are
// written by who has queued them, a reader or a sender, as far as that needs no
// waiting; writeLoop has the rest. The queue's baton says who may write.
//
// The multiplexer is one goroutine per router. It owns all that changes about
// the tree and publishes a new immutable table for each change; readers hand it
// routes, grants and losses, and wait for it, because it waits for nobody.
//
// # The way of a frame
//
//  1. Router.Send (router.go), a stream (stream_io.go) or a transfer (transfer.go)
//     makes it and puts it into the queue of a link (queue.go).
//  2. The queue's baton (baton.go) says who writes it; writer.go does.
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
// What fits a frame is sent at once. A larger message is split; it waits at its
// sender until the receiver has reserved memory for the whole of it. Streams
// take credit in the same way, granted as their reader reads. So what can wait
// in a context in between is bounded by what the two ends agreed on, and the
// hard caps of Limits are met by misbehaviour only.
//
// # Loss
//
// A lost link is final. Whoever waits for something behind it gets an error
// that matches core.ErrGone and holds the reason; ancestors, and contexts
// elsewhere that ever exchanged a frame with the lost ones, are told by the
// routers in between, after the last words of the lost. When the link to the
// parent is lost the context has to end; that is left to the owner of the
// Router (see EventParentLost).
//
// # Authority
//
// The table in authority.go decides what each context may do; docs/protocol.md
// describes the wire.
package router
