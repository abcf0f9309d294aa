package contexts

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/mitosis-go/mitosis/core"
)

// A prompt of a context is shown under the context's own path or one below it, whatever path it
// claims.
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
			t.Errorf("the claimed path %q is shown as %q, want %q", claimed, got, want)
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
			t.Errorf("%d notices were shown at once, want %d", n, noticeBurst)
		}
		time.Sleep(2 * time.Second)
		if n := shown(); n < 2*noticeRate-1 || n > 2*noticeRate+1 {
			t.Errorf("%d notices were shown after two seconds, want %d or one more or less", n, 2*noticeRate)
		}
	})
}
