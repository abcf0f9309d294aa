package contexts

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/mitosis-go/mitosis/core"
)

// A context is shown under its own path, or one below, whatever it says.
func TestPathsAreTheirOwners(t *testing.T) {
	self, err := Start(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer self.Close()
	l := self.self
	const id = core.ID(7)
	l.addNode(id, core.Master, "ssh:web1")
	for claimed, want := range map[string]string{
		"ssh:web1":                "ssh:web1",
		"ssh:web1/sudo:root":      "ssh:web1/sudo:root",
		"ssh:web10/sudo:root":     "ssh:web1",
		"ssh:web1x":               "ssh:web1",
		"":                        "ssh:web1",
		"ssh:db":                  "ssh:web1",
		"ssh:web1/\x1b[2J/su:a\n": "ssh:web1/[2J/su:a",
	} {
		if got := l.pathWithin(id, claimed); got != want {
			t.Errorf("%q is shown as %q, not %q", claimed, got, want)
		}
	}
}

func TestNoticesOfTheTreeAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m noticeMeter
		shown := func() (n int) {
			for range 10 * noticeBurst {
				if m.take() {
					n++
				}
			}
			return n
		}
		if n := shown(); n != noticeBurst {
			t.Errorf("%d at once", n)
		}
		time.Sleep(2 * time.Second)
		if n := shown(); n < 2*noticeRate-1 || n > 2*noticeRate+1 {
			t.Errorf("%d in two seconds", n)
		}
	})
}
