package tree

import (
	"testing"

	"github.com/mitosis-go/mitosis/bootstrap"
)

// A far side is known until a connect to it fails, and stands for others meanwhile.
func TestFarSideIsRemembered(t *testing.T) {
	var f FarSides
	if f.Likely() != nil {
		t.Error("before any connect there is a guess, want none")
	}
	s := bootstrap.Session{Facts: bootstrap.Facts{Machine: "x86_64"}, StartMethod: bootstrap.StartPerl}
	f.Note("ssh:far", &s)
	if known := f.Get("ssh:far"); known == nil || known.Method != bootstrap.StartPerl {
		t.Errorf("after a connect it is known as %+v, want its facts and how it was started", known)
	}
	if likely := f.Likely(); likely == nil || likely.Machine != "x86_64" {
		t.Errorf("after a connect others are taken for %+v, want what the last far side was like", likely)
	}
	f.Note("ssh:far", nil)
	if known := f.Get("ssh:far"); known != nil {
		t.Errorf("after a failure it is known as %+v, want nothing", known)
	}
}
