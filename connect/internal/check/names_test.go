package check

import (
	"errors"
	"strings"
	"testing"

	"github.com/mitosis-go/mitosis/connect"
)

func TestNamesThatWouldBeOptions(t *testing.T) {
	for _, bad := range []string{"", "-oProxyCommand=x", "a b", "a\x00b", "a\nb", "$(x)", "a;b", strings.Repeat("x", 300), "user@host", "'"} {
		if err := Host(bad); !errors.Is(err, connect.ErrBadName) {
			t.Errorf("host %q: %v", bad, err)
		}
	}
	for _, bad := range []string{"", "-v", "u@-v", "u@", "a b", "a\x00"} {
		if err := User(bad); !errors.Is(err, connect.ErrBadName) {
			t.Errorf("user %q: %v", bad, err)
		}
	}
	for _, good := range []string{"web1", "fe80::1%eth0", "under_score", "10.0.0.1"} {
		if err := Host(good); err != nil {
			t.Error(err)
		}
	}
	for _, good := range []string{"deploy", `DOMAIN\user`, "first+last", "me@example.org"} {
		if err := User(good); err != nil {
			t.Error(err)
		}
	}
}
