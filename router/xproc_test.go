package router

import (
	"context"
	"net"
	"os"
	"os/exec"
	"testing"

	"github.com/mitosis-go/mitosis/core"
)

// init makes the test binary the other end of the benchmarks that need a
// second process.
func init() {
	mode := os.Getenv("MITOSIS_ROUTER_FAR_END")
	if mode == "" {
		return
	}
	f := os.NewFile(3, "link")
	c, err := net.FileConn(f)
	if err != nil {
		os.Exit(1)
	}
	if mode == "echo" {
		var b [1]byte
		for {
			if _, err := c.Read(b[:]); err != nil {
				os.Exit(0)
			}
			_, _ = c.Write(b[:])
		}
	}
	var r *Router
	r = New(Config{Self: 1, Ancestors: []core.ID{0}, Handlers: map[core.Handle]func(Message){
		core.HandleCall: func(m Message) {
			go func() { _ = r.Send(context.Background(), m.Src, m.Reply, 0, 0, m.Body) }()
		},
	}})
	l, err := r.Attach(context.Background(), LinkConfig{Peer: 0, Parent: true, Carrier: c})
	if err != nil {
		os.Exit(1)
	}
	<-l.Done()
	os.Exit(0)
}

func farEnd(b *testing.B, mode string) net.Conn {
	near, far := socketPair(b)
	c := near.(*net.UnixConn)
	file, err := far.(*net.UnixConn).File()
	if err != nil {
		b.Fatal(err)
	}
	_ = far.Close()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "MITOSIS_ROUTER_FAR_END="+mode)
	cmd.ExtraFiles = []*os.File{file}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = cmd.Wait() })
	_ = file.Close()
	b.Cleanup(func() { c.Close() })
	return c
}

// BenchmarkTwoProcesses compares a call to another process with what a byte
// there and back costs.
func BenchmarkTwoProcesses(b *testing.B) {
	b.Run("PingPong", func(b *testing.B) {
		c := farEnd(b, "echo")
		var buf [1]byte
		for b.Loop() {
			_, _ = c.Write(buf[:])
			_, _ = c.Read(buf[:])
		}
	})
	setup := func(b *testing.B) *testNode {
		c := farEnd(b, "router")
		m := newMaster(b, Config{})
		if _, err := m.Attach(context.Background(), LinkConfig{Peer: 1, Carrier: c}); err != nil {
			b.Fatal(err)
		}
		return m
	}
	b.Run("Call", func(b *testing.B) {
		m := setup(b)
		for b.Loop() {
			m.benchCall(context.Background(), 1, []byte{0})
		}
	})
	b.Run("Pipelined", func(b *testing.B) {
		m := setup(b)
		b.SetParallelism(64)
		b.RunParallel(func(p *testing.PB) {
			for p.Next() {
				m.benchCall(context.Background(), 1, []byte{0})
			}
		})
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
	})
}
