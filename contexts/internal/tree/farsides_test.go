package tree

import (
	"testing"

	"github.com/mitosis-go/mitosis/bootstrap"
)

// A far side is known until a connect to it fails. Until then unknown far sides are expected to be
// like it.
func TestFarSideIsRemembered(t *testing.T) {
	var f FarSides
	if f.Likely() != nil {
		t.Error("before any connect Likely returns facts, want nil")
	}
	s := bootstrap.Session{Facts: bootstrap.Facts{Machine: "x86_64"}, StartMethod: bootstrap.StartPerl}
	f.Note("ssh:far", &s)
	if known := f.Get("ssh:far"); known == nil || known.Method != bootstrap.StartPerl {
		t.Errorf("after a connect the far side is known as %+v, want its facts and start method", known)
	}
	if likely := f.Likely(); likely == nil || likely.Machine != "x86_64" {
		t.Errorf("after a connect others are expected as %+v, want the facts of the last far side", likely)
	}
	f.Note("ssh:far", nil)
	if known := f.Get("ssh:far"); known != nil {
		t.Errorf("after a failure the far side is known as %+v, want nil", known)
	}
}
