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

// The conditions that a program may act on. All of them arrive inside an [*Error],
// and errors.Is recognises them after any number of hops. A child whose first frame is no
// hello is a core.ErrProtocol.
var (
	// ErrNoStartMethod: no start method works at the far side. The Error's
	// StartMethods have the reason for each.
	ErrNoStartMethod = errors.New("no start method works there")
	// ErrImageHash: the image that arrived at the far side is not the one that was sent.
	ErrImageHash = image.ErrHash
	// ErrNoImage: there is no executable for the far side's system.
	ErrNoImage = image.ErrNone
	// ErrNoise: the far side prints megabytes, and not the lines that were asked for.
	ErrNoise = scan.ErrNoise
	// ErrVersion: the child speaks another version of the protocol.
	ErrVersion = errors.New("another version of the protocol")
	// ErrFingerprint: the child has other registered functions than this program.
	ErrFingerprint = errors.New("another set of functions")
)

// Codes 300 to 399 of core's registry are this package's; append only.
func init() {
	for i, err := range []error{ErrNoStartMethod, ErrImageHash, ErrVersion, ErrFingerprint, ErrNoImage, ErrNoise} {
		core.RegisterSentinel(300+uint64(i), err)
	}
}

// A Phase is a part of a launch.
type Phase string

// The phases of [Launch.Run], in order.
const (
	PhaseFirstStage Phase = "waiting for the first stage"
	PhasePrepare    Phase = "preparing the image"
	PhaseImage      Phase = "sending the image"
	PhaseHello      Phase = "waiting for the hello"
)

// Error says why no child was started.
type Error struct {
	Phase        Phase
	Sent         int64              // bytes of the image that the pipe had taken
	Size         int64              // bytes of the image; 0: none was under way
	Err          error              // the reason, where possible the carrier's own; errors.Is looks into it
	StartMethod  string             // the one that was being tried; "" before the first and after the last
	StartMethods []StartMethodError // those that failed or were passed over, in their order
	Said         string             // the last lines that the far side printed, made safe to show
	Tool         string             // text of the carrier's tool, where it was still running when time was up; made safe to show
	Hint         string             // advice to the user; "" where there is none
}

// Error names the progress, the reason, the start methods that failed, the advice, and the
// last words of the far side.
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

// cannotFork reports whether a shell or our guard has said that it can't start a process.
func cannotFork(said string) bool {
	for _, words := range [...]string{"Cannot fork", "can't fork", "fork: Resource temporarily unavailable", "starting the worker: resource temporarily unavailable"} {
		if strings.Contains(said, words) {
			return true
		}
	}
	return false
}

// hint returns advice about an error, "" where there is none.
func (d *conversation) hint(e *Error) string {
	err, loader := e.Err, d.loaderHint(e)
	switch {
	case e.Phase == PhaseFirstStage && e.Said == "" && e.Tool == "" && d.ctx.Err() != nil && errors.Is(err, context.DeadlineExceeded):
		return "the far side has said nothing: a start-up file of its login shell may be waiting for input or for another host; log in by hand to see where it stops"
	case cannotFork(e.Said + err.Error()):
		return "no more processes can be started there: raise ulimit -u, or pids.max of its cgroup, or end some processes"
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
	hint := unnamedHint(e.StartMethods) + "install perl or python3 there, which must be allowed to call memfd_create, or make a writable directory that allows execution"
	if d.room > 0 {
		hint += " and has " + strconv.FormatInt(d.room>>20+1, 10) + " MiB left"
	}
	if len(d.opts.StartMethods) > 0 {
		hint += ", or allow more start methods in Config.StartMethods (" + strings.Join(d.opts.StartMethods, ", ") + ")"
	}
	return hint
}

// lastLines returns the end of a text on one line: at most n lines and 512 bytes.
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
