package core

import (
	"errors"
	"strings"
	"syscall"
)

// failure is the form in which an error travels: the body of a frame with the Dead flag.
type failure struct {
	Kind  Kind     `cbor:"1,keyasint,omitempty"`
	Op    string   `cbor:"2,keyasint,omitempty"`
	Path  string   `cbor:"3,keyasint,omitempty"`
	Text  string   `cbor:"4,keyasint,omitempty"`
	Codes []uint64 `cbor:"5,keyasint,omitempty"` // sentinels found in the chain
	Errno string   `cbor:"6,keyasint,omitempty"` // by name: numbers differ from system to system
	Type  string   `cbor:"7,keyasint,omitempty"` // of a registered type
	Data  []byte   `cbor:"8,keyasint,omitempty"` // and its value
	Panic *string  `cbor:"9,keyasint,omitempty"`
	Stack string   `cbor:"10,keyasint,omitempty"`
	Link  bool     `cbor:"11,keyasint,omitempty"` // made by a router, not by a function
	Late  bool     `cbor:"12,keyasint,omitempty"` // its Timeout method returns true

	// Return addresses of the stack's frames, see NewPanicError.
	Places []int64 `cbor:"13,keyasint,omitempty"`
}

// maxText bounds the text and the stack of an error that travels, in bytes. It has room for
// the output of a failed tool.
const maxText = 1 << 20

// EncodeError encodes an error: its text, its kind, the registered sentinels and the errno in
// its chain, the first value of a registered type, and the stack of a panic.
func EncodeError(err error) []byte {
	return encodeFailure(describe(err))
}

// EncodeErrorWithin is EncodeError with a result of at most size bytes, which must be at least
// 4 KiB. It drops the value of a registered type, and then cuts the stack and the texts.
func EncodeErrorWithin(err error, size int) []byte {
	f := describe(err)
	b := encodeFailure(f)
	if len(b) <= size {
		return b
	}
	f.Type, f.Data, f.Places = "", nil, nil
	each := size / 8
	for _, s := range []*string{&f.Stack, &f.Text, &f.Op, &f.Path, f.Panic} {
		if s != nil && len(*s) > each {
			*s = (*s)[:each]
		}
	}
	if most := size / 32; len(f.Codes) > most {
		f.Codes = f.Codes[:most]
	}
	return encodeFailure(f)
}

// EncodeLinkError is EncodeError for routers. The receiver recognises that a router has made
// the error, and believes in the kinds NoRoute and Gone.
func EncodeLinkError(e *Error) []byte {
	f := describe(e)
	f.Kind, f.Link = e.Kind, true
	return encodeFailure(f)
}

func encodeFailure(f *failure) []byte {
	b, err := Marshal(f)
	if err != nil {
		// All fields of a failure can be encoded.
		panic(err)
	}
	return b
}

func describe(err error) *failure {
	f := &failure{}
	if err == nil {
		f.Text = "unknown error"
		return f
	}
	f.Text, f.Late = capText(err.Error()), isTimeout(err)
	if e, ok := errors.AsType[*Error](err); ok {
		f.Kind, f.Op, f.Path = e.Kind, capText(e.Op), capText(e.Path)
	}
	if e, ok := errors.AsType[*PanicError](err); ok {
		value := capText(e.Value)
		f.Kind, f.Panic, f.Stack, f.Places = KindPanic, &value, capText(e.Stack), e.places
	}
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		f.Errno = errnoName(errno)
	}
	registry.RLock()
	defer registry.RUnlock()
	for _, s := range registry.sentinels {
		if errors.Is(err, s.err) {
			f.Codes = append(f.Codes, s.code)
		}
	}
	for _, t := range registry.types {
		if v, ok := t.find(err); ok {
			// A value that cannot be encoded still has its text.
			if data, err := Marshal(v); err == nil && len(data) <= maxText {
				f.Type, f.Data = t.name, data
				break
			}
		}
	}
	return f
}

func capText(s string) string {
	if len(s) > maxText {
		s = strings.Clone(s[:maxText]) + " ... (cut)"
	}
	return s
}

// DecodeError decodes an error. The result is a *RemoteError; or, where a router made it, an
// *Error that may match ErrNoRoute or ErrGone; or, if b is no encoded error, an error that
// matches ErrProtocol.
func DecodeError(b []byte) error {
	return DecodeLinkError(b).Err
}

// A LinkError is an error that came over a link.
type LinkError struct {
	Err      error
	ByRouter bool // a router on the way has made it, and not the context itself
}

// DecodeLinkError is DecodeError for callers that act differently on errors of routers.
func DecodeLinkError(b []byte) LinkError {
	var f failure
	if err := Unmarshal(b, &f); err != nil {
		return LinkError{Err: &Error{Op: "decode error", Kind: KindProtocol, Err: err}}
	}
	if len(f.Places) > 0 && hasLines() {
		f.Stack, f.Places = completeStack(f.Stack, f.Places), nil
	}
	r := &RemoteError{
		Kind: f.Kind, Op: f.Op, Path: f.Path, text: f.Text, stack: f.Stack, codes: f.Codes, late: f.Late,
	}
	if f.Errno != "" {
		r.errno = errnoByName(f.Errno)
	}
	if f.Panic != nil {
		r.inner = append(r.inner, &PanicError{Value: *f.Panic, Stack: f.Stack, places: f.Places})
	}
	if v := decodeRegistered(f.Type, f.Data); v != nil {
		r.inner = append(r.inner, v)
	}
	if f.Link {
		e := &Error{Kind: f.Kind, Err: r}
		if !f.Kind.IsLink() && f.Kind.sentinel() == nil {
			e.Kind = KindOther
		}
		return LinkError{Err: e, ByRouter: true}
	}
	return LinkError{Err: r}
}

// decodeRegistered returns the value of a registered type, nil if the type is not known here
// or the data does not fit it. A panic while a type decodes itself counts as malformed data.
func decodeRegistered(name string, data []byte) (v error) {
	if name == "" {
		return nil
	}
	registry.RLock()
	defer registry.RUnlock()
	defer func() {
		if recover() != nil {
			v = nil
		}
	}()
	for _, t := range registry.types {
		if t.name == name {
			v, _ = t.decode(data)
			return v
		}
	}
	return nil
}

// RemoteError is an error that came from another context. errors.Is finds registered
// sentinels and errno values in it. errors.As finds registered types and *PanicError.
type RemoteError struct {
	Kind Kind   // of the outermost *Error there
	Op   string // of the outermost *Error there
	Path string

	text  string
	stack string
	codes []uint64
	errno syscall.Errno // 0: none, or unknown here
	late  bool
	inner []error
}

// Error returns the text that the error had where it came from.
func (e *RemoteError) Error() string { return e.text }

// Timeout reports whether the error was a timeout there; see [Error.Timeout].
func (e *RemoteError) Timeout() bool { return e.late }

// Stack returns the stack of a remote panic, else "".
func (e *RemoteError) Stack() string { return e.stack }

// Unwrap returns the panic and the value of a registered type, if there are any.
func (e *RemoteError) Unwrap() []error { return e.inner }

// Is reports whether the error's chain had the sentinel or the errno where it came from.
func (e *RemoteError) Is(target error) bool {
	if errno, ok := target.(syscall.Errno); ok {
		return e.errno != 0 && errno == e.errno
	}
	registry.RLock()
	defer registry.RUnlock()
	for _, s := range registry.sentinels {
		if s.err == target {
			for _, code := range e.codes {
				if code == s.code {
					return true
				}
			}
		}
	}
	return false
}

// As sets a *syscall.Errno to the error's errno. Errnos travel by name, because their numbers
// differ from system to system.
func (e *RemoteError) As(target any) bool {
	if p, ok := target.(*syscall.Errno); ok && e.errno != 0 {
		*p = e.errno
		return true
	}
	return false
}
