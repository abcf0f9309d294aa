package contexts

import (
	"testing"

	localhop "github.com/mitosis-go/mitosis/connect/local"
	"github.com/mitosis-go/mitosis/core"
)

// A child may end between the moment when somebody decides to close it and the moment when its
// parent is asked to.
func TestCloseOfAChildThatIsGoneAlready(t *testing.T) {
	self, err := Start(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer self.Close()
	parent, err := self.Connect(t.Context(), localhop.Child{})
	if err != nil {
		t.Fatal(err)
	}
	const gone = core.ID(1 << 40)
	if report, err := closeFunc.Call(t.Context(), parent, gone); err != nil || report.Forced != 0 {
		t.Errorf("the parent reports %+v, %v, want nothing and no error", report, err)
	}
}
