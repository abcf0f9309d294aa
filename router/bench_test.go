package router

import (
	"context"
	"io"
	"os"
	"sync"
	"testing"

	"github.com/mitosis-go/mitosis/core"
)

// BenchmarkPingPongPipe is the physical limit for calls: one byte to another
// goroutine and back through pipes of the kernel.
func BenchmarkPingPongPipe(b *testing.B) {
	r1, w1, _ := os.Pipe()
	r2, w2, _ := os.Pipe()
	defer r1.Close()
	defer r2.Close()
	defer w2.Close()
	go func() {
		var buf [1]byte
		for {
			if _, err := r1.Read(buf[:]); err != nil {
				return
			}
			_, _ = w2.Write(buf[:])
		}
	}()
	var buf [1]byte
	for b.Loop() {
		_, _ = w1.Write(buf[:])
		_, _ = r2.Read(buf[:])
	}
	w1.Close()
}

func benchPair(b *testing.B) (*testNode, *testNode) {
	m := newMaster(b, Config{})
	x, y := socketPair(b)
	k := m.child(Config{}, x, y)
	k.inline = true
	return m, k
}

func (n *testNode) benchCall(ctx context.Context, dst core.ID, body []byte) {
	reply := n.NewReply(dst)
	if err := n.Send(ctx, dst, core.HandleCall, reply.Handle(), 0, body); err != nil {
		panic(err)
	}
	if m := <-reply.C(); m.Err != nil {
		panic(m.Err)
	}
	reply.Close()
}

// BenchmarkRequestReply is an empty call over a socket. The budget is 2.5
// times the ping-pong.
func BenchmarkRequestReply(b *testing.B) {
	m, k := benchPair(b)
	body := []byte{0}
	b.ReportAllocs()
	for b.Loop() {
		m.benchCall(context.Background(), k.Self(), body)
	}
}

// BenchmarkRequestReplyTwoHops has a context in between.
func BenchmarkRequestReplyTwoHops(b *testing.B) {
	m, k := benchPair(b)
	x, y := socketPair(b)
	g := k.child(Config{}, x, y)
	g.inline = true
	body := []byte{0}
	for b.Loop() {
		m.benchCall(context.Background(), g.Self(), body)
	}
}

// BenchmarkPipelined has 64 calls under way at any time. The budget is
// 150,000 per second on two cores.
func BenchmarkPipelined(b *testing.B) {
	m, k := benchPair(b)
	body := make([]byte, 16)
	b.SetParallelism(64)
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			m.benchCall(context.Background(), k.Self(), body)
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
}

// discard is a carrier that takes what is written and never gives anything.
type discard struct {
	once sync.Once
	c    chan struct{}
}

func (d *discard) Read([]byte) (int, error)    { <-d.c; return 0, io.EOF }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) Close() error                { d.once.Do(func() { close(d.c) }); return nil }

// replay is a carrier that gives the same bytes n times, and then an end.
type replay struct {
	discard
	data []byte
	off  int
	left int
}

func (r *replay) Read(b []byte) (int, error) {
	n := 0
	for n < len(b) && r.left > 0 {
		m := copy(b[n:], r.data[r.off:])
		n += m
		if r.off += m; r.off == len(r.data) {
			r.off = 0
			r.left--
		}
	}
	if n == 0 {
		<-r.c
		return 0, io.EOF
	}
	return n, nil
}

// BenchmarkForward passes small frames from one link to another, through the
// reader, the queue and the writer. The budget is 400,000 frames a second and
// core, and no allocation.
func BenchmarkForward(b *testing.B) {
	m := newMaster(b, Config{AllowSiblings: true})
	k := m.child(Config{}, &discard{c: make(chan struct{})}, &discard{c: make(chan struct{})})
	const per = 100
	id, _, _ := m.AllocID(context.Background())
	in := &replay{discard: discard{c: make(chan struct{})}, left: b.N/per + 1}
	for range per {
		h := core.Header{Dst: k.Self(), Src: id, Auth: id, Handle: core.HandleCall, Reply: 12345}
		in.data = append(core.AppendHeader(in.data, &h, 16), make([]byte, 16)...)
	}
	frames := uint64(in.left * per)
	b.ReportAllocs()
	b.ResetTimer()
	l, err := m.Attach(context.Background(), LinkConfig{Peer: id, Carrier: in})
	if err != nil {
		b.Fatal(err)
	}
	eventually(b, "all are through", func() bool { return k.down.Stats().FramesOut >= frames || l.Stats().Refused > 0 })
	b.StopTimer()
	if s := l.Stats(); s.Refused > 0 {
		b.Fatalf("%+v", s)
	}
	b.ReportMetric(float64(frames)/b.Elapsed().Seconds(), "frames/s")
}

// BenchmarkStream is the throughput of a stream over a socket.
func BenchmarkStream(b *testing.B) {
	m, k := benchPair(b)
	s, far := openStreams(b, m, k)
	benchCopy(b, s, far)
}

// BenchmarkStreamTwoHops has a context in between.
func BenchmarkStreamTwoHops(b *testing.B) {
	m, k := benchPair(b)
	x, y := socketPair(b)
	g := k.child(Config{}, x, y)
	s, far := openStreams(b, m, g)
	benchCopy(b, s, far)
}

// BenchmarkSocketCopy is the physical limit for streams.
func BenchmarkSocketCopy(b *testing.B) {
	x, y := socketPair(b)
	benchCopy(b, x, y)
}

// benchCopy copies in both places the way io.Copy does.
func benchCopy(b *testing.B, w, r io.ReadWriteCloser) {
	const chunk = 32 * kib
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(onlyWriter{io.Discard}, r)
	}()
	b.SetBytes(chunk)
	b.ResetTimer()
	if _, err := io.Copy(w, &zeros{left: int64(b.N) * chunk}); err != nil {
		b.Fatal(err)
	}
	w.Close()
	<-done
	b.StopTimer()
	r.Close()
}

type onlyWriter struct{ io.Writer }

// zeros gives so many bytes.
type zeros struct{ left int64 }

func (z *zeros) Read(b []byte) (int, error) {
	if z.left == 0 {
		return 0, io.EOF
	}
	n := int(min(z.left, int64(len(b))))
	z.left -= int64(n)
	return n, nil
}

// BenchmarkLargeMessage sends an argument of a megabyte and gets it back.
func BenchmarkLargeMessage(b *testing.B) {
	m, k := benchPair(b)
	k.inline = false
	body := make([]byte, 1*mib)
	b.SetBytes(2 * mib)
	for b.Loop() {
		m.benchCall(context.Background(), k.Self(), body)
	}
}
