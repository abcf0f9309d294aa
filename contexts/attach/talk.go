package attach

import (
	"context"
	"net"
	"time"

	"github.com/mitosis-go/mitosis/bootstrap"
	"github.com/mitosis-go/mitosis/core"
	"github.com/mitosis-go/mitosis/internal/usersocket"
)

// version is the version of the talk on a socket that comes before its frames.
const version = 1

// talkTime bounds a talk.
const talkTime = 10 * time.Second

// The purposes of a knock.
const (
	toJoin uint8 = 1
	toOwn  uint8 = 2
)

// knock is the first message, from the process that has connected.
type knock struct {
	_       struct{} `cbor:",toarray"`
	Version uint64
	Purpose uint8
	Hello   bootstrap.Hello // with toOwn only the fingerprint is set
}

// challenge, proof and handover are exchanged before a context accepts a master. In the
// challenge the context sends its nonce. In the proof the master sends its own, and
// proves that it knows the secret. In the handover the context proves the same, and
// describes itself and its tree.
type challenge struct {
	_     struct{} `cbor:",toarray"`
	Nonce nonce
}

type proof struct {
	_     struct{} `cbor:",toarray"`
	Nonce nonce
	Sum   sum
}

type handover struct {
	_     struct{} `cbor:",toarray"`
	Sum   sum
	Hello bootstrap.Hello
	Tree  [16]byte
	ID    core.ID
	Path  string
	Age   uint64
}

// talk is the exchange of two processes that comes before a link, in frames to
// HandleHello. A dead frame ends it with a failure.
type talk struct {
	conn   net.Conn
	frames *core.Reader
}

func newTalk(c net.Conn) *talk {
	_ = c.SetDeadline(time.Now().Add(talkTime))
	return &talk{c, core.NewReader(c)}
}

func (t *talk) say(v any) error {
	body, err := core.Marshal(v)
	if err != nil {
		return err
	}
	return t.sendFrame(0, body)
}

func (t *talk) sendFrame(flags core.Flags, body []byte) error {
	h := core.Header{Handle: core.HandleHello, Flags: flags}
	_, err := t.conn.Write(append(core.AppendHeader(nil, &h, len(body)), body...))
	return err
}

// refuse ends a talk with an error for the other side.
func (t *talk) refuse(err error) { _ = t.sendFrame(core.Dead, core.EncodeError(err)) }

func (t *talk) hear(v any) error {
	f, err := t.frames.Next()
	if err != nil {
		return err
	}
	defer f.Release()
	switch {
	case f.Handle != core.HandleHello:
		return &core.Error{Kind: core.KindProtocol}
	case f.Flags&core.Dead != 0:
		return core.DecodeError(f.Body)
	}
	if err := core.Unmarshal(f.Body, v); err != nil {
		return &core.Error{Kind: core.KindProtocol, Err: err}
	}
	return nil
}

// finish ends a talk. The connection belongs to the caller, with no deadline.
func (t *talk) finish() *peerConn {
	_ = t.conn.SetDeadline(time.Time{})
	return &peerConn{usersocket.Begun{Conn: t.conn, Left: append([]byte(nil), t.frames.Buffered()...)}}
}

// peerConn is a connection after a talk, which may have read too much. It is its own carrier, as
// nothing but the socket has to be closed.
type peerConn struct{ usersocket.Begun }

// Cause implements bootstrap.Carrier.
func (c *peerConn) Cause(context.Context) error { return nil }

// Releasable implements succession.Releaser: closing a socket ends nothing else.
func (c *peerConn) Releasable() bool { return true }

// Release implements succession.Releaser.
func (c *peerConn) Release() {}
