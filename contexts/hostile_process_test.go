package contexts

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"runtime"
	"runtime/metrics"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/bootstrap"
	"github.com/mitosis-go/mitosis/connect"
	localhop "github.com/mitosis-go/mitosis/connect/local"
	"github.com/mitosis-go/mitosis/core"
	"github.com/mitosis-go/mitosis/router"
)

// The variables in the environment of a hostile child, which is a process of its own. They are the
// name of its flood, the marker of its hello, and the ID of the context beside it.
const (
	hostileFlood   = "MITOSIS_TEST_FLOOD"
	hostileMarker  = "MITOSIS_TEST_MARKER"
	hostileSibling = "MITOSIS_TEST_SIBLING"
)

// floodFrames is the number of frames that are read of a hostile child that is not cut off. It is
// more than any burst that is allowed.
const floodFrames = 25_000

// A flood is one way in which a child may try to overload its parent.
type flood struct {
	// frame makes the i-th frame of the child evil. good is its sibling.
	frame func(evil, good core.ID, i int) []byte
	// cut is the reason that the log gives for cutting the child off. If it is empty, the
	// child is not cut off, because honest children may do the same. Then the excess is
	// refused, and told is the text that the log must have about it, if any.
	cut, told string
}

// handleOf returns the handle that the i-th frame names.
func handleOf(i int) core.Handle { return core.FirstDynamic + core.Handle(i) }

// callOfEvil returns the header of a call by the hostile child.
func callOfEvil(evil, to core.ID, i int) core.Header {
	return core.Header{Dst: to, Src: evil, Auth: evil, Handle: core.HandleCall, Reply: handleOf(i)}
}

var floods = map[string]flood{
	"forged sources": {cut: "false identity", frame: func(_, good core.ID, i int) []byte {
		return frame(callOfEvil(good, core.Master, i), callBody(offeredNothing.e))
	}},
	"forged authority": {cut: "false identity", frame: func(evil, _ core.ID, i int) []byte {
		h := callOfEvil(evil, core.Master, i)
		h.Auth = core.Master
		return frame(h, callBody(secretForTest.e))
	}},
	"calls to a sibling": {cut: "without authority", frame: func(evil, good core.ID, i int) []byte {
		return frame(callOfEvil(evil, good, i), callBody(offeredNothing.e))
	}},
	"what only a parent may say": {cut: "without authority", frame: func(evil, _ core.ID, i int) []byte {
		h := callOfEvil(evil, core.Master, i)
		h.Handle = core.HandleShutdown
		return frame(h, nil)
	}},
	"handles that were never given out": {cut: "without authority", frame: func(evil, _ core.ID, i int) []byte {
		h := callOfEvil(evil, core.Master, i)
		h.Handle = 1<<40 + core.Handle(i)
		return frame(h, make([]byte, 200))
	}},
	"credit for no stream": {cut: "without authority", frame: func(evil, _ core.ID, i int) []byte {
		h := callOfEvil(evil, core.Master, i)
		h.Handle, h.Reply, h.Flags = 1<<40+core.Handle(i), core.HandleNone, core.Credit
		return frame(h, []byte{1, 0})
	}},
	"pings": {cut: "control frames", frame: func(evil, _ core.ID, i int) []byte {
		return frame(core.Header{Src: evil, Auth: evil, Handle: core.HandlePing}, []byte{1})
	}},
	"requests for IDs": {cut: "control frames", frame: func(evil, _ core.ID, i int) []byte {
		return frame(core.Header{Src: evil, Auth: evil, Handle: core.HandleIDs, Reply: handleOf(i)}, []byte{1})
	}},
	"routes": {cut: "not for it to give out", frame: func(evil, good core.ID, i int) []byte {
		b, _ := core.Marshal([]any{[]any{[]any{evil + 1 + core.ID(i), evil, []byte("x")}}, []core.ID{}, []byte{}})
		return frame(core.Header{Src: evil, Auth: evil, Handle: core.HandleRoute}, b)
	}},
	"no frames": {cut: "protocol violation", frame: func(core.ID, core.ID, int) []byte { return []byte("Welcome to Ubuntu\n") }},
	"an oversize frame": {cut: "protocol violation", frame: func(evil, _ core.ID, i int) []byte {
		whole := frame(callOfEvil(evil, core.Master, i), make([]byte, core.MaxBody))
		b := core.AppendHeader(nil, &core.Header{Src: evil, Auth: evil, Handle: core.HandleCall}, core.MaxBody)
		b[len(b)-1]++ // the length
		return append(b, whole[len(whole)-core.MaxBody:]...)
	}},

	// Frames that an honest child may send as well, though never so many.
	"logs": {told: "dropped", frame: func(evil, _ core.ID, i int) []byte {
		b, _ := core.Marshal([]any{0, 0, 0, strings.Repeat("spam ", 100), []any{}})
		return frame(core.Header{Src: evil, Auth: evil, Handle: core.HandleLog}, b)
	}},
	"log records that are none": {told: "dropped", frame: func(evil, _ core.ID, i int) []byte {
		return frame(core.Header{Src: evil, Auth: evil, Handle: core.HandleLog}, []byte("\xff"))
	}},
	"calls": {frame: func(evil, _ core.ID, i int) []byte {
		return frame(callOfEvil(evil, core.Master, i), callBody(offeredNothing.e))
	}},
	"calls of what is not offered": {frame: func(evil, _ core.ID, i int) []byte {
		return frame(callOfEvil(evil, core.Master, i), callBody(secretForTest.e))
	}},
	"streams": {frame: func(evil, _ core.ID, i int) []byte {
		return frame(callOfEvil(evil, core.Master, i), callBody(offeredStream.e))
	}},
	"split messages": {frame: func(evil, _ core.ID, i int) []byte {
		h := callOfEvil(evil, core.Master, i)
		h.Flags = core.First | core.More
		return frame(h, append(core.AppendUint(core.AppendUint(nil, 100<<20), 0), make([]byte, 2048)...))
	}},
	"frames to nowhere": {frame: func(evil, _ core.ID, i int) []byte {
		return frame(callOfEvil(evil, 1<<40+core.ID(i), i), callBody(offeredNothing.e))
	}},
}

// Functions that descendants may call, for floods.
var (
	offeredNothing = NewFunc("hostile_test.nothing", func(context.Context, struct{}) (struct{}, error) {
		return struct{}{}, nil
	}, AllowDescendants)
	offeredStream = NewConnFunc("hostile_test.stream", func(_ context.Context, conn net.Conn, _ struct{}) error {
		_, err := io.Copy(io.Discard, conn)
		return err
	}, AllowDescendants)
)

// floodProcess is a hop to a process that sends a correct hello, makes its flood, and reads no
// frames. The process is this test binary.
type floodProcess struct {
	name    string
	sibling core.ID
}

func (p floodProcess) Label() string { return "evil" }

// Traits keep the parent from packing an image for it, which takes memory.
func (p floodProcess) Traits() connect.Traits { return connect.Traits{Local: true} }

func (p floodProcess) Open(_ context.Context, e *connect.OpenRequest) (bootstrap.Carrier, error) {
	_, marker, _ := strings.Cut(e.ExecArgv[1], "=")
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), hostileFlood+"="+p.name, hostileMarker+"="+marker, hostileSibling+"="+formatID(p.sibling))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	return &floodCarrier{Reader: out, Writer: in, cmd: cmd}, cmd.Start()
}

type floodCarrier struct {
	io.Reader
	io.Writer
	cmd *exec.Cmd
	end sync.Once
}

func (c *floodCarrier) Cause(context.Context) error { return nil }

func (c *floodCarrier) Close() error {
	c.end.Do(func() {
		_ = c.cmd.Process.Kill()
		_ = c.cmd.Wait() // its error is that the process was killed
	})
	return nil
}

// actAsFlood makes the flood in the hostile process. It goes on until the process is killed.
func actAsFlood(name string) {
	freeze()
	sibling, err := strconv.ParseUint(os.Getenv(hostileSibling), 10, 64)
	if err != nil {
		panic(err)
	}
	_, id, err := greet(struct {
		io.Reader
		io.Writer
	}{os.Stdin, os.Stdout}, os.Getenv(hostileMarker))
	if err != nil {
		panic(err)
	}
	var batch []byte
	for i := 0; err == nil; {
		for batch = batch[:0]; len(batch) < 64<<10; i++ {
			batch = append(batch, floods[name].frame(id, core.ID(sibling), i)...)
		}
		_, err = os.Stdout.Write(batch)
	}
	select {}
}

// liveHeap returns the size of the heap after the last collection of garbage, in bytes.
func liveHeap() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// framesFrom returns the number of frames that were read of a child.
func framesFrom(n *Node) uint64 {
	if c := n.self.children.Get(n.id); c != nil {
		return c.Link.Stats().FramesIn
	}
	return 0
}

// withoutSpam keeps the log, but for the records of the flood "logs".
type withoutSpam struct{ lockedBuffer }

func (w *withoutSpam) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte("spam")) {
		return len(p), nil
	}
	return w.lockedBuffer.Write(p)
}

// flatHeap bounds the memory that a hostile child may cost its parent, in bytes: queued logs and
// answers, and calls that run. The bounds for split messages are made small here.
const flatHeap = 32 << 20

func TestFloodsByAProcess(t *testing.T) {
	for name, f := range floods {
		t.Run(name, func(t *testing.T) { runFlood(t, name, f) })
	}
}

// BenchmarkCallsBesideAFlood measures by which factor a flood lengthens calls to another child.
func BenchmarkCallsBesideAFlood(b *testing.B) {
	for name, f := range floods {
		b.Run(name, func(b *testing.B) {
			var slower float64
			for range b.N {
				slower = runFlood(b, name, f)
			}
			b.ReportMetric(slower, "times")
		})
	}
}

// runFlood runs a hostile process, and checks that its flood has no effect that it must not have.
// It returns the factor by which calls to another child take longer meanwhile.
func runFlood(t testing.TB, name string, f flood) (slower float64) {
	var log withoutSpam
	limits := router.Limits{PartialBytes: 8 << 20, MessageBudget: 8 << 20, ChildQueue: 8 << 20}
	self, err := Start(t.Context(), &Config{Log: slog.New(slog.NewTextHandler(&log, nil)), Limits: limits, CloseTimeout: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer self.Close()
	good, err := self.Connect(t.Context(), localhop.Child{})
	if err != nil {
		t.Fatal(err)
	}
	ping := func() time.Duration {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		d, err := good.Ping(ctx)
		if err != nil {
			t.Fatalf("a ping of the other child ended with %v, want an answer during the flood", err)
		}
		return d
	}
	var quiet, busy []time.Duration
	for range 500 {
		quiet = append(quiet, ping())
	}
	runtime.GC()
	before, most := liveHeap(), uint64(0)
	evil, err := self.Connect(t.Context(), floodProcess{name, good.id})
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); evil.Err() == nil && framesFrom(evil) < floodFrames || len(busy) < 100; {
		busy = append(busy, ping())
		most = max(most, liveHeap())
		if time.Now().After(deadline) {
			t.Fatalf("by the deadline %d frames of the hostile child were read, want %d or its end", framesFrom(evil), floodFrames)
		}
	}
	runtime.GC()
	if most = max(most, liveHeap()); most > before+flatHeap {
		t.Errorf("the heap grew by %d MiB, want at most %d", (most-before)>>20, flatHeap>>20)
	}
	slices.Sort(quiet)
	slices.Sort(busy)
	slower = float64(busy[len(busy)/2]) / float64(quiet[len(quiet)/2])
	t.Logf("%v and %v (%d) a call, %.1f times; %d KiB more", quiet[len(quiet)/2], busy[len(busy)/2], len(busy), slower, (max(most, before)-before)>>10)

	if f.cut != "" {
		select {
		case <-evil.Done():
		case <-time.After(10 * time.Second):
			t.Error("the hostile child was not cut off within 10 s")
		}
		if !errors.Is(evil.Err(), ErrGone) {
			t.Errorf("the hostile child ended with %v, want %v", evil.Err(), ErrGone)
		}
		logged(t, &log, `"a context is cut off" context=`+evil.String(), evil)
		logged(t, &log, f.cut, evil)
	} else if err := evil.Err(); err != nil {
		t.Errorf("the hostile child was cut off (%v), want only its excess refused; the log says %s", err, log.String())
	}
	logged(t, &log, f.told, evil) // the log tells of dropped frames once a second
	select {
	case id := <-secretCalls:
		t.Errorf("context %d has called a function that descendants may not call, want that refused", id)
	default:
	}
	ping()
	return slower
}

// logged waits until the log says something about a context.
func logged(t testing.TB, log *withoutSpam, want string, about *Node) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(10 * time.Second); !strings.Contains(log.String(), want); <-tick.C {
		if time.Now().After(deadline) {
			s := log.String()
			t.Fatalf("within 10 s the log does not say %q of a context whose end is %v: %s", want, about.Err(), s[max(0, len(s)-2000):])
		}
	}
}
