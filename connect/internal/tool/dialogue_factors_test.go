package tool

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mitosis-go/mitosis/connect"
)

// asked is a person who answers what they know, and remembers the questions.
type asked struct {
	knows map[string]string

	mu  sync.Mutex
	all []connect.Prompt // guarded by mu
}

func (a *asked) prompt(_ context.Context, p connect.Prompt) (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.all = append(a.all, p)
	lines := strings.Split(p.Text, "\n")
	answer, known := a.knows[strings.TrimSpace(lines[len(lines)-1])]
	if !known {
		return "", errors.New("I don't know")
	}
	return answer, nil
}

// questions returns those so far.
func (a *asked) questions() []connect.Prompt {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.all)
}

// passes lets time pass.
func (k *talk) passes(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// A line that stands still on a terminal that shows what is typed is asked as it
// stands.
func TestALineThatStandsStillIsAQuestion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &asked{knows: map[string]string{"Passcode or option (1-2):": "1"}}
		k := startTalk(t, Answers{Recognise: WordedPrompt, Password: "secret", Repeats: RepeatsNever}, a.prompt)
		defer k.end()
		k.shows("Password: ", true, time.Second)
		k.shows("\n 1. Duo Push\nPasscode or option (1-2): ", false, promptSettle/2)
		k.typed("secret\n")
		k.passes(promptSettle)
		k.typed("secret\n1\n")
		k.shows("1\nPushed a login request.\n", false, day)
		if len(a.all) != 1 || !a.all[0].Echo || a.all[0].Kind != connect.PromptOther || a.all[0].Attempt != 1 ||
			a.all[0].Text != "1. Duo Push\nPasscode or option (1-2): " {
			t.Errorf("asked %+v", a.all)
		}
		if err := k.fails(); err != nil {
			t.Error(err)
		}
	})
}

func TestALineThatStandsStillWhereNobodyCanBeAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := startTalk(t, Answers{Recognise: WordedPrompt, Password: "secret"}, nil)
		defer k.end()
		k.shows("Contacting the server... ", false, echoPatience/2)
		k.shows("done.\nPasscode or option (1-2): ", false, echoPatience-time.Second)
		if err := k.fails(); err != nil {
			t.Errorf("too early: %v", err)
		}
		k.passes(2 * time.Second)
		if err := k.fails(); !errors.Is(err, connect.ErrPasswordRequired) || !strings.Contains(err.Error(), "Passcode or option (1-2)") {
			t.Error(err)
		}
		k.typed("")
	})
}

// A prompt may end with a line feed. Without echo it is one all the same.
func TestAPromptThatEndsItsLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &asked{knows: map[string]string{"Enter PASSCODE:": "1"}}
		k := startTalk(t, Answers{Recognise: WordedPrompt, Password: "secret", Repeats: RepeatsNever}, a.prompt)
		defer k.end()
		k.shows("Some word:\n", false, time.Hour)
		if len(a.all) != 0 {
			t.Errorf("with echo it is asked: %+v", a.all)
		}
		k.shows("Enter PASSCODE:\n", true, promptSettle+time.Second)
		k.typed("1\n")
		k.shows("\n", true, blankPatience-time.Second)
		k.shows("Password: ", true, time.Second)
		k.typed("1\nsecret\n")
		if len(a.all) != 1 {
			t.Errorf("asked %+v", a.all)
		}
	})
}

// What looked like a question and was none is withdrawn, and the dialogue goes on.
func TestAQuestionIsWithdrawn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var withdrawn []string
		k := startTalk(t, Answers{Recognise: WordedPrompt, Password: "secret", Repeats: RepeatsNever}, func(ctx context.Context, p connect.Prompt) (string, error) {
			if p.Text == "Code: " {
				return "1", nil
			}
			<-ctx.Done()
			withdrawn = append(withdrawn, p.Text)
			return "too late", nil
		})
		defer k.end()
		k.shows("Contacting the server... ", false, time.Minute)
		k.shows("still contacting... ", false, time.Minute)
		k.shows("done.\nPassword: ", true, time.Second)
		k.shows("\nCo", true, hiddenSettle*2)
		k.shows("de: ", true, time.Second)
		k.typed("secret\n1\n")
		if want := []string{"Contacting the server... ", "Contacting the server... still contacting... ", "Co"}; !slices.Equal(withdrawn, want) {
			t.Errorf("withdrawn were %q", withdrawn)
		}
		if err := k.fails(); err != nil {
			t.Error(err)
		}
	})
}

// The blank at the end of a question may come later than the rest. It is the same question.
func TestABlankBehindAQuestionChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var texts []string
		think := make(chan struct{})
		k := startTalk(t, Answers{Recognise: WordedPrompt, Repeats: RepeatsNever}, func(ctx context.Context, p connect.Prompt) (string, error) {
			texts = append(texts, p.Text)
			select {
			case <-think:
				return "secret", nil
			case <-ctx.Done():
				return "", context.Cause(ctx)
			}
		})
		defer k.end()
		k.shows("[sudo] password for alice:", true, time.Second)
		k.shows(" ", true, time.Second)
		close(think)
		k.passes(time.Second)
		k.typed("secret\n")
		if len(texts) != 1 {
			t.Errorf("the questions were %q, want one", texts)
		}
	})
}

// A tool that is seen to be at work asks nothing, however long its line stands.
func TestABusyToolAsksNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &asked{knows: map[string]string{"Starting... done, code?": "1"}}
		busy := true
		k := &talk{t: t, fake: &fakeScreen{}, ready: make(chan struct{}), failed: make(chan error, 1), ended: make(chan struct{})}
		k.dialogue = newDialogue(&connect.OpenRequest{Prompt: a.prompt, Ready: k.ready}, "hop", Answers{Recognise: AnyPrompt}, k.fake, new(Secrets), func(err error) { k.failed <- err })
		k.dialogue.busy = func() bool { k.fake.mu.Lock(); defer k.fake.mu.Unlock(); return busy }
		go func() {
			defer close(k.ended)
			k.loop(t.Context())
		}()
		defer k.end()
		k.shows("Starting... ", false, time.Minute)
		if len(a.all) != 0 {
			t.Errorf("asked %+v", a.all)
		}
		k.fake.mu.Lock()
		busy = false
		k.fake.mu.Unlock()
		k.shows("done, code? ", false, time.Minute)
		k.typed("1\n")
	})
}

// likeSudo recognises questions of sudo whose own prompt has the token TOK.
func likeSudo(line string) Question {
	q := TokenPrompt("TOK")(line)
	if q.Asks == AsksNothing {
		q = AccountPrompt(line)
		q.Key = line
		return q
	}
	q.Text = "[sudo" + q.Text
	return q
}

// sudo says something between two attempts. Without that the same prompt stands for
// another question of PAM's, as with passprompt_override.
func TestTheSamePromptForAnotherQuestion(t *testing.T) {
	const prompt = "[TOK] password for alice: "
	sudo := Answers{Recognise: likeSudo, Password: "secret", Repeats: RepeatsWithWord}
	for _, c := range []struct {
		name   string
		before string // on the terminal, before the prompt comes again
		note   string // on standard error
		person bool
		typed  string
		want   error
	}{
		{"nobody there", "\n", "", false, "secret\n", connect.ErrPasswordRequired},
		{"a person", "\n", "", true, "secret\n424242\n", nil},
		{"regret on the terminal", "\nSorry, try again.\n", "", true, "secret\n", connect.ErrPassword},
		{"regret on standard error", "\n", "Désolé, essayez de nouveau.", true, "secret\n", connect.ErrPassword},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := &asked{knows: map[string]string{"[sudo] password for alice:": "424242"}}
				ask := a.prompt
				if !c.person {
					ask = nil
				}
				k := startTalk(t, sudo, ask)
				defer k.end()
				k.shows(prompt, true, time.Second)
				k.shows(c.before+prompt, true, noticeSettle/2)
				if c.note != "" {
					k.note(c.note)
				}
				k.passes(time.Second)
				k.typed(c.typed)
				if err := k.fails(); !errors.Is(err, c.want) {
					t.Errorf("it ended with %v, not %v", err, c.want)
				}
				for _, p := range a.all {
					if p.Attempt != 1 {
						t.Errorf("asked %+v", p)
					}
				}
			})
		})
	}
}

// The password goes to one question of su's, whatever sounds like it.
func TestAPasswordGoesToOneQuestion(t *testing.T) {
	for _, second := range []string{"Password: ", "LDAP Password: ", "New password: ", "Verification code: ", "One-time password: "} {
		synctest.Test(t, func(t *testing.T) {
			k := startTalk(t, Answers{Recognise: WordedPrompt, Password: "secret", Repeats: RepeatsNever}, nil)
			defer k.end()
			k.shows("Password: ", true, time.Second)
			k.shows("\n"+second, true, time.Minute)
			k.typed("secret\n")
			if err := k.fails(); !errors.Is(err, connect.ErrPasswordRequired) || errors.Is(err, connect.ErrPassword) || !strings.Contains(err.Error(), second) {
				t.Errorf("behind %q: %v", second, err)
			}
		})
	}
}

// A prompt for a password that would be shown is a person's to answer.
func TestAPersonMayTypeWhereItShows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &asked{knows: map[string]string{"Password:": "typed"}}
		k := startTalk(t, Answers{Recognise: WordedPrompt, Password: "secret"}, a.prompt)
		defer k.end()
		k.shows("Password: ", false, echoPatience+time.Second)
		k.typed("typed\n")
		if len(a.all) != 1 || !a.all[0].Echo {
			t.Errorf("asked %+v", a.all)
		}
	})
}

func TestQuestionsWithoutEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		k := startTalk(t, Answers{Recognise: AnyPrompt}, func(context.Context, connect.Prompt) (string, error) { n++; return "x", nil })
		defer k.end()
		for i := range 2 * MaxQuestions {
			k.shows(strings.Repeat("x", i)+"? ", true, 10*time.Second)
		}
		if err := k.fails(); !errors.Is(err, connect.ErrPermission) || n != MaxQuestions {
			t.Errorf("after %d questions: %v", n, err)
		}
	})
}

// told is a person who reads.
type told struct {
	mu    sync.Mutex
	lines []string // guarded by mu
}

func (n *told) notify(_ context.Context, notice connect.Notice) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lines = append(n.lines, notice.Text)
}

func (n *told) text() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return strings.Join(n.lines, "|")
}

// startTelling is a dialogue with somebody who reads what the tool tells.
func startTelling(t *testing.T, s Answers, ask func(context.Context, connect.Prompt) (string, error)) (*talk, *told) {
	n := new(told)
	k := &talk{t: t, fake: &fakeScreen{}, ready: make(chan struct{}), failed: make(chan error, 1), ended: make(chan struct{})}
	e := &connect.OpenRequest{Prompt: ask, Notify: n.notify, Ready: k.ready}
	k.dialogue = newDialogue(e, "hop", s, k.fake, new(Secrets), func(err error) { k.failed <- err })
	go func() {
		defer close(k.ended)
		k.loop(t.Context())
	}()
	return k, n
}

func TestLinesAreToldWhileTheToolWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, n := startTelling(t, Answers{Recognise: WordedPrompt, Password: "secret"}, nil)
		defer k.end()
		k.shows("Password: ", true, time.Second)
		k.shows("\nPushed a login request, secret\n", false, noticeSettle/2)
		if got := n.text(); got != "" {
			t.Errorf("told %q before it was known whether the tool fails", got)
		}
		k.passes(noticeSettle)
		if got := n.text(); got != "Pushed a login request, ***" {
			t.Errorf("told %q", got)
		}
		k.note("Warning: on standard error")
		k.shows("Your account expires soon.\n", false, 0)
		k.end()
		if got := n.text(); got != "Pushed a login request, ***|Warning: on standard error|Your account expires soon." {
			t.Errorf("in the end told %q", got)
		}
	})
}

// A person is told what stands above a question before it is put, and it is not in the
// question as well.
func TestLinesAreToldBeforeAQuestion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n *told
		var k *talk
		k, n = startTelling(t, Answers{Recognise: WordedPrompt}, func(_ context.Context, p connect.Prompt) (string, error) {
			n.notify(t.Context(), connect.Notice{Text: "asked " + p.Text})
			return "1", nil
		})
		defer k.end()
		k.shows("Challenge 4711\nResponse: ", true, 20*time.Second)
		k.shows("\n", false, 20*time.Second)
		if got := n.text(); got != "Challenge 4711|asked Response: " {
			t.Errorf("seen %q", got)
		}
	})
}

// What a tool says when it fails is in the error, and is not told as well.
func TestTheLastWordsAreNotTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := new(told)
		ctx, cancel := context.WithCancel(t.Context())
		d := newDialogue(&connect.OpenRequest{Notify: n.notify}, "hop", Answers{Recognise: WordedPrompt}, &fakeScreen{}, new(Secrets), func(error) {})
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			d.loop(ctx)
		}()
		d.feed([]byte("su: Authentication failure\n"))
		time.Sleep(noticeSettle / 2)
		cancel()
		<-ended
		if got := n.text(); got != "" {
			t.Errorf("told %q", got)
		}
	})
}

func TestNoticesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, n := startTelling(t, Answers{Recognise: WordedPrompt}, nil)
		defer k.end()
		for range 10 {
			k.shows(strings.Repeat("line\n", MaxNotices), false, time.Second)
		}
		if got := strings.Count(n.text(), "line"); got != MaxNotices {
			t.Errorf("%d lines were told, not %d", got, MaxNotices)
		}
	})
}

// The passphrase of a key is not tried as the PIN of a token.
func TestPINsAreNotPassphrases(t *testing.T) {
	pinPrompt := func(line string) Question {
		return Question{Asks: AsksPassphrase, Text: line, Key: line, Other: true}
	}
	synctest.Test(t, func(t *testing.T) {
		k := startTalk(t, Answers{Recognise: pinPrompt, Passphrase: "open", SkipPassphrase: true}, nil)
		defer k.end()
		k.shows("Enter PIN for ED25519-SK key /home/me/.ssh/id_sk: ", true, time.Second)
		k.typed("\n")
	})
}
