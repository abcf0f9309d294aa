package fleet

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/mitosis-go/mitosis/connect"
)

// sudoers are hosts whose sudo asks by Secrets, as hops do, without the hops.
type sudoers struct {
	secrets *Secrets
	mu      sync.Mutex
	tried   map[string]int // how often a host got an answer
	errs    map[string]error
}

// connect is a hop to a host where a password is right, which is "" if sudo asks for none.
func (s *sudoers) connect(ctx context.Context, host, password string) {
	path := "ssh:deploy@" + host + "/sudo:root"
	err := error(nil)
	for attempt := 1; password != ""; attempt++ {
		var answer string
		answer, err = s.secrets.Prompt(ctx, connect.Prompt{Kind: connect.PromptPassword, Path: path, Attempt: attempt})
		if err != nil {
			break
		}
		s.mu.Lock()
		s.tried[host]++
		s.mu.Unlock()
		if answer == password {
			break
		}
	}
	s.secrets.connected(path, err)
	s.mu.Lock()
	s.errs[host] = err
	s.mu.Unlock()
}

// all connects hosts at once: h1 first, so that it is the first to ask.
func (s *sudoers) all(ctx context.Context, passwords ...string) {
	s.tried, s.errs = make(map[string]int), make(map[string]error)
	var running sync.WaitGroup
	for i, p := range passwords {
		running.Go(func() { s.connect(ctx, fmt.Sprintf("h%d", i+1), p) })
		synctest.Wait()
	}
	running.Wait()
}

func TestOnePasswordForMany(t *testing.T) {
	cancelled := errors.New("the person has pressed Ctrl-C")
	for name, c := range map[string]struct {
		answer    string
		err       error
		passwords []string
		tried     string // how often each host got an answer
		fails     string // which hosts fail
		asked     int
		class     error
	}{
		"right":                 {"pw", nil, []string{"pw", "pw", "pw"}, "111", "", 1, nil},
		"wrong everywhere":      {"typo", nil, []string{"pw", "pw", "pw"}, "100", "123", 1, connect.ErrPassword},
		"wrong on one":          {"pw", nil, []string{"pw", "other", "pw", "pw", "pw"}, "11111", "2", 1, connect.ErrPassword},
		"one does not ask":      {"pw", nil, []string{"", "pw", "pw"}, "011", "", 1, nil},
		"none asks":             {"pw", nil, []string{"", ""}, "00", "", 0, nil},
		"the question is ended": {"", cancelled, []string{"pw", "pw", "pw"}, "000", "123", 1, cancelled},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				asked := 0
				s := &sudoers{secrets: AskOnce(func(context.Context, connect.Prompt) (string, error) {
					asked++
					return c.answer, c.err
				})}
				s.all(t.Context(), c.passwords...)
				tried, fails := "", ""
				for i := range c.passwords {
					host := fmt.Sprintf("h%d", i+1)
					tried += fmt.Sprint(s.tried[host])
					if err := s.errs[host]; err != nil {
						fails += fmt.Sprint(i + 1)
						if !errors.Is(err, c.class) {
							t.Errorf("%s fails with %v, want %v", host, err, c.class)
						}
					}
				}
				if tried != c.tried || fails != c.fails || asked != c.asked {
					t.Errorf("hosts got %s answers, %q failed, after %d questions; want %s, %q, %d", tried, fails, asked, c.tried, c.fails, c.asked)
				}
			})
		})
	}
}

// A host that is lost gets the answer again; one that had it and was never connected does not,
// and does not keep the others from it.
func TestAnswersAfterALoss(t *testing.T) {
	asked := 0
	s := AskOnce(func(context.Context, connect.Prompt) (string, error) { asked++; return "pw", nil })
	prompt := func(host string) error {
		_, err := s.Prompt(t.Context(), connect.Prompt{Kind: connect.PromptPassword, Path: "ssh:" + host + "/sudo:root", Attempt: 1})
		return err
	}
	if err := prompt("a"); err != nil {
		t.Fatal(err)
	}
	if err := prompt("a"); !errors.Is(err, connect.ErrPassword) {
		t.Errorf("a hop that is made anew: %v, want ErrPassword, as the first may have been refused", err)
	}
	s.connected("ssh:a/sudo:root", errors.New("the link is down"))
	if err := prompt("b"); err != nil {
		t.Errorf("the next host: %v, want the answer", err)
	}
	s.connected("ssh:b/sudo:root/docker:x", nil)
	for _, host := range []string{"b", "c"} {
		if err := prompt(host); err != nil {
			t.Errorf("host %s, once b was connected: %v, want the answer", host, err)
		}
	}
	if asked != 1 {
		t.Errorf("%d questions were asked, want 1", asked)
	}
	s.Forget()
	if err := prompt("a"); err != nil || asked != 2 {
		t.Errorf("after Forget: %v, %d questions; want the answer, and another question", err, asked)
	}
}

// A hop that gives up takes its question with it, and not that of others.
func TestAskerGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		s := &sudoers{secrets: AskOnce(func(ctx context.Context, _ connect.Prompt) (string, error) {
			if asked++; asked > 1 {
				return "pw", nil
			}
			<-ctx.Done()
			return "", ctx.Err()
		})}
		s.tried, s.errs = make(map[string]int), make(map[string]error)
		first, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { s.connect(first, "h1", "pw") })
		synctest.Wait()
		running.Go(func() { s.connect(t.Context(), "h2", "pw") })
		synctest.Wait()
		cancel()
		running.Wait()
		if s.errs["h1"] == nil || s.errs["h2"] != nil || asked != 2 {
			t.Errorf("h1: %v, h2: %v, after %d questions; want that h2 asks in place of h1", s.errs["h1"], s.errs["h2"], asked)
		}
	})
}

func TestAccounts(t *testing.T) {
	for path, want := range map[string]string{
		"ssh:deploy@web1/sudo:root": "ssh:deploy@/sudo:root", "ssh:bastion/ssh:deploy@web1:22/sudo:root": "ssh:deploy@/sudo:root",
		"ssh:web1": "ssh:@", "sudo:root": "sudo:root", "ssh:a/docker:web7/su:root": "docker/su:root", "ssh:b@a/ssh:deploy@x": "ssh:b@/ssh:deploy@",
	} {
		if got := account(path); got != want {
			t.Errorf("the account of %s is %s, want %s", path, got, want)
		}
	}
}
