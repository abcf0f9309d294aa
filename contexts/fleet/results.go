package fleet

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/mitosis-go/mitosis/core"
)

// Result is what came of an operation on one member.
type Result[Out any] struct {
	Value    Out
	Err      error
	Attempts int           // 0 where it was not tried
	Took     time.Duration // all attempts, with the pauses
	Before   bool          // it succeeded in an earlier run, see Policy.Journal
}

// Results are those of all members, in the order in which they came.
type Results[Out any] struct {
	members []*Member
	byName  map[string]Result[Out]
}

// Collect waits for all results of an operation.
func Collect[Out any](results iter.Seq2[*Member, Result[Out]]) *Results[Out] {
	r := &Results[Out]{byName: make(map[string]Result[Out])}
	for m, result := range results {
		r.members = append(r.members, m)
		r.byName[m.name] = result
	}
	return r
}

// Len returns the number of members.
func (r *Results[Out]) Len() int { return len(r.members) }

// Of returns the result of a member, and whether there is one of this name.
func (r *Results[Out]) Of(name string) (Result[Out], bool) {
	result, ok := r.byName[name]
	return result, ok
}

// All yields the results in the order in which they came.
func (r *Results[Out]) All() iter.Seq2[*Member, Result[Out]] {
	return func(yield func(*Member, Result[Out]) bool) {
		for _, m := range r.members {
			if !yield(m, r.byName[m.name]) {
				return
			}
		}
	}
}

func (r *Results[Out]) which(want func(Result[Out]) bool) HostSet {
	var names []string
	for _, m := range r.members {
		if want(r.byName[m.name]) {
			names = append(names, m.name)
		}
	}
	return NewHosts(names...)
}

// OK returns the members on which the operation succeeded.
func (r *Results[Out]) OK() HostSet { return r.which(func(r Result[Out]) bool { return r.Err == nil }) }

// Failed returns the members on which it failed, or was not tried: those to retry.
func (r *Results[Out]) Failed() HostSet {
	return r.which(func(r Result[Out]) bool { return r.Err != nil })
}

// NotTried returns the members on which it was not begun.
func (r *Results[Out]) NotTried() HostSet {
	return r.which(func(r Result[Out]) bool { return errors.Is(r.Err, ErrNotTried) })
}

// Err returns nil if the operation succeeded on all members, and else a [*FailedError].
func (r *Results[Out]) Err() error {
	e := &FailedError{Members: len(r.members)}
	for m, result := range r.All() {
		if result.Err != nil {
			e.Failed = append(e.Failed, MemberError{m.name, result.Err})
		}
	}
	if e.Failed == nil {
		return nil
	}
	return e
}

// A FailedError says on which of several members an operation failed. It unwraps to the
// errors of all of them.
type FailedError struct {
	Members int // in all
	Failed  []MemberError
}

// A MemberError is the error of one member.
type MemberError struct {
	Name string
	Err  error
}

func (e MemberError) Error() string { return e.Name + ": " + e.Err.Error() }

// Unwrap returns the error without the name.
func (e MemberError) Unwrap() error { return e.Err }

// shown is how many members an error describes.
const shown = 3

func (e *FailedError) Error() string {
	var texts []string
	for _, f := range e.Failed[:min(shown, len(e.Failed))] {
		texts = append(texts, f.Error())
	}
	if more := len(e.Failed) - shown; more > 0 {
		texts = append(texts, fmt.Sprintf("and %d more", more))
	}
	return fmt.Sprintf("%d of %d hosts failed: %s", len(e.Failed), e.Members, strings.Join(texts, "; "))
}

// Unwrap returns the errors of the members.
func (e *FailedError) Unwrap() []error {
	errs := make([]error, len(e.Failed))
	for i, f := range e.Failed {
		errs[i] = f
	}
	return errs
}

// Fold is what several members have in common.
type Fold[Out any] struct {
	Hosts HostSet
	Value Out
	Err   error // of the first of them; the others' texts differ only in what names the host
	// Before is set for the members that an earlier run is done with.
	Before bool
}

// Fold puts members with equal results together, the largest group first. Values are equal
// if they would travel as the same bytes, errors if their texts are the same but for what
// names the host.
func (r *Results[Out]) Fold() []Fold[Out] {
	type bucket struct {
		names  []string
		result Result[Out]
	}
	buckets := make(map[string]*bucket)
	var order []*bucket
	for m, result := range r.All() {
		key := foldKey(m.name, result.Value, result.Err)
		if result.Before {
			key = "before"
		}
		b := buckets[key]
		if b == nil {
			b = &bucket{result: result}
			buckets[key] = b
			order = append(order, b)
		}
		b.names = append(b.names, m.name)
	}
	slices.SortStableFunc(order, func(a, b *bucket) int { return len(b.names) - len(a.names) })
	folds := make([]Fold[Out], len(order))
	for i, b := range order {
		folds[i] = Fold[Out]{Hosts: NewHosts(b.names...), Value: b.result.Value, Err: b.result.Err, Before: b.result.Before}
	}
	return folds
}

func foldKey(name string, value any, err error) string {
	key := "ok "
	if err != nil {
		key = "error " + withoutName(withoutPath(err), name) + " "
	}
	b, err := core.Marshal(value)
	if err != nil {
		return fmt.Sprintf("%s%#v", key, value) // it can't travel, but may be told apart
	}
	return key + string(b)
}

// withoutPath is the text of an error without the path of the host, which differs for each.
func withoutPath(err error) string {
	if c, ok := err.(*ConnectError); ok {
		err = c.Err
	}
	if e, ok := err.(*core.Error); ok {
		same := *e
		same.Path = ""
		return same.Error()
	}
	return err.Error()
}

// withoutName is the text of an error without the words of a host's name. The name may be a
// path of hops, and tools name what they could not reach.
func withoutName(text, name string) string {
	isPart := func(c rune) bool {
		return c == '-' || c == '.' || c == '_' || unicode.IsLetter(c) || unicode.IsDigit(c)
	}
	for word := range strings.FieldsFuncSeq(name, func(c rune) bool { return !isPart(c) }) {
		var out strings.Builder
		done := 0 // of text
		for at := strings.Index(text, word); at >= 0; {
			end := at + len(word)
			before, _ := utf8.DecodeLastRuneInString(text[:at])
			after, _ := utf8.DecodeRuneInString(text[end:])
			if sentence := text[end:] == "." || strings.HasPrefix(text[end:], ". "); !isPart(before) && (!isPart(after) || sentence) {
				out.WriteString(text[done:at])
				out.WriteString("{host}")
				done = end
			}
			next := strings.Index(text[end:], word)
			if next < 0 {
				break
			}
			at = end + next
		}
		text = out.String() + text[done:]
	}
	return text
}
