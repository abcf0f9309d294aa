package connect

import (
	"errors"
	"strings"

	"github.com/mitosis-go/mitosis/connect/internal/printable"
	"github.com/mitosis-go/mitosis/core"
)

// The classes of failures on which a program can act. errors.Is recognises them also if the
// hop was made several contexts away. [Temporary] reports whether trying again makes sense.
var (
	// ErrStart: there is no such tool, or it rejects its arguments.
	ErrStart = errors.New("the tool could not be started")
	// ErrEOF: the pipe ended, and nothing more precise is known.
	ErrEOF = errors.New("the connection ended before the far side was ready")
	// ErrTimeout: a time limit passed, of the tool, the protocol or the ctx. If it was that
	// of the ctx, the error matches context.DeadlineExceeded, too.
	ErrTimeout = errors.New("timed out")
	// ErrRefused: nobody listens there.
	ErrRefused = errors.New("connection refused")
	// ErrUnreachable: the network has no route to the host, or none at the moment.
	ErrUnreachable = errors.New("the host is unreachable")
	// ErrNoHost: the name of the host can't be resolved. ErrResolver is a kind of it.
	ErrNoHost = errors.New("no such host")
	// ErrResolver: no name server answered, so that the host may exist.
	ErrResolver = KindOf(ErrNoHost, "the name can't be resolved at the moment")
	// ErrPassword: a password or passphrase was wrong.
	ErrPassword = errors.New("incorrect password")
	// ErrPasswordRequired: the tool asks for a password, a passphrase or a code. None was
	// given, and nobody could be asked or nobody answered. A password that was sent
	// before has not been refused.
	ErrPasswordRequired = errors.New("a password is required and none is at hand")
	// ErrPermission: the user is known, but may not do this.
	ErrPermission = errors.New("permission denied")
	// ErrHostKey: the host could not prove its identity. ErrHostKeyUnknown and
	// ErrHostKeyChanged are kinds of it.
	ErrHostKey = errors.New("host key verification failed")
	// ErrHostKeyUnknown: known_hosts has no key for the host.
	ErrHostKeyUnknown = KindOf(ErrHostKey, "host key is not known")
	// ErrHostKeyChanged: known_hosts has another key for the host. Somebody may be in
	// between.
	ErrHostKeyChanged = KindOf(ErrHostKey, "host key has changed")
	// ErrNoContainer: the container, root or namespace does not exist or does not run, or
	// its runtime is missing.
	ErrNoContainer = errors.New("the container runtime or its container is not there")
	// ErrBadName: no host or user can have this name, or a tool would take it for an
	// option; also a user that does not exist.
	ErrBadName = errors.New("not a valid name")
	// ErrNoMethod: the program that makes the hop does not have the method. The error says
	// which package to import, if that is known.
	ErrNoMethod = errors.New("no method")
)

// subclass is a kind of another class.
type subclass struct {
	of   error
	text string
}

// KindOf makes a class that is a kind of another: its errors match both.
func KindOf(class error, text string) error { return &subclass{class, text} }

func (c *subclass) Error() string        { return c.text }
func (c *subclass) Is(target error) bool { return errors.Is(c.of, target) }

// Codes are append only; 100 to 199 are this package's.
func init() {
	for code, err := range map[uint64]error{
		100: ErrStart, 101: ErrEOF, 102: ErrTimeout, 103: ErrRefused, 104: ErrPassword,
		105: ErrPasswordRequired, 106: ErrPermission, 107: ErrHostKey, 108: ErrHostKeyUnknown,
		109: ErrHostKeyChanged, 110: ErrNoContainer, 111: ErrBadName,
		112: ErrUnreachable, 113: ErrNoHost, 114: ErrResolver,
		115: ErrNoMethod,
	} {
		core.RegisterSentinel(code, err)
	}
}

// Error is the failure of a hop.
type Error struct {
	Hop    string // the label of the method; "" where the context's path says it
	Phase  string // the step that failed, for example "answering its questions"
	Err    error  // the class, or an error that wraps it
	Output string // the last lines that the tool printed, safe to show, without secrets
	Hint   string // what a person can do about it; "" if that is not known
}

// Error returns the hop, the phase, the reason, the last lines of the tool, and the hint.
func (e *Error) Error() string {
	var parts []string
	if e.Hop != "" {
		parts = append(parts, printable.Name(e.Hop))
	}
	if e.Phase != "" {
		parts = append(parts, e.Phase)
	}
	if e.Err != nil {
		parts = append(parts, e.Err.Error())
	}
	s := strings.Join(parts, ": ")
	if e.Output != "" {
		s += " (the tool said: " + e.Output + ")"
	}
	if e.Hint != "" {
		s += "; " + e.Hint
	}
	return s
}

// Unwrap returns the class.
func (e *Error) Unwrap() error { return e.Err }
