package attach

import (
	"context"
	"net"
	"time"

	"github.com/mitosis-go/mitosis/bootstrap"
	"github.com/mitosis-go/mitosis/core"
)

// version is that of what is said on sockets before there is a link.
const version = 1

// talkTime bounds what is said before there is a link.
const talkTime = 10 * time.Second

// The purposes of a knock.
const (
	toJoin uint8 = 1
	toOwn  uint8 = 2
)

// knock is the first that is said, by who has connected.
type knock struct {
	_       struct{} `cbor:",toarray"`
	Version uint64
	Purpose uint8
	Hello   bootstrap.Hello // of toOwn, only the fingerprint
}

// challenge, proof and estate are said in turn before a master is accepted: the
// context's nonce; the master's, with the proof that it knows the secret; and what
// the master needs to know, with the proof that the context knows it, too.
type challenge struct {
	_     struct{} `cbor:",toarray"`
	Nonce nonce
}

type proof struct {
	_     struct{} `cbor:",toarray"`
	Nonce nonce
	Sum   sum
}

type estate struct {
	_     struct{} `cbor:",toarray"`
	Sum   sum
	Hello bootstrap.Hello
	Tree  [16]byte
	ID    core.ID
	Path  string
	Age   uint64
}

// talk is what two processes say to each other, in frames to HandleHello. A dead
// frame ends it with a failure.
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
	return t.send(0, body)
}

func (t *talk) send(flags core.Flags, body []byte) error {
	h := core.Header{Handle: core.HandleHello, Flags: flags}
	_, err := t.conn.Write(append(core.AppendHeader(nil, &h, len(body)), body...))
	return err
}

// refuse tells why there will be no link.
func (t *talk) refuse(err error) { _ = t.send(core.Dead, core.EncodeError(err)) }

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

// link is the connection from now on.
func (t *talk) link() *link {
	_ = t.conn.SetDeadline(time.Time{})
	return &link{Conn: t.conn, left: append([]byte(nil), t.frames.Buffered()...)}
}

// link is a connection with what was read of it too early. It is the carrier as
// well: nothing else has to be ended.
type link struct {
	net.Conn
	left []byte // owned by the one reader
}

func (l *link) Read(b []byte) (int, error) {
	if len(l.left) > 0 {
		n := copy(b, l.left)
		l.left = l.left[n:]
		return n, nil
	}
	return l.Conn.Read(b)
}

// Cause implements bootstrap.Carrier.
func (l *link) Cause(context.Context) error { return nil }

// Releasable implements succession.Releaser: closing a socket ends nothing else.
func (l *link) Releasable() bool { return true }

// Release implements succession.Releaser.
func (l *link) Release() {}
