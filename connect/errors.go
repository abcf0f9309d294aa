package connect

import (
	"errors"
	"strings"

	"github.com/mitosis-go/mitosis/connect/internal/printable"
	"github.com/mitosis-go/mitosis/core"
)

// The classes of failures that a program can act on. They are recognised by
// errors.Is also for a hop that was made several contexts away. [Temporary] tells
// whether trying again makes sense.
var (
	// ErrStart: there is no such tool, or it does not take what it was told.
	ErrStart = errors.New("the tool could not be started")
	// ErrEOF: the pipe ended, and nothing better is known.
	ErrEOF = errors.New("the connection ended before the far side was ready")
	// ErrTimeout: a bound of the tool or of the protocol passed. That of a
	// context shows as context.DeadlineExceeded as well.
	ErrTimeout = errors.New("timed out")
	// ErrRefused: nobody listens there.
	ErrRefused = errors.New("connection refused")
	// ErrUnreachable: there is no way to the host, or none at the moment.
	ErrUnreachable = errors.New("the host is unreachable")
	// ErrNoHost: the name of the host can't be resolved. The next is a kind of it.
	ErrNoHost = errors.New("no such host")
	// ErrResolver: nobody could be asked what the name stands for, so that there
	// may be such a host.
	ErrResolver = KindOf(ErrNoHost, "the name can't be resolved at the moment")
	// ErrPassword: a password or passphrase was wrong.
	ErrPassword = errors.New("incorrect password")
	// ErrPasswordRequired: one is asked for, or something else such as a code, none
	// was given, and nobody could be asked, or would answer. A password that went out
	// before was not called wrong.
	ErrPasswordRequired = errors.New("a password is required and none is at hand")
	// ErrPermission: we are known, and not let in.
	ErrPermission = errors.New("permission denied")
	// ErrHostKey: the host could not show that it is the one that was meant.
	// The next two are kinds of it.
	ErrHostKey = errors.New("host key verification failed")
	// ErrHostKeyUnknown: nothing is known of the host.
	ErrHostKeyUnknown = KindOf(ErrHostKey, "host key is not known")
	// ErrHostKeyChanged: another key is known of the host. Somebody may be in between.
	ErrHostKeyChanged = KindOf(ErrHostKey, "host key has changed")
	// ErrNoContainer: for methods that enter containers, roots and namespaces: there is
	// none of that name, it does not run, or what runs it is missing.
	ErrNoContainer = errors.New("the container runtime or its container is not there")
	// ErrBadName: a name of a host, user or the like that no such thing has, or that a
	// tool would take for an option.
	ErrBadName = errors.New("not a valid name")
	// ErrNoMethod: the program does not have the method, here or where the hop is made.
	// The error says which package to import, where that is known.
	ErrNoMethod = errors.New("no method")
)

// subclass is a kind of another class.
type subclass struct {
	of   error
	text string
}

// KindOf makes a class that is a kind of another: errors.Is finds both.
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

// Error is a hop that a tool could not make.
type Error struct {
	Hop    string // the label of the method; "" where the context's path says it
	Phase  string // what was going on, for example "waiting for the password prompt"
	Err    error  // the class, or what wraps it
	Output string // the last lines that the tool printed, made safe to show
	Hint   string // what can be done about it; "" where that is not known
}

// Error names the hop, what it was about, the reason, and what the tool said.
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
