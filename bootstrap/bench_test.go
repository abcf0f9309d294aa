//go:build linux

package bootstrap

import "testing"

// BenchmarkLocalReady is the time from starting a local child, guard and worker,
// to its hello. Budget: 15 ms.
func BenchmarkLocalReady(b *testing.B) {
	for b.Loop() {
		l := NewLaunch(opts())
		c := start(b, l.direct())
		s, err := l.Run(b.Context(), c)
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		s.Link.Close()
		b.StartTimer()
	}
}

// BenchmarkStartMethod is the time from the start of a local shell to the hello, with
// an image that is packed already.
func BenchmarkStartMethod(b *testing.B) {
	for _, method := range startMethods {
		b.Run(method, func(b *testing.B) {
			for b.Loop() {
				o := opts()
				o.StartMethods = []string{method}
				l := NewLaunch(o)
				c := start(b, l.command())
				s, err := l.Run(b.Context(), c)
				if err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				s.Link.Close()
				b.StartTimer()
			}
		})
	}
}
