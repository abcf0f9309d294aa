package contexts_test

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/mitosis-go/mitosis/contexts"
)

// closing is closed by way of a pointer.
type closing struct{}

func (*closing) Close() error { return nil }

// A registration that is not allowed panics. The text has the line of the call.
func TestRegistrationPanicsNameTheLine(t *testing.T) {
	file := "registry_test.go:"
	if _, here, _, _ := runtime.Caller(0); here == "?" {
		file = "?:" // this is a slim program, which has no file names and lines
	}
	for name, try := range map[string]func(){
		"registered after Init": func() {
			contexts.NewFunc("test.late", func(context.Context, int) (int, error) { return 0, nil })
		},
		"already registered": func() {
			contexts.NewFunc(pid.Name(), func(context.Context, int) (int, error) { return 0, nil })
		},
		"argument": func() {
			contexts.NewFunc("test.channel", func(context.Context, chan int) (int, error) { return 0, nil })
		},
		"service \"test.closing\"": func() {
			contexts.NewService("test.closing", func(context.Context, *contexts.Node) (closing, error) { return closing{}, nil })
		},
		"\"test.lateservice\" is registered after Init": func() {
			contexts.NewService("test.lateservice", func(context.Context, *contexts.Node) (*closing, error) { return nil, nil })
		},
		"\"test.tally.late\" is registered after Init": func() {
			contexts.NewMethod(tallies, "late", (*tally).Where)
		},
		"\"test.tally.add\" is already registered": func() {
			contexts.NewMethod(tallies, "add", (*tally).Add)
		},
		"\"test.tally.channel\": argument": func() {
			contexts.NewMethod(tallies, "channel", func(*tally, context.Context, chan int) (int, error) { return 0, nil })
		},
		"result": func() {
			contexts.NewFunc("test.reader", func(context.Context, int) (io.Reader, error) { return nil, nil })
		},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if s := fmt.Sprint(recover()); !strings.Contains(s, file) || !strings.Contains(s, name) {
					t.Errorf("the panic is %q, want %q and %q in it", s, file, name)
				}
			}()
			try()
		})
	}
}
