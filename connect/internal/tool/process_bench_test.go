//go:build linux

package tool_test

import (
	"io"
	"os/exec"
	"testing"

	"github.com/mitosis-go/mitosis/connect/internal/connecttest"
)

// BenchmarkPipe is the throughput through `cat` there and back, next to the
// same with os/exec alone.
func BenchmarkPipe(b *testing.B) {
	block := make([]byte, 64<<10)
	pump := func(b *testing.B, r io.Reader, w io.Writer) {
		b.SetBytes(int64(len(block)))
		go func() {
			for range b.N {
				w.Write(block)
			}
		}()
		if _, err := io.CopyN(io.Discard, r, int64(b.N)*int64(len(block))); err != nil {
			b.Fatal(err)
		}
	}
	for name, m := range everyWay() {
		b.Run(name, func(b *testing.B) {
			p := connecttest.Far(`exec cat`)
			close(p.Ready)
			c, err := m.Open(b.Context(), p.OpenRequest)
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
			if name == "only tty" {
				b.Skip("cat would begin before the terminal is raw")
			}
			pump(b, c, c)
		})
	}
	b.Run("os-exec", func(b *testing.B) {
		cmd := exec.Command("cat")
		w, _ := cmd.StdinPipe()
		r, _ := cmd.StdoutPipe()
		if err := cmd.Start(); err != nil {
			b.Fatal(err)
		}
		pump(b, r, w)
		w.Close()
		cmd.Wait()
	})
}

// BenchmarkStart is a start and the first byte.
func BenchmarkStart(b *testing.B) {
	for name, m := range everyWay() {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				p := connecttest.Far(`echo`)
				c, err := m.Open(b.Context(), p.OpenRequest)
				if err != nil {
					b.Fatal(err)
				}
				c.Read(make([]byte, 10))
				c.Close()
			}
		})
	}
}
