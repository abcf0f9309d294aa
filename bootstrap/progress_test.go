//go:build linux

package bootstrap

import (
	"context"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
)

func TestProgressIsSaid(t *testing.T) {
	for want, p := range map[string]Progress{
		"waiting for the first stage":                                       {PhaseFirstStage, StartPerl, 0, 0},
		"waiting for the first stage (0.3 of 2.1 MB of the image)":          {PhaseFirstStage, StartPerl, 300_000, 2_199_999},
		"sending the image by memfd-perl (1.2 of 2.1 MB)":                   {PhaseImage, StartPerl, 1_200_000, 2_100_000},
		"sending the image by disk (0.0 of 0.0 MB)":                         {PhaseImage, StartDisk, 5, 10},
		"sending the image":                                                 {PhaseImage, "", 0, 0},
		"waiting for the hello by ram (2.1 of 2.1 MB of the image)":         {PhaseHello, StartRAM, 2_100_000, 2_100_000},
		"waiting for the hello by exec":                                     {PhaseHello, StartExec, 0, 0},
		"key exchange (9223372036854.7 of 9223372036854.7 MB of the image)": {Phase("key exchange"), "", 1<<63 - 1, 1<<63 - 1},
	} {
		if got := p.String(); got != want {
			t.Errorf("%#v is %q, wanted %q", p, got, want)
		}
	}
}

// A launch tells how far it has come, and the error of one that is given up while its
// image is under way says how many bytes of it the pipe has taken.
func TestProgressOfAnImage(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var (
		mu  sync.Mutex
		all []Progress
	)
	o := opts()
	o.Progress = func(p Progress) {
		mu.Lock()
		defer mu.Unlock()
		all = append(all, p)
		if p.Sent >= 150_000 {
			cancel()
		}
	}
	l := NewLaunch(o)
	c := start(t, exec.Command("/bin/sh", "-c", "MARKER="+l.marker+`;printf '\n%s hi 1 Linux x86_64 0 perl gzip head / .\n' $MARKER; head -c 200000 >/dev/null; sleep 1000`))
	_, err := l.Run(ctx, &killing{c})
	e, ok := err.(*Error)
	if !ok || e.Phase != PhaseImage || e.StartMethod != StartPerl || e.Sent < 150_000 || e.Sent >= e.Size {
		t.Fatalf("%#v", err)
	}
	if !strings.Contains(err.Error(), "sending the image by memfd-perl (0.") {
		t.Errorf("%v, want the phase, the start method and the bytes in it", err)
	}
	mu.Lock()
	defer mu.Unlock()
	var phases []Phase
	var sent int64
	for _, p := range all {
		if len(phases) == 0 || phases[len(phases)-1] != p.Phase {
			phases = append(phases, p.Phase)
		}
		if p.Sent > 0 && p.Sent <= sent {
			t.Errorf("%v after %d bytes", p, sent)
		}
		sent = max(sent, p.Sent)
	}
	if want := []Phase{PhaseFirstStage, PhasePrepare, PhaseImage}; !slices.Equal(phases, want) {
		t.Errorf("%v, wanted %v", phases, want)
	}
}
