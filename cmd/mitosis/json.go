package main

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"unicode/utf8"

	"github.com/mitosis-go/mitosis/contexts/fleet"
)

// hostResult is what became of a host, as --json has it on a line.
type hostResult struct {
	Host     string  `json:"host"`
	OK       bool    `json:"ok"`
	Status   int     `json:"status"` // that of a shell; 255 where the host was not reached
	Error    string  `json:"error,omitempty"`
	NotTried bool    `json:"not_tried,omitempty"`
	Before   bool    `json:"before,omitempty"` // it succeeded in the run that is tried again
	Attempts int     `json:"attempts"`
	Seconds  float64 `json:"seconds"`
}

func resultOf[Out any](s *several, host string, r *fleet.Result[Out]) hostResult {
	h := hostResult{
		Host: host, OK: r.Err == nil, Status: s.statusOf(r.Err), NotTried: errors.Is(r.Err, fleet.ErrNotTried),
		Before: r.Before, Attempts: r.Attempts, Seconds: r.Took.Seconds(),
	}
	if r.Err != nil {
		h.Error = inWords(r.Err)
	}
	return h
}

// hostOutput is hostResult for a command.
type hostOutput struct {
	hostResult
	Stdout printed `json:"stdout"`
	Stderr printed `json:"stderr"`
}

// printed is an output of a command: as text if it is that, and else in Base64.
type printed struct {
	Text   *string `json:"text,omitempty"`
	Base64 string  `json:"base64,omitempty"`
	Bytes  int64   `json:"bytes"` // in all; the last MiB of them is here
}

func outputOf(s *several, host string, r *fleet.Result[fleet.Output]) hostOutput {
	return hostOutput{resultOf(s, host, r), printedOf(r.Value.Stdout, r.Value.StdoutBytes), printedOf(r.Value.Stderr, r.Value.StderrBytes)}
}

func printedOf(b []byte, bytes int64) printed {
	if !utf8.Valid(b) {
		return printed{Base64: base64.StdEncoding.EncodeToString(b), Bytes: bytes}
	}
	text := string(b)
	return printed{Text: &text, Bytes: bytes}
}

// object prints a value as JSON on a line. Within JSON controls are escaped.
func (s *screen) object(v any) {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // the types are those above
	}
	s.print(append(text, '\n'), false)
}
