package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/contexts"
)

// Row is the result of a member in a form for encoding/json. The form is stable: fields are
// added, and none changes its meaning. docs/schema/fleet-result.json describes the rows of
// [Run], and each other Row but for its value.
type Row[Out any] struct {
	Host string `json:"host"`
	OK   bool   `json:"ok"`
	// Value is what the operation returned. Where it failed there is none, but for the output
	// of a command that has run.
	Value    *Out    `json:"value,omitempty"`
	Error    string  `json:"error,omitempty"`
	Kind     Kind    `json:"kind,omitempty"`   // of the error
	Before   bool    `json:"before,omitempty"` // it succeeded in an earlier run
	Attempts int     `json:"attempts"`         // 0 where it was not tried
	Seconds  float64 `json:"seconds"`          // all attempts, with the pauses
}

// RowOf returns the result of a member as a Row.
func RowOf[Out any](m *Member, r Result[Out]) Row[Out] {
	row := Row[Out]{Host: m.name, OK: r.Err == nil, Before: r.Before, Attempts: r.Attempts, Seconds: seconds(r.Took)}
	output, _ := any(r.Value).(Output)
	printed := output.StdoutBytes+output.StderrBytes > 0
	if r.Err == nil && !r.Before || printed || errors.As(r.Err, new(*contexts.ExitError)) {
		row.Value = &r.Value
	}
	if r.Err != nil {
		row.Error, row.Kind = r.Err.Error(), KindOf(r.Err)
	}
	return row
}

// Rows returns the results in the order in which they came.
func (r *Results[Out]) Rows() []Row[Out] {
	rows := make([]Row[Out], 0, len(r.members))
	for m, result := range r.All() {
		rows = append(rows, RowOf(m, result))
	}
	return rows
}

// Summary is how an operation has ended, in a form for encoding/json. It is as stable as
// [Row]; docs/schema/fleet-summary.json describes it. Hosts is the sum of OK, Failed,
// NotTried and Before.
type Summary struct {
	Hosts    int `json:"hosts"`
	OK       int `json:"ok"`        // in this run
	Failed   int `json:"failed"`    // without those that were not tried
	NotTried int `json:"not_tried"` // see ErrNotTried
	Before   int `json:"before"`    // they succeeded in an earlier run
	// Errors has an entry for each error, the most frequent first.
	Errors []SummaryError `json:"errors"`
}

// SummaryError is an error that several members have in common.
type SummaryError struct {
	Hosts HostSet `json:"hosts"` // in its folded form
	Count int     `json:"count"`
	Error string  `json:"error"` // as it is for the first of them
	Kind  Kind    `json:"kind"`
}

// Summary returns how the operation has ended.
func (r *Results[Out]) Summary() Summary {
	s := Summary{Hosts: r.Len(), Errors: []SummaryError{}}
	errs := &Results[struct{}]{members: r.members, byName: make(map[string]Result[struct{}], len(r.members))}
	for m, result := range r.All() {
		switch {
		case result.Before:
			s.Before++
		case result.Err == nil:
			s.OK++
		case errors.Is(result.Err, ErrNotTried):
			s.NotTried++
		default:
			s.Failed++
		}
		errs.byName[m.name] = Result[struct{}]{Err: result.Err}
	}
	for _, f := range errs.Fold() {
		if f.Err != nil {
			s.Errors = append(s.Errors, SummaryError{Hosts: f.Hosts, Count: f.Hosts.Len(), Error: f.Err.Error(), Kind: KindOf(f.Err)})
		}
	}
	return s
}

// Kind is a class of errors, for programs that read results as JSON. More may be added.
type Kind string

// The kinds. An error has the first of them that fits.
const (
	KindNotTried    Kind = "not_tried"   // see ErrNotTried
	KindUnknown     Kind = "unknown"     // see ErrUnknown
	KindExit        Kind = "exit"        // a command ended with a status other than 0
	KindHostKey     Kind = "host_key"    // the host could not prove its identity
	KindPassword    Kind = "password"    // a password was wrong, or there was none
	KindPermission  Kind = "permission"  // the user may not log in, or not become another one
	KindUnreachable Kind = "unreachable" // nothing answers there, or there is no such host
	KindTimeout     Kind = "timeout"     // a time limit has passed
	KindCancelled   Kind = "cancelled"   // the program gave it up
	KindLost        Kind = "lost"        // the host was connected, and the connection broke
	KindConnect     Kind = "connect"     // any other failure to connect
	KindOther       Kind = "other"       // of the operation itself
)

// KindOf returns the kind of a member's error, "" for nil.
func KindOf(err error) Kind {
	_, connecting := errors.AsType[*ConnectError](err)
	is := func(classes ...error) bool {
		for _, class := range classes {
			if errors.Is(err, class) {
				return true
			}
		}
		return false
	}
	switch {
	case err == nil:
		return ""
	case is(ErrNotTried):
		return KindNotTried
	case is(ErrUnknown):
		return KindUnknown
	case errors.As(err, new(*contexts.ExitError)):
		return KindExit
	case is(connect.ErrHostKey):
		return KindHostKey
	case is(connect.ErrPassword, connect.ErrPasswordRequired):
		return KindPassword
	case connecting && is(connect.ErrPermission):
		return KindPermission
	case is(connect.ErrRefused, connect.ErrUnreachable, connect.ErrNoHost):
		return KindUnreachable
	case is(connect.ErrTimeout, context.DeadlineExceeded):
		return KindTimeout
	case is(context.Canceled):
		return KindCancelled
	case connecting:
		return KindConnect
	case is(contexts.ErrGone, contexts.ErrUnavailable):
		return KindLost
	}
	return KindOther
}

// MarshalJSON writes what the command printed as text where it is valid UTF-8, and otherwise
// as base64 in fields of their own. A terminal that shows the text finds nothing to obey in it.
func (o Output) MarshalJSON() ([]byte, error) {
	j := outputJSON{StdoutBytes: o.StdoutBytes, StderrBytes: o.StderrBytes, ExitStatus: o.ExitStatus}
	j.Stdout, j.StdoutBase64 = textOrBytes(o.Stdout, o.StdoutBytes)
	j.Stderr, j.StderrBase64 = textOrBytes(o.Stderr, o.StderrBytes)
	b, err := json.Marshal(j)
	return escapeControls(b), err
}

// escapeControls escapes the control characters that encoding/json leaves as they are: DEL and
// those of C1, which are two bytes each.
func escapeControls(text []byte) []byte {
	var out []byte
	for i := 0; i < len(text); i++ {
		c := rune(text[i])
		if c == 0xc2 && i+1 < len(text) && text[i+1] < 0xa0 {
			i++
			c = rune(text[i])
		} else if c != 0x7f {
			out = append(out, text[i])
			continue
		}
		out = fmt.Appendf(out, `\u%04x`, c)
	}
	return out
}

// UnmarshalJSON reads what MarshalJSON writes.
func (o *Output) UnmarshalJSON(b []byte) error {
	var j outputJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	*o = Output{Stdout: j.StdoutBase64, Stderr: j.StderrBase64, StdoutBytes: j.StdoutBytes, StderrBytes: j.StderrBytes, ExitStatus: j.ExitStatus}
	if j.Stdout != nil {
		o.Stdout = []byte(*j.Stdout)
	}
	if j.Stderr != nil {
		o.Stderr = []byte(*j.Stderr)
	}
	return nil
}

type outputJSON struct {
	Stdout       *string `json:"stdout,omitempty"`
	StdoutBase64 []byte  `json:"stdout_base64,omitempty"`
	StdoutBytes  int64   `json:"stdout_bytes"`
	Stderr       *string `json:"stderr,omitempty"`
	StderrBase64 []byte  `json:"stderr_base64,omitempty"`
	StderrBytes  int64   `json:"stderr_bytes"`
	ExitStatus   int     `json:"exit_status"`
}

// textOrBytes returns what is kept of so many bytes. If the beginning is not, the first
// character may be cut in two: the rest of it is left out of a text.
func textOrBytes(kept []byte, printed int64) (*string, []byte) {
	b := kept
	for len(b) > 0 && printed > int64(len(kept)) && len(kept)-len(b) < utf8.UTFMax-1 && !utf8.RuneStart(b[0]) {
		b = b[1:]
	}
	if utf8.Valid(b) {
		s := string(b)
		return &s, nil
	}
	return nil, kept
}

// seconds is a time with the precision of milliseconds.
func seconds(d time.Duration) float64 { return d.Round(time.Millisecond).Seconds() }
