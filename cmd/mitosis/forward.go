package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/socks"
)

// forwardTask is what "forward" and "socks" are to do.
type forwardTask struct {
	wanted []forwarding
	listen contexts.ListenConfig
}

// parseForward reads the arguments of "forward".
func parseForward(args []string) (job, error) {
	var t forwardTask
	flags := newFlags()
	for _, option := range []byte("LRD") {
		flags.Func(string(option), "", func(s string) error {
			f, err := parseForwarding(option, s)
			t.wanted = append(t.wanted, f)
			return err
		})
	}
	flags.Func("mode", "", func(s string) error {
		mode, err := strconv.ParseUint(s, 8, 32)
		if err != nil || mode > 0o777 {
			return fmt.Errorf("%q is no mode: permissions in octal are wanted", s)
		}
		t.listen.SocketMode = fs.ModeSocket | fs.FileMode(mode)
		return nil
	})
	flags.BoolVar(&t.listen.Unlink, "unlink", false, "")
	path, err := operands(flags, args, 1, noLimit)
	if err != nil {
		return nil, err
	}
	if len(t.wanted) == 0 {
		return nil, errors.New("nothing is to be forwarded: -L, -R or -D is wanted")
	}
	return t.job(path)
}

// parseSocks reads the arguments of "socks".
func parseSocks(args []string) (job, error) {
	list, err := operands(newFlags(), args, 1, 2)
	if err != nil {
		return nil, err
	}
	addr := "1080"
	if len(list) == 2 {
		addr = list[1]
	}
	f, err := parseForwarding('D', addr)
	if err != nil {
		return nil, err
	}
	t := forwardTask{wanted: []forwarding{f}}
	return t.job(list[:1])
}

func (t *forwardTask) job(path []string) (job, error) {
	hops, err := parseHops(path)
	if err != nil {
		return nil, err
	}
	return func(out, errOut io.Writer) int {
		return session(hops, errOut, func(ctx context.Context, node *contexts.Node, _ *forwarder) int {
			return t.run(ctx, node, out, errOut)
		})
	}, nil
}

// run forwards until a signal comes or the node is lost.
func (t *forwardTask) run(ctx context.Context, node *contexts.Node, out, errOut io.Writer) int {
	ctx, cancel := context.WithCancelCause(ctx)
	var relays []*relay
	defer func() {
		cancel(nil)
		for _, r := range relays {
			r.close()
		}
	}()
	messages := &lockedWriter{w: errOut}
	log, _, err := newLog(messages)
	if err != nil {
		return complain(errOut, err, exitError)
	}
	for _, f := range t.wanted {
		listen := t.listen
		listen.Skipped = func(addr string, err error) {
			level := slog.LevelDebug
			if errors.Is(err, syscall.EADDRINUSE) { // who connects there reaches somebody else
				level = slog.LevelWarn
			}
			log.Log(ctx, level, "an address is not listened on", "forwarding", f.String(), "address", addr, "err", err)
		}
		r, err := openRelay(ctx, node, f, &listen, messages)
		if err != nil {
			return caughtOr(ctx, complain(errOut, err, failure(err)))
		}
		relays = append(relays, r)
	}
	for _, r := range relays {
		if _, err := fmt.Fprintln(out, r); err != nil {
			return complain(errOut, err, exitError)
		}
	}
	for _, r := range relays {
		r.accepting.Go(func() { r.serve(ctx, cancel) })
	}
	select {
	case <-node.Done():
		return complain(messages, node.Err(), exitHop)
	case <-ctx.Done():
	}
	cause := context.Cause(ctx)
	if s, ok := cause.(caughtError); ok {
		if sig := syscall.Signal(s); sig == syscall.SIGINT || sig == syscall.SIGTERM {
			return 0
		}
		return caughtOr(ctx, exitError)
	}
	return complain(messages, cause, failure(cause))
}

// relay is a forwarding that is under way.
//
// Goroutines: serve accepts; one for each connection. They end when ctx of serve
// does; close waits for them.
type relay struct {
	// Immutable.
	forwarding
	ln       net.Listener
	dial     socks.DialFunc
	messages io.Writer

	accepting   sync.WaitGroup // serve
	connections sync.WaitGroup
}

// openRelay listens.
func openRelay(ctx context.Context, node *contexts.Node, f forwarding, listen *contexts.ListenConfig, messages io.Writer) (*relay, error) {
	r := &relay{forwarding: f, messages: messages, dial: node.DialContext}
	var err error
	if f.option == 'R' {
		r.dial = new(net.Dialer).DialContext
		r.ln, err = listen.ListenAt(ctx, node, f.listen.network, f.listen.addr)
	} else {
		r.ln, err = listen.Listen(ctx, f.listen.network, f.listen.addr)
	}
	if err != nil {
		return nil, fmt.Errorf("%v: %w", &f, err)
	}
	return r, nil
}

// dynamic reports whether clients say where to, by SOCKS.
func (r *relay) dynamic() bool { return r.target == endpoint{} }

// String tells what leads where.
func (r *relay) String() string {
	s := fmt.Sprintf("-%c %v", r.option, r.ln.Addr())
	if !r.dynamic() {
		s += " " + r.target.addr
	}
	return s
}

// serve accepts connections until ctx ends. When it cannot any more, it ends
// what ctx came from.
func (r *relay) serve(ctx context.Context, cancel context.CancelCauseFunc) {
	for {
		near, err := r.ln.Accept()
		if err == nil {
			r.connections.Go(func() { r.pass(ctx, near) })
			continue
		}
		if ctx.Err() != nil {
			return
		}
		if !isPassing(err) {
			cancel(fmt.Errorf("%v: %w", r, err))
			return
		}
		_ = complain(r.messages, fmt.Errorf("%v: %w", r, err), 0)
		select {
		case <-ctx.Done():
		case <-time.After(acceptPause):
		}
	}
}

// acceptPause is how long nothing is accepted where this process has no more
// room for connections.
const acceptPause = 100 * time.Millisecond

// isPassing reports whether Accept may work again.
func isPassing(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.ECONNABORTED)
}

// pass connects an accepted connection with what it is for, and returns when both
// have ended.
func (r *relay) pass(ctx context.Context, near net.Conn) {
	stop := context.AfterFunc(ctx, func() { reset(near) })
	defer stop()
	var err error
	if r.dynamic() {
		err = socks.Serve(ctx, near, r.dial)
	} else {
		err = r.connect(ctx, near)
	}
	if err != nil && ctx.Err() == nil {
		_ = complain(r.messages, fmt.Errorf("%v: %w", r, err), 0)
	}
}

// connect dials the target. What goes wrong with the connection afterwards its
// two ends are told, and nobody else.
func (r *relay) connect(ctx context.Context, near net.Conn) error {
	far, err := r.dial(ctx, r.target.network, r.target.addr)
	if err != nil {
		reset(near)
		return err
	}
	_ = contexts.Join(near, far)
	return nil
}

// close ends the relay, after its ctx.
func (r *relay) close() {
	_ = r.ln.Close()
	r.accepting.Wait()
	r.connections.Wait()
}

// reset closes a connection so that its peer does not take it for an end in
// order.
func reset(c net.Conn) {
	if l, ok := c.(interface{ SetLinger(int) error }); ok {
		_ = l.SetLinger(0)
	}
	_ = c.Close()
}

// lockedWriter is for messages of several goroutines.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer // guarded by mu
}

// Write implements io.Writer.
func (l *lockedWriter) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}
