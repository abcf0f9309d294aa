//go:build unix

package fakessh

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"

	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/socks"
	"github.com/mitosis-go/mitosis/internal/resolve"
	"github.com/mitosis-go/mitosis/internal/tunnel"
)

// target returns the address to which a forwarding leads.
func (f Forward) target() (network, addr string) {
	if f.TargetPath != "" {
		return "unix", f.TargetPath
	}
	return "tcp", net.JoinHostPort(cmp.Or(f.TargetHost, "localhost"), strconv.Itoa(f.TargetPort))
}

// listen returns the address at which a forwarding takes connections. Without a host it is
// localhost, or with everywhere all addresses.
func (f Forward) listen(everywhere bool, family Family) (network, addr string) {
	host := f.ListenHost
	switch {
	case f.ListenPath != "":
		return "unix", f.ListenPath
	case host == "*" || f.ListenAll || host == "" && everywhere:
		host = ""
	case host == "":
		host = "localhost"
	}
	return family.network(), net.JoinHostPort(host, strconv.Itoa(f.ListenPort))
}

// place names the address of a forwarding as ssh does in its messages.
func (f Forward) place() string {
	if f.ListenPath != "" {
		return "path " + f.ListenPath
	}
	return "port " + strconv.Itoa(f.ListenPort)
}

// whyNot returns the message of ssh for an address of this host on which it can't listen.
func (f Forward) whyNot(err error) string {
	if f.ListenPath != "" {
		return fmt.Sprintf("unix_listener: cannot bind to path %s: %s", f.ListenPath, asSaid(err))
	}
	return fmt.Sprintf("%s\r\nchannel_setup_fwd_listener_tcpip: cannot listen to port: %d", bindFailure(err), f.ListenPort)
}

// bindFailure returns ssh's message for a bind that failed.
func bindFailure(err error) string {
	if e, ok := errors.AsType[*net.OpError](err); ok && e.Addr != nil {
		if host, port, splitErr := net.SplitHostPort(e.Addr.String()); splitErr == nil {
			return fmt.Sprintf("bind [%s]:%s: %s", host, port, asSaid(err))
		}
	}
	return "ssh: " + err.Error()
}

// led names the target as ssh does in its message about an allocated port.
func (f Forward) led() string {
	switch {
	case f.TargetPath != "":
		return f.TargetPath + ":-2"
	case f.Dynamic():
		return "socks:0"
	}
	return fmt.Sprintf("%s:%d", f.TargetHost, f.TargetPort)
}

// request is a forwarding to open.
type request struct {
	Forward
	remote bool
}

// requests returns the forwardings of a command line. It makes paths of this host absolute.
func (c *call) requests() []request {
	dir := string(c.hello.Dir)
	var list []request
	for _, f := range slices.Concat(c.line.Local, c.line.Dynamic) {
		f.ListenPath = absolute(dir, f.ListenPath)
		list = append(list, request{f, false})
	}
	for _, f := range c.line.Remote {
		f.TargetPath = absolute(dir, f.TargetPath)
		list = append(list, request{f, true})
	}
	return list
}

// connectStdio runs -W.
func (c *call) connectStdio() (int, error) {
	network, addr := c.line.Stdio.target()
	conn, err := c.node.DialContext(c.ctx, network, addr)
	if err != nil {
		return 0, reason(err)
	}
	return 0, c.join(conn)
}

// forwards are the open -L, -R and -D of a call.
//
// Goroutines: one for each listener, and those of its tunnel; all end with close.
type forwards struct {
	// Immutable after newForwards.
	c   *call
	ctx context.Context // ends with close
	end context.CancelFunc
	use *usage // has the connections
	wg  sync.WaitGroup

	mu     sync.Mutex // held while one is opened or closed
	closed bool
	open   []*forwarding
}

type forwarding struct {
	request
	ln   net.Listener
	port int // that was bound; 0 for a path
}

func newForwards(c *call) *forwards {
	f := &forwards{c: c, use: newUsage()}
	f.ctx, f.end = context.WithCancel(c.ctx)
	return f
}

// openAll opens the forwardings of a command line, and prints a message for each that fails.
// With ExitOnForwardFailure that is an error.
func (f *forwards) openAll(list []request) error {
	l := f.c.line
	failed := false
	for _, r := range list {
		fw, err := f.add(r)
		switch {
		case err == nil && r.remote && r.ListenPath == "" && r.ListenPort == 0:
			f.c.say(LevelInfo, "Allocated port %d for remote forward to %s", fw.port, r.led())
		case err == nil:
		case r.remote && l.ExitOnForwardFailure:
			f.c.say(LevelError, "ssh: %v\r\nError: remote port forwarding failed for listen %s", err, r.place())
			failed = true
		case r.remote:
			f.c.say(LevelInfo, "ssh: %v\r\nWarning: remote port forwarding failed for listen %s", err, r.place())
		default:
			f.c.say(LevelError, "%s\r\nCould not request local forwarding.", r.whyNot(err))
			failed = failed || l.ExitOnForwardFailure
		}
	}
	if failed {
		return errTold
	}
	return nil
}

// errTold is a failure whose message has been printed.
var errTold = errors.New("forwarding failed")

// add opens a forwarding, unless it is open already.
func (f *forwards) add(r request) (*forwarding, error) {
	l := f.c.line
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil, net.ErrClosed
	}
	if i := f.find(r); i >= 0 {
		return f.open[i], nil
	}
	cfg := contexts.ListenConfig{
		SocketMode: fs.ModeSocket | 0o777&^fs.FileMode(l.bindMaskOrDefault()),
		Unlink:     l.BindUnlink,
		Skipped: func(addr string, err error) {
			if errors.Is(err, syscall.EADDRINUSE) { // connections there reach another program
				f.c.say(LevelError, "%s", bindFailure(err))
			} else {
				f.c.say(LevelDebug1, "debug1: %s is not listened on: %v", addr, reason(err))
			}
		},
	}
	fw := &forwarding{request: r}
	dial := f.c.node.DialContext
	var err error
	if r.remote {
		network, addr := r.listen(false, FamilyAny)
		fw.ln, err = cfg.ListenAt(f.ctx, f.c.node, network, addr)
		dial = resolve.Dialer(new(net.Dialer).DialContext)
	} else {
		network, addr := r.listen(l.GatewayPorts, l.Family)
		fw.ln, err = cfg.Listen(f.ctx, network, addr)
	}
	if err != nil {
		return nil, reason(err)
	}
	if tcp, ok := fw.ln.Addr().(*net.TCPAddr); ok {
		fw.port = tcp.Port
	} else if !r.remote {
		f.c.owns(filepath.Clean(r.ListenPath))
	}
	f.open = append(f.open, fw)
	f.wg.Go(func() { f.relay(fw, dial) })
	return fw, nil
}

// find returns the index of an open forwarding, or -1. One with an allocated port is found by
// that port, too.
func (f *forwards) find(r request) int {
	return slices.IndexFunc(f.open, func(fw *forwarding) bool {
		same := fw.request
		if same.ListenPort == 0 && r.ListenPort != 0 {
			same.ListenPort = fw.port
		}
		return same == r
	})
}

// remove closes a forwarding, but not its connections. It reports whether it was open.
func (f *forwards) remove(r request) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := f.find(r)
	if i < 0 {
		return false
	}
	f.open[i].ln.Close()
	f.open = slices.Delete(f.open, i, i+1)
	return true
}

// relay serves the connections of a forwarding.
func (f *forwards) relay(fw *forwarding, dial socks.DialFunc) {
	tell := func(err error) { f.c.say(LevelDebug1, "debug1: forwarding of %s: %v", fw, err) }
	r := tunnel.Relay{
		Listener: fw.ln, Dial: dial, Count: f.use.add,
		Refuse: func(conn net.Conn) { conn.Close() }, Waits: func(error) {},
		Failed: func(err error) { tell(reason(err)) }, Broken: tell,
	}
	if !fw.Dynamic() {
		r.Network, r.Addr = fw.target()
	}
	if err := r.Serve(f.ctx); f.ctx.Err() == nil && !errors.Is(err, net.ErrClosed) {
		f.c.say(LevelError, "ssh: forwarding of %s: %v", fw, reason(err))
	}
	r.Wait()
}

// close closes all listeners and connections, and waits for the goroutines.
func (f *forwards) close() {
	f.end()
	f.mu.Lock()
	f.closed = true
	open := f.open
	f.open = nil
	f.mu.Unlock()
	for _, fw := range open {
		fw.ln.Close()
	}
	f.wg.Wait()
}
