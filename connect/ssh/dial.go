package ssh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/internal/check"
	"github.com/mitosis-go/mitosis/connect/internal/failure"
	"github.com/mitosis-go/mitosis/connect/internal/sshconfig"
)

const (
	// maxJumpDepth bounds jump hosts whose configuration names jump hosts.
	maxJumpDepth = 8
	// maxDrops bounds the attempts at a server that closes the connection
	// before it has shown its key, as sshd does beyond MaxStartups.
	maxDrops = 10
	// maxStrangeDrops is the bound if it said something that was not SSH: it is busy, or
	// no SSH server.
	maxStrangeDrops = 3
	// maxReconnects bounds the connections that are made because the server
	// cut one off after too many keys.
	maxReconnects = 4
	// The pause after a drop is random, up to a bound that doubles each time. So clients
	// that were dropped together don't return together.
	firstPause = 100 * time.Millisecond
	lastPause  = 2 * time.Second
)

// dial is the work of one Open.
type dial struct {
	env    *connect.OpenRequest
	label  string
	places sshconfig.Places
}

// client is an authenticated connection. It owns the one to its jump host.
type client struct {
	// Immutable.
	conn ssh.Conn
	wire *wire
	via  *client // the jump host, or nil
	name string  // user@host:port for messages
	path string  // the hop path by which a context would get to the host
	set  *settings

	served sync.WaitGroup // the goroutines that answer requests of the server
	once   sync.Once

	agentAsked atomic.Bool  // the server may open channels to the agent
	agentUsers atomic.Int32 // open channels to the agent
}

// connect connects to one host, through via if that is not nil. The client owns via from then
// on; if connect fails, it has closed via.
//
// The end of ctx closes the transport, which ends every wait of the handshake. The error names
// the phase.
func (d *dial) connect(ctx context.Context, s Login, via *client, depth int) (client *client, err error) {
	defer func() {
		if err != nil && via != nil {
			via.close()
		}
	}()
	if depth > maxJumpDepth {
		return nil, d.fail(phaseDial, failure.Classify(connect.ErrStart, fmt.Errorf("more than %d jump hosts name each other", maxJumpDepth)))
	}
	set, err := s.resolve(ctx, d.places)
	if err != nil {
		return nil, d.fail(phaseDial, err)
	}
	d.warn(set)
	if via == nil && len(set.jumps) > 0 {
		if via, err = d.jumps(ctx, &s, set, depth); err != nil {
			return nil, err
		}
	}

	env := d.env
	if set.batch {
		silent := *env
		silent.Prompt = nil
		env = &silent
	}
	auth := &authenticator{ctx: ctx, env: env, label: d.label, method: &s, set: set,
		keys: &keyring{ctx: ctx, env: env, label: d.label, passphrase: s.Passphrase}}
	defer auth.closeAgent()

	pause := firstPause
	for drops, cuts := 0, 0; ; {
		client, again, err := d.attempt(ctx, &s, set, via, auth)
		if err == nil {
			return client, nil
		}
		switch again {
		case againNever:
			return nil, err
		case againNow:
			if cuts++; cuts > maxReconnects {
				return nil, err
			}
			auth.closeAgent()
			continue
		case againStrange:
			drops += maxDrops/maxStrangeDrops + 1
		case againLater:
			drops++
		}
		if drops >= maxDrops {
			return nil, err
		}
		if d.env.Log != nil {
			d.env.Log.Debug("ssh server closed the connection early, trying again", "hop", d.label, "error", err)
		}
		timer := time.NewTimer(rand.N(pause))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, d.fail(phaseBanner, fmt.Errorf("%w (last attempt: %v)", contextError(ctx), err))
		}
		pause = min(2*pause, lastPause)
	}
}

// jumps opens the chain of jump hosts and returns the last one.
func (d *dial) jumps(ctx context.Context, s *Login, set *settings, depth int) (*client, error) {
	var via *client
	for i := range set.jumps {
		jump := set.jumps[i]
		if jump.ConfigFile == "" && !jump.NoConfig {
			jump.ConfigFile, jump.NoConfig = s.ConfigFile, s.NoConfig
		}
		if jump.KnownHostsFiles == nil {
			jump.KnownHostsFiles = s.KnownHostsFiles
		}
		if jump.RevokedHostKeys == nil {
			jump.RevokedHostKeys = s.RevokedHostKeys
		}
		if jump.HostKeys == connect.HostKeysStrict && s.HostKeys != connect.InsecureIgnoreHostKeys {
			jump.HostKeys = s.HostKeys
		}
		if i == 0 && jump.Through == nil {
			jump.Through = s.Through
		}
		if i > 0 {
			// The jump host before it leads to it.
			jump.ProxyJump, jump.ProxyCommand, jump.Through = nil, "none", nil
		}
		var err error
		inner := &dial{env: d.env, label: d.label + jumpWord + jump.destination(), places: d.places}
		if via, err = inner.connect(ctx, jump, via, depth+1); err != nil {
			return nil, err
		}
	}
	return via, nil
}

// again says whether to try again after a failed attempt.
type again int

const (
	againNever   again = iota
	againNow           // the server cut the connection, and there are keys left to try
	againLater         // the server closed without a word: it is busy
	againStrange       // the server said something that was not SSH, and closed
)

// attempt makes one connection and authenticates.
func (d *dial) attempt(ctx context.Context, s *Login, set *settings, via *client, auth *authenticator) (*client, again, error) {
	verifier, err := newHostVerifier(ctx, set)
	if err != nil {
		return nil, againNever, d.fail(phaseDial, err)
	}
	verifier.direct = via == nil && set.proxyCommand == "" && s.Through == nil
	verifier.whose, verifier.log = d.env.Where, d.env.Log
	verifier.label, verifier.ask = d.label, auth.env.Prompt
	release, err := d.wait(ctx, set)
	if err != nil {
		return nil, againNever, d.fail(phaseDial, err)
	}
	defer release()
	d.tell(phaseDial)

	early, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	if set.connectTimeout > 0 {
		timer := time.AfterFunc(set.connectTimeout, func() { stop(errConnectTimeout) })
		verifier.accept = func() { timer.Stop() }
		verifier.pause = verifier.accept
		defer timer.Stop()
	}
	transport, err := d.transport(early, s, set, via)
	if err != nil {
		if early.Err() != nil {
			err = fmt.Errorf("%w: %s", contextError(early), net.JoinHostPort(set.host, strconv.Itoa(set.port)))
		}
		return nil, againNever, d.fail(phaseDial, err)
	}
	wire := newWire(transport, d.tell)
	unwatch := context.AfterFunc(early, func() {
		// The bottom first: closing a channel of a jump host that has died
		// waits for an answer that never comes.
		via.sever()
		wire.Close()
	})

	accepted := verifier.accept
	verifier.accept = func() {
		wire.advance(phaseAuth)
		if accepted != nil {
			accepted()
		}
	}
	auth.begin(wire)
	conn, channels, requests, err := ssh.NewClientConn(wire, check.HostPort(set.host, set.port), d.clientConfig(s, set, verifier, auth))
	if err != nil {
		unwatch()
		wire.Close()
		again, err := d.explain(early, wire, verifier, auth, err)
		return nil, again, err
	}
	client := &client{conn: conn, via: via, wire: wire, set: set, name: set.user + "@" + check.HostPort(set.host, set.port),
		path: "ssh:" + s.destination()}
	if via != nil {
		client.path = via.path + "/" + client.path
	}
	client.serve(channels, requests)
	if !unwatch() {
		// Cancelled at the last moment: the transport is being closed.
		client.close()
		return nil, againNever, d.fail(phaseAuth, contextError(early))
	}
	wire.advance(phaseSession)
	return client, againNever, nil
}

func (d *dial) clientConfig(s *Login, set *settings, verifier *hostVerifier, auth *authenticator) *ssh.ClientConfig {
	pick := func(lists ...[]string) []string {
		for _, list := range lists {
			if len(list) > 0 {
				return list
			}
		}
		return nil
	}
	return &ssh.ClientConfig{
		Config: ssh.Config{
			KeyExchanges:   pick(s.KeyExchanges, set.kex, kexNames.defaults()),
			Ciphers:        pick(s.Ciphers, set.ciphers, cipherNames.defaults()),
			MACs:           pick(s.MACs, set.macs, macNames.defaults()),
			RekeyThreshold: set.rekeyBytes,
		},
		User:            set.user,
		AuthCallback:    auth.next,
		HostKeyCallback: verifier.check,
		BannerCallback: func(message string) error {
			auth.tell(message)
			return nil
		},
		HostKeyAlgorithms: pick(s.HostKeyAlgorithms, set.offers(verifier.record, verifier.bare)),
	}
}

// warn logs the settings that have no effect, and what to use instead.
func (d *dial) warn(set *settings) {
	if d.env.Log == nil {
		return
	}
	for _, text := range set.without {
		d.env.Log.Warn("a setting of ssh_config has no effect", "hop", d.label, "setting", text)
	}
}

// explain finds the most precise reason for a failed handshake.
func (d *dial) explain(ctx context.Context, wire *wire, verifier *hostVerifier, auth *authenticator, err error) (again, error) {
	phase := wire.at()
	if ctx.Err() != nil {
		return againNever, d.fail(phase, contextError(ctx))
	}
	if refused := verifier.failure(); refused != nil {
		return againNever, d.fail(phaseKeys, refused)
	}
	if phase == phaseAuth {
		return auth.explain(d, err)
	}
	var mismatch *ssh.AlgorithmNegotiationError
	if errors.As(err, &mismatch) {
		return againNever, d.fail(phase, failure.Classify(connect.ErrStart, mismatched(mismatch)))
	}
	if proxy, ok := wire.Conn.(*proxyConn); ok {
		if failed := proxy.failure(); failed != nil {
			return againNever, d.fail(phase, failed)
		}
	}
	lost := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
	said := wire.said()
	switch {
	case lost && phase == phaseBanner && said == "":
		return againLater, d.fail(phase, failure.Classify(connect.ErrEOF, fmt.Errorf("the server closed the connection without a word")))
	case lost && phase == phaseBanner:
		return againStrange, d.fail(phase, failure.Classify(connect.ErrEOF, fmt.Errorf("the server closed the connection; it said %q", said)))
	case lost:
		return againLater, d.fail(phase, failure.Classify(connect.ErrEOF, fmt.Errorf("the server closed the connection: %w", err)))
	case phase == phaseBanner:
		return againNever, d.fail(phase, failure.Classify(connect.ErrStart, fmt.Errorf("this is no SSH server; it said %q", said)))
	}
	return againNever, d.fail(phase, failure.Classify(connect.ErrStart, err))
}

var errConnectTimeout = errors.New("no answer within the connect timeout")

// contextError returns why ctx ended. The class is ErrTimeout for our own time limit and for
// that of the caller. A cancellation stays context.Canceled.
func contextError(ctx context.Context) error {
	cause := context.Cause(ctx)
	switch {
	case errors.Is(cause, errConnectTimeout):
		return fmt.Errorf("%w: %w", connect.ErrTimeout, cause)
	case errors.Is(cause, connect.ErrTimeout): // a limit of the caller
		return cause
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("%w: %w", connect.ErrTimeout, ctx.Err())
	}
	return ctx.Err()
}

// serve answers the server's requests: it accepts channels to a forwarded agent, and refuses
// other channels and global requests. Its two goroutines end with the connection.
func (c *client) serve(channels <-chan ssh.NewChannel, requests <-chan *ssh.Request) {
	c.served.Go(func() {
		for channel := range channels {
			if channel.ChannelType() == agentChannel && c.acceptAgent(channel) {
				continue
			}
			channel.Reject(ssh.Prohibited, "not asked for")
		}
	})
	c.served.Go(func() { ssh.DiscardRequests(requests) })
}

// sever closes the transport at the bottom of the chain. Every wait on a connection of the
// chain then returns.
func (c *client) sever() {
	for ; c != nil; c = c.via {
		if c.via == nil {
			c.wire.Close()
		}
	}
}

// close ends the connection and those to the jump hosts, and waits for their goroutines. It
// sends no disconnect message, which could block on a dead peer.
func (c *client) close() {
	c.once.Do(func() {
		c.sever()
		c.wire.Close()
		c.conn.Close()
		c.conn.Wait()
		c.served.Wait()
		if c.via != nil {
			c.via.close()
		}
	})
}
