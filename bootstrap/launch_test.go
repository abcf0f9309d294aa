//go:build linux

package bootstrap

import (
	"testing"
)

func TestLocalChildIsReady(t *testing.T) {
	l := NewLaunch(opts())
	s := born(t, l, start(t, l.direct()), "")
	if s.Rung != RungExec || s.Hello.Pid == 0 || s.Hello.GOOS != "linux" {
		t.Errorf("session %+v", s)
	}
	answers(t, s)
}

func TestEachRung(t *testing.T) {
	for _, rung := range ladder {
		t.Run(rung, func(t *testing.T) {
			o := opts()
			o.Rungs = []string{rung}
			l := NewLaunch(o)
			s := born(t, l, start(t, l.command()), "")
			if s.Rung != rung {
				t.Errorf("rung %s", s.Rung)
			}
			answers(t, s)
		})
	}
}
