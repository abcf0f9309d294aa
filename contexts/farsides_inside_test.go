package contexts

import (
	"testing"

	"github.com/mitosis-go/mitosis/bootstrap"
)

// A far side is known until a connect to it fails, and stands for others meanwhile.
func TestFarSideIsRemembered(t *testing.T) {
	var f farSides
	if f.likely() != nil {
		t.Error("before any connect there is a guess, want none")
	}
	s := bootstrap.Session{Facts: bootstrap.Facts{Machine: "x86_64"}, StartMethod: bootstrap.StartPerl}
	f.note("ssh:far", &s)
	if known := f.get("ssh:far"); known == nil || known.method != bootstrap.StartPerl {
		t.Errorf("after a connect it is known as %+v, want its facts and how it was started", known)
	}
	if likely := f.likely(); likely == nil || likely.Machine != "x86_64" {
		t.Errorf("after a connect others are taken for %+v, want what the last far side was like", likely)
	}
	f.note("ssh:far", nil)
	if known := f.get("ssh:far"); known != nil {
		t.Errorf("after a failure it is known as %+v, want nothing", known)
	}
}
