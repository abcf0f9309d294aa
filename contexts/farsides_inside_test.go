package contexts

import (
	"testing"

	"github.com/mitosis-go/mitosis/bootstrap"
)

// How slow a way was is known until an image has crossed it again, or it has failed.
func TestSlowFarSideIsRemembered(t *testing.T) {
	var f farSides
	s := bootstrap.Session{Facts: bootstrap.Facts{Machine: "x86_64"}, Rung: bootstrap.RungPerl}
	for _, slow := range []bool{true, false, true} {
		s.Slow = slow
		f.note("ssh:far", &s)
		if known := f.get("ssh:far"); known == nil || known.slow != slow || known.rung != bootstrap.RungPerl {
			t.Errorf("after a way that was slow (%v) it is known as %+v", slow, known)
		}
	}
	f.note("ssh:far", nil)
	if known := f.get("ssh:far"); known != nil {
		t.Errorf("after a failure it is known as %+v", known)
	}
}
