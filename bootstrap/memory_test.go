//go:build linux

package bootstrap

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// BenchmarkIdleMemory reports what guard and worker take together: resident, and
// in proportion to what they share with each other and with this process.
func BenchmarkIdleMemory(b *testing.B) {
	for b.Loop() {
		l := NewLaunch(opts())
		c := start(b, l.direct())
		s := born(b, l, c, "")
		time.Sleep(1200 * time.Millisecond) // until it is idle
		for name, pid := range map[string]int{"guard": c.cmd.Process.Pid, "worker": s.Hello.Pid} {
			rollup, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
			if err != nil {
				b.Skip(err)
			}
			for line := range strings.Lines(string(rollup)) {
				var key string
				var kb float64
				fmt.Sscanf(line, "%s %f", &key, &kb)
				if key == "Rss:" || key == "Pss:" {
					b.ReportMetric(kb, name+"-"+key[:3]+"-kB")
				}
			}
		}
		s.Link.Close()
	}
}
