package connect

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"
)

const (
	// maxAttempts bounds how often a person is asked the same question.
	maxAttempts = 3
	// promptSettle is how long an unfinished line that nobody knows must
	// stand unchanged on a terminal without echo to be taken for a prompt.
	promptSettle = 1500 * time.Millisecond
	// echoPatience is how long a password prompt may stand on a terminal that
	// would show what is typed. Some tools print first and switch echo off
	// then; one that never does is not given a password.
	echoPatience = 10 * time.Second
	// The terminal's echo is looked at this often while a line is unfinished.
	// It changes without a byte being printed.
	pollFirst, pollLast = time.Millisecond, 50 * time.Millisecond
)

// script says how to talk with a tool. The zero value recognises nothing.
type script struct {
	// recognise finds out what the last line of the terminal asks. It is pure.
	recognise func(line string) question
	// confirm may find that a question is not what it seems, before a secret
	// that is at hand is typed; nil for tools that can't be fooled.
	confirm func(context.Context, question) question

	password   Secret // "" has to be asked for
	passphrase Secret
	// skipPassphrase says that an empty answer makes the tool go on without
	// the key.
	skipPassphrase bool
}

// screen is the terminal as the dialogue sees it.
type screen interface {
	Write([]byte) (int, error)
	// hidden reports whether what is typed is not shown.
	hidden() bool
}

// dialogue answers the prompts of one tool. Whoever reads the terminal hands
// the bytes to feed; run, on a goroutine of its own, types the answers. Both
// have nothing to do any more once the far side has spoken.
type dialogue struct {
	// Immutable.
	hop     string
	script  script
	ask     func(context.Context, Prompt) (string, error) // nil where nobody can be asked
	screen  screen
	ready   <-chan struct{} // closed when the far side has spoken
	secrets *secrets
	fail    func(error) // ends the tool; must not wait for run

	// changed wakes run. Capacity 1; sender feed, which never blocks;
	// receiver run; never closed.
	changed chan struct{}

	// Guarded by mu.
	mu    sync.Mutex
	line  promptLine
	since time.Time // of the last byte
	tally tally
}

// tally is what happened, for the judgement of how the tool ended.
type tally struct {
	passwords int  // prompts for a password that were answered
	skipped   bool // a passphrase was asked for and there was none
}

func newDialogue(e *Env, hop string, s script, screen screen, secrets *secrets, fail func(error)) *dialogue {
	return &dialogue{
		hop: hop, script: s, ask: e.Prompt, screen: screen, ready: e.Ready,
		secrets: secrets, fail: fail, changed: make(chan struct{}, 1),
	}
}

// feed takes what the terminal shows.
func (d *dialogue) feed(b []byte) {
	d.mu.Lock()
	d.line.feed(b)
	d.since = time.Now()
	d.mu.Unlock()
	select {
	case d.changed <- struct{}{}:
	default:
	}
}

func (d *dialogue) count() tally {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.tally
}

// run answers until ctx is done or the far side has spoken.
func (d *dialogue) run(ctx context.Context) {
	asked := make(map[string]int)
	timer := time.NewTimer(pollLast)
	defer timer.Stop()
	poll := pollFirst
	for {
		d.mu.Lock()
		line, age := d.line.text(), time.Since(d.since)
		d.mu.Unlock()
		timer.Stop()
		if line != "" {
			if q, ok := d.judge(line, age); ok {
				asked[q.key]++
				if err := d.answer(ctx, q, asked[q.key]); err != nil {
					if ctx.Err() == nil { // else the tool has ended, and says why itself
						d.fail(err)
					}
					return
				}
				poll = pollFirst
				continue
			}
			timer.Reset(poll)
			poll = min(2*poll, pollLast)
		}
		select {
		case <-d.changed:
			poll = pollFirst
		case <-timer.C:
		case <-d.ready:
			return
		case <-ctx.Done():
			return
		}
	}
}

// judge decides whether it is time to answer.
func (d *dialogue) judge(line string, age time.Duration) (question, bool) {
	q := d.script.recognise(line)
	hidden := d.screen.hidden()
	switch q.asks {
	case asksHostKey:
		return q, true
	case asksPassword, asksPassphrase:
		return q, hidden || age >= echoPatience
	case asksOther:
		return q, hidden || age >= promptSettle // with echo it could be the beginning of a line
	}
	// Nobody leaves echo off but to read something that must not be seen.
	return question{asksOther, line, line}, hidden && age >= promptSettle
}

// answer answers a question that was put for the n-th time, or says why the
// tool has to be ended.
func (d *dialogue) answer(ctx context.Context, q question, n int) error {
	hidden := d.screen.hidden()
	if q.asks == asksHostKey {
		return fmt.Errorf("%w, and is not accepted by answering a question", ErrHostKeyUnknown)
	}
	var secret Secret
	switch q.asks {
	case asksPassword:
		secret = d.script.password
	case asksPassphrase:
		secret = d.script.passphrase
	}
	if secret != "" && d.script.confirm != nil {
		if q = d.script.confirm(ctx, q); q.asks == asksOther {
			secret = ""
		}
	}
	if q.asks != asksOther && !hidden {
		return fmt.Errorf("%w: the tool asks %q, but its terminal would show the answer", ErrPermission, q.text)
	}
	switch {
	case secret != "" && n > 1, n > maxAttempts:
		return d.wrong(q)
	case secret != "":
	case d.ask != nil:
		answer, err := askPerson(ctx, d.ask, d.question(q, n, hidden))
		if err != nil {
			return err
		}
		if hidden && !d.screen.hidden() {
			return fmt.Errorf("%w: the tool stopped waiting for an answer to %q", ErrTimeout, q.text)
		}
		secret = Secret(answer)
	case q.asks == asksPassphrase && d.script.skipPassphrase && n == 1:
		d.mu.Lock()
		d.tally.skipped = true
		d.mu.Unlock()
	default:
		return fmt.Errorf("%w: the tool asks %q", ErrPasswordRequired, q.text)
	}
	return d.enter(q, secret)
}

func (d *dialogue) wrong(q question) error {
	switch q.asks {
	case asksPassphrase:
		return classify(ErrPassword, fmt.Errorf("incorrect passphrase: the tool asks again: %q", q.text))
	case asksOther:
		return fmt.Errorf("%w: the tool asks %q again and again", ErrPermission, q.text)
	}
	return ErrPassword
}

// enter types an answer.
func (d *dialogue) enter(q question, answer Secret) error {
	text := answer.reveal()
	if strings.ContainsAny(text, "\n\r\x00") {
		return fmt.Errorf("%w: what was given for %q holds a character that ends it", ErrPassword, q.text)
	}
	d.secrets.add(text)
	d.mu.Lock()
	// Before the answer: what comes in afterwards is already the reaction.
	d.line.answered()
	if q.asks == asksPassword {
		d.tally.passwords++
	}
	d.mu.Unlock()
	if _, err := d.screen.Write([]byte(text + "\n")); err != nil {
		return fmt.Errorf("%w: typing an answer: %w", ErrEOF, err)
	}
	return nil
}

// question is how the person at the master is asked for an answer.
func (d *dialogue) question(q question, n int, hidden bool) Prompt {
	p := Prompt{Kind: PromptOther, Path: d.hop, Text: q.text, Attempt: n, Echo: !hidden}
	switch q.asks {
	case asksPassword:
		p.Kind = PromptPassword
	case asksPassphrase:
		p.Kind = PromptPassphrase
	default:
		d.mu.Lock()
		if above := d.line.context(); above != "" {
			p.Text = above + "\n" + p.Text // a challenge is answered by what it says
		}
		d.mu.Unlock()
	}
	return p
}
