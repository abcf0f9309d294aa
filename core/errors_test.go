package core

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"syscall"
	"testing"
)

// travel takes an error over any number of hops.
func travel(err error, hops int) error {
	for range hops {
		err = DecodeError(EncodeError(err))
	}
	return err
}

func TestSentinelsTravel(t *testing.T) {
	for _, err := range []error{
		fs.ErrNotExist, fs.ErrExist, fs.ErrPermission, io.EOF, io.ErrUnexpectedEOF, context.Canceled,
		context.DeadlineExceeded, os.ErrDeadlineExceeded, exec.ErrNotFound, fs.ErrInvalid, errors.ErrUnsupported,
		ErrRefused, ErrBusy, ErrTooLarge, ErrUnknownFunc, ErrProtocol, ErrClosed, ErrTooDeep, syscall.ENOSPC, syscall.ENOENT,
	} {
		for hops := 1; hops < 4; hops++ {
			wrapped := fmt.Errorf("in a function: %w", &Error{Op: "op", Path: "a/b", Err: err})
			got := travel(wrapped, hops)
			if !errors.Is(got, err) || got.Error() != wrapped.Error() {
				t.Errorf("%v became %v after %d hops", wrapped, got, hops)
			}
			for _, other := range []error{fs.ErrClosed, io.ErrShortWrite, ErrGone, ErrNoRoute, syscall.EBUSY} {
				if errors.Is(got, other) {
					t.Errorf("%v is %v", got, other)
				}
			}
		}
	}
}

func TestErrnoTravelsByName(t *testing.T) {
	_, err := os.Open("/does/not/exist")
	got := travel(err, 2)
	var errno syscall.Errno
	if !errors.As(got, &errno) || errno != syscall.ENOENT || !errors.Is(got, fs.ErrNotExist) {
		t.Errorf("after two hops it is %v with errno %v, want ENOENT", got, errno)
	}
	for _, n := range errnoNames {
		if errnoByName(errnoName(n.errno)) != n.errno {
			t.Errorf("%s is another errno after it has travelled, want the same", n.name)
		}
	}
}

func TestTimeoutsStayTimeouts(t *testing.T) {
	late := &net.OpError{Op: "dial", Net: "tcp", Err: os.ErrDeadlineExceeded}
	for _, c := range []struct {
		err  error
		late bool
	}{
		{late, true}, {fmt.Errorf("wrapped: %w", late), true}, {context.DeadlineExceeded, true},
		{syscall.ETIMEDOUT, true}, {syscall.ECONNREFUSED, false}, {io.EOF, false}, {context.Canceled, false},
	} {
		got := &Error{Op: "dial", Path: "a/b", Err: travel(c.err, 2)}
		var err error = got
		if e, ok := err.(net.Error); !ok || e.Timeout() != c.late {
			t.Errorf("%v is a timeout: %v", c.err, got.Timeout())
		}
	}
}

type diskFull struct {
	Device string
	Bytes  int64
}

func (d *diskFull) Error() string { return d.Device + " is full" }

type code int

func (c code) Error() string { return fmt.Sprint("code ", int(c)) }

func init() {
	RegisterErrorType[*diskFull]("core.test.diskFull")
	RegisterErrorType[code]("core.test.code")
}

func TestRegisteredTypesTravel(t *testing.T) {
	got := travel(fmt.Errorf("write: %w", &diskFull{"/dev/sda", 17}), 3)
	var d *diskFull
	if !errors.As(got, &d) || *d != (diskFull{"/dev/sda", 17}) || got.Error() != "write: /dev/sda is full" {
		t.Errorf("after three hops it is %v with %+v, want the diskFull that was sent", got, d)
	}
	var c code
	if got := travel(code(7), 2); !errors.As(got, &c) || c != 7 {
		t.Errorf("after two hops it is %v, want code 7", got)
	}
}

func TestPanicsTravel(t *testing.T) {
	got := travel(&Error{Op: "call f", Err: &PanicError{Value: "boom", Stack: "goroutine 1"}}, 2)
	var p *PanicError
	if !errors.As(got, &p) || p.Value != "boom" || p.Stack != "goroutine 1" {
		t.Errorf("after two hops it is %v, want the panic with its stack", got)
	}
	var r *RemoteError
	if !errors.As(got, &r) || r.Stack() != "goroutine 1" || r.Kind != KindPanic {
		t.Errorf("after two hops it is %+v, want a RemoteError with the stack and the kind of a panic", r)
	}
}

func TestLinkErrorsAreMadeByRoutersOnly(t *testing.T) {
	for _, e := range []*Error{{Kind: KindGone, Err: io.EOF}, {Kind: KindNoRoute}} {
		if got := travel(fmt.Errorf("f: %w", e), 1); errors.Is(got, ErrGone) || errors.Is(got, ErrNoRoute) {
			t.Errorf("a function's own trouble became %v", got)
		}
		decoded := DecodeLinkError(EncodeLinkError(e))
		got := decoded.Err
		if !decoded.ByRouter || !errors.Is(got, e.Kind.sentinel()) || !errors.Is(got, ErrGone) {
			t.Errorf("%v arrives as %v, by a router: %v; want its kind, made by a router", e, got, decoded.ByRouter)
		}
		if e.Err != nil && !errors.Is(got, e.Err) {
			t.Errorf("the reason is lost: %v", got)
		}
	}
}

func TestErrorText(t *testing.T) {
	for want, e := range map[string]*Error{
		"call f a/b: boom":                  {Op: "call f", Path: "a/b", Err: errors.New("boom")},
		"the context is gone":               {Kind: KindGone},
		"the context is gone: EOF":          {Kind: KindGone, Err: io.EOF},
		"connect: the context is gone":      {Op: "connect", Kind: KindGone, Err: ErrGone},
		"unknown error":                     {},
		"read: too large":                   {Op: "read", Kind: KindTooLarge},
		"a: unknown error":                  {Path: "a", Kind: 12345},
		"op p: closed: use of closed thing": {Op: "op", Path: "p", Kind: KindClosed, Err: errors.New("use of closed thing")},
	} {
		if got := e.Error(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestLongErrorsAreCut(t *testing.T) {
	huge := strings.Repeat("x", 5<<20)
	if b := EncodeError(errors.New(huge)); len(b) > maxText+1000 {
		t.Errorf("%d bytes", len(b))
	}
	err := &Error{Op: huge, Path: huge, Err: errors.Join(fs.ErrExist, &PanicError{Value: huge, Stack: huge}, &diskFull{Device: huge[:maxText/2]})}
	for _, size := range []int{4 << 10, MaxBody} {
		b := EncodeErrorWithin(err, size)
		if len(b) > size {
			t.Errorf("%d bytes", len(b))
		}
		if got := DecodeError(b); !errors.Is(got, fs.ErrExist) {
			t.Errorf("%.80v", got)
		}
	}
}

func TestRegisteringTwicePanics(t *testing.T) {
	for name, f := range map[string]func(){
		"code": func() { RegisterSentinel(1, errors.New("another")) },
		"err":  func() { RegisterSentinel(99999, fs.ErrNotExist) },
		"type": func() { RegisterErrorType[code]("core.test.code") },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
}

func FuzzDecodeError(f *testing.F) {
	f.Add(EncodeError(fmt.Errorf("x: %w", fs.ErrNotExist)))
	f.Add(EncodeError(&diskFull{"d", 1}))
	f.Add(EncodeError(&PanicError{Value: "v", Stack: "s"}))
	f.Add(EncodeError(&PanicError{Value: "v", Stack: "main.f()\n\t?:0 +0x1d\n", places: []int64{0, -1, 1 << 62}}))
	f.Add(EncodeLinkError(&Error{Kind: KindGone}))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		err := DecodeError(b)
		if err == nil {
			t.Fatal("no error")
		}
		_ = err.Error()
		if (errors.Is(err, ErrGone) || errors.Is(err, ErrNoRoute)) != func() bool {
			var e *Error
			return DecodeLinkError(b).ByRouter && errors.As(err, &e) && e.Kind.IsLink()
		}() {
			t.Fatalf("%v matches ErrGone or ErrNoRoute, and no router has made it; or the other way round", err)
		}
		var d *diskFull
		_ = errors.As(err, &d)
		if again := DecodeError(EncodeError(err)); !errors.Is(err, ErrProtocol) && again.Error() != err.Error() {
			t.Fatalf("%q became %q", err, again)
		}
	})
}

func TestValuesTravel(t *testing.T) {
	type inner struct{ A, B int }
	type value struct {
		Name  string
		Bytes []byte
		Map   map[string]inner
		Ptr   *inner
	}
	in := value{"not UTF-8: \xff", []byte{1, 2}, map[string]inner{"x": {1, 2}}, &inner{3, 4}}
	b, err := Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	var out value
	if err := Unmarshal(b, &out); err != nil || !reflect.DeepEqual(in, out) {
		t.Errorf("decoded %+v, %v; want %+v", out, err, in)
	}
	for name, b := range map[string]string{
		"indefinite": "\x9f\x01\xff", "duplicate key": "\xa2\x01\x02\x01\x03", "tag": "\xc1\x01",
		"trailing bytes": "\x01\x02", "empty": "", "too deep": strings.Repeat("\x81", 200) + "\x01",
		"a huge array": "\x9b\x00\x00\x00\x7f\xff\xff\xff\xff",
	} {
		var v any
		if err := Unmarshal([]byte(b), &v); err == nil {
			t.Errorf("%s: decoded as %v, want an error", name, v)
		}
	}
}
