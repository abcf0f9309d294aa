//go:build unix

package ssh

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/internal/connecttest"
	"github.com/mitosis-go/mitosis/connect/internal/sshtest"
)

// A person is asked about a new host. Yes and the fingerprint add it, everything else refuses it.
func TestPersonDecidesAboutANewHost(t *testing.T) {
	connecttest.CheckLeaks(t)
	server := sshtest.Start(t, nil)
	fingerprint := ssh.FingerprintSHA256(server.Host.PublicKey())
	for _, c := range []struct {
		answers []string
		asked   int
		want    error
	}{
		{[]string{"yes"}, 1, nil},
		{[]string{" YES "}, 1, nil},
		{[]string{fingerprint}, 1, nil},
		{[]string{"what?", "y", "yes"}, 3, nil},
		{[]string{"no"}, 1, connect.ErrHostKeyUnknown},
		{[]string{""}, 1, connect.ErrHostKeyUnknown},
		{[]string{"SHA256:AAAA", "no"}, 2, connect.ErrHostKeyUnknown},
		{[]string{strings.ToLower(fingerprint), "no"}, 2, connect.ErrHostKeyUnknown},
		{[]string{"tiger", "tiger", "tiger"}, 3, connect.ErrHostKeyUnknown},
		{[]string{}, 1, connect.ErrHostKeyUnknown}, // nobody is at home
	} {
		t.Run(fmt.Sprint(c.answers), func(t *testing.T) {
			s := methodFor(t, server)
			known := connecttest.WriteFile(t, filepath.Join(t.TempDir(), "known_hosts"), knownHostLine("elsewhere,192.0.2.7", server.Host.PublicKey(), false)+
				knownHostLine("secret", server.Host.PublicKey(), true), 0o600)
			s.KnownHostsFiles, s.HostKeys = []string{known}, connect.HostKeysAsk
			e := testEnv("")
			person := &connecttest.Person{Answers: c.answers}
			e.Prompt = person.Answer
			if c.want == nil {
				mustRun(t, s, e)
				s.HostKeys = connect.HostKeysStrict
				mustRun(t, s, nil) // it is known from now on
			} else if _, err := dialSSH(t, s, e); !errors.Is(err, c.want) || errors.Is(err, connect.ErrPasswordRequired) {
				t.Errorf("error %v, want %q", err, c.want)
			}
			if len(person.Asked) != c.asked {
				t.Fatalf("asked %d times, want %d", len(person.Asked), c.asked)
			}
			q := person.Asked[0]
			for _, part := range []string{"[127.0.0.1]:", "ssh-ed25519 " + fingerprint, known + ":1: elsewhere,192.0.2.7", known + ":2: a name that is hashed"} {
				if !strings.Contains(q.Text, part) {
					t.Errorf("the question %q lacks %q", q.Text, part)
				}
			}
			if q.Kind != connect.PromptHostKey || !q.Echo || q.Path != s.Label() || q.Attempt != 1 {
				t.Errorf("the question is %+v, want one of the kind %d by %s that shows its answer", q, connect.PromptHostKey, s.Label())
			}
		})
	}
}

// Nobody is asked where nobody can be, where the configuration says so, or about a key that has
// changed.
func TestHostKeysThatNobodyIsAskedAbout(t *testing.T) {
	connecttest.CheckLeaks(t)
	server := sshtest.Start(t, nil)
	other, _ := sshtest.NewKey(t)
	for _, c := range []struct {
		name    string
		options []string
		policy  connect.HostKeyPolicy
		known   string
		person  bool
		want    error
	}{
		{"nobody there", nil, connect.HostKeysAsk, "", false, connect.ErrHostKeyUnknown},
		{"strict by the program", nil, connect.HostKeysStrict, "", true, connect.ErrHostKeyUnknown},
		{"strict by the option", []string{"StrictHostKeyChecking=yes"}, connect.HostKeysAsk, "", true, connect.ErrHostKeyUnknown},
		{"batch", []string{"BatchMode=yes"}, connect.HostKeysAsk, "", true, connect.ErrHostKeyUnknown},
		{"accepted by the option", []string{"StrictHostKeyChecking=accept-new"}, connect.HostKeysAsk, "", true, nil},
		{"changed", nil, connect.HostKeysAsk, knownHostLine(knownHostName("127.0.0.1", server.Port()), other.PublicKey(), false), true, connect.ErrHostKeyChanged},
		{"revoked", nil, connect.HostKeysAsk, "@revoked " + knownHostLine("*", server.Host.PublicKey(), false), true, ErrHostKeyRevoked},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := methodFor(t, server)
			s.KnownHostsFiles = []string{connecttest.WriteFile(t, filepath.Join(t.TempDir(), "known_hosts"), c.known, 0o600)}
			s.HostKeys, s.Options = c.policy, c.options
			e, person := testEnv(""), &connecttest.Person{Answers: []string{"yes"}}
			if c.person {
				e.Prompt = person.Answer
			}
			if c.want == nil {
				mustRun(t, s, e)
			} else if _, err := dialSSH(t, s, e); !errors.Is(err, c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
			if len(person.Asked) > 0 {
				t.Errorf("somebody was asked: %+v", person.Asked)
			}
		})
	}
}

// Connections that meet a new host at the same time ask one question between them.
func TestOneQuestionForManyConnectionsToANewHost(t *testing.T) {
	connecttest.CheckLeaks(t)
	signer, _ := sshtest.NewKey(t)
	name := filepath.Join(t.TempDir(), "known_hosts")
	var asked atomic.Int32
	var ready, done sync.WaitGroup
	ready.Add(16)
	for range 16 {
		done.Go(func() {
			v, err := newHostVerifier(t.Context(), &settings{host: "web", port: 22, hostKeys: connect.HostKeysAsk, userKnownHosts: []string{name}})
			if err != nil {
				t.Error(err)
			}
			v.ask = func(context.Context, connect.Prompt) (string, error) { asked.Add(1); return "yes", nil }
			ready.Done()
			ready.Wait() // all of them have read the file
			if err := v.check("", nil, signer.PublicKey()); err != nil {
				t.Error(err)
			}
		})
	}
	done.Wait()
	text, err := os.ReadFile(name)
	if asked.Load() != 1 || strings.Count(string(text), "\n") != 1 {
		t.Errorf("%d questions and the file %q, %v; want one question and one line", asked.Load(), text, err)
	}
}

// The time that a person takes is none of the host's.
func TestConnectTimeoutDoesNotBoundAPerson(t *testing.T) {
	connecttest.CheckLeaks(t)
	server := sshtest.Start(t, nil)
	s := methodFor(t, server)
	s.KnownHostsFiles, s.HostKeys, s.ConnectTimeout = []string{filepath.Join(t.TempDir(), "known_hosts")}, connect.HostKeysAsk, 2*time.Second
	e := testEnv("")
	e.Prompt = func(ctx context.Context, _ connect.Prompt) (string, error) {
		thinking, cancel := context.WithTimeout(ctx, 2*s.ConnectTimeout)
		defer cancel()
		<-thinking.Done()
		return "yes", ctx.Err()
	}
	mustRun(t, s, e)
}

// A question ends with the connect.
func TestQuestionAboutAHostEndsWithItsConnect(t *testing.T) {
	connecttest.CheckLeaks(t)
	server := sshtest.Start(t, nil)
	s := methodFor(t, server)
	s.KnownHostsFiles, s.HostKeys = []string{filepath.Join(t.TempDir(), "known_hosts")}, connect.HostKeysAsk
	ctx, cancel := context.WithCancel(t.Context())
	e := testEnv("")
	e.Prompt = func(ctx context.Context, _ connect.Prompt) (string, error) {
		cancel()
		<-ctx.Done()
		return "yes", nil
	}
	if _, err := s.openFrom(ctx, e, testPlaces(t)); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %q", err, context.Canceled)
	}
	if _, err := os.Stat(s.KnownHostsFiles[0]); err == nil {
		t.Error("the answer that came too late was taken")
	}
}
