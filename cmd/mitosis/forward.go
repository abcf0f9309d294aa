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

	"github.com/spf13/pflag"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/internal/resolve"
	"github.com/mitosis-go/mitosis/internal/tunnel"
)

// forwardTask is the work of "forward" and "socks".
type forwardTask struct {
	wanted []forwarding
	listen contexts.ListenConfig
	json   bool
	hosts  hostOptions
}

func (t *forwardTask) declareJSON(f *pflag.FlagSet) {
	f.BoolVar(&t.json, "json", false, "tell of each listener as a JSON object on a line")
}

func declareForward(s *sections) parser {
	var t forwardTask
	f := s.add("Options")
	for _, o := range []struct{ letter, name, usage string }{
		{"L", "local", "`[BIND:]PORT:HOST:PORT`: listen here, connect from there"},
		{"R", "remote", "`[BIND:]PORT:HOST:PORT`: listen there, connect from here; [BIND:]PORT: as a SOCKS server"},
		{"D", "dynamic", "`[BIND:]PORT`: listen here as a SOCKS server, connect from there"},
	} {
		onValue(f, o.name, o.letter, o.usage, func(s string) error {
			f, err := parseForwarding(o.letter[0], s)
			t.wanted = append(t.wanted, f)
			return err
		})
	}
	onValue(f, "mode", "", "`MODE`: the permissions of sockets in the file system, in octal; else 600", func(s string) error {
		mode, err := strconv.ParseUint(s, 8, 32)
		if err != nil || mode > 0o777 {
			return fmt.Errorf("%q is no mode: give permissions in octal, such as 600", s)
		}
		t.listen.SocketMode = fs.ModeSocket | fs.FileMode(mode)
		return nil
	})
	f.BoolVar(&t.listen.Unlink, "unlink", false, "remove a socket that stands in the way")
	t.declareJSON(f)
	t.hosts.declareOne(s)
	return func(w words) (job, error) {
		hops, err := t.hosts.onlyPath("forward", w.all())
		if err == nil && len(t.wanted) == 0 {
			err = errors.New("nothing to forward: give -L, -R or -D")
		}
		return t.job(hops), err
	}
}

func declareSocks(s *sections) parser {
	var t forwardTask
	t.declareJSON(s.add("Options"))
	t.hosts.declareOne(s)
	return func(w words) (job, error) {
		list, addr := w.all(), "1080"
		if len(list) > 2 {
			return nil, tooMany(list[2])
		}
		if len(list) == 2 {
			addr = list[1]
			list = list[:1]
		}
		f, err := parseForwarding('D', addr)
		if err != nil {
			if _, pathErr := parsePath(addr); pathErr == nil {
				err = fmt.Errorf("%w; socks takes one host, and it is one word", err)
			}
			return nil, err
		}
		t.wanted = []forwarding{f}
		hops, err := t.hosts.onlyPath("socks", list)
		return t.job(hops), err
	}
}

func (t *forwardTask) job(hops []connect.Method) job {
	return func(out, errOut io.Writer) int {
		return session(hops, nil, errOut, func(ctx context.Context, node *contexts.Node, _ *forwarder) int {
			return t.forward(ctx, node, out, errOut)
		})
	}
}

// forward forwards until a signal comes or the node is lost.
func (t *forwardTask) forward(ctx context.Context, node *contexts.Node, out, errOut io.Writer) int {
	ctx, cancel := context.WithCancelCause(ctx)
	var relays []*relay
	defer func() {
		cancel(nil)
		for _, r := range relays {
			r.close()
		}
	}()
	messages := &lockedWriter{w: errOut}
	log, _ := newLog(messages)
	for _, f := range t.wanted {
		listen := t.listen
		listen.Skipped = func(addr string, err error) {
			level := slog.LevelDebug
			if errors.Is(err, syscall.EADDRINUSE) { // connections there reach another program
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
		if err := t.report(out, r); err != nil {
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

// report prints that a listener is open.
func (t *forwardTask) report(out io.Writer, r *relay) error {
	if !t.json {
		_, err := fmt.Fprintln(out, r)
		return err
	}
	addr := r.tunnel.Listener.Addr()
	return printJSON(out, shownListener{string(r.option), addr.Network(), addr.String(), r.target.network, r.target.addr})
}

// shownListener is an open listener, as docs/schema/listener.json says.
type shownListener struct {
	Option        string `json:"option"`
	Network       string `json:"network"`
	Address       string `json:"address"`
	TargetNetwork string `json:"target_network,omitempty"` // empty: clients name the target, by SOCKS
	Target        string `json:"target,omitempty"`
}

// relay is an open forwarding.
//
// Goroutines: serve, and those of the tunnel. close waits for them.
type relay struct {
	// Immutable.
	forwarding
	tunnel   tunnel.Relay
	messages io.Writer

	accepting sync.WaitGroup // serve
}

// openRelay opens the listener of a forwarding.
func openRelay(ctx context.Context, node *contexts.Node, f forwarding, listen *contexts.ListenConfig, messages io.Writer) (*relay, error) {
	r := &relay{forwarding: f, messages: messages}
	r.tunnel = tunnel.Relay{
		Dial: node.DialContext, Network: f.target.network, Addr: f.target.addr,
		Refuse: tunnel.Reset, Count: func(int) {}, Waits: r.complain, Failed: r.complain, Broken: func(error) {},
	}
	var err error
	if f.option == 'R' {
		r.tunnel.Dial = resolve.Dialer(new(net.Dialer).DialContext)
		r.tunnel.Listener, err = listen.ListenAt(ctx, node, f.listen.network, f.listen.addr)
	} else {
		r.tunnel.Listener, err = listen.Listen(ctx, f.listen.network, f.listen.addr)
	}
	if err != nil {
		return nil, fmt.Errorf("%v: %w", &f, err)
	}
	return r, nil
}

// String returns the option, the listener's address and the target.
func (r *relay) String() string {
	s := fmt.Sprintf("-%c %v", r.option, r.tunnel.Listener.Addr())
	if (r.target != endpoint{}) {
		s += " " + r.target.addr
	}
	return s
}

func (r *relay) complain(err error) { _ = complain(r.messages, fmt.Errorf("%v: %w", r, err), 0) }

// serve accepts connections until ctx ends. If that fails before, it cancels ctx with the
// reason.
func (r *relay) serve(ctx context.Context, cancel context.CancelCauseFunc) {
	if err := r.tunnel.Serve(ctx); ctx.Err() == nil {
		cancel(fmt.Errorf("%v: %w", r, err))
	}
}

// close ends the relay, after its ctx.
func (r *relay) close() {
	_ = r.tunnel.Listener.Close()
	r.accepting.Wait()
	r.tunnel.Wait()
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
