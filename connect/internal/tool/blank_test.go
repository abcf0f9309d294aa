package tool

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mitosis-go/mitosis/connect"
)

// A tool that waits for an answer asks, even if it shows nothing.
func TestAQuestionWithoutAText(t *testing.T) {
	for name, test := range map[string]struct {
		hidden bool
		waits  waiting
		nobody bool
		after  time.Duration // until then nobody is asked; forever: never
	}{
		"hidden":                         {hidden: true, after: promptSettle},
		"hidden, it reads":               {hidden: true, waits: waitsReading, after: promptSettle},
		"hidden, it waits for a server":  {hidden: true, waits: waitsElsewhere, after: forever},
		"hidden, nobody":                 {hidden: true, nobody: true, after: echoPatience},
		"shown, it reads":                {waits: waitsReading, after: promptSettle},
		"shown, it reads, nobody":        {waits: waitsReading, nobody: true, after: promptSettle},
		"shown, it passes its input on":  {waits: waitsForInput, after: forever},
		"shown, it waits for a server":   {waits: waitsElsewhere, after: forever},
		"shown, no system tells":         {after: blankPatience},
		"shown, no system tells, nobody": {nobody: true, after: forever},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := &asked{knows: map[string]string{"": "424242"}}
				var ask func(context.Context, connect.Prompt) (string, error)
				if !test.nobody {
					ask = a.prompt
				}
				k := &talk{t: t, fake: &fakeScreen{}, ready: make(chan struct{}), failed: make(chan error, 1), ended: make(chan struct{})}
				k.dialogue = newDialogue(&connect.OpenRequest{Prompt: ask, Ready: k.ready}, "hop", Answers{Recognise: AnyPrompt, Password: "secret"}, k.fake, new(Secrets), func(err error) { k.failed <- err })
				k.dialogue.waits = func() waiting { return test.waits }
				go func() {
					defer close(k.ended)
					k.loop(t.Context())
				}()
				defer k.end()
				if test.after == forever {
					k.shows("", test.hidden, 10*time.Minute)
				} else {
					k.shows("", test.hidden, test.after-time.Second)
				}
				if err, all := k.fails(), a.questions(); err != nil || len(all) > 0 {
					t.Fatalf("too early: asked %+v, error %v", all, err)
				}
				if test.after == forever {
					return
				}
				k.passes(time.Second + 2*blankPoll)
				if test.nobody {
					if err := k.fails(); !errors.Is(err, connect.ErrPasswordRequired) || !strings.Contains(err.Error(), NoText) {
						t.Errorf("error %v, want that nobody can be asked, and %q", err, NoText)
					}
					return
				}
				if all := a.questions(); len(all) != 1 || all[0].Text != "" || all[0].Echo == test.hidden || all[0].Kind != connect.PromptOther {
					t.Errorf("asked %+v, want one question without a text", all)
				}
				k.typed("424242\n")
			})
		})
	}
}

// The echo goes off right before a prompt is printed, and may be left off.
func TestNoQuestionWithoutATextBeforeAPrompt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &asked{knows: map[string]string{"Code:": "1"}}
		k := startTalk(t, Answers{Recognise: AnyPrompt, Password: "secret"}, a.prompt)
		defer k.end()
		k.shows("", false, 20*time.Second)
		k.shows("", true, 500*time.Millisecond)
		k.shows("Password: ", true, time.Second)
		k.shows("\n", true, 20*time.Second)
		k.shows("Code: ", true, 20*time.Second)
		k.typed("secret\n1\n")
		if all := a.questions(); len(all) != 1 {
			t.Errorf("asked %+v, want only the code", all)
		}
	})
}

// A person who refuses a question that was perhaps none does not end the hop.
func TestADoubtfulQuestionIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		k := startTalk(t, Answers{Recognise: AnyPrompt, Password: "secret"}, func(context.Context, connect.Prompt) (string, error) {
			n++
			return "", errors.New("no")
		})
		defer k.end()
		k.shows("", false, 10*time.Minute)
		k.shows("Password: ", true, time.Second)
		k.typed("secret\n")
		if err := k.fails(); err != nil || n != 1 {
			t.Errorf("asked %d times, error %v, want once and no error", n, err)
		}
	})
}

// A question without a text is withdrawn when the tool goes on.
func TestAQuestionWithoutATextIsWithdrawn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := startTalk(t, Answers{Recognise: AnyPrompt, Password: "secret"}, func(ctx context.Context, p connect.Prompt) (string, error) {
			<-ctx.Done()
			return "", ctx.Err()
		})
		defer k.end()
		k.shows("", false, blankPatience+5*time.Second)
		k.shows("Password: ", true, time.Second)
		k.typed("secret\n")
		if err := k.fails(); err != nil {
			t.Error(err)
		}
	})
}
