//go:build linux

package tool

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mitosis-go/mitosis/connect"
)

const pressEnter = "Insert your device, then press ENTER."

// A whole line on a terminal that shows what is typed is a question where the tool reads
// from that, a notice where it does something else, and a person's to judge after a while
// where nobody can see that.
func TestAWholeLineIsAQuestionWhereTheToolReads(t *testing.T) {
	for _, c := range []struct {
		name   string
		waits  waiting
		person bool
		after  time.Duration
		asked  bool
		want   error
	}{
		{"it reads", waitsForInput, true, 2 * promptSettle, true, nil},
		{"it reads, nobody there", waitsForInput, false, 2 * promptSettle, false, connect.ErrPasswordRequired},
		{"it does something else", waitsElsewhere, true, time.Hour, false, nil},
		{"nobody sees", waitsUnknown, true, echoPatience - time.Second, false, nil},
		{"nobody sees for long", waitsUnknown, true, echoPatience + time.Second, true, nil},
		{"nobody sees, nobody there", waitsUnknown, false, time.Hour, false, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := &asked{knows: map[string]string{pressEnter: ""}}
				ask := a.prompt
				if !c.person {
					ask = nil
				}
				k := &talk{t: t, fake: &fakeScreen{}, ready: make(chan struct{}), failed: make(chan error, 1), ended: make(chan struct{})}
				k.dialogue = newDialogue(&connect.OpenRequest{Prompt: ask, Ready: k.ready}, "hop", Answers{Recognise: AnyPrompt}, k.fake, new(Secrets), func(err error) { k.failed <- err })
				k.dialogue.waits = func() waiting { return c.waits }
				go func() {
					defer close(k.ended)
					k.loop(t.Context())
				}()
				defer k.end()
				k.shows(pressEnter+"\n", false, c.after)
				if err := k.fails(); !errors.Is(err, c.want) || err != nil && !strings.Contains(err.Error(), pressEnter) {
					t.Errorf("it ended with %v, want %v that names the line", err, c.want)
				}
				if got := len(a.all) > 0; got != c.asked {
					t.Fatalf("asked: %+v, want a question: %v", a.all, c.asked)
				}
				want := ""
				if c.asked {
					want = "\n"
					if p := a.all[0]; !p.Echo || p.Attempt != 1 || p.Text != pressEnter {
						t.Errorf("asked %+v, want the line, with echo", p)
					}
				}
				k.typed(want)
			})
		})
	}
}

// An unfinished line that nobody can answer ends the hop as soon as the tool is seen to
// read, with echo as without.
func TestNobodyToAskIsSaidSoon(t *testing.T) {
	for waits, patience := range map[waiting]time.Duration{waitsForInput: promptSettle, waitsElsewhere: echoPatience, waitsUnknown: echoPatience} {
		synctest.Test(t, func(t *testing.T) {
			k := &talk{t: t, fake: &fakeScreen{}, ready: make(chan struct{}), failed: make(chan error, 1), ended: make(chan struct{})}
			k.dialogue = newDialogue(&connect.OpenRequest{Ready: k.ready}, "hop", Answers{Recognise: AnyPrompt}, k.fake, new(Secrets), func(err error) { k.failed <- err })
			k.dialogue.waits = func() waiting { return waits }
			go func() {
				defer close(k.ended)
				k.loop(t.Context())
			}()
			defer k.end()
			k.shows("Passcode or option (1-2): ", false, patience-100*time.Millisecond)
			if err := k.fails(); err != nil {
				t.Errorf("waiting %d: too early: %v", waits, err)
			}
			k.passes(200 * time.Millisecond)
			if err := k.fails(); !errors.Is(err, connect.ErrPasswordRequired) {
				t.Errorf("waiting %d: after %v: %v, want that nobody can be asked", waits, patience, err)
			}
		})
	}
}
