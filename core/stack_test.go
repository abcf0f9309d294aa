package core

import (
	"regexp"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
)

// lineless is what NewPanicError makes in an executable without tables of
// lines: a stack without lines and without inlined calls, and the places.
func lineless() (whole string, e *PanicError) {
	pcs := make([]uintptr, maxPlaces)
	pcs = pcs[:runtime.Callers(1, pcs)]
	whole = string(debug.Stack())
	e = &PanicError{Value: "v"}
	for _, pc := range pcs {
		e.places = append(e.places, int64(pc)-origin())
	}
	e.Stack = regexp.MustCompile(`\t\S+:\d+ \+`).ReplaceAllString(whole, "\t?:0 +")
	e.Stack = regexp.MustCompile(`(?m)^.*\(\.\.\.\)\n\t.*\n`).ReplaceAllString(e.Stack, "")
	return whole, e
}

func small(f func()) { f() } // is inlined

// The stack of a context without lines reads, where there are some, as if it
// had been printed here; also when it comes by way of another without.
func TestStackIsCompletedFromPlaces(t *testing.T) {
	var whole string
	var e *PanicError
	small(func() {
		defer func() {
			recover()
			whole, e = lineless()
		}()
		var p *struct{ x [10]int }
		small(func() { p.x[3]++ })
	})
	var got PanicError
	if !asPanic(DecodeError(EncodeError(e)), &got) {
		t.Fatal("no panic")
	}
	if len(got.places) > 0 || !strings.Contains(got.Stack, "stack_test.go:") {
		t.Fatalf("%d places left, stack\n%s", len(got.places), got.Stack)
	}
	// The two were taken on different lines of lineless, and the go statement
	// that started the goroutine is no place.
	trim := func(s string) string {
		_, s, _ = strings.Cut(s, "\npanic(")
		s, _, _ = strings.Cut(s, "created by")
		return s
	}
	if want := trim(whole); want == "" || trim(got.Stack) != want {
		t.Errorf("got\n%s\nwant\n%s", trim(got.Stack), want)
	}
}

func asPanic(err error, to *PanicError) bool {
	for _, inner := range err.(*RemoteError).Unwrap() {
		if p, ok := inner.(*PanicError); ok {
			*to = *p
			return true
		}
	}
	return false
}

// Places of another build, or of a liar, change nothing.
func TestStrangePlacesAreIgnored(t *testing.T) {
	const stack = "goroutine 1 [running]:\nmain.f(0x1)\n\t?:0 +0x1d\nmain.g(...)\n\t?:0 +0xzz\n\t?:0 +0x5\nruntime.gopanic\n\t?:0 +0x10"
	places := []int64{0, 1, -1, 5, 1 << 62, -1 << 63, 1<<63 - 1, -origin(), 1 - origin(), 100}
	for i := range int64(500) {
		places = append(places, i*7-1000)
	}
	if got := completeStack(stack, places); got != stack {
		t.Errorf("got\n%s", got)
	}
}

func TestStackTravelsOnWhereThereAreNoLines(t *testing.T) {
	_, e := lineless()
	here := hasLines
	defer func() { hasLines = here }()
	hasLines = func() bool { return false }
	for range 2 {
		var next PanicError
		if !asPanic(DecodeError(EncodeError(e)), &next) || next.Stack != e.Stack || len(next.places) != len(e.places) {
			t.Fatalf("it became\n%s\nwith %d places", next.Stack, len(next.places))
		}
		e = &next
	}
	if e := NewPanicError("v"); len(e.places) == 0 || strings.Contains(e.Stack, "NewPanicError") {
		t.Errorf("%d places, stack\n%s", len(e.places), e.Stack)
	}
}
