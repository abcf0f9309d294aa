//go:build linux

package integration

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/become"
	"github.com/mitosis-go/mitosis/connect/local"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/integration/lab"
)

// The passwords are random. Hosts see the test binary, and tests search hosts for passwords: the
// binary must not hold them.
var (
	rightPassword = "right-" + rand.Text()
	rootPassword  = "root's-" + rand.Text()
	wrongPassword = "wrong-" + rand.Text()
)

// lecture is a text that an administrator has sudo show to all users. Three times it looks like a
// question for a password. The third time the true prompt follows on the same line.
const lecture = `We trust you have received the usual lecture.
Never tell anybody your password:
[sudo] password for deploy:
Password: `

var (
	withRight = become.Sudo{Password: connect.Secret(rightPassword)}
	withWrong = become.Sudo{Password: connect.Secret(wrongPassword)}
	withRoots = become.Sudo{Password: connect.Secret(rootPassword)}
)

// sudoCases are the ways in which sudo can ask, get an answer, and refuse. Each hop is made by a
// context at the host, as the user deploy.
var sudoCases = []struct {
	name    string
	sudoers string // "" is the plain rule
	lang    string
	host    func(*lab.Host)
	sudo    become.Sudo
	reason  error  // class of the error wanted; nil if the hop must work
	text    string // text of the tool that the error must have
}{
	{name: "right password", sudo: withRight},
	{name: "wrong password", sudo: withWrong, reason: connect.ErrPassword, text: "ry again"},
	{name: "no password", reason: connect.ErrPasswordRequired},
	{name: "another user", sudo: become.Sudo{User: "carol", Password: withRight.Password}},
	{name: "login shell", sudo: become.Sudo{Login: true, Password: withRight.Password}},
	{name: "kept environment", sudo: become.Sudo{PreserveEnv: true, SetHome: true, Password: withRight.Password},
		sudoers: "deploy ALL=(ALL) SETENV: ALL"},
	{name: "German", lang: "de_DE.UTF-8", sudo: withRight},
	{name: "German, wrong password", lang: "de_DE.UTF-8", sudo: withWrong, reason: connect.ErrPassword},
	{name: "German, no password", lang: "de_DE.UTF-8", reason: connect.ErrPasswordRequired},
	{name: "German, not in sudoers", lang: "de_DE.UTF-8", sudoers: "root ALL=(ALL) ALL",
		sudo: withRight, reason: connect.ErrPermission},
	{name: "Japanese", lang: "ja_JP.UTF-8", sudo: withRight},
	{name: "a prompt of the administrator's", sudoers: "Defaults passprompt=\"Losungswort von %p? \", passprompt_override\ndeploy ALL=(ALL) ALL",
		sudo: withRight},
	{name: "requiretty", sudoers: "Defaults requiretty\ndeploy ALL=(ALL) ALL", sudo: withRight},
	{name: "pwfeedback", sudoers: "Defaults pwfeedback\ndeploy ALL=(ALL) ALL", sudo: withRight},
	{name: "pwfeedback, wrong password", sudoers: "Defaults pwfeedback\ndeploy ALL=(ALL) ALL",
		sudo: withWrong, reason: connect.ErrPassword},
	{name: "use_pty", sudoers: "Defaults use_pty\ndeploy ALL=(ALL) ALL", sudo: withRight},
	{name: "no use_pty", sudoers: "Defaults !use_pty\ndeploy ALL=(ALL) ALL", sudo: withRight},
	{name: "log_output", sudoers: "Defaults log_output\ndeploy ALL=(ALL) ALL", sudo: withRight},
	{name: "log_output, wrong password", sudoers: "Defaults log_output\ndeploy ALL=(ALL) ALL",
		sudo: withWrong, reason: connect.ErrPassword},
	{name: "lecture", sudoers: "Defaults lecture=always, lecture_file=/etc/lecture\ndeploy ALL=(ALL) ALL",
		sudo: withRight},
	{name: "lecture, wrong password", sudoers: "Defaults lecture=always, lecture_file=/etc/lecture\ndeploy ALL=(ALL) ALL",
		sudo: withWrong, reason: connect.ErrPassword},
	{name: "targetpw", sudoers: "Defaults targetpw\ndeploy ALL=(ALL) ALL", sudo: withRoots},
	{name: "targetpw, own password", sudoers: "Defaults targetpw\ndeploy ALL=(ALL) ALL",
		sudo: withRight, reason: connect.ErrPassword},
	{name: "NOPASSWD", sudoers: "deploy ALL=(ALL) NOPASSWD: ALL"},
	{name: "NOPASSWD with a password", sudoers: "deploy ALL=(ALL) NOPASSWD: ALL", sudo: withWrong},
	{name: "not in sudoers", sudoers: "root ALL=(ALL) ALL", sudo: withRight,
		reason: connect.ErrPermission, text: "not in the sudoers file"},
	{name: "not this command", sudoers: "deploy ALL=(ALL) /usr/bin/id", sudo: withRight,
		reason: connect.ErrPermission, text: "not allowed to execute"},
	{name: "unknown target", sudo: become.Sudo{User: "nobody-at-all", Password: withRight.Password},
		reason: connect.ErrBadName, text: "nobody-at-all"},
	{name: "German, unknown target", lang: "de_DE.UTF-8", sudo: become.Sudo{User: "nobody-at-all", Password: withRight.Password},
		reason: connect.ErrBadName, text: "nobody-at-all"},
	{name: "one attempt only", sudoers: "Defaults passwd_tries=1\ndeploy ALL=(ALL) ALL",
		sudo: withWrong, reason: connect.ErrPassword},
	{name: "locked account", host: func(h *lab.Host) { h.Users[0].Locked = true },
		sudo: withRight, reason: connect.ErrPassword},
	{name: "no sudo", host: func(h *lab.Host) { h.Remove = []string{"sudo"} },
		sudo: withRight, reason: connect.ErrStart},
}

// sudoHost is a host on which deploy may do everything.
func sudoHost(sudoers, lang string) lab.Host {
	if sudoers == "" {
		sudoers = "deploy ALL=(ALL) ALL"
	}
	return lab.Host{
		Users: []lab.User{
			{Name: "deploy", Password: rightPassword},
			{Name: "carol"},
			{Name: "root", Password: rootPassword},
		},
		Sudoers: sudoers, Lang: lang,
		Files: map[string]string{"/etc/lecture": lecture},
	}
}

func TestSudoDialogue(t *testing.T) {
	lab.Require(t)
	t.Parallel()
	for _, c := range sudoCases {
		t.Run(c.name, func(t *testing.T) {
			h := sudoHost(c.sudoers, c.lang)
			if c.host != nil {
				c.host(&h)
			}
			host := start(t, h)
			becomes(t, host, c.lang, c.sudo, c.reason, c.text, func(n *contexts.Node) {
				if id := who(t, n); (c.sudo.User == "" || c.sudo.User == "root") != (id.UID == 0) {
					t.Errorf("the context is %+v, want one of user %q", id, c.sudo.User)
				}
				if strings.Contains(c.name, "log_output") {
					linkIsClean(t, n)
				}
			})
		})
	}
}

// becomes makes a hop to another user from a context of deploy's on a host. If reason is nil, the
// hop must work, and check gets the child. Otherwise the error must be of the class reason and
// have a text of the tool. No password may be visible on the host or in the log.
func becomes(t *testing.T, host *lab.Running, lang string, m connect.Method, reason error, text string, check func(*contexts.Node)) {
	t.Helper()
	log, logged := newJournal(t)
	user := enter(t, master(t, &contexts.Config{Log: log}), host, "deploy")
	if lang != "" {
		if env, err := environ.Call(t.Context(), user, struct{}{}); err != nil || !slices.Contains(env, "LANG="+lang) {
			t.Fatalf("the context's environment is %v, error %v, want LANG=%s in it", env, err, lang)
		}
	}
	w := watchFor(t, host, rightPassword, rootPassword, wrongPassword)
	var said string
	if reason == nil {
		check(child(t, user, m))
	} else {
		said = refused(t, user, m, reason, 5*time.Second).Error()
		if !strings.Contains(said, text) {
			t.Errorf("the error is %q, want the tool's own words, %q, in it", said, text)
		}
		if !strings.Contains(said, "lab:"+host.Name()+"/"+m.Label()) {
			t.Errorf("the error is %q, want the path of the hop in it", said)
		}
		who(t, user) // the context of deploy still answers
	}
	w.end(t)
	for _, secret := range []string{rightPassword, rootPassword, wrongPassword} {
		withholds(t, secret, logged.String(), said, fmt.Sprintf("%v %+v %#v", m, m, m))
	}
}

// linkIsClean sends every value of a byte both ways. A terminal between the contexts would
// change some of them.
func linkIsClean(t *testing.T, n *contexts.Node) {
	t.Helper()
	b := make([]byte, 1<<20)
	for i := range b {
		b[i] = byte(i + i>>8)
	}
	got, err := echo.Call(t.Context(), n, b)
	if err != nil || !slices.Equal(got, b) {
		t.Errorf("%d bytes came back, error %v, want the %d that were sent", len(got), err, len(b))
	}
}

// A person gives prepared answers to prompts, and keeps the prompts.
type person struct {
	answers []string

	mu    sync.Mutex
	asked []connect.Prompt
}

var errWalkedAway = errors.New("nobody is there")

func (p *person) prompt(_ context.Context, q connect.Prompt) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = append(p.asked, q)
	if len(p.asked) > len(p.answers) {
		return "", errWalkedAway
	}
	return p.answers[len(p.asked)-1], nil
}

func TestPromptIsAnsweredAtTheMaster(t *testing.T) {
	lab.Require(t)
	t.Parallel()
	for _, c := range []struct {
		name    string
		answers []string
		asked   int
		reason  error
	}{
		{"at once", []string{rightPassword}, 1, nil},
		{"after a mistake", []string{wrongPassword, rightPassword}, 2, nil},
		{"never", []string{wrongPassword, wrongPassword, wrongPassword}, 3, connect.ErrPassword},
		{"nobody there", nil, 1, errWalkedAwayClass},
	} {
		t.Run(c.name, func(t *testing.T) {
			host := start(t, sudoHost("", ""))
			log, logged := newJournal(t)
			p := &person{answers: c.answers}
			user := enter(t, master(t, &contexts.Config{Log: log, Prompt: p.prompt}), host, "deploy")
			// The hop is made one context further down, so that the question travels.
			local := child(t, user, local.Child{})
			path := "lab:" + host.Name() + "/local/sudo:root"
			w := watchFor(t, host, rightPassword, wrongPassword)
			var text string
			if c.reason == nil {
				if id := who(t, child(t, local, become.Sudo{})); id.UID != 0 || id.Path != path {
					t.Errorf("the context is %+v, want root at %s", id, path)
				}
			} else {
				text = refused(t, local, become.Sudo{}, c.reason, 5*time.Second).Error()
			}
			w.end(t)
			withholds(t, rightPassword, text, logged.String())
			withholds(t, wrongPassword, text, logged.String())
			p.mu.Lock()
			defer p.mu.Unlock()
			if len(p.asked) != c.asked {
				t.Fatalf("the person was asked %d times, want %d: %+v", len(p.asked), c.asked, p.asked)
			}
			for i, q := range p.asked {
				if q.Path != path || q.Kind != connect.PromptPassword || q.Attempt != i+1 || q.Echo || !strings.Contains(q.Text, "deploy") {
					t.Errorf("question %d is %+v, want attempt %d at the password of deploy for %s, without echo", i+1, q, i+1, path)
				}
			}
		})
	}
}

// errWalkedAwayClass is the class of the error if nobody has answered the prompt.
var errWalkedAwayClass = connect.ErrPasswordRequired

// If a person takes too long and sudo gives up, the question to the person is withdrawn.
func TestSudoGivesUpWaiting(t *testing.T) {
	lab.Require(t)
	t.Parallel()
	host := start(t, sudoHost("Defaults passwd_timeout=0.02\ndeploy ALL=(ALL) ALL", ""))
	withdrawn := make(chan error, 1)
	self := master(t, &contexts.Config{Prompt: func(ctx context.Context, _ connect.Prompt) (string, error) {
		<-ctx.Done()
		withdrawn <- ctx.Err()
		return "", ctx.Err()
	}})
	user := enter(t, self, host, "deploy")
	refused(t, user, become.Sudo{}, connect.ErrTimeout, 10*time.Second)
	select {
	case <-withdrawn:
	case <-time.After(patience):
		t.Errorf("%v after sudo gave up the question is not withdrawn", patience)
	}
}

// A connect that is cancelled while a person is asked leaves no process.
func TestConnectIsCancelledAtThePrompt(t *testing.T) {
	lab.Require(t)
	t.Parallel()
	cancelAtPrompt(t, start(t, sudoHost("", "")), become.Sudo{})
}

// cancelAtPrompt cancels a hop of deploy's while a person is asked.
func cancelAtPrompt(t *testing.T, host *lab.Running, m connect.Method) {
	t.Helper()
	asked := make(chan struct{})
	self := master(t, &contexts.Config{Prompt: func(ctx context.Context, _ connect.Prompt) (string, error) {
		close(asked)
		<-ctx.Done()
		return "", ctx.Err()
	}})
	user := enter(t, self, host, "deploy")
	before := look(host)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	result := make(chan error, 1)
	go func() {
		_, err := user.Connect(ctx, m)
		result <- err
	}()
	select {
	case <-asked:
	case err := <-result:
		t.Fatalf("the connect ended with %v before a person was asked", err)
	case <-time.After(patience):
		t.Fatalf("after %v nobody was asked, want a question", patience)
	}
	cancel()
	select {
	case err := <-result:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("the cancelled connect ended with %v, want %v", err, context.Canceled)
		}
	case <-time.After(5 * time.Second):
		t.Error("5 s after it was cancelled the connect has not ended")
	}
	before.restored(t, 5*time.Second)
	who(t, user)
}
