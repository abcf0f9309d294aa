package local_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/core"
)

// This program imports connect/local only. Whoever names another method hears which package
// has it.
func TestMethodsThatAreNotImported(t *testing.T) {
	const house = "import github.com/mitosis-go/mitosis/connect/"
	for path, want := range map[string]string{
		"ssh:web1":      `no method "ssh": ` + house + "ssh",
		"web1":          `no method "ssh": ` + house + "ssh",
		"a,me@web1:22":  `no method "ssh": ` + house + "ssh",
		"openssh:web1":  `no method "openssh": ` + house + "openssh",
		"sudo":          `no method "sudo": ` + house + "become",
		"docker:web":    `no method "docker": ` + house + "container",
		"console:ttyS0": `no method "console": ` + house + "console",
	} {
		_, err := connect.ParsePath(path)
		if !errors.Is(err, connect.ErrNoMethod) || !strings.Contains(err.Error(), want) {
			t.Errorf("the path %q: %v, want %s", path, err, want)
		}
	}
	for name, want := range map[string]string{
		"ssh":      `no method "ssh": ` + house + "ssh",
		"chroot":   `no method "chroot": ` + house + "container",
		"somebody": `no method "somebody" is registered`,
	} {
		sent, err := core.Marshal([]any{name, []byte{0xa0}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := connect.Decode(sent); !errors.Is(err, connect.ErrNoMethod) || err.Error() != want {
			t.Errorf("the method %q that came from another context: %v, want %s", name, err, want)
		}
	}
}
