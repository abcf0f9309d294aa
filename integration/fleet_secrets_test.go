//go:build linux

package integration

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/become"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/fleet"
	"github.com/mitosis-go/mitosis/integration/lab"
)

// countingPAM counts wrong passwords of sudo, and not questions without an answer.
const countingPAM = `auth [success=1 auth_err=ignore default=die] pam_unix.so nodelay
auth [default=die] pam_faillock.so authfail deny=100
auth required pam_permit.so
account required pam_permit.so
session required pam_permit.so
`

// One password of sudo for five hosts, of which the third has another one and the fourth asks
// for none. PAM counts wrong passwords there, as where they lock an account.
func TestFleetSudoPassword(t *testing.T) {
	lab.Require(t)
	t.Parallel()
	const password = "open sesame"
	key := lab.NewClientKey(t)
	hosts := fleetHosts(t, 5, key, func(i int, h *lab.Host) {
		h.Users[0].Password = password
		h.Sudoers = "Defaults timestamp_timeout=0\ndeploy ALL=(ALL) ALL"
		switch i {
		case 3:
			h.Users[0].Password = "another"
		case 4:
			h.Sudoers = "deploy ALL=(ALL) NOPASSWD: ALL"
		}
		h.Files = map[string]string{"/etc/pam.d/sudo": countingPAM}
	})
	cancelled := errors.New("the person has had enough")
	for _, c := range []struct {
		name, answer string
		err          error
		failed       string
		attempts     int // on all hosts together that ask
		class        error
	}{
		{"a cancelled question", "", cancelled, "h[1-3,5]", 0, connect.ErrPasswordRequired},
		{"wrong everywhere", "sesame", nil, "h[1-3,5]", 1, connect.ErrPassword},
		{"wrong on one", password, nil, "h3", 1, connect.ErrPassword},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, h := range hosts {
				if _, err := h.Shell("faillock --user deploy --reset"); err != nil {
					t.Fatal(err)
				}
			}
			var asked atomic.Int32
			secrets := fleet.AskOnce(func(_ context.Context, p connect.Prompt) (string, error) {
				asked.Add(1)
				if p.Echo || !strings.Contains(p.Path, "/sudo:root") {
					t.Errorf("the question is %+v, want one whose answer is hidden, of sudo", p)
				}
				return c.answer, c.err
			})
			self := master(t, &contexts.Config{Prompt: secrets.Prompt})
			g := fleetOf(t, self, hosts, key, fleet.Config{Secrets: secrets}, become.Sudo{})
			r := fleet.Collect(fleet.Call(t.Context(), g, whoami, struct{}{}))
			if r.Failed().String() != c.failed || asked.Load() != 1 {
				t.Errorf("%v failed after %d questions, want %s after one: %v", r.Failed(), asked.Load(), c.failed, r.Err())
			}
			for m, one := range r.All() {
				switch {
				case one.Err == nil && one.Value.UID != 0:
					t.Errorf("%v is not root: %+v", m, one.Value)
				case one.Err != nil && (!errors.Is(one.Err, c.class) || fleet.KindOf(one.Err) != fleet.KindPassword):
					t.Errorf("%v: %v, want %v", m, one.Err, c.class)
				}
			}
			attempts := 0
			for name, h := range hosts {
				out, err := h.Shell("faillock --user deploy")
				if err != nil {
					t.Fatal(err)
				}
				n := strings.Count(out, " V\n")
				if attempts += n; n > 1 {
					t.Errorf("%s has counted %d wrong passwords: %s", name, n, out)
				}
			}
			if attempts != c.attempts {
				t.Errorf("the hosts have counted %d wrong passwords together, want %d", attempts, c.attempts)
			}
		})
	}
}
