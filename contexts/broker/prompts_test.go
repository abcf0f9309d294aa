//go:build linux

package broker_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/broker"
	"github.com/mitosis-go/mitosis/contexts/broker/client"
	"github.com/mitosis-go/mitosis/contexts/broker/internal/wire"
)

// prompted waits for a question.
func (c *conn) prompted() *wire.Prompt {
	c.t.Helper()
	return c.until("a question", func(f *heard) bool { return f.Prompt != nil }).Prompt
}

func open(path string, more ...header) header {
	return merged(append(more, header{"op": "open", "path": path, "prompts": true})...)
}

// The client that causes a question is asked, and no other.
func TestPrompts(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	other := s.dial()
	other.send(sh("read line; echo $line", header{"stdin": true, "prompts": true}), nil)
	other.started()
	c := s.dial()
	for name, test := range map[string]struct {
		path   string
		answer string
		kind   string
	}{
		"right":          {"ask:a", secret("a"), ""},
		"again":          {"ask:a", "", ""}, // it is connected
		"behind another": {"local/ask:b", secret("b"), ""},
		"wrong":          {"ask:c", "nonsense", "password"},
		"empty":          {"ask:d", "", "password"},
	} {
		if name == "again" {
			continue
		}
		c.send(open(test.path), nil)
		p := c.prompted()
		if p.Path != test.path || p.Kind != "password" || p.Text != "password for "+test.path[len(test.path)-1:]+": " || p.Echo || p.Attempt != 1 {
			t.Errorf("%s: %+v, want the question in the words of the hop", name, p)
		}
		c.send(header{"answer": p.ID}, []byte(test.answer))
		c.finish().want(t, test.kind)
		if name == "right" {
			if a := c.ask(open(test.path)).want(t, ""); len(a.frames) > 0 {
				t.Errorf("a path that is connected: %v, want no question", a.frames)
			}
		}
	}
	c.send(open("ask:e"), nil)
	c.send(header{"answer": c.prompted().ID, "refused": true}, nil)
	c.finish().want(t, "password_required")
	if a := c.ask(header{"op": "open", "path": "ask:f"}).want(t, "password_required"); len(a.frames) > 0 {
		t.Errorf("%v, want no question for one that takes none", a.frames)
	}
	c.send(open("ask:notice"), nil)
	if n := c.until("a notice", func(f *heard) bool { return f.Notice != nil }).Notice; n.Text != "notice of notice" || n.Path != "ask:notice" {
		t.Errorf("%+v, want the notice", n)
	}
	c.send(header{"answer": c.prompted().ID}, []byte(secret("notice")))
	c.finish().want(t, "")
	// A question ends with its request, and an answer that comes later is nothing.
	c.send(open("ask:g", header{"timeout": 0.1}), nil)
	late := c.prompted().ID
	c.finish().want(t, "timeout")
	c.send(header{"answer": late}, []byte(secret("g")))
	c.send(open("ask:g"), nil)
	p := c.prompted()
	if p.ID == late {
		t.Error("two questions of a connection have one number")
	}
	c.send(header{"answer": late}, []byte("for the last one"))
	c.send(header{"answer": p.ID}, []byte(secret("g")))
	c.finish().want(t, "")
	other.send(header{"stream": "stdin", "end": true}, []byte("x\n"))
	if a := other.finish().want(t, ""); len(a.frames) > 0 {
		t.Errorf("%v, want no question to a client that has caused none", a.frames)
	}
}

// Of several that wait for a host the first is asked; the next one if that leaves.
func TestTheFirstIsAsked(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	first, second, third := s.dial(), s.dial(), s.dial()
	first.send(open("ask:h"), nil)
	first.prompted()
	second.send(open("ask:h/local"), nil)
	look := s.dial()
	waitFor := func(n int) {
		eventually(t, "they wait", func() bool {
			waiting := 0
			for _, c := range look.status().Clients {
				if c.Op == "open" {
					waiting++
				}
			}
			return waiting == n
		})
	}
	waitFor(2)
	third.send(open("ask:h"), nil)
	waitFor(3)
	first.net.Close()
	second.prompted()
	second.send(header{"cancel": true}, nil)
	second.finish().want(t, "cancelled")
	p := third.prompted()
	third.send(header{"answer": p.ID}, []byte(secret("h")))
	third.finish().want(t, "")
	if a := second.ask(open("ask:h/local")).want(t, ""); len(a.frames) > 0 {
		t.Errorf("%v, want the connection that is there", a.frames)
	}
}

// The time of a connect is without that of its questions, for all who wait.
func TestQuestionsTakeTheirTime(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	c, d := s.dial(), s.dial()
	const short = 3 // seconds; what a busy machine needs for two hops is less
	c.send(open("ask:i", header{"connect_timeout": short}), nil)
	p := c.prompted()
	d.send(open("ask:i/local", header{"connect_timeout": short, "prompts": false}), nil)
	<-time.After((short + 1) * time.Second) // the person thinks
	c.send(header{"answer": p.ID}, []byte(secret("i")))
	c.finish().want(t, "")
	d.finish().want(t, "")
	// The whole time of a request has no such exception.
	c.send(open("ask:j", header{"timeout": short}), nil)
	c.prompted()
	c.finish().want(t, "timeout")
}

func TestGuestsAreAsked(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	asked := make(chan connect.Prompt, 10)
	told := make(chan connect.Notice, 10)
	g, err := broker.Dial(t.Context(), &broker.DialConfig{Socket: s.socket, Tree: &contexts.Config{
		Prompt: func(_ context.Context, p connect.Prompt) (string, error) {
			asked <- p
			if p.Path == "ask:refused" {
				return "", connect.ErrPasswordRequired
			}
			return secret("notice2"), nil
		},
		Notify: func(_ context.Context, n connect.Notice) { told <- n },
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	l, err := g.Get(t.Context(), "ask:notice2")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Release()
	if p := <-asked; p.Path != "ask:notice2" || p.Kind != connect.PromptPassword {
		t.Errorf("%+v, want the question", p)
	}
	if n := <-told; n.Text != "notice of notice2" {
		t.Errorf("%+v, want the notice", n)
	}
	if _, err := g.Get(t.Context(), "ask:refused"); !errors.Is(err, connect.ErrPasswordRequired) {
		t.Errorf("%v, want that a password is required", err)
	}
	if _, err := g.Get(t.Context(), "ask:other"); !errors.Is(err, connect.ErrPassword) {
		t.Errorf("%v, want that the password is wrong", err)
	}
	nobody, err := broker.Dial(t.Context(), &broker.DialConfig{Socket: s.socket})
	if err != nil {
		t.Fatal(err)
	}
	defer nobody.Close()
	if _, err := nobody.Get(t.Context(), "ask:third"); !errors.Is(err, connect.ErrPasswordRequired) {
		t.Errorf("%v, want that a password is required", err)
	}
}

// The client in Go asks its own person.
func TestClientPrompt(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	c := s.client()
	cmd := &client.Command{Path: "ask:notice3", Argv: []string{"true"}}
	if _, err := c.Run(t.Context(), cmd); err == nil {
		t.Error("without a password it ran")
	}
	told := ""
	cmd = &client.Command{Path: "ask:notice3", Argv: []string{"true"},
		Notify: func(_ context.Context, n connect.Notice) { told = n.Text },
		Prompt: func(_ context.Context, p connect.Prompt) (string, error) { return secret("notice3"), nil }}
	if end, err := c.Run(t.Context(), cmd); err != nil || end.Code != 0 || told != "notice of notice3" {
		t.Errorf("%v, %v, %q; want that it ran, and a notice", end, err, told)
	}
}
