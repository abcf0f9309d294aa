package bootstrap

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/mitosis-go/mitosis/bootstrap/image"
	"github.com/mitosis-go/mitosis/core"
)

// Version is the version of the protocol, from the hello on. Parent and child are nearly
// always the same program. The version is for the case that they are not.
const Version = 1

// Hello is the child's first frame. It says which program and which process the child is.
type Hello struct {
	Version     uint64
	Fingerprint [32]byte // hash of the registered functions, made by package contexts
	GOOS        string
	GOARCH      string
	Pid         int
	UID         int // -1 where the system has none
	User        string
	Hostname    string
	ImageHash   [32]byte // of the image that the child was made from; zero: the parent's executable
}

// Welcome is the parent's answer. It gives the child its place in the tree.
type Welcome struct {
	Version       uint64
	Tree          [16]byte   // UUID of the tree
	ID            core.ID    // of the child
	Ancestors     []core.ID  // nearest first; the last one is the master
	Path          string     // hop path, as it appears in errors and logs
	Block         core.Block // IDs for children of the child
	Depth         int        // how many levels of contexts may be below
	LogLevel      int        // of package log/slog
	AllowSiblings bool
	Extra         []byte // read by package contexts only
}

// A Session is a child that has said hello.
type Session struct {
	Hello       Hello
	Facts       Facts  // zero where the child was started without facts
	StartMethod string // the one that the child was started by
	Said        string // the last lines that the far side printed before the child spoke
	// Sought says that the image was looked for in the cache. If the child was made
	// from one that was sent all the same, it should keep it ([image.KeepInCache]).
	Sought bool
	// Image is the one that was sent, in Codec; nil: none was. [image.Image.Improve]
	// makes the next launch with it faster.
	Image *image.Image
	Codec image.Codec
	// Lost says that a plan which was sent early did not arrive. It should not be sent
	// early to this far side again.
	Lost bool
	// Static says that the image came from Options.Static.
	Static bool

	// Link is the carrier after the hello. Read first returns the bytes that were
	// read ahead. Link has the carrier's Cause as well.
	Link io.ReadWriteCloser
}

// Welcome answers the hello. Frames may follow at once.
func (s *Session) Welcome(w Welcome) error {
	w.Version = Version
	b, err := helloFrame(w, w.ID)
	if err != nil {
		return err
	}
	_, err = s.Link.Write(b)
	return err
}

// helloFrame makes a frame of a hello or welcome. It is addressed to the child in both
// directions, since no IDs are known yet that could be checked.
func helloFrame(v any, child core.ID) ([]byte, error) {
	body, err := core.Marshal(v)
	if err != nil {
		return nil, err
	}
	if len(body) > core.MaxBody {
		return nil, fmt.Errorf("hello of %d bytes, at most %d fit", len(body), core.MaxBody)
	}
	h := core.Header{Dst: child, Handle: core.HandleHello}
	return append(core.AppendHeader(nil, &h, len(body)), body...), nil
}

// readHello reads one frame, which must be a hello or welcome, into v. It returns the bytes
// that were read behind it.
func readHello(r io.Reader, v any) (rest []byte, err error) {
	noted := &noting{r: r}
	frames := core.NewReader(noted)
	f, err := frames.Next()
	if err != nil {
		if noted.err == nil {
			err = fmt.Errorf("%w: %w", core.ErrProtocol, err)
		}
		return nil, err
	}
	defer f.Release()
	if f.Handle != core.HandleHello {
		return nil, fmt.Errorf("%w: a frame for handle %d", core.ErrProtocol, f.Handle)
	}
	if err := core.Unmarshal(f.Body, v); err != nil {
		return nil, fmt.Errorf("%w: %w", core.ErrProtocol, err)
	}
	return append([]byte(nil), frames.Buffered()...), nil
}

// noting remembers an error of Read. Other errors are about the bytes that were read.
type noting struct {
	r   io.Reader
	err error
}

func (n *noting) Read(b []byte) (int, error) {
	k, err := n.r.Read(b)
	if err != nil {
		n.err = err
	}
	return k, err
}

// Check returns an error for a child that this program can't talk to.
func (h *Hello) Check(fingerprint [32]byte) error {
	if h.Version != Version {
		return fmt.Errorf("%w: the child has %d, this program has %d; run the same build on both sides", ErrVersion, h.Version, Version)
	}
	if h.Fingerprint != fingerprint {
		return fmt.Errorf("%w: the child (%s/%s on %s) has %s, this program has %s; build both from the same source",
			ErrFingerprint, h.GOOS, h.GOARCH, h.Hostname, short(h.Fingerprint), short(fingerprint))
	}
	return nil
}

func short(h [32]byte) string { return hex.EncodeToString(h[:6]) }

// earlyReader is a carrier whose first bytes were read ahead. It is the link to the child.
type earlyReader struct {
	Carrier
	left []byte // owned by the one reader
}

func (l *earlyReader) Read(b []byte) (int, error) {
	if len(l.left) > 0 {
		n := copy(b, l.left)
		if l.left = l.left[n:]; len(l.left) == 0 {
			l.left = nil
		}
		return n, nil
	}
	return l.Carrier.Read(b)
}

// ended returns the carrier's own explanation of its end, or else err.
func ended(ctx context.Context, c Carrier, err error) error {
	if cause := c.Cause(ctx); cause != nil {
		return cause
	}
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
