//go:build linux

package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/fleet"
	"github.com/mitosis-go/mitosis/integration/lab"
)

// lie writes nonsense into everything that the context has open for writing, its link among it,
// until that breaks: large lengths, and frames of bytes that are none.
var lie = contexts.NewFunc("lab.lie", func(ctx context.Context, _ struct{}) (struct{}, error) {
	nonsense := bytes.Repeat([]byte{0xff, 0x00, 0x7f, 0xbf, 0x9b, 0x5f}, 10<<10)
	for ctx.Err() == nil {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			return struct{}{}, err
		}
		for _, e := range entries {
			if fd, err := strconv.Atoi(e.Name()); err == nil && fd != 2 {
				_, _ = unix.Write(fd, nonsense)
			}
		}
	}
	return struct{}{}, ctx.Err()
})

// Of ten hosts one floods its output in a single line, one prints what terminals obey, one
// has a login shell that sends noise without end, and one has a context that breaks the
// protocol. The memory of the master stays bounded, and the other six are as if alone.
func TestFleetWithHostileHosts(t *testing.T) {
	lab.Require(t) // it is not run beside others, as it measures memory
	const flood, control, noise, liar = "h3", "h5", "h7", "h9"
	const flooded = 48 << 20
	key := lab.NewClientKey(t)
	hosts := fleetHosts(t, 10, key, func(_ int, h *lab.Host) {
		h.Files = map[string]string{"/usr/local/bin/noise": "#!/bin/sh\nexec cat /dev/urandom\n"}
		if h.Name == noise {
			h.Users[0].Shell = "/usr/local/bin/noise"
		}
	})
	scenes := make([]scene, 0, len(hosts))
	for _, h := range hosts {
		scenes = append(scenes, look(h))
	}
	log, _ := newJournal(t)
	self, err := contexts.Start(t.Context(), &contexts.Config{Log: log, PackedDir: nothingKept})
	if err != nil {
		t.Fatal(err)
	}
	defer self.Close()
	g := fleetOf(t, self, hosts, key, fleet.Config{Policy: fleet.Policy{ConnectTimeout: stretched(10 * time.Second), Timeout: patience}})
	connected := fleet.Collect(fleet.Call(t.Context(), g, whoami, struct{}{}))
	if connected.Failed().String() != noise || fleet.KindOf(connected.Err()) == fleet.KindOther {
		t.Fatalf("%v can't be connected, want only %s: %v", connected.Failed(), noise, connected.Err())
	}
	g = g.Only(connected.OK())

	scripts := map[string]string{
		flood:   fmt.Sprintf("head -c %d /dev/zero | tr '\\0' x", flooded),
		control: `printf '\033[2J\033]0;owned\007\302\2332J\177\r\n\000'`,
	}
	live := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before, most := live(), uint64(0)
	done, measured := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(measured)
		for ticks := time.NewTicker(50 * time.Millisecond); ; {
			most = max(most, live())
			select {
			case <-done:
				ticks.Stop()
				return
			case <-ticks.C:
			}
		}
	}()
	lied := make(chan error, 1)
	go func() {
		_, err := lie.Call(t.Context(), g.Member(liar).Target(), struct{}{})
		lied <- err
	}()
	longest := 0
	r := fleet.Collect(fleet.Run(t.Context(), g.Minus(g.Only(fleet.NewHosts(liar))), fleet.Command{
		Args: []string{"sh", "-c", `[ -z "$SCRIPT" ] && hostname || eval "$SCRIPT"`},
		Make: func(m *fleet.Member, c *contexts.Command) error {
			c.Env = append(c.Env, "SCRIPT="+scripts[m.Name()])
			return nil
		},
		Line: func(_ *fleet.Member, l fleet.Line) { longest = max(longest, len(l.Text)) },
	}))
	if err := <-lied; !errors.Is(err, contexts.ErrGone) {
		t.Errorf("the context that lies: %v, want that it is gone", err)
	}
	close(done)
	<-measured
	if r.Err() != nil {
		t.Errorf("the others: %v", r.Err())
	}
	for m, one := range r.All() {
		if scripts[m.Name()] == "" && string(one.Value.Stdout) != m.Name()+"\n" {
			t.Errorf("%v says %q", m, one.Value.Stdout)
		}
	}
	if one, _ := r.Of(flood); one.Value.StdoutBytes != flooded || len(one.Value.Stdout) > 64<<10 || longest > 64<<10 {
		t.Errorf("%d bytes came, %d were kept, the longest piece of a line has %d; want %d, and at most 64 KiB", one.Value.StdoutBytes, len(one.Value.Stdout), longest, flooded)
	}
	if most > before+16<<20 {
		t.Errorf("the master has %d MiB in use, and had %d before; want at most 16 more", most>>20, before>>20)
	}
	t.Logf("%d MiB in use before, at most %d meanwhile", before>>20, most>>20)

	// In the report nothing is left that a terminal obeys.
	report, err := json.Marshal(r.Rows())
	if err != nil {
		t.Fatal(err)
	}
	if i := bytes.IndexFunc(report, func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 }); i >= 0 {
		t.Errorf("the report has a control character: %q", report[max(0, i-20):min(len(report), i+20)])
	}
	conforms(t, r)
	if err := errors.Join(g.Close(), self.Close()); err != nil {
		t.Logf("the fleet ended with %v", err)
	}
	for _, s := range scenes {
		s.restored(t, deathBudget)
	}
}
