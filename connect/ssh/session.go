package ssh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/internal/failure"
	"github.com/mitosis-go/mitosis/connect/internal/printable"
	"github.com/mitosis-go/mitosis/connect/internal/tool"
)

// carrier is a session of the server in which the first stage runs, as a bootstrap.Carrier. The
// window is 2 MiB in each direction, which x/crypto/ssh and OpenSSH have fixed: with a round
// trip of 100 ms that is 20 MB/s.
//
// Goroutines, which all end with the client: requests gets the exit status; stderr reads
// standard error; keepalive notices a dead peer; that of execEarly waits for the answer to
// the command.
type carrier struct {
	// Immutable.
	dial    *dial
	client  *client
	channel ssh.Channel
	words   *tool.LastWords
	closing chan struct{} // closed by Close

	ended chan struct{} // closed by the requests goroutine: the command has ended
	heard chan struct{} // closed by the stderr goroutine
	work  sync.WaitGroup
	once  sync.Once

	// writing is held by Write and by the end of the input: the channel does
	// not allow the two at once.
	writing sync.Mutex

	// Guarded by mu.
	mu     sync.Mutex
	status *uint32 // of "exit-status"
	signal string  // of "exit-signal"
	dead   error   // why keepalive or execEarly has severed the connection
}

// start runs a command line on an authenticated connection.
func (d *dial) start(ctx context.Context, client *client, line string) (*carrier, error) {
	unwatch := context.AfterFunc(ctx, client.sever)
	c, err := d.exec(client, line)
	if !unwatch() {
		// ctx has ended. The caller closes the client, which ends the carrier's
		// goroutines.
		err = contextError(ctx)
	}
	if err != nil {
		return nil, d.fail(phaseSession, err)
	}
	client.wire.advance(phaseExchange)
	if set := client.set; set.keepalive > 0 {
		c.work.Go(func() { c.keepalive(set.keepalive, set.keepaliveCount) })
	}
	return c, nil
}

func (d *dial) exec(client *client, line string) (*carrier, error) {
	channel, requests, err := client.conn.OpenChannel("session", nil)
	if err != nil {
		return nil, sessionError(client, "a session", err)
	}
	c := &carrier{dial: d, client: client, channel: channel,
		words:   &tool.LastWords{Log: d.env.Log, On: tool.OnStderr},
		closing: make(chan struct{}), ended: make(chan struct{}), heard: make(chan struct{})}
	client.served.Go(func() { c.requests(requests) })
	client.served.Go(func() {
		defer close(c.heard)
		io.Copy(c.words, channel.Stderr())
	})
	if err := c.prepare(client.set); err != nil {
		return nil, err
	}
	command := ssh.Marshal(&struct{ Command string }{line})
	if d.env.Early {
		return c, c.execEarly(command)
	}
	if accepted, err := channel.SendRequest("exec", true, command); err != nil {
		return nil, sessionError(client, "a command", err)
	} else if !accepted {
		return nil, refusal(client)
	}
	return c, nil
}

func refusal(client *client) error {
	return fmt.Errorf("%w: %s refused to run a command", connect.ErrPermission, client.name)
}

// execEarly returns when the request has been written, so that data can follow it. A refusal
// severs the connection. x/crypto/ssh does not tell when it has written a request that
// wants an answer. So execEarly counts the bytes on the wire, where nothing else of that size
// is sent meanwhile.
func (c *carrier) execEarly(command []byte) error {
	wire := c.client.wire
	until := wire.sent.Load() + int64(len(command))
	answered := make(chan error, 1)
	c.client.served.Go(func() {
		accepted, err := c.channel.SendRequest("exec", true, command)
		switch {
		case err != nil:
			err = sessionError(c.client, "a command", err)
		case !accepted:
			err = refusal(c.client)
			c.mu.Lock()
			c.dead = err
			c.mu.Unlock()
			c.client.sever()
		}
		answered <- err
	})
	for wire.sent.Load() < until {
		select {
		case <-wire.wrote:
		case err := <-answered:
			return err
		}
	}
	return nil
}

func sessionError(client *client, what string, err error) error {
	var refused *ssh.OpenChannelError
	if errors.As(err, &refused) {
		return fmt.Errorf("%w: %s refused %s: %s", connect.ErrPermission, client.name, what, printable.Text(refused.Message))
	}
	return failure.Classify(connect.ErrEOF, fmt.Errorf("the connection ended: %w", err))
}

func (c *carrier) requests(requests <-chan *ssh.Request) {
	defer close(c.ended)
	for request := range requests {
		c.mu.Lock()
		switch request.Type {
		case "exit-status":
			var status struct{ Code uint32 }
			if ssh.Unmarshal(request.Payload, &status) == nil {
				c.status = &status.Code
			}
		case "exit-signal":
			var signal struct {
				Name   string
				Core   bool
				Text   string
				Locale string
			}
			if ssh.Unmarshal(request.Payload, &signal) == nil {
				c.signal = printable.Text(signal.Name)
			}
		}
		c.mu.Unlock()
		if request.WantReply {
			request.Reply(false, nil)
		}
	}
}

// Read reads the command's standard output.
func (c *carrier) Read(p []byte) (int, error) { return c.channel.Read(p) }

// Write writes to the command's standard input.
func (c *carrier) Write(p []byte) (int, error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	return c.channel.Write(p)
}

// endInput closes the command's standard input, after a Write that is under way.
func (c *carrier) endInput() {
	c.writing.Lock()
	defer c.writing.Unlock()
	_ = c.channel.CloseWrite()
}

// linger is how long Close waits for the command to end after its input, so that nothing runs
// there any more when Close returns.
const linger = 300 * time.Millisecond

// Close ends the command's input, and then the connection and those to the jump hosts. It waits
// for linger at most in between. It sends no disconnect message, since a server that is stuck
// could block it.
func (c *carrier) Close() error {
	c.once.Do(func() {
		c.work.Go(c.endInput) // may block; the end of the client unblocks it
		limit := time.NewTimer(linger)
		select {
		case <-c.ended:
		case <-limit.C:
		}
		limit.Stop()
		close(c.closing)
	})
	c.client.close()
	c.work.Wait()
	return nil
}

// Cause returns why the pipe ended: a dead peer, the command's exit status with its last words,
// or the loss of the connection.
func (c *carrier) Cause(ctx context.Context) error {
	for _, ready := range []chan struct{}{c.ended, c.heard} {
		select {
		case <-ready:
		case <-ctx.Done():
		}
	}
	c.mu.Lock()
	status, signal, dead := c.status, c.signal, c.dead
	c.mu.Unlock()
	words := c.words.String()
	if words != "" {
		words = ": " + words
	}
	switch {
	case dead != nil:
		return c.dial.fail(phaseExchange, dead)
	case signal != "":
		return c.dial.fail(phaseExchange, failure.Classify(connect.ErrEOF, fmt.Errorf("the far command was killed by %s%s", signalName(signal), words)))
	case status != nil && *status != 0:
		return c.dial.fail(phaseExchange, failure.Classify(connect.ErrEOF, fmt.Errorf("the far command ended with status %d%s", *status, words)))
	case status != nil && words != "":
		return c.dial.fail(phaseExchange, failure.Classify(connect.ErrEOF, fmt.Errorf("the far command ended%s", words)))
	case status != nil:
		return nil
	}
	select {
	case <-c.ended:
	default:
		return nil // still running, as far as is known
	}
	select {
	case <-c.closing:
		return nil // by our own Close
	default:
	}
	if err := c.client.wire.failure(); err != nil && !errors.Is(err, io.EOF) {
		return c.dial.fail(phaseExchange, failure.Classify(connect.ErrEOF, fmt.Errorf("the connection was lost: %w%s", err, words)))
	}
	return c.dial.fail(phaseExchange, failure.Classify(connect.ErrEOF, fmt.Errorf("the server closed the connection%s", words)))
}

// keepalive sends a request whenever nothing has come for an interval, and severs the
// connection after count silent intervals. It does not send another request before the answer,
// which spares slow peers.
func (c *carrier) keepalive(interval time.Duration, count int) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	seen, silent := c.client.wire.received.Load(), 0
	answered := make(chan struct{}, 1)
	asking := false
	for {
		select {
		case <-c.closing:
			return
		case <-c.ended:
			return
		case <-answered:
			asking = false
			continue
		case <-ticker.C:
		}
		if now := c.client.wire.received.Load(); now != seen {
			seen, silent = now, 0
			continue
		}
		if silent++; silent > count {
			c.mu.Lock()
			c.dead = fmt.Errorf("%w: no sign of life for %v", connect.ErrTimeout, time.Duration(silent)*interval)
			c.mu.Unlock()
			c.client.sever()
			return
		}
		if !asking {
			asking = true
			// It ends with the answer, which may be a refusal, or with the connection.
			c.work.Go(func() {
				c.client.conn.SendRequest("keepalive@openssh.com", true, nil)
				answered <- struct{}{}
			})
		}
	}
}

// Releasable returns true, since the far side can outlive the carrier: when the connection
// ends, a server closes the command's pipes and does not kill it.
func (c *carrier) Releasable() bool { return true }

// Release does nothing, since Close ends nothing but the connection.
func (c *carrier) Release() {}

// signalName returns the name of a signal that has killed a command. OpenSSH only has names for
// the signals of RFC 4254, section 6.10.
func signalName(signal string) string {
	if signal == "SIG@openssh.com" {
		return "a signal that SSH has no name for, such as the SIGSYS of a seccomp filter"
	}
	return "signal " + signal
}
