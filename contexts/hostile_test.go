package contexts

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/bootstrap"
	"github.com/mitosis-go/mitosis/connect"
	localhop "github.com/mitosis-go/mitosis/connect/local"
	"github.com/mitosis-go/mitosis/contexts/internal/call"
	"github.com/mitosis-go/mitosis/core"
)

// hostile is a hop to a child that this test plays itself, byte by byte. It sends a correct hello,
// and then bytes that a compromised host might send.
type hostile struct {
	link net.Conn      // the child's end
	born chan core.ID  // gets its ID after the welcome
	read chan struct{} // closed to let it read on
}

// hostileCarrier is the master's end.
type hostileCarrier struct{ net.Conn }

func (hostileCarrier) Cause(context.Context) error { return nil }

func (h *hostile) Label() string          { return "hostile" }
func (h *hostile) Traits() connect.Traits { return connect.Traits{} }

func (h *hostile) Open(_ context.Context, e *connect.OpenRequest) (bootstrap.Carrier, error) {
	near, far := socketPair()
	h.link = far
	_, marker, _ := strings.Cut(e.ExecArgv[1], "=")
	go h.play(marker)
	return hostileCarrier{near}, nil
}

// play sends a hello, reads the welcome, and then reads all frames once read is closed.
func (h *hostile) play(marker string) {
	r, id, err := greet(h.link, marker)
	if err != nil {
		return
	}
	h.born <- id
	<-h.read
	for {
		f, err := r.Next()
		if err != nil {
			return
		}
		f.Release()
	}
}

// greet sends the hello of a hostile child, and returns the ID that the welcome has.
func greet(link io.ReadWriter, marker string) (*core.Reader, core.ID, error) {
	body, err := core.Marshal(bootstrap.Hello{
		Version: bootstrap.Version, Fingerprint: functions.fingerprint, GOOS: "plan9", GOARCH: "mips",
		Pid: 1, Hostname: "evil\x1b[2J/host", User: "mallory",
	})
	if err != nil {
		return nil, 0, err
	}
	first := append([]byte("\n"+marker+" go\n"), frame(core.Header{Handle: core.HandleHello}, body)...)
	if _, err := link.Write(first); err != nil {
		return nil, 0, err
	}
	r := core.NewReader(bufio.NewReader(link))
	f, err := r.Next()
	if err != nil {
		return nil, 0, err
	}
	defer f.Release()
	var w bootstrap.Welcome
	err = core.Unmarshal(f.Body, &w)
	return r, w.ID, err
}

func frame(h core.Header, body []byte) []byte {
	return append(core.AppendHeader(nil, &h, len(body)), body...)
}

// socketPair returns both ends of a connection. Unlike those of net.Pipe they have a buffer.
func socketPair() (a, b net.Conn) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	defer ln.Close()
	if a, err = net.Dial("tcp", ln.Addr().String()); err != nil {
		panic(err)
	}
	if b, err = ln.Accept(); err != nil {
		panic(err)
	}
	return a, b
}

// offeredForTest may be called by descendants. It sends the ID of its caller to offeredCallers.
var offeredForTest = NewFunc("hostile_test.offered", func(ctx context.Context, _ struct{}) (string, error) {
	offeredCallers <- Caller(ctx).ID()
	return "", nil
}, AllowDescendants)

var offeredCallers = make(chan core.ID, 1<<16)

var secretCalls = make(chan core.ID, 16)

var secretForTest = NewFunc("hostile_test.secret", func(ctx context.Context, _ struct{}) (string, error) {
	secretCalls <- Caller(ctx).ID()
	return "the master's secret", nil
})

type attack struct {
	t    *testing.T
	self *Node
	good *Node
	evil *Node
	h    *hostile
	log  *lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newAttack(t *testing.T) *attack {
	t.Helper()
	a := &attack{t: t, log: &lockedBuffer{}}
	self, err := Start(t.Context(), &Config{Log: slog.New(slog.NewTextHandler(a.log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	a.self = self
	t.Cleanup(func() { _ = self.Close() })
	if a.good, err = self.Connect(t.Context(), localhop.Child{}); err != nil {
		t.Fatal(err)
	}
	a.h = &hostile{born: make(chan core.ID, 1), read: make(chan struct{})}
	if a.evil, err = self.Connect(t.Context(), a.h); err != nil {
		t.Fatal(err)
	}
	<-a.h.born
	t.Cleanup(func() {
		a.h.link.Close()
		select {
		case <-a.h.read:
		default:
			close(a.h.read)
		}
	})
	return a
}

// say sends bytes as the hostile child. An error means that the child was cut off.
func (a *attack) say(b []byte) error {
	_ = a.h.link.SetWriteDeadline(time.Now().Add(10 * time.Second))
	_, err := a.h.link.Write(b)
	return err
}

func (a *attack) goodStillAnswers() time.Duration {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(a.t.Context(), 10*time.Second)
	defer cancel()
	d, err := a.good.Ping(ctx)
	if err != nil {
		a.t.Fatalf("a ping of the other child ended with %v, want an answer", err)
	}
	return d
}

func (a *attack) cutOff() {
	a.t.Helper()
	select {
	case <-a.evil.Done():
	case <-time.After(20 * time.Second):
		a.t.Fatal("after 20 s the hostile child was not cut off, want that")
	}
	a.goodStillAnswers()
}

func callBody(e *entry) []byte {
	q := call.Request{Fn: e.index, Arg: []byte{0xa0}}
	return q.Encode()
}

func TestForgedIdentity(t *testing.T) {
	a := newAttack(t)
	for _, h := range []core.Header{
		{Dst: 0, Src: a.good.id, Auth: a.good.id, Handle: core.HandleCall, Reply: 5000},
		{Dst: 0, Src: a.evil.id, Auth: a.good.id, Handle: core.HandleCall, Reply: 5001},
		{Dst: 0, Src: a.evil.id, Auth: 0, Handle: core.HandleCall, Reply: 5002},
		{Dst: 0, Src: 0, Auth: 0, Handle: core.HandleCall, Reply: 5003},
		{Dst: 0, Src: 99999, Auth: 99999, Handle: core.HandleCall, Reply: 5004},
	} {
		if err := a.say(frame(h, callBody(offeredForTest.e))); err != nil {
			t.Fatal(err)
		}
	}
	// An honest call follows. When it has arrived, the forged ones have arrived as well.
	if err := a.say(frame(core.Header{Src: a.evil.id, Auth: a.evil.id, Handle: core.HandleCall, Reply: 5005}, callBody(offeredForTest.e))); err != nil {
		t.Fatal(err)
	}
	select {
	case id := <-offeredCallers:
		if id != a.evil.id {
			t.Errorf("a call in the name of context %d was run, want only that of %d", id, a.evil.id)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("after 10 s an honest call was not run, want it run")
	}
	tree, err := a.self.Tree(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range tree {
		if i.ID == a.evil.id && i.Forged != 5 {
			t.Errorf("%d forged frames were counted, want 5", i.Forged)
		}
	}
	a.goodStillAnswers()
}

func TestDescendantsCannotCallWhatIsNotOffered(t *testing.T) {
	a := newAttack(t)
	for i, e := range []*entry{secretForTest.e, connectFunc.e, shutdownFunc.e, closeFunc.e, linksFunc.e, promptFunc.e, dialConn.e} {
		h := core.Header{Src: a.evil.id, Auth: a.evil.id, Handle: core.HandleCall, Reply: core.Handle(7000 + i)}
		if err := a.say(frame(h, callBody(e))); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.say(frame(core.Header{Src: a.evil.id, Auth: a.evil.id, Handle: core.HandleCall, Reply: 8000}, callBody(offeredForTest.e))); err != nil {
		t.Fatal(err)
	}
	<-offeredCallers
	select {
	case <-secretCalls:
		t.Error("a function that descendants may not call was run for one, want it refused")
	default:
	}
	a.goodStillAnswers()
}

func TestSiblingTrafficIsRefused(t *testing.T) {
	a := newAttack(t)
	for i := range 100 {
		h := core.Header{Dst: a.good.id, Src: a.evil.id, Auth: a.evil.id, Handle: core.HandleCall, Reply: core.Handle(6000 + i)}
		if err := a.say(frame(h, callBody(pingFunc.e))); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.say(frame(core.Header{Src: a.evil.id, Auth: a.evil.id, Handle: core.HandleCall, Reply: 8000}, callBody(offeredForTest.e))); err != nil {
		t.Fatal(err)
	}
	<-offeredCallers
	tree, err := a.self.Tree(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range tree {
		if i.ID == a.evil.id && i.Refused < 100 {
			t.Errorf("%d frames were refused, want at least 100", i.Refused)
		}
	}
}

func TestMalformedFramesCutTheChildOff(t *testing.T) {
	for name, b := range map[string][]byte{
		"no array":         {0x00},
		"indefinite array": {0x9f},
		"eight items":      {0x88},
		"long integer":     {0x87, 0x18, 0x01},
		"oversize body":    append(core.AppendHeader(nil, &core.Header{Handle: core.HandleCall}, 0)[:7], 0x5a, 0x7f, 0xff, 0xff, 0xff),
		"unknown flag":     frame(core.Header{Handle: core.HandleCall, Flags: 1 << 20}, nil),
	} {
		t.Run(name, func(t *testing.T) {
			a := newAttack(t)
			if err := a.say(b); err != nil {
				t.Fatal(err)
			}
			a.cutOff()
			if err := a.evil.Err(); !errors.Is(err, ErrGone) && !errors.Is(err, core.ErrProtocol) {
				t.Errorf("the node of the hostile child has the error %v, want %v or %v", err, ErrGone, core.ErrProtocol)
			}
		})
	}
}

func TestHostileNamesAreMadeSafe(t *testing.T) {
	parent := &Node{path: "ssh:web1"}
	for in, want := range map[string]string{
		"local":        "ssh:web1/local",
		"../master":    "ssh:web1/.._master",
		"a\x1b[2Jb\nc": "ssh:web1/a_[2Jb_c",
	} {
		if got := joinPath(parent, in); got != want {
			t.Errorf("the label %q makes the path %q, want %q", in, got, want)
		}
	}
	if got := joinPath(parent, strings.Repeat("x", 10_000)); len(got) > 300 {
		t.Errorf("a label of 10,000 bytes makes a path of %d, want at most 300", len(got))
	}
}

func TestMain(m *testing.M) {
	if name := os.Getenv(hostileFlood); name != "" {
		actAsFlood(name)
	}
	Init()
	os.Exit(m.Run())
}
