package fleet

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/contexts"
)

// Secrets asks the person at the master once for a password that is the same on many hosts,
// such as that of sudo. The first host that asks gets the answer; the others wait until it was
// accepted there, and then get it side by side.
//
//	secrets := fleet.AskOnce(ask)
//	self, err := contexts.Start(ctx, &contexts.Config{Prompt: secrets.Prompt})
//	group, err := fleet.New(self, hosts, &fleet.Config{Secrets: secrets})
//
// No host gets an answer twice before it was connected, so that none locks an account. If the first host refuses it,
// no other gets it at all: they fail with [connect.ErrPassword], as the first does. If another
// host refuses it, only that one fails. If the question has no answer, all hosts that ask fail
// with its error. A host that does not ask, because sudo needs no password there, waits for
// nothing.
//
// The passwords of one method and account are one secret: those of all sudo:root behind logins
// as deploy, or of these logins. Everything else that a hop asks, such as for a passphrase or a
// code, goes to the person each time. There is one question at a time.
//
// ManagedHostConfig.Attempt bounds how long one hop waits for an answer: after that it is made
// anew, and waits again until Policy.ConnectTimeout is over. Members whose Target is connected
// otherwise than by an operation on the group are no proof that an answer is right.
type Secrets struct {
	ask    func(context.Context, connect.Prompt) (string, error)
	asking chan struct{} // has room for one; taken while a person is asked

	mu      sync.Mutex
	secrets map[string]*secret // by account
	changed chan struct{}      // closed and replaced at each change
}

// secret is one password. At any time at most one host tries it, until it is known to be right.
type secret struct {
	answer string
	have   bool            // the person has answered
	trying string          // the path of the host that asks the person, or tries the answer; "" for none
	right  bool            // a host has accepted it
	failed error           // why no host gets it any more
	had    map[string]bool // the paths of hosts that got it and were not connected since
}

// AskOnce returns the Secrets that ask by a function, such as a prompt on a terminal.
func AskOnce(ask func(context.Context, connect.Prompt) (string, error)) *Secrets {
	return &Secrets{ask: ask, asking: make(chan struct{}, 1), secrets: make(map[string]*secret), changed: make(chan struct{})}
}

// Forget makes the next host that asks be the first again, and the person be asked anew: after
// a typing error, for example.
func (s *Secrets) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.secrets)
	s.changeLocked()
}

// Prompt answers the question of a hop. It is for Config.Prompt of the tree.
func (s *Secrets) Prompt(ctx context.Context, p connect.Prompt) (string, error) {
	if p.Kind != connect.PromptPassword {
		return s.askPerson(ctx, p)
	}
	for {
		s.mu.Lock()
		one := s.of(p.Path)
		changed := s.changed
		switch {
		case one.had[p.Path] || p.Attempt > 1:
			if one.trying == p.Path {
				// If the hop asks again, the answer was wrong. If it is made anew, nobody knows.
				if one.trying = ""; p.Attempt > 1 {
					one.fail(fmt.Errorf("%w: %s has refused it, and no other host gets it", connect.ErrPassword, p.Path))
				}
				s.changeLocked()
			}
			s.mu.Unlock()
			return "", fmt.Errorf("%w: no host gets it a second time", connect.ErrPassword)
		case one.failed != nil:
			err := one.failed
			s.mu.Unlock()
			return "", err
		case one.right:
			one.had[p.Path] = true
			answer := one.answer
			s.mu.Unlock()
			return answer, nil
		case one.trying == "":
			one.trying = p.Path
			s.mu.Unlock()
			return s.first(ctx, one, p)
		}
		s.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return "", context.Cause(ctx)
		}
	}
}

// first answers the question of the host that tries the answer first.
func (s *Secrets) first(ctx context.Context, one *secret, p connect.Prompt) (string, error) {
	answer, have := one.answer, one.have // nobody else changes them while this host has its turn
	var err error
	if !have {
		answer, err = s.askPerson(ctx, p)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.changeLocked()
	if err == nil {
		one.answer, one.have = answer, true
	}
	switch {
	case ctx.Err() != nil:
		one.trying = "" // the hop was given up, and not the question: another host has its turn
	case err == nil:
		one.had[p.Path] = true
	default:
		one.fail(err)
	}
	return answer, err
}

// connected is told that the target of a member was connected, or was not. That is how the
// first host's answer is known to be right.
func (s *Secrets) connected(path string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.secrets {
		if err == nil {
			for hop := path; hop != ""; hop = hop[:max(0, strings.LastIndexByte(hop, '/'))] {
				delete(one.had, hop) // if the host is lost and connected again it gets the answer again
			}
		}
		if one.trying == "" || !one.have || path != one.trying && !strings.HasPrefix(path, one.trying+"/") {
			continue
		}
		if path == one.trying && errors.Is(err, connect.ErrPassword) {
			one.fail(fmt.Errorf("%w: %s has refused it, and no other host gets it", connect.ErrPassword, path))
		} else {
			one.right, one.trying = err == nil, "" // after another error the next host tries it
		}
		s.changeLocked()
	}
}

func (one *secret) fail(err error) { one.failed, one.trying, one.answer = err, "", "" }

// of returns the secret for a question. The caller holds mu.
func (s *Secrets) of(path string) *secret {
	key := account(path)
	if s.secrets[key] == nil {
		s.secrets[key] = &secret{had: make(map[string]bool)}
	}
	return s.secrets[key]
}

// account names the account whose password the last hop of a path asks for, and the hop: it is
// the same for ssh:deploy@web1/sudo:root and ssh:deploy@web2/sudo:root.
func account(path string) string {
	hops := strings.Split(path, "/")
	hops = hops[max(0, len(hops)-2):]
	for i, hop := range hops {
		method, rest, _ := strings.Cut(hop, ":")
		switch method {
		case "ssh", "openssh":
			user, _, hasUser := strings.Cut(rest, "@")
			if !hasUser {
				user = ""
			}
			hops[i] = method + ":" + user + "@"
		case "sudo", "su", "doas":
		default:
			if i < len(hops)-1 {
				hops[i] = method // such as a container, which has another name on each host
			}
		}
	}
	return strings.Join(hops, "/")
}

// askPerson asks the person, one question at a time.
func (s *Secrets) askPerson(ctx context.Context, p connect.Prompt) (string, error) {
	select {
	case s.asking <- struct{}{}:
		defer func() { <-s.asking }()
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
	return s.ask(ctx, p)
}

func (s *Secrets) changeLocked() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// connect returns the node of a member, which it connects if need be.
func (m *Member) connect(ctx context.Context) (*contexts.Node, error) {
	n, err := contexts.NodeOf(ctx, m.target)
	if m.secrets != nil {
		m.secrets.connected(m.target.String(), err)
	}
	return n, err
}
