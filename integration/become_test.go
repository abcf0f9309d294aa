//go:build linux

package integration

import (
	"slices"
	"testing"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/become"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/integration/lab"
)

// becomeHost is a host whose users have passwords of their own, with busybox's su
// beside the system's, and a configuration of doas.
func becomeHost(doas string) lab.Host {
	return lab.Host{
		Users: []lab.User{
			{Name: "deploy", Password: rightPassword},
			{Name: "carol", Password: rightPassword},
			{Name: "nobody1", Shell: "/usr/sbin/nologin", Password: rightPassword},
			{Name: "root", Password: rootPassword},
		},
		Files: map[string]string{"/etc/doas.conf": doas},
		Setup: []string{
			`cp "$(command -v busybox)" /usr/local/bin/bbsu && mkdir /opt/bb && mv /usr/local/bin/bbsu /opt/bb/su && chmod 4755 /opt/bb/su`,
		},
	}
}

// becomeCases are the ways in which su and doas can ask, get an answer, and refuse.
// Each hop is made by a context at the host, as the user deploy.
var becomeCases = []struct {
	name   string
	doas   string // doas.conf
	lang   string
	setup  string
	method connect.Method
	reason error  // class of the error wanted; nil if the hop must work
	text   string // text of the tool that the error must have
	uid    int    // UID of the child
}{
	{name: "su", method: become.Su{Password: connect.Secret(rootPassword)}},
	{name: "su, login", method: become.Su{Password: connect.Secret(rootPassword), Login: true}},
	{name: "su, kept environment", method: become.Su{Password: connect.Secret(rootPassword), PreserveEnv: true}},
	{name: "su, another user", method: become.Su{User: "carol", Password: connect.Secret(rightPassword)}, uid: 2001},
	{name: "su, wrong password", method: become.Su{Password: connect.Secret(wrongPassword)},
		reason: connect.ErrPassword, text: "Authentication failure"},
	{name: "su, no password", method: become.Su{}, reason: connect.ErrPasswordRequired, text: "Password:"},
	{name: "su, no such user", method: become.Su{User: "mallory"}, reason: connect.ErrBadName, text: "mallory does not exist"},
	{name: "su, no shell", method: become.Su{User: "nobody1", Password: connect.Secret(rightPassword)},
		reason: connect.ErrPermission, text: "name another (su:USER?shell=/bin/sh)"},
	{name: "su, only the group wheel", setup: "sed -i 's/^# auth *required *pam_wheel.so$/auth required pam_wheel.so/' /etc/pam.d/su; groupadd wheel; grep -q '^auth required pam_wheel' /etc/pam.d/su",
		method: become.Su{Password: connect.Secret(rootPassword)}, reason: connect.ErrPermission, text: "group wheel"},
	{name: "su, a new password is wanted", setup: "chage -d 0 carol",
		method: become.Su{User: "carol", Password: connect.Secret(rightPassword)}, reason: connect.ErrPasswordRequired, text: "urrent"},
	{name: "su, German", lang: "de_DE.UTF-8", method: become.Su{Password: connect.Secret(rootPassword)}},
	{name: "su, German, wrong password", lang: "de_DE.UTF-8", method: become.Su{Password: connect.Secret(wrongPassword)},
		reason: connect.ErrPassword, text: "su: "},
	{name: "no su", setup: "rm /usr/bin/su", method: become.Su{}, reason: connect.ErrStart, text: "install su"},
	{name: "busybox su", method: become.Su{Path: "/opt/bb/su", Password: connect.Secret(rootPassword)}},
	{name: "busybox su, login", method: become.Su{Path: "/opt/bb/su", Password: connect.Secret(rootPassword), Login: true}},
	{name: "busybox su, wrong password", method: become.Su{Path: "/opt/bb/su", Password: connect.Secret(wrongPassword)},
		reason: connect.ErrPassword, text: "incorrect password"},
	{name: "busybox su, no such user", method: become.Su{User: "mallory", Path: "/opt/bb/su"}, reason: connect.ErrBadName, text: "unknown user"},

	{name: "doas", doas: "permit deploy\n", method: become.Doas{Password: connect.Secret(rightPassword)}},
	{name: "doas, another user", doas: "permit deploy as carol\n", method: become.Doas{User: "carol", Password: connect.Secret(rightPassword)}, uid: 2001},
	{name: "doas, without", doas: "permit nopass deploy\n", method: become.Doas{}},
	{name: "doas, wrong password", doas: "permit deploy\n", method: become.Doas{Password: connect.Secret(wrongPassword)},
		reason: connect.ErrPassword, text: "Authentication failed"},
	{name: "doas, no password", doas: "permit deploy\n", method: become.Doas{}, reason: connect.ErrPasswordRequired, text: "doas (deploy@"},
	{name: "doas, not allowed", doas: "permit carol\n", method: become.Doas{Password: connect.Secret(rightPassword)},
		reason: connect.ErrPermission, text: "Operation not permitted"},
	{name: "doas, no such user", doas: "permit deploy\n", method: become.Doas{User: "mallory"}, reason: connect.ErrBadName, text: "unknown user"},
	{name: "doas, no configuration", setup: "rm /etc/doas.conf", method: become.Doas{}, reason: connect.ErrStart, text: "/etc/doas.conf"},
	{name: "no doas", setup: "rm /usr/bin/doas", method: become.Doas{}, reason: connect.ErrStart, text: "install doas"},
}

func TestBecome(t *testing.T) {
	lab.Require(t)
	t.Parallel()
	for _, c := range becomeCases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := becomeHost(c.doas)
			h.Lang = c.lang
			if c.setup != "" {
				h.Setup = append(h.Setup, c.setup)
			}
			host := start(t, h)
			before := look(host)
			becomes(t, host, c.lang, c.method, c.reason, c.text, func(n *contexts.Node) {
				if id := who(t, n); id.UID != c.uid {
					t.Errorf("the context is %+v, want uid %d", id, c.uid)
				}
				linkIsClean(t, n)
				if err := n.Close(); err != nil {
					t.Error(err)
				}
				for _, p := range before.newProcesses() {
					if slices.Contains([]string{"su", "doas"}, p.Comm) {
						t.Errorf("after Close %v still runs, want no su or doas", p)
					}
				}
			})
		})
	}
}

// A person is asked for a password that the method does not have, and gets all other questions
// of su.
func TestSuAsksAPerson(t *testing.T) {
	lab.Require(t)
	t.Parallel()
	h := becomeHost("")
	h.Setup = append(h.Setup, "chage -d 0 carol")
	host := start(t, h)
	const renewed = "wholly-Different-91"
	p := &person{answers: []string{rightPassword, rightPassword, renewed, renewed}}
	user := enter(t, master(t, &contexts.Config{Prompt: p.prompt}), host, "deploy")
	n := child(t, user, become.Su{User: "carol"})
	if id := who(t, n); id.UID != 2001 {
		t.Errorf("the context is %+v, want uid 2001", id)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, q := range p.asked {
		if q.Kind != connect.PromptPassword || q.Attempt != 1 || q.Echo {
			t.Errorf("question %d is %+v, want a first attempt at a password without echo", i+1, q)
		}
	}
	if len(p.asked) != 4 {
		t.Errorf("%d questions were asked, want 4: %+v", len(p.asked), p.asked)
	}
}

// A connect that is cancelled while su or doas asks leaves no process, although both run as
// root.
func TestBecomeIsCancelledAtThePrompt(t *testing.T) {
	lab.Require(t)
	t.Parallel()
	host := start(t, becomeHost("permit deploy\n"))
	for _, m := range []connect.Method{become.Su{}, become.Su{Path: "/opt/bb/su"}, become.Doas{}} {
		cancelAtPrompt(t, host, m)
	}
}
