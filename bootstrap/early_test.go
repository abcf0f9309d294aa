//go:build linux

package bootstrap

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mitosis-go/mitosis/bootstrap/image"
)

// remembered are the options with which a far side is met again, by the start method that it
// was met by.
func remembered(t *testing.T, method string) Options {
	t.Helper()
	o := opts()
	o.StartMethods = []string{method}
	l := NewLaunch(o)
	s := born(t, l, start(t, l.command()), "")
	s.Link.Close()
	o = opts()
	facts := s.Facts
	o.Known, o.Early = &facts, s.StartMethod
	return o
}

// again meets a far side, by a line behind commands, and says how many round trips
// that took.
func again(t *testing.T, o Options, env []string, before string) (*Session, int) {
	t.Helper()
	l := NewLaunch(o)
	if !l.Early() {
		t.Fatal("nothing is sent early")
	}
	cmd := exec.Command("/bin/sh", "-c", before+"\n"+l.Line())
	cmd.Env = append(os.Environ(), env...)
	c := &counting{Carrier: &spoken{Carrier: start(t, cmd), spoke: make(chan struct{})}}
	s, err := l.Run(bound(t), c)
	if err != nil {
		t.Fatal(err)
	}
	turns := c.turns
	if err := s.Welcome(Welcome{ID: 7, Path: "test"}); err != nil {
		t.Fatal(err)
	}
	answers(t, s)
	s.Link.Close()
	return s, turns
}

// spoken is a carrier at whose far end nobody is as quick as we are.
type spoken struct {
	Carrier
	once  sync.Once
	spoke chan struct{}
}

func (s *spoken) Write(b []byte) (int, error) {
	defer s.once.Do(func() { close(s.spoke) })
	return s.Carrier.Write(b)
}

func (s *spoken) Read(b []byte) (int, error) {
	<-s.spoke
	return s.Carrier.Read(b)
}

func TestOptimisticStart(t *testing.T) {
	for _, method := range startMethods {
		t.Run(method, func(t *testing.T) {
			if method == StartTmpfs {
				needRoot(t)
			}
			o := remembered(t, method)
			if s, turns := again(t, o, nil, ""); s.StartMethod != method || turns != 1 || s.Lost || s.Facts.Machine == "" {
				t.Errorf("start method %s, %d round trips, %+v", s.StartMethod, turns, s)
			}
		})
	}
}

// Where the far side is not what it was, the ordinary way follows, one round trip
// longer.
func TestOptimisticStartFails(t *testing.T) {
	without := func(names ...string) string {
		all := append([]string{"PATH=" + tools(t, append(append([]string{}, basics...), "gzip", "sha256sum")...)}, names...)
		return strings.Join(all, ":")
	}
	for name, test := range map[string]struct {
		method string
		change func(o *Options)
		env    func(t *testing.T) []string
		before string
		want   string // the start method in the end; "" is any
		turns  int
		lost   bool
	}{
		"the interpreter is gone": {method: StartPerl, env: func(t *testing.T) []string { return []string{without()} }, turns: 2},
		"the interpreter is a shell": {method: StartPython, turns: 2, env: func(t *testing.T) []string {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "python3"), []byte("#!/bin/sh\nexit 3\n"), 0o700); err != nil {
				t.Fatal(err)
			}
			return []string{"PATH=" + dir + ":" + os.Getenv("PATH")}
		}, want: StartPerl},
		"another system": {
			method: StartPerl, change: func(o *Options) {
				known := *o.Known
				known.Machine = "riscv64"
				o.Known = &known
				o.Images = func(ctx context.Context, goos, goarch string) (*image.Image, error) {
					if goarch == "riscv64" {
						return image.New(bytes.Repeat([]byte("another image\n"), 100_000), goos, goarch), nil
					}
					return image.OwnSource(ctx, goos, goarch)
				}
			}, want: StartPerl, turns: 2,
		},
		"the directories are gone": {
			method: StartRAM, change: func(o *Options) {
				known := *o.Known
				known.Dirs = []string{"/nowhere"}
				o.Known = &known
				o.NoDisk, o.StartMethods = true, []string{StartRAM}
			}, want: StartRAM, turns: 2,
		},
		"the profile takes the plan": {method: StartPerl, before: "read a;read b;read c", want: StartPerl, turns: 3, lost: true},
		"the profile takes a piece":  {method: StartRAM, before: "head -c 300000 >/dev/null", turns: 3, lost: true},
		"the profile takes a line":   {method: StartPerl, before: "read a", want: StartPerl, turns: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := remembered(t, test.method)
			if test.change != nil {
				test.change(&o)
			}
			var env []string
			if test.env != nil {
				env = test.env(t)
			}
			s, turns := again(t, o, env, test.before)
			if test.want != "" && s.StartMethod != test.want || turns != test.turns || s.Lost != test.lost {
				t.Errorf("start method %s, %d round trips, lost %v", s.StartMethod, turns, s.Lost)
			}
		})
	}
}

// A far side that is only slow gets asked whether the plan has arrived. What it would
// have answered is for a shell that is not there any more, and harms nothing.
func TestSlowPlanIsNotTakenForLost(t *testing.T) {
	o := remembered(t, StartPerl)
	l := NewLaunch(o)
	c := &muffled{Carrier: start(t, l.command()), asked: make(chan struct{})}
	s, err := l.Run(bound(t), c)
	if err != nil {
		t.Fatal(err)
	}
	if s.Lost || s.StartMethod != StartPerl {
		t.Errorf("the session is %+v, want one by %s whose plan was not lost", s, StartPerl)
	}
	if err := s.Welcome(Welcome{ID: 7, Path: "test"}); err != nil {
		t.Fatal(err)
	}
	answers(t, s)
}

// muffled holds back what comes behind the facts until the question was put.
type muffled struct {
	Carrier
	heard bool // owned by the reader
	once  sync.Once
	asked chan struct{}
}

func (m *muffled) Read(b []byte) (int, error) {
	if m.heard {
		<-m.asked
		return m.Carrier.Read(b)
	}
	// Byte by byte, so that the facts come alone.
	n, err := m.Carrier.Read(b[:1])
	m.heard = n == 1 && b[0] == '.'
	if m.heard {
		b[1] = '\n'
		n = 2
	}
	return n, err
}

func (m *muffled) Write(b []byte) (int, error) {
	n, err := m.Carrier.Write(b)
	if bytes.Contains(b, []byte(planLost)) {
		m.once.Do(func() { close(m.asked) })
	}
	return n, err
}

// A far side that ends when the question is due, with the image half read, is an error
// at once, though nothing that is written goes on its way any more.
func TestEarlyFarSideThatEndsUnread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := opts()
		o.Known, o.Early = &Facts{Kernel: "Linux", Machine: "x86_64", Tools: []string{"perl", "head"}}, StartPerl
		o.Images = func(_ context.Context, goos, goarch string) (*image.Image, error) {
			return image.New([]byte("an image"), goos, goarch), nil
		}
		l := NewLaunch(o)
		c := &deaf{said: []byte("\n" + l.marker + " hi 1 Linux x86_64 0 perl head / .\n"), closed: make(chan struct{})}
		var e *Error
		if _, err := l.Run(t.Context(), c); !errors.As(err, &e) || e.Phase != PhaseImage || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Error(err)
		}
	})
}

// deaf says something, ends when it should have been asked, and reads nothing.
type deaf struct {
	said   []byte // owned by the reader
	once   sync.Once
	closed chan struct{}
}

func (d *deaf) Read(b []byte) (int, error) {
	n := copy(b, d.said)
	if d.said = d.said[n:]; n > 0 {
		return n, nil
	}
	time.Sleep(2 * earlyPatience)
	return 0, io.EOF
}

func (d *deaf) Write([]byte) (int, error) {
	<-d.closed
	return 0, io.ErrClosedPipe
}

func (d *deaf) Close() error {
	d.once.Do(func() { close(d.closed) })
	return nil
}

func (d *deaf) Cause(context.Context) error { return nil }

func TestNothingIsSentEarlyUnlessItCanHelp(t *testing.T) {
	facts := &Facts{Kernel: "Linux", Machine: "x86_64", Tools: []string{"perl", "head"}}
	for name, test := range map[string]struct {
		change func(o *Options)
		want   bool
	}{
		"as it was":                   {func(*Options) {}, true},
		"nothing is known":            {func(o *Options) { o.Known = nil }, false},
		"no start method is known":    {func(o *Options) { o.Early = "" }, false},
		"the start method has closed": {func(o *Options) { o.StartMethods = []string{StartRAM} }, false},
		"by the cache":                {func(o *Options) { o.Early = StartCache }, false},
		"the cache has it":            {func(o *Options) { o.Cache = true }, false},
		"the same host":               {func(o *Options) { o.Same = true }, false},
	} {
		o := opts()
		o.Known, o.Early = facts, StartPerl
		test.change(&o)
		if got := NewLaunch(o).Early(); got != test.want {
			t.Errorf("%s: sent early: %v, want %v", name, got, test.want)
		}
	}
}
