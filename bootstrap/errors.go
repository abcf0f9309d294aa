package bootstrap

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/mitosis-go/mitosis/bootstrap/image"
	"github.com/mitosis-go/mitosis/bootstrap/internal/scan"
	"github.com/mitosis-go/mitosis/core"
)

// What a program may want to tell apart. All of them arrive inside an [*Error],
// and are still themselves after any number of hops. A child that says something
// else than hello is a core.ErrProtocol.
var (
	// ErrNoStartMethod: nothing among the start methods works at the far side. The Error's
	// StartMethods say why for each.
	ErrNoStartMethod = errors.New("no way to start a child is open")
	// ErrImageHash: the image that arrived at the far side is not the one that was sent.
	ErrImageHash = image.ErrHash
	// ErrNoImage: there is no executable for the far side's system.
	ErrNoImage = image.ErrNone
	// ErrNoise: the far side prints megabytes, and not the lines that were asked for.
	ErrNoise = scan.ErrNoise
	// ErrVersion: the child speaks another version of the protocol.
	ErrVersion = errors.New("another version of the protocol")
	// ErrFingerprint: the child was built from other functions.
	ErrFingerprint = errors.New("another table of functions")
)

// Codes 300 to 399 of core's registry are this package's; append only.
func init() {
	for i, err := range []error{ErrNoStartMethod, ErrImageHash, ErrVersion, ErrFingerprint, ErrNoImage, ErrNoise} {
		core.RegisterSentinel(300+uint64(i), err)
	}
}

// A Phase is how far a bootstrap has come.
type Phase string

// The phases of [Launch.Run], in order.
const (
	PhaseFirstStage Phase = "waiting for the first stage"
	PhasePrepare    Phase = "preparing the image"
	PhaseImage      Phase = "sending the image"
	PhaseHello      Phase = "waiting for the hello"
)

// Error is why no child came to life.
type Error struct {
	Phase        Phase
	Sent         int64              // bytes of the image that were on their way
	Size         int64              // of so many; 0 where there was none
	Err          error              // the carrier's own explanation where it has one; unwrapped by errors.Is
	StartMethod  string             // the one that was being tried; "" before and behind all of them
	StartMethods []StartMethodError // those that did not do, in the order of the start methods
	Said         string             // the last lines that the far side printed, made safe to show
	Tool         string             // what the carrier's tool has said, where time ended before it did; made safe to show
	Hint         string             // what can be done about it; "" where that is not known
}

// Error names the progress and the reason, the start methods that did not do, what to do
// about it, and what the far side said last.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(Progress{e.Phase, e.StartMethod, e.Sent, e.Size}.String())
	b.WriteString(": " + e.Err.Error())
	if e.Tool != "" {
		b.WriteString(" (the tool said: " + lastLines(e.Tool, 6) + ")")
	}
	if len(e.StartMethods) > 0 {
		b.WriteString(": " + reasons(e.StartMethods))
	}
	if e.Hint != "" {
		b.WriteString("; " + e.Hint)
	}
	if e.Said != "" {
		b.WriteString("; the far side said: " + lastLines(e.Said, 6))
	}
	return b.String()
}

// Unwrap returns the reason.
func (e *Error) Unwrap() error { return e.Err }

// cannotFork tells whether that is what a shell or our guard has said.
func cannotFork(said string) bool {
	for _, words := range [...]string{"Cannot fork", "can't fork", "fork: Resource temporarily unavailable", "starting the worker: resource temporarily unavailable"} {
		if strings.Contains(said, words) {
			return true
		}
	}
	return false
}

// hint is what can be done about an error, "" where that is not known.
func (d *conversation) hint(e *Error) string {
	err, loader := e.Err, d.loaderHint(e)
	switch {
	case e.Phase == PhaseFirstStage && e.Said == "" && e.Tool == "" && d.ctx.Err() != nil && errors.Is(err, context.DeadlineExceeded):
		return "the far side has said nothing: a start-up file of its login shell may be reading, or waiting for something"
	case cannotFork(e.Said + err.Error()):
		return "no more processes can be started there: see ulimit -u, and pids.max of its cgroup"
	case loader != "":
		return loader
	case e.Phase == PhaseFirstStage && restricted(e.Said+err.Error()):
		return restrictedHint
	case d.policy, strings.Contains(e.Said+err.Error(), workerDenied):
		return policyHint
	case !errors.Is(err, ErrNoStartMethod) || d.facts == nil || d.facts.GOOS() != "linux":
		return ""
	case d.facts.NoProc:
		return "mount it there, as root: mount -t proc proc /proc"
	}
	hint := unnamedHint(e.StartMethods) + "it takes perl or python3 that may call memfd_create, or a writable directory there that allows execution"
	if d.room > 0 {
		hint += " and has " + strconv.FormatInt(d.room>>20+1, 10) + " MiB left"
	}
	if len(d.opts.StartMethods) > 0 {
		hint += ", or more start methods than Config.StartMethods allows (" + strings.Join(d.opts.StartMethods, ", ") + ")"
	}
	return hint
}

// lastLines is the end of a text, at most n lines and 512 bytes, on one line.
func lastLines(s string, n int) string {
	lines := strings.FieldsFunc(s, func(r rune) bool { return r == '\n' })
	var out string
	for i := len(lines) - 1; i >= 0 && n > 0; i, n = i-1, n-1 {
		line := strings.ReplaceAll(strings.TrimSpace(lines[i]), "\t", " ")
		if line == "" {
			continue
		}
		if out == "" {
			out = line
		} else {
			out = line + " | " + out
		}
	}
	if len(out) > 512 {
		out = "..." + strings.ToValidUTF8(out[len(out)-512:], "")
	}
	return out
}
