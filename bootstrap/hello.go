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

// Version is the version of everything from the hello on. Parent and child are
// nearly always the same program; the version is for the case that they are not.
const Version = 1

// Hello is the child's first frame: who it is.
type Hello struct {
	Version     uint64
	Fingerprint [32]byte // of the table of functions, made by package contexts
	GOOS        string
	GOARCH      string
	Pid         int
	UID         int // -1 where there is no such thing
	User        string
	Hostname    string
	ImageHash   [32]byte // of the image that was sent; zero if none was
}

// Welcome is the parent's answer: what the child is to be.
type Welcome struct {
	Version       uint64
	Tree          [16]byte  // UUID of the tree
	ID            core.ID   // of the child
	Ancestors     []core.ID // nearest first, so the last is the master
	Path          string    // hop path, as it appears in errors and logs
	Block         core.Block
	Depth         int // how many levels may still be below
	LogLevel      int // of package log/slog
	AllowSiblings bool
	Extra         []byte // whatever package contexts adds
}

// A Session is a child that has said hello.
type Session struct {
	Hello       Hello
	Facts       Facts  // zero where the child was started before there were any
	StartMethod string // by which the child was started
	Said        string // the last of what was printed before the child's first word
	// Sought says that the image was looked for in the cache; where the child was
	// made from one all the same, it should keep it ([image.KeepInCache]).
	Sought bool
	// Image was sent, in Codec; nil and Raw where none was. It may be worth while to improve it
	// for the next launch: see [Image.Improve].
	Image *image.Image
	Codec image.Codec
	// Lost says that a plan which was sent early did not arrive: it should not be tried
	// again with this far side.
	Lost bool
	// Static says that the image came from Options.Static.
	Static bool

	// Link is the carrier, behind the hello. Read and Write go straight to
	// it once the bytes that were read too far have been taken. It has the
	// carrier's Cause as well.
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

// helloFrame is a hello or welcome as a frame. It is addressed to the child in
// both directions, there being no identity yet that could be checked.
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

// readHello reads one frame that must be a hello or welcome, and returns what
// was read behind it.
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

// noting remembers an error of reading, to tell it from one of what was read.
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

// Check compares a hello with what is expected.
func (h *Hello) Check(fingerprint [32]byte) error {
	if h.Version != Version {
		return fmt.Errorf("%w: the child has %d, this program %d", ErrVersion, h.Version, Version)
	}
	if h.Fingerprint != fingerprint {
		return fmt.Errorf("%w: the child (%s/%s on %s) has %s, this program %s: they were not built from the same source",
			ErrFingerprint, h.GOOS, h.GOARCH, h.Hostname, short(h.Fingerprint), short(fingerprint))
	}
	return nil
}

func short(h [32]byte) string { return hex.EncodeToString(h[:6]) }

// link is a carrier with what was read from it too early.
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

// ended says what the end of a carrier means: its own explanation, if it has one.
func ended(ctx context.Context, c Carrier, err error) error {
	if cause := c.Cause(ctx); cause != nil {
		return cause
	}
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
