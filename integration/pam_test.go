//go:build linux

package integration

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/become"
	"github.com/mitosis-go/mitosis/connect/openssh"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/integration/lab"
)

// pamModule is the path at which hosts have the module of testdata/pam.
const pamModule = "/opt/lab/pam_lab.so"

// compiledPAM compiles that module, and returns its path on the machine.
var compiledPAM = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "pam")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "lab.so")
	out, err := exec.Command("gcc", "-shared", "-fPIC", "-o", file, "testdata/pam/lab.c", "-lpam").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	module, err := os.ReadFile(file)
	return string(module), err
})

// withPAM gives services of a host an authentication of their own: lines of
// pam.conf(5) in which LAB is the module of testdata/pam.
func withPAM(t *testing.T, h lab.Host, lines string, services ...string) lab.Host {
	t.Helper()
	lab.Require(t)
	module, err := compiledPAM()
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{pamModule: module}
	for path, content := range h.Files {
		files[path] = content
	}
	lines = strings.ReplaceAll(lines, "UNIX", "pam_unix.so nodelay")
	lines = strings.ReplaceAll(lines, "LAB", pamModule)
	for _, service := range services {
		files["/etc/pam.d/"+service] = lines + "account required pam_permit.so\nsession required pam_permit.so\n"
	}
	h.Files = files
	return h
}

// A factor is a question of PAM and its answer.
type factor struct {
	line   string // of pam.conf
	text   string // of the question; "" for the password
	echo   bool
	answer string
}

var (
	passwordFactor = factor{line: "auth required UNIX"}
	codeFactor     = factor{"auth required LAB [hidden=Verification code: ] want=424242", "Verification code: ", false, "424242"}
	duoFactor      = factor{"auth required LAB [info=Duo two-factor login for deploy] [info= 1. Duo Push] [echo=Passcode or option (1-2): ] want=1",
		"Passcode or option (1-2): ", true, "1"}
	pinFactor = factor{"auth required LAB hidden=PIN> want=0815", "PIN>", false, "0815"}
)

// factorCases are series of one to four questions. The first ones are usual on real systems.
var factorCases = [][]factor{
	{codeFactor, passwordFactor},
	{passwordFactor, duoFactor},
	{passwordFactor, codeFactor, pinFactor, duoFactor},

	{passwordFactor},
	{codeFactor},
	{duoFactor},
	{passwordFactor, codeFactor},
	{duoFactor, passwordFactor},
	{passwordFactor, duoFactor, codeFactor},
	{duoFactor, codeFactor, passwordFactor},
	{pinFactor, passwordFactor, duoFactor, codeFactor},
}

const factorCasesDaily = 3

// A pamWay is a hop of the user deploy that PAM authenticates.
type pamWay struct {
	name    string
	service string
	hop     func(t *testing.T, host *lab.Running, password string) (parent func(*contexts.Config) *contexts.Node, m connect.Method)
}

func fromInside(m func(password connect.Secret) connect.Method) func(*testing.T, *lab.Running, string) (func(*contexts.Config) *contexts.Node, connect.Method) {
	return func(t *testing.T, host *lab.Running, password string) (func(*contexts.Config) *contexts.Node, connect.Method) {
		return func(cfg *contexts.Config) *contexts.Node { return enter(t, master(t, cfg), host, "deploy") }, m(connect.Secret(password))
	}
}

var pamWays = []pamWay{
	{"sudo", "sudo", fromInside(func(p connect.Secret) connect.Method { return become.Sudo{Password: p} })},
	{"su", "su", fromInside(func(p connect.Secret) connect.Method { return become.Su{User: "deploy", Password: p} })},
	{"doas", "doas", fromInside(func(p connect.Secret) connect.Method { return become.Doas{Password: p} })},
	{"ssh", "sshd", func(t *testing.T, host *lab.Running, password string) (func(*contexts.Config) *contexts.Node, connect.Method) {
		return func(cfg *contexts.Config) *contexts.Node { return master(t, cfg) },
			withPassword(reach(t, host, "deploy"), connect.Secret(password))
	}},
	{"openssh", "sshd", func(t *testing.T, host *lab.Running, password string) (func(*contexts.Config) *contexts.Node, connect.Method) {
		return func(cfg *contexts.Config) *contexts.Node { return enter(t, master(t, cfg), host, "carol") },
			openssh.Login{Host: "127.0.0.1", User: "deploy", Password: connect.Secret(password),
				HostKeys: connect.InsecureIgnoreHostKeys, ConfigFile: "/dev/null", Options: []string{"PubkeyAuthentication=no"}}
	}},
}

// pamHost makes a host on which deploy's pamWays are authenticated by the factors.
func pamHost(t *testing.T, factors []factor) *lab.Running {
	t.Helper()
	var lines strings.Builder
	for _, f := range factors {
		fmt.Fprintln(&lines, f.line)
	}
	return start(t, withPAM(t, pamPlain(), lines.String(), "sudo", "su", "doas", "sshd"))
}

func pamPlain() lab.Host {
	return lab.Host{
		Users: []lab.User{{Name: "deploy", Password: rightPassword}, {Name: "carol", Password: rightPassword}, {Name: "root", Password: rootPassword}},
		Files: map[string]string{"/etc/doas.conf": "permit deploy\n"}, Sudoers: "deploy ALL=(ALL) ALL",
		SSHD: &lab.SSHD{Config: []string{"KbdInteractiveAuthentication yes", "PasswordAuthentication no"}},
	}
}

// answering is a person who knows the answers to the factors.
type answering struct {
	factors  []factor
	password string // "" if the program has it

	mu    sync.Mutex
	asked []connect.Prompt
}

func (a *answering) ask(_ context.Context, q connect.Prompt) (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked = append(a.asked, q)
	for _, f := range a.factors {
		if f.text != "" && strings.HasSuffix(strings.TrimSpace(q.Text), strings.TrimSpace(f.text)) {
			return f.answer, nil
		}
	}
	if q.Kind == connect.PromptPassword && a.password != "" {
		return a.password, nil
	}
	return "", errWalkedAway
}

// A person gets each question of PAM once and in PAM's words, in any order, with answers that are
// shown or hidden. None of them says that an answer was wrong. The program's password goes only
// to the question for it.
func TestEachQuestionOfPAMIsAsked(t *testing.T) {
	t.Parallel()
	cases := factorCases
	if testing.Short() {
		cases = cases[:factorCasesDaily]
	}
	for _, factors := range cases {
		var names []string
		for _, f := range factors {
			names = append(names, strings.Trim(f.text, " :>")+map[bool]string{true: "password"}[f.text == ""])
		}
		t.Run(strings.Join(names, ","), func(t *testing.T) {
			t.Parallel()
			host := pamHost(t, factors)
			for _, w := range pamWays {
				for _, given := range []string{rightPassword, ""} {
					t.Run(fmt.Sprintf("%s, password given: %v", w.name, given != ""), func(t *testing.T) {
						a := &answering{factors: factors}
						if given == "" {
							a.password = rightPassword
						}
						parent, m := w.hop(t, host, given)
						who(t, child(t, parent(&contexts.Config{Prompt: a.ask}), m))
						var want []factor
						for _, f := range factors {
							if f.text != "" || given == "" {
								want = append(want, f)
							}
						}
						if len(a.asked) != len(want) {
							t.Fatalf("the person was asked %+v, want %+v", a.asked, want)
						}
						for i, q := range a.asked {
							if q.Attempt != 1 || q.Echo != want[i].echo || !strings.Contains(q.Text, strings.TrimSpace(want[i].text)) ||
								(q.Kind == connect.PromptPassword) != (want[i].text == "") {
								t.Errorf("question %d is %+v, want a first attempt at %+v", i+1, q, want[i])
							}
						}
					})
				}
			}
		})
	}
}

// If nobody can answer a second question, the error does not call the right password wrong, and
// names the question. There is only one try, because several would lock the account.
func TestASecondQuestionThatNobodyAnswers(t *testing.T) {
	t.Parallel()
	for _, f := range []factor{codeFactor, duoFactor, pinFactor} {
		t.Run(strings.Trim(f.text, " :>"), func(t *testing.T) {
			t.Parallel()
			first := "auth required LAB note=/run/tries\nauth required UNIX\n"
			host := start(t, withPAM(t, pamPlain(), first+f.line+"\n", "sudo", "su", "doas", "sshd"))
			for _, w := range pamWays {
				t.Run(w.name, func(t *testing.T) {
					_, _ = host.Exec(t.Context(), "rm", "-f", "/run/tries")
					parent, m := w.hop(t, host, rightPassword)
					err := refused(t, parent(nil), m, connect.ErrPasswordRequired, 20*time.Second)
					if errors.Is(err, connect.ErrPassword) || !strings.Contains(err.Error(), strings.TrimSpace(f.text)) {
						t.Errorf("the error is %v, want one that names the question %q and does not call the password wrong", err, strings.TrimSpace(f.text))
					}
					withholds(t, rightPassword, err.Error())
					if tries, err := host.Exec(t.Context(), "cat", "/run/tries"); err != nil || tries != "called\n" {
						t.Errorf("the stack has run %q, error %v, want it called once", tries, err)
					}
				})
			}
		})
	}
}

// A reader keeps the notices of hops, as a person would read them.
type reader struct {
	mu   sync.Mutex
	seen []connect.Notice // guarded by mu
}

func (r *reader) notify(_ context.Context, n connect.Notice) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = append(r.seen, n)
}

// has reports whether a hop whose path ends in path has sent a notice with a text.
func (r *reader) has(text, path string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range r.seen {
		if strings.Contains(n.Text, text) && strings.HasSuffix(n.Path, path) {
			return true
		}
	}
	return false
}

// A person gets a text of PAM that asks nothing while the hop still waits, and also a text that
// comes right before the far side begins.
func TestAPersonSeesWhatPAMTells(t *testing.T) {
	t.Parallel()
	const lines = `auth required UNIX
auth required LAB [info=Pushed a login request to your telephone] [err=Please touch the device] [hidden=Verification code: ] want=424242
account required LAB [info=Your account expires in 3 days]
`
	host := start(t, withPAM(t, pamPlain(), lines, "sudo", "su", "doas", "sshd"))
	for _, w := range pamWays {
		t.Run(w.name, func(t *testing.T) {
			seen := new(reader)
			parent, m := w.hop(t, host, rightPassword)
			path := m.Label()
			node := parent(&contexts.Config{Notify: seen.notify, Prompt: func(_ context.Context, q connect.Prompt) (string, error) {
				for _, text := range []string{"Pushed a login request", "touch the device"} {
					if !seen.has(text, path) {
						t.Errorf("when the code was asked there was no notice %q, want it before", text)
					}
				}
				if strings.Contains(q.Text, "Pushed") {
					t.Errorf("the question is %q, want it without the text of the notice", q.Text)
				}
				return "424242", nil
			}})
			who(t, child(t, node, m))
			eventually(t, patience, "the notice about the account", func() bool { return seen.has("expires in 3 days", path) })
			withholds(t, rightPassword, fmt.Sprint(seen.seen))
		})
	}
}

// If the program takes no notices, PAM's text is in the log and in the question.
func TestWhatPAMTellsIsLogged(t *testing.T) {
	t.Parallel()
	host := pamHost(t, []factor{passwordFactor, duoFactor})
	for _, m := range []connect.Method{
		become.Su{User: "deploy", Password: connect.Secret(rightPassword)}, become.Doas{Password: connect.Secret(rightPassword)},
	} {
		log, logged := newJournal(t)
		a := &answering{factors: []factor{duoFactor}}
		node := enter(t, master(t, &contexts.Config{Log: log, Prompt: a.ask}), host, "deploy")
		who(t, child(t, node, m))
		if len(a.asked) != 1 || !strings.Contains(a.asked[0].Text, "1. Duo Push\nPasscode") {
			t.Errorf("%s: the person was asked %+v, want one question that begins with PAM's text", m.Label(), a.asked)
		}
		eventually(t, patience, "a record with PAM's text", func() bool {
			return strings.Contains(logged.String(), `text="Duo two-factor login for deploy"`)
		})
	}
}

// The variable that sets sudo's prompt does not reach the far side.
func TestTheFarSideHasNoPromptOfOurs(t *testing.T) {
	t.Parallel()
	host := start(t, sudoHost("deploy ALL=(ALL) SETENV: NOPASSWD: ALL", ""))
	node := enter(t, master(t, nil), host, "deploy")
	for _, m := range []become.Sudo{{PreserveEnv: true}, {}, {Login: true}} {
		env, err := environ.Call(t.Context(), child(t, node, m), struct{}{})
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range env {
			if strings.HasPrefix(v, "SUDO_PROMPT=") {
				t.Errorf("behind %+v the environment has %s, want no prompt of ours", m, v)
			}
		}
	}
}
