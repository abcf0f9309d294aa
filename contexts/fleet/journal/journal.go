// Package journal keeps the record of a fleet's operations in a file, for [fleet.Policy]: what
// was done is not done again by a later process, what had begun is reported, the rest goes on.
//
//	j, err := journal.Open("rollout.jsonl")
//	...
//	defer j.Close()
//	careful := group.With(fleet.Policy{Journal: j, Name: "restart nginx", Batches: ...})
//
// The file has one JSON object on a line: "time" (RFC 3339), "operation", "member", "state"
// ("begun", "done", "failed") and, of those that failed, "error". A line is written before a
// member is tried and another one when it has ended. A last line that is cut off, since the
// process or the system ended while it was written, is taken out when the file is opened.
package journal

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/mitosis-go/mitosis/contexts/fleet"
)

// ErrInUse is matched by the error of Open where another process has the journal open.
var ErrInUse = errors.New("another process has the journal open")

// ErrInvalid is matched by the error of Open where the file is not a journal.
var ErrInvalid = errors.New("not a journal")

// A Journal is a [fleet.Journal] in a file.
type Journal struct {
	mu     sync.Mutex
	file   *os.File
	states map[key]fleet.State
	err    error // of the first write that failed: nothing is written after it
}

type key struct{ operation, member string }

// entry is a line of the file.
type entry struct {
	Time      time.Time `json:"time"`
	Operation string    `json:"operation"`
	Member    string    `json:"member"`
	State     string    `json:"state"`
	Error     string    `json:"error,omitempty"`
}

var states = map[string]fleet.State{"begun": fleet.StateUnknown, "done": fleet.StateDone, "failed": fleet.StateFailed}

// Open opens the journal of that name, or makes a new one that only its user can read. Until
// Close no other process can open it.
func Open(name string) (*Journal, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	j := &Journal{file: f, states: make(map[key]fleet.State)}
	if err := lock(f); err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if err := j.read(); err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return j, nil
}

// read reads what is there, and takes out a last line that is cut off.
func (j *Journal) read() error {
	r := bufio.NewReader(j.file)
	var good int64
	for n := 1; ; n++ {
		line, err := r.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			if len(line) == 0 {
				return nil
			}
			if err := j.file.Truncate(good); err != nil {
				return err
			}
			_, err := j.file.Seek(good, io.SeekStart)
			return err
		}
		if err != nil {
			return err
		}
		var e entry
		state, err := fleet.State(0), json.Unmarshal(line, &e)
		if err == nil {
			var ok bool
			if state, ok = states[e.State]; !ok {
				err = fmt.Errorf("the state is %q", e.State)
			}
		}
		if err != nil {
			return fmt.Errorf("%w: line %d: %w", ErrInvalid, n, err)
		}
		j.states[key{e.Operation, e.Member}] = state
		good += int64(len(line))
	}
}

// State implements [fleet.Journal].
func (j *Journal) State(operation, member string) fleet.State {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.states[key{operation, member}]
}

// Begin implements [fleet.Journal].
func (j *Journal) Begin(operation, member string) error {
	return j.write(entry{Operation: operation, Member: member, State: "begun"})
}

// End implements [fleet.Journal].
func (j *Journal) End(operation, member string, err error) error {
	e := entry{Operation: operation, Member: member, State: "done"}
	if err != nil {
		e.State, e.Error = "failed", err.Error()
	}
	return j.write(e)
}

// write appends a line by one write, so that it is there whole or cut off at the end.
func (j *Journal) write(e entry) error {
	e.Time = time.Now().UTC()
	var line bytes.Buffer
	if err := json.NewEncoder(&line).Encode(e); err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err != nil {
		return j.err
	}
	if _, j.err = j.file.Write(line.Bytes()); j.err != nil {
		return j.err
	}
	j.states[key{e.Operation, e.Member}] = states[e.State]
	return nil
}

// Forget makes a member one that is to be tried: for those whose state is unknown, once
// somebody has looked.
func (j *Journal) Forget(operation, member string) error {
	return j.write(entry{Operation: operation, Member: member, State: "failed", Error: "to be tried again"})
}

// Unknown returns the members that an operation was begun on by an earlier process, and did
// not end.
func (j *Journal) Unknown(operation string) fleet.HostSet {
	j.mu.Lock()
	defer j.mu.Unlock()
	var names []string
	for k, s := range j.states {
		if k.operation == operation && s == fleet.StateUnknown {
			names = append(names, k.member)
		}
	}
	return fleet.NewHosts(names...)
}

// Sync implements [fleet.Journal].
func (j *Journal) Sync() error { return j.file.Sync() }

// Close closes the file.
func (j *Journal) Close() error { return errors.Join(j.file.Sync(), j.file.Close()) }
