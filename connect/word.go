package connect

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mitosis-go/mitosis/connect/internal/printable"
)

// A WordMethod is a method whose options can stand in a hop path.
type WordMethod interface {
	Method

	// HopWord says by calls of w what the word of the method has: its target, each of its
	// options, and its secrets, which no word has. It returns the receiver. The receiver is
	// a copy, into which w writes the options of a word that is read.
	HopWord(w *Word) Method
}

// Word is one hop of a path that is read or written: see [WordMethod] and [ParsePath]. Each
// option of the method is named once, so that what is written is read the same.
type Word struct {
	reading bool
	options []wordOption // those given, or those written so far
	known   []string     // the options of the method
	target  string       // in writing
	err     error        // the first
}

// wordOption is "key=value", or "key" alone.
type wordOption struct {
	key, value string
	hasValue   bool
	taken      bool
}

// Reading reports whether a word is read, and not written.
func (w *Word) Reading() bool { return w.reading }

// Target gives the text behind the colon of a word that is written.
func (w *Word) Target(text string) { w.target = escape(text, "") }

// TargetAsIs is Target for a text in which brackets and commas separate its parts.
func (w *Word) TargetAsIs(text string) { w.target = escape(text, "[],:@/") }

// Check keeps an error about a word that is read. It matches ErrBadName.
func (w *Word) Check(err error) {
	if w.reading && w.err == nil {
		w.err = err
	}
}

func (w *Word) fail(format string, args ...any) {
	w.Check(fmt.Errorf("%w: "+format, append([]any{ErrBadName}, args...)...))
}

// take returns the values of an option in a word that is read.
func (w *Word) take(key string) (values []string) {
	w.known = append(w.known, key)
	for i := range w.options {
		if o := &w.options[i]; w.reading && o.key == key {
			o.taken = true
			if o.value == "" {
				w.fail("the option %s needs a value", key)
			}
			values = append(values, o.value)
		}
	}
	return values
}

// single is take for an option that comes once.
func (w *Word) single(key string) (value string, given bool) {
	values := w.take(key)
	if len(values) > 1 {
		w.fail("the option %s is there twice", key)
	}
	if len(values) == 0 {
		return "", false
	}
	return values[0], true
}

func (w *Word) put(key, value string) {
	if !w.reading {
		w.options = append(w.options, wordOption{key: key, value: value, hasValue: true})
	}
}

// Text is an option "key=text". An empty text is not written.
func (w *Word) Text(key string, field *string) {
	if value, given := w.single(key); given {
		*field = value
	}
	if *field != "" {
		w.put(key, *field)
	}
}

// List is an option that may come more than once.
func (w *Word) List(key string, field *[]string) {
	*field = append(*field, w.take(key)...)
	for _, value := range *field {
		w.put(key, value)
	}
}

// Flag is an option without a value; "=yes" and "=no" are understood.
func (w *Word) Flag(key string, field *bool) {
	w.known = append(w.known, key)
	if !w.reading {
		if *field {
			w.options = append(w.options, wordOption{key: key})
		}
		return
	}
	for i := range w.options {
		o := &w.options[i]
		if o.key != key {
			continue
		}
		switch o.taken = true; {
		case !o.hasValue, o.value == "yes":
			*field = true
		case o.value == "no":
			*field = false
		default:
			w.fail("the option %s is yes or no, not %q", key, printable.Name(o.value))
		}
	}
}

// Number is an option that is a number; 0 is not written.
func (w *Word) Number(key string, field *int) {
	if value, given := w.single(key); given {
		n, err := strconv.Atoi(value)
		if err != nil {
			w.fail("the option %s is a number, not %q", key, printable.Name(value))
		}
		*field = n
	}
	if *field != 0 {
		w.put(key, strconv.Itoa(*field))
	}
}

// Time is an option that is a duration, such as 30s; 0 is not written.
func (w *Word) Time(key string, field *time.Duration) {
	if value, given := w.single(key); given {
		d, err := time.ParseDuration(value)
		if err != nil {
			w.fail("the option %s is a time such as 30s, not %q", key, printable.Name(value))
		}
		*field = d
	}
	if *field != 0 {
		w.put(key, field.String())
	}
}

// Choice is an option that is one of several words. They stand for 0, 1 and so on; 0 is not
// written.
func (w *Word) Choice(key string, field *uint8, words ...string) {
	if value, given := w.single(key); given {
		n := slices.Index(words, value)
		if n < 0 {
			w.fail("the option %s is one of %s, not %q", key, strings.Join(words, ", "), printable.Name(value))
			return
		}
		*field = uint8(n)
	}
	if int(*field) < len(words) && *field != 0 {
		w.put(key, words[*field])
	}
}

// Pairs takes those options as "key=value" that have keys of another table. kind says in
// errors and lists which those are.
func (w *Word) Pairs(kind string, isKey func(string) bool, field *[]string) {
	w.known = append(w.known, kind)
	if w.reading {
		for i := range w.options {
			if o := &w.options[i]; !o.taken && isKey(o.key) {
				o.taken = true
				*field = append(*field, o.key+"="+strings.TrimLeft(o.value, "= \t"))
			}
		}
		return
	}
	*field = slices.Clone(*field)
	for i, pair := range *field {
		if end := strings.IndexAny(pair, "= \t"); end > 0 {
			key, value := pair[:end], strings.TrimLeft(pair[end:], "= \t")
			w.put(key, value)
			(*field)[i] = key + "=" + value
		}
	}
}

// Secret clears a secret in the method that is returned: no word has it.
func (w *Word) Secret(field *Secret) { *field = "" }

// finish returns the error of a word that was read.
func (w *Word) finish(name string) error {
	for _, o := range w.options {
		if o.taken {
			continue
		}
		if len(w.known) == 0 {
			return fmt.Errorf("%w: %s has no options, and so not %q", ErrBadName, name, printable.Name(o.key))
		}
		return fmt.Errorf("%w: %s has no option %q; it has %s", ErrBadName, name, printable.Name(o.key), strings.Join(w.known, ", "))
	}
	return w.err
}

// String returns what stands behind the name of the method.
func (w *Word) String() string {
	var b strings.Builder
	if w.target != "" {
		b.WriteString(":" + w.target)
	}
	for i, o := range w.options {
		b.WriteByte("?&"[min(i, 1)])
		b.WriteString(escape(o.key, ""))
		if o.hasValue {
			b.WriteString("=" + escape(o.value, ":@="))
		}
	}
	return b.String()
}
