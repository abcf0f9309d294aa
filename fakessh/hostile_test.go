//go:build unix

package fakessh

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/mitosis-go/mitosis/connect/local"
	"github.com/mitosis-go/mitosis/contexts"

	"github.com/mitosis-go/mitosis/fakessh/internal/shim"
)

// openProxy opens one whose directory is a test's own.
func openProxy(t testing.TB, hosts Hosts) *Proxy {
	t.Helper()
	dir, err := os.MkdirTemp("", "run") // the path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	t.Setenv("XDG_RUNTIME_DIR", dir)
	p, err := Open(t.Context(), hosts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// stranger is somebody who has connected to a proxy.
type stranger struct {
	*net.UnixConn
	null *os.File
}

func connectTo(t testing.TB, p *Proxy) stranger {
	t.Helper()
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: filepath.Join(p.dir, shim.SocketName), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err := errors.Join(err, conn.SetDeadline(time.Now().Add(20*time.Second))); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.Close()
		null.Close()
	})
	return stranger{conn, null}
}

// send sends bytes along with descriptors. That the other side has gone shows
// when something is read.
func (s stranger) send(b []byte, descriptors int) {
	var fds []int
	for range descriptors {
		fds = append(fds, int(s.null.Fd()))
	}
	n, _, err := s.WriteMsgUnix(b, unix.UnixRights(fds...), nil)
	if err == nil && n < len(b) {
		_, _ = s.Write(b[n:])
	}
}

// ended fails unless the proxy says nothing more and hangs up.
func (s stranger) ended(t *testing.T) {
	t.Helper()
	if b, err := io.ReadAll(s); len(b) > 0 || err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the stranger gets %q (error: %v), want the end of the connection", b, err)
	}
}

func message(t testing.TB, v any) []byte {
	t.Helper()
	b, err := shim.Encode(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func call1(words ...string) shim.Greeting {
	var g shim.Greeting
	for _, w := range words {
		g.Args = append(g.Args, []byte(w))
	}
	return g
}

func announced(size uint32, content string) []byte {
	return append(binary.BigEndian.AppendUint32(nil, size), content...)
}

func framed(content string) []byte { return announced(uint32(len(content)), content) }

// Who does not speak like a shim is hung up on, and takes nothing with him: other
// calls are served, no descriptor and no goroutine stays.
func TestStrangersAreHungUpOn(t *testing.T) {
	waits := make(chan struct{}, 100) // one for each call that has come to the lookup
	p := openProxy(t, Hosts{Lookup: func(ctx context.Context, d Destination) (contexts.Target, error) {
		if d.Host != "waits" {
			return nil, nil
		}
		waits <- struct{}{}
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}})
	goroutines, before := goleak.IgnoreCurrent(), openDescriptors(t)
	proper := message(t, call1("h"))
	for name, c := range map[string]struct {
		first       []byte
		descriptors int
	}{
		"the largest length":        {announced(1<<32-1, "x"), 3},
		"a length beyond the bound": {announced(shim.MaxGreeting+1, "x"), 3},
		"no CBOR":                   {framed("\xff\xff\xff"), 3},
		"another type":              {framed("\x63abc"), 3},
		"too few fields":            {framed("\x81\x80"), 3},
		"deep nesting":              {framed(strings.Repeat("\x81", 100_000) + "\x00"), 3},
		"an announced array":        {framed("\x87\x9b\xff\xff\xff\xff\xff\xff\xff\xff"), 3},
		"an announced string":       {framed("\x87\x81\x5b\x7f\xff\xff\xff\xff\xff\xff\xff"), 3},
		"more words than there are": {framed("\x87\x9a\x00\x60\x00\x00" + strings.Repeat("\x40", 6<<20)), 3},
		"no descriptors":            {proper, 0},
		"too few descriptors":       {proper, 2},
		"too many descriptors":      {proper, 4},
		"very many descriptors":     {proper, 200},
	} {
		t.Run(name, func(t *testing.T) {
			s := connectTo(t, p)
			s.send(c.first, c.descriptors)
			s.ended(t)
		})
	}
	t.Run("a part and no more", func(t *testing.T) {
		s := connectTo(t, p)
		s.send(announced(shim.MaxGreeting, "x"), 3)
		if err := s.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		s.ended(t)
	})
	for name, order := range map[string][]byte{
		"a length":      announced(shim.MaxMessage+1, "x"),
		"no CBOR":       framed("\xff"),
		"a signal":      message(t, shim.Order{Signal: 9999}),
		"a kill":        message(t, shim.Order{Signal: int(syscall.SIGKILL)}),
		"below zero":    message(t, shim.Order{Signal: -1}),
		"another shape": framed("\x80"),
	} {
		t.Run("as an order, "+name, func(t *testing.T) {
			s := connectTo(t, p)
			s.send(message(t, call1("waits")), 3)
			<-waits
			s.send(order, 0)
			expectExit(t, s, errShimGone.Error())
		})
	}
	t.Run("descriptors with an order", func(t *testing.T) {
		s := connectTo(t, p)
		s.send(message(t, call1("waits")), 3)
		<-waits
		s.send(message(t, shim.Order{}), 3)
		expectExit(t, s, errShimGone.Error())
	})
	t.Run("a shim", func(t *testing.T) {
		s := connectTo(t, p)
		s.send(proper, 3)
		expectExit(t, s, "could not resolve hostname h")
	})
	eventually(t, func() error { return goleak.Find(goroutines) })
	eventually(t, func() error {
		if n := openDescriptors(t); n > before {
			return fmt.Errorf("%d descriptors are open, and there were %d", n, before)
		}
		return nil
	})
}

// A command line may have as many words as the kernel lets it have.
func TestVeryManyWords(t *testing.T) {
	p := openProxy(t, Hosts{})
	s := connectTo(t, p)
	s.send(message(t, call1(append([]string{"h"}, make([]string, 200_000)...)...)), 3)
	expectExit(t, s, "could not resolve hostname h")
}

// expectExit reads the news that ends a shim as ssh ends where it is at fault.
func expectExit(t *testing.T, s stranger, text string) {
	t.Helper()
	var n shim.News
	if err := shim.Receive(bufio.NewReader(s), shim.MaxMessage, &n); err != nil || n.Kind != shim.NewsExit || n.Status != shim.ExitFailed || !strings.Contains(string(n.Text), text) {
		t.Errorf("the news is %+v with the text %q (error: %v), want the end with %q", n, n.Text, err, text)
	}
}

// A shim that reads no news holds up its own call, and that only until Close.
func TestAShimThatReadsNothing(t *testing.T) {
	self, err := contexts.Start(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer self.Close()
	n, err := self.Connect(t.Context(), local.Child{})
	if err != nil {
		t.Fatal(err)
	}
	p := openProxy(t, Hosts{Names: map[string]contexts.Target{"known": n}})
	s := connectTo(t, p)
	words := []string{"-N"}
	for range 5000 { // each is told of, and no socket has room for that
		words = append(words, "-L/none/here:/none/there")
	}
	s.send(message(t, call1(append(words, "known")...)), 3)
	var told shim.News
	if err := shim.Receive(bufio.NewReaderSize(s, 16), shim.MaxMessage, &told); err != nil || told.Kind != shim.NewsNotice {
		t.Errorf("the news is %+v (error: %v), want a notice", told, err)
	}
	other := connectTo(t, p)
	other.send(message(t, call1("h")), 3)
	expectExit(t, other, "could not resolve hostname h")
	if err := p.Close(); err != nil { // waits for all calls
		t.Error(err)
	}
}

// What is told of a command line is bounded, however long that is.
func TestALongName(t *testing.T) {
	p := openProxy(t, Hosts{})
	s := connectTo(t, p)
	s.send(message(t, call1(strings.Repeat("x", 1<<20))), 3)
	expectExit(t, s, "could not resolve hostname xxx")
}

// eventually waits until cond has no objection.
func eventually(t *testing.T, cond func() error) {
	t.Helper()
	err := cond()
	for end := time.Now().Add(10 * time.Second); err != nil && time.Now().Before(end); err = cond() {
		time.Sleep(time.Millisecond)
	}
	if err != nil {
		t.Error(err)
	}
}

func openDescriptors(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/dev/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// FuzzServe has a proxy without hosts receive anything, along with descriptors.
func FuzzServe(f *testing.F) {
	f.Add(message(f, call1("-G", "h")))
	f.Add(message(f, call1("-O", "check", "h")))
	f.Add(append(message(f, call1("h")), message(f, shim.Order{Signal: 15})...))
	f.Add(announced(1<<32-1, ""))
	f.Add(framed("\x87\x81\x5b\x7f\xff\xff\xff\xff\xff\xff\xff"))
	p := openProxy(f, Hosts{})
	f.Fuzz(func(t *testing.T, b []byte) {
		s := connectTo(t, p)
		s.send(b, 3)
		if err := s.CloseWrite(); err != nil {
			return // it has hung up already
		}
		for r := bufio.NewReader(s); ; {
			var n shim.News
			if err := shim.Receive(r, shim.MaxMessage, &n); errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
				return
			} else if err != nil {
				t.Fatal(err)
			}
		}
	})
}
