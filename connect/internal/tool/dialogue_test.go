package tool

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mitosis-go/mitosis/connect"
)

// fakeScreen is a terminal that remembers what is typed.
type fakeScreen struct {
	mu    sync.Mutex
	quiet bool
	typed strings.Builder
}

func (s *fakeScreen) hidden() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.quiet
}

func (s *fakeScreen) inLines() bool { return true }

func (s *fakeScreen) setHidden(hidden bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.quiet = hidden
}

func (s *fakeScreen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.typed.Write(b)
}

func (s *fakeScreen) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.typed.String()
}

// talk is a dialogue under way in a bubble of fake time.
type talk struct {
	*dialogue
	t      *testing.T
	fake   *fakeScreen
	ready  chan struct{}
	failed chan error
	ended  chan struct{}
}

func startTalk(t *testing.T, s Answers, ask func(context.Context, connect.Prompt) (string, error)) *talk {
	k := &talk{t: t, fake: &fakeScreen{}, ready: make(chan struct{}), failed: make(chan error, 1), ended: make(chan struct{})}
	e := &connect.OpenRequest{Prompt: ask, Ready: k.ready}
	k.dialogue = newDialogue(e, "hop", s, k.fake, new(Secrets), func(err error) { k.failed <- err })
	go func() {
		defer close(k.ended)
		k.loop(t.Context())
	}()
	return k
}

// shows prints on the terminal and lets time pass.
func (k *talk) shows(text string, hidden bool, d time.Duration) {
	k.fake.setHidden(hidden)
	k.feed([]byte(text))
	time.Sleep(d)
	synctest.Wait()
}

func (k *talk) typed(want string) {
	k.t.Helper()
	if got := k.fake.text(); got != want {
		k.t.Errorf("typed %q, not %q", got, want)
	}
}

// fails tells how the dialogue ended; nil if it goes on.
func (k *talk) fails() error {
	select {
	case err := <-k.failed:
		return err
	default:
		return nil
	}
}

func (k *talk) end() {
	select {
	case <-k.ended:
	default:
		close(k.ready)
		<-k.ended
	}
}

const day = 24 * time.Hour

func TestAPasswordIsTypedOnceEchoIsOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := startTalk(t, Answers{Recognise: AnyPrompt, Password: "secret"}, nil)
		defer k.end()
		k.shows("Password: ", false, 5*time.Second)
		k.typed("")
		k.shows("", true, time.Second)
		k.typed("secret\n")
		k.shows("\n", false, day)
		if err := k.fails(); err != nil {
			t.Error(err)
		}
	})
}

func TestAPasswordIsNeverTypedWhereItWouldShow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := startTalk(t, Answers{Recognise: AnyPrompt, Password: "secret"}, nil)
		defer k.end()
		k.shows("Password: ", false, echoPatience+time.Second)
		k.typed("")
		if err := k.fails(); !errors.Is(err, connect.ErrPermission) || strings.Contains(err.Error(), "secret") {
			t.Error(err)
		}
	})
}

func TestBannersAreNotPrompts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := startTalk(t, Answers{Recognise: TokenPrompt("TOK"), Password: "secret"}, nil)
		defer k.end()
		k.shows("Your password:\r\nEnter password: \nTOK password:\r", true, promptSettle)
		k.shows("", false, day)
		k.shows("The password: ", false, promptSettle)
		k.typed("")
		if err := k.fails(); err != nil {
			t.Error(err)
		}
	})
}

func TestASecondPromptMeansTheFirstAnswerWasWrong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := startTalk(t, Answers{Recognise: AnyPrompt, Password: "secret"}, nil)
		defer k.end()
		k.shows("Password: ", true, time.Second)
		k.shows("*****\b \b\b \b\b \b\b \b\b \b\r\n", false, time.Second)
		k.shows("Sorry, try again.\r\nPassword: ", true, time.Second)
		k.typed("secret\n")
		if err := k.fails(); !errors.Is(err, connect.ErrPassword) {
			t.Error(err)
		}
	})
}

func TestStarsAreNotAPrompt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := startTalk(t, Answers{Recognise: TokenPrompt("TOK"), Password: "secret"}, nil)
		defer k.end()
		k.shows("[TOK] password: ", true, time.Second)
		k.shows("******", true, day)
		k.typed("secret\n")
		if err := k.fails(); err != nil {
			t.Error(err)
		}
	})
}

func TestAPersonMayTryThreeTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		attempts := 0
		k := startTalk(t, Answers{Recognise: AnyPrompt}, func(_ context.Context, p connect.Prompt) (string, error) {
			attempts++
			if p.Attempt != attempts || p.Kind != connect.PromptPassword || p.Path != "hop" || p.Text != "Password: " {
				t.Errorf("asked %+v, want attempt %d at the password of hop", p, attempts)
			}
			return fmt.Sprint("try", attempts), nil
		})
		defer k.end()
		for range 4 {
			k.shows("Password: ", true, time.Second)
			k.shows("\r\n", false, time.Second)
		}
		k.typed("try1\ntry2\ntry3\n")
		if err := k.fails(); !errors.Is(err, connect.ErrPassword) || attempts != 3 {
			t.Error(err, attempts)
		}
	})
}

func TestAnAnswerThatComesTooLateIsNotTyped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer := make(chan string)
		k := startTalk(t, Answers{Recognise: AnyPrompt}, func(context.Context, connect.Prompt) (string, error) { return <-answer, nil })
		defer k.end()
		k.shows("Password: ", true, time.Hour)
		k.shows("\r\nTimed out.\r\n$ ", false, time.Second) // a shell: what is typed now would be a command
		answer <- "secret"
		synctest.Wait()
		k.typed("")
		if err := k.fails(); !errors.Is(err, connect.ErrTimeout) {
			t.Error(err)
		}
	})
}

func TestAPersonSeesWhatIsAskedBesideThePassword(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked []connect.Prompt
		k := startTalk(t, Answers{Recognise: likeSSH, Password: "secret"}, func(_ context.Context, p connect.Prompt) (string, error) {
			asked = append(asked, p)
			return "1174", nil
		})
		defer k.end()
		k.shows("Challenge 4711\r\n(a@b) Response: ", false, 20*time.Second)
		k.typed("1174\n")
		k.shows("\r\n(a@b) Password: ", true, 20*time.Second)
		k.typed("1174\nsecret\n")
		if len(asked) != 1 || !asked[0].Echo || asked[0].Kind != connect.PromptOther || !strings.Contains(asked[0].Text, "4711") {
			t.Errorf("asked %+v, want the challenge 4711 with echo, and nothing else", asked)
		}
	})
}

func TestHostKeysAreNotAcceptedByAnswering(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := startTalk(t, Answers{Recognise: likeSSH, Password: "secret"}, func(context.Context, connect.Prompt) (string, error) {
			t.Error("a person was asked")
			return "yes", nil
		})
		defer k.end()
		k.shows("The authenticity of host 'x (::1)' can't be established.\r\n"+
			"Are you sure you want to continue connecting (yes/no/[fingerprint])? ", false, time.Second)
		k.typed("")
		if err := k.fails(); !errors.Is(err, connect.ErrHostKeyUnknown) || !errors.Is(err, connect.ErrHostKey) {
			t.Error(err)
		}
	})
}

func TestPassphrases(t *testing.T) {
	const ask = "Enter passphrase for key '/home/me/.ssh/id_rsa': "
	synctest.Test(t, func(t *testing.T) {
		k := startTalk(t, Answers{Recognise: likeSSH, Passphrase: "open", SkipPassphrase: true}, nil)
		defer k.end()
		k.shows(ask, true, time.Second)
		k.shows("\nEnter passphrase for key '/other': ", true, time.Second)
		k.typed("open\nopen\n")
		k.shows("\n"+ask, true, time.Second)
		if err := k.fails(); !errors.Is(err, connect.ErrPassword) || !strings.Contains(err.Error(), "id_rsa") {
			t.Error(err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		k := startTalk(t, Answers{Recognise: likeSSH, Password: "secret", SkipPassphrase: true}, nil)
		defer k.end()
		k.shows(ask, true, time.Second)
		k.shows("\nme@web1's password: ", true, time.Second)
		k.typed("\nsecret\n")
		if !k.count().Skipped || k.count().Passwords != 1 {
			t.Errorf("the tally is %+v, want a skipped passphrase and one password", k.count())
		}
	})
}

// The password of one host is not for another.
func TestConfirmKeepsThePasswordBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := startTalk(t, Answers{Recognise: likeSSH, Password: "secret", Confirm: func(_ context.Context, q Question) Question {
			if q.Key != "me@web1" {
				q.Asks = AsksOther
			}
			return q
		}}, nil)
		defer k.end()
		k.shows("me@jump's password: ", true, time.Second)
		k.typed("")
		if err := k.fails(); !errors.Is(err, connect.ErrPasswordRequired) || !strings.Contains(err.Error(), "me@jump") {
			t.Error(err)
		}
	})
}

func TestNothingIsAnsweredOnceTheFarSideHasSpoken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := startTalk(t, Answers{Recognise: AnyPrompt, Password: "secret"}, nil)
		close(k.ready)
		<-k.ended
		k.shows("Password: ", true, day)
		k.typed("")
	})
}

func TestClosingEndsTheAsking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		heedless := make(chan struct{})
		d := newDialogue(&connect.OpenRequest{Prompt: func(context.Context, connect.Prompt) (string, error) {
			<-heedless
			return "late", nil
		}}, "hop", Answers{Recognise: AnyPrompt}, &fakeScreen{quiet: true}, new(Secrets), func(error) {})
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			d.loop(ctx)
		}()
		d.feed([]byte("Password: "))
		time.Sleep(time.Minute)
		cancel()
		<-ended
		close(heedless)
		synctest.Wait()
		if got := d.screen.(*fakeScreen).text(); got != "" {
			t.Errorf("typed %q", got)
		}
	})
}

// likeSSH recognises questions of the ssh program, in so far as these tests show them.
func likeSSH(line string) Question {
	q := Question{Text: line, Key: line}
	account, isPassword := strings.CutSuffix(line, "'s password: ")
	switch {
	case isPassword:
		q.Asks, q.Key = AsksPassword, account
	case line == "(a@b) Password: ":
		q.Asks, q.Key = AsksPassword, "a@b"
	case line == "(a@b) Response: ":
		q.Asks = AsksOther
	case strings.HasPrefix(line, "Enter passphrase for "):
		q.Asks = AsksPassphrase
	case strings.HasPrefix(line, "Are you sure "):
		q.Asks, q.Key = AsksHostKey, "host key"
	default:
		return Question{}
	}
	return q
}
