//go:build linux

package integration

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	cryptossh "golang.org/x/crypto/ssh"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/local"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/integration/lab"
)

// by walks a hop path from a context, with settings for its ssh hops.
func by(t *testing.T, from *contexts.Node, path string, set connect.SSHSettings) (*contexts.Node, error) {
	t.Helper()
	hops, err := connect.ParsePath(path)
	if err != nil {
		t.Fatal(err)
	}
	if hops, err = set.Apply(hops); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for _, hop := range hops {
		if from, err = from.Connect(ctx, hop); err != nil {
			return nil, err
		}
	}
	return from, nil
}

// What is said behind -l, -p, -i, -F and -o holds for every ssh hop, by our client and by the ssh
// program, and a hop that says it itself keeps its own.
func TestSSHSettingsOfACommand(t *testing.T) {
	t.Parallel()
	s := newSSHStage(t, "AcceptEnv LC_MARK")
	ip, at := s.server.IP(), port(t, s.server)
	keyed := func(more ...string) connect.SSHSettings {
		return connect.SSHSettings{User: "alice", Port: at, IdentityFiles: []string{fileKey}, ConfigFile: "none",
			Options: append([]string{"UserKnownHostsFile=" + knownRight, "IdentitiesOnly yes", "SetEnv=LC_MARK=here"}, more...)}
	}
	for _, word := range []string{"ssh:", "openssh:"} {
		me := enter(t, master(t, nil), s.client, "me")
		for _, c := range []struct {
			name, target string
			set          connect.SSHSettings
			want         error  // nil: it must work
			text         string // in the error
		}{
			{"all of them", ip, keyed(), nil, ""},
			{"the hop has its own", fmt.Sprintf("alice@%s:%d?key=[%s]", ip, at, fileKey),
				connect.SSHSettings{User: "mallory", Port: 1, IdentityFiles: []string{fileStranger}, ConfigFile: "none", Options: []string{"UserKnownHostsFile=" + knownRight}}, nil, ""},
			{"options of the hop come first", ip + "?UserKnownHostsFile=[" + knownRight + "]", keyed("UserKnownHostsFile=" + knownNone), nil, ""},
			{"another known_hosts", ip + "?UserKnownHostsFile=[" + knownNone + "]", keyed(), connect.ErrHostKeyUnknown, ""},
			{"accepted by an option", ip + "?UserKnownHostsFile=[/home/me/new]", keyed("StrictHostKeyChecking=accept-new"), nil, ""},
			{"nobody is asked", ip + "?PubkeyAuthentication=no", keyed("BatchMode=yes"), nil, ""},
			{"a keyword that there is none of", ip, keyed("NoSuchKeyword=1"), connect.ErrStart, "nosuchkeyword"},
			{"no algorithm", ip, keyed("Ciphers=none-of-these"), connect.ErrStart, ""},
		} {
			t.Run(word+c.name, func(t *testing.T) {
				n, err := by(t, me, word+c.target, c.set)
				switch {
				case c.name == "nobody is asked":
					if !errors.Is(err, connect.ErrPermission) && !errors.Is(err, connect.ErrPasswordRequired) {
						t.Errorf("error %v, want one that nobody is let in without a password", err)
					}
				case c.want == nil && err != nil:
					t.Errorf("error %v, want none", err)
				case c.want == nil:
					if id := who(t, n); id.Host != s.server.Name() {
						t.Errorf("the context is %+v, want one on %s", id, s.server.Name())
					}
				case !errors.Is(err, c.want) || !strings.Contains(strings.ToLower(err.Error()), c.text):
					t.Errorf("error %v, want %q with %q", err, c.want, c.text)
				}
			})
		}
	}
}

// A person decides about the key of a new host, by our client as by the ssh program: the same
// answers have the same end, and leave the same in known_hosts.
func TestQuestionAboutANewHost(t *testing.T) {
	t.Parallel()
	s := newSSHStage(t)
	key := s.server.HostKeys()[0]
	fingerprint := cryptossh.FingerprintSHA256(key)
	line := strings.TrimSpace(string(cryptossh.MarshalAuthorizedKey(key)))
	elsewhere := "elsewhere.example " + line + "\n"
	for _, client := range sshClients {
		for i, c := range []struct {
			answers []string
			asked   int
			taken   bool
		}{
			{[]string{"yes"}, 1, true},
			{[]string{fingerprint}, 1, true},
			{[]string{"y", "Yes"}, 2, true},
			{[]string{"no"}, 1, false},
			{[]string{"SHA256:AAAA", "no"}, 2, false},
			{[]string{""}, 1, false},
			{nil, 1, false}, // the person has left
		} {
			t.Run(fmt.Sprintf("%s/%q", client.name, c.answers), func(t *testing.T) {
				p := &person{answers: c.answers}
				seen := new(reader)
				me := enter(t, master(t, &contexts.Config{Prompt: p.prompt, Notify: seen.notify}), s.client, "me")
				known := fmt.Sprintf("/home/me/known_%s_%d", client.name, i)
				if out, err := s.client.ExecAs(t.Context(), "me", "sh", "-c", "cat >"+known+" <<'E'\n"+elsewhere+"E"); err != nil {
					t.Fatal(err, out)
				}
				h := sshHop{key: fileKey, known: known, policy: connect.HostKeysAsk}.withDefaults(t, s)
				hop := client.hop(s, t, h)
				if c.taken {
					who(t, child(t, me, hop))
				} else {
					refused(t, me, hop, connect.ErrHostKeyUnknown, 8*time.Second)
				}
				want := 0
				if c.taken {
					want = 1
				}
				if text := fileAt(t, me, known); strings.Count(text, line) != 1+want || !strings.HasPrefix(text, elsewhere) {
					t.Errorf("known_hosts has %q, want %d lines more with the key", text, want)
				}
				p.mu.Lock()
				defer p.mu.Unlock()
				if len(p.asked) != c.asked {
					t.Fatalf("asked %d times, want %d: %+v", len(p.asked), c.asked, p.asked)
				}
				for n, q := range p.asked {
					if q.Kind != connect.PromptHostKey || !q.Echo || q.Path != me.String()+"/"+hop.Label() || q.Attempt != n+1 {
						t.Errorf("question %d is %+v, want one about a host key by %s/%s that shows its answer", n+1, q, me, hop.Label())
					}
				}
				for _, part := range []string{fingerprint, s.server.IP(), ":1: elsewhere.example"} {
					if text := p.asked[0].Text; !strings.Contains(text, part) && !seen.has(part, hop.Label()) {
						t.Errorf("the person is not told %q, but asked %q", part, text)
					}
				}
				if !c.taken {
					return
				}
				h.policy = connect.HostKeysStrict
				who(t, child(t, me, client.hop(s, t, h))) // it is known from now on
			})
		}
	}
}

// Containers are started, and trees and namespaces entered, by words alone.
func TestHopWordsOfContainers(t *testing.T) {
	lab.Require(t)
	t.Parallel()
	host := start(t, lab.Host{Cgroups: true, Setup: []string{withTree(t), podmanSetup, startDocker, "mount -t proc proc /srv/tree/proc"}})
	root := enter(t, master(t, nil), host, "root")
	const env = "arg=--env=GORACE=" + quickEnd
	for path, uid := range map[string]int{
		"podman:base?run&" + env:                                              0,
		"podman:[localhost/base:latest]?run&user=3000:3000&" + env:            3000,
		"podman:web?user=app&" + env:                                          3000,
		"podman:base?run&" + env + "/su:app":                                  3000,
		"docker:base?run&arg=--network=none&host=[unix:///run/d.sock]&" + env: 0,
		"docker:web?user=app&host=[unix:///run/d.sock]&" + env:                3000,
		"chroot:[/srv/tree]?user=app":                                         3000,
		"unshare?mount&uts/chroot:[/srv/tree]":                                0,
		"nsenter:podman:web?mount&uts":                                        0,
	} {
		t.Run(path, func(t *testing.T) {
			from := child(t, root, local.Child{}) // all hops of the path end with it
			n, err := by(t, from, path, connect.SSHSettings{})
			if err != nil {
				t.Fatal(err)
			}
			if id := who(t, n); id.UID != uid {
				t.Errorf("the context is %+v, want the uid %d", id, uid)
			}
			if err := from.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	for _, list := range []string{"podman ps -aq --filter name=mitosis", "docker -H unix:///run/d.sock ps -aq --filter name=mitosis"} {
		eventually(t, patience, "no container of ours is left", func() bool {
			out, err := host.Exec(t.Context(), "sh", "-c", list)
			return err == nil && strings.TrimSpace(out) == ""
		})
	}
}
