package patience

import (
	"os"
	"syscall"
	"testing"
)

func TestTheThirdOfAKindIsEnough(t *testing.T) {
	var s Signals
	for i, step := range []struct {
		sig           os.Signal
		first, enough bool
	}{
		{syscall.SIGINT, true, false}, {syscall.SIGTERM, true, false}, {syscall.SIGINT, false, false},
		{syscall.SIGTERM, false, false}, {syscall.SIGINT, false, true}, {syscall.SIGINT, false, true},
	} {
		if first, enough := s.Count(step.sig); first != step.first || enough != step.enough {
			t.Errorf("signal %d, %v: first %v and enough %v, want %v and %v", i, step.sig, first, enough, step.first, step.enough)
		}
	}
}
