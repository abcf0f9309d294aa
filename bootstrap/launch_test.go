//go:build linux

package bootstrap

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/bootstrap/image"
)

func TestLocalChildIsReady(t *testing.T) {
	l := NewLaunch(opts())
	s := born(t, l, start(t, l.direct()), "")
	if s.StartMethod != StartExec || s.Hello.Pid == 0 || s.Hello.GOOS != "linux" {
		t.Errorf("session %+v", s)
	}
	answers(t, s)
}

// The goroutine that packs ahead of need ends with the launch, whether it was run or not.
func TestNoPackingOutlivesTheLaunch(t *testing.T) {
	for name, end := range map[string]func(*Launch){
		"run":       func(l *Launch) { answers(t, born(t, l, start(t, l.direct()), "")) },
		"abandoned": func(l *Launch) { l.Abandon() },
	} {
		t.Run(name, func(t *testing.T) {
			var ended atomic.Bool
			o := opts()
			o.Images = func(ctx context.Context, _, _ string) (*image.Image, error) {
				select {
				case <-ctx.Done():
				case <-time.After(10 * time.Second):
				}
				ended.Store(true)
				return nil, ctx.Err()
			}
			l := NewLaunch(o)
			l.Line() // starts it
			begin := time.Now()
			end(l)
			if !ended.Load() {
				t.Error("the launch is over and its image is still being packed, want that to have ended before")
			}
			if took := time.Since(begin); took > 9*time.Second {
				t.Errorf("the launch took %v, want it to end the packing in place of waiting for it", took)
			}
		})
	}
}

func TestEachStartMethod(t *testing.T) {
	for _, method := range startMethods {
		t.Run(method, func(t *testing.T) {
			o := opts()
			o.StartMethods = []string{method}
			l := NewLaunch(o)
			s := born(t, l, start(t, l.command()), "")
			if s.StartMethod != method {
				t.Errorf("start method %s", s.StartMethod)
			}
			answers(t, s)
		})
	}
}

// What is put into a program is not looked at again, and an @ of its own stays.
func TestFilled(t *testing.T) {
	for _, test := range []struct{ program, want string }{
		{"a @X@ b @Y@@X@", "a @Y@ b y@Y@"},
		{"@a=@ARGV;@X@", "@a=@ARGV;@Y@"},
		{"m{@}@X", "m{@}@X"},
		{"@@X@", "@@Y@"},
		{"", ""},
	} {
		if got := filled(test.program, "X", "@Y@", "Y", "y"); got != test.want {
			t.Errorf("%q becomes %q, want %q", test.program, got, test.want)
		}
	}
}
