package connect

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
)

const (
	// maxAttempts bounds how often a person is asked the same question.
	maxAttempts = 3
	// maxQuestions bounds how often a person is asked anything, by a tool that has
	// ever new questions.
	maxQuestions = 30
	// promptSettle is how long an unfinished line that is not known for certain
	// must stand unchanged to be taken for a prompt. Without echo the tool waits
	// for what is typed, that is a fact. With echo no system says whether a tool
	// of another user reads, so time is the last resort: a question that turns
	// out to be none is withdrawn once the line changes.
	promptSettle = 1500 * time.Millisecond
	// hiddenSettle is the same for a person, on a terminal without echo.
	hiddenSettle = 300 * time.Millisecond
	// echoPatience is how long a password prompt may stand on a terminal that
	// would show what is typed. Some tools print first and switch echo off
	// then; one that never does is not given a password. It is as well how long
	// an unknown line may stand there where nobody can be asked: such a question
	// ends the hop, and can't be withdrawn.
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
	repeats repeats

	password   Secret // "" has to be asked for
	passphrase Secret
	// skipPassphrase says that an empty answer makes the tool go on without
	// the key.
	skipPassphrase bool
}

// repeats says how a tool shows that an answer was wrong.
type repeats uint8

const (
	// repeatsQuestion: by the same question.
	repeatsQuestion repeats = iota
	// repeatsWithWord: by the same question behind a word of regret. Without that
	// the question is another one in the same words, as PAM's modules have them.
	repeatsWithWord
	// repeatsNever: by its end. Whatever it asks is another question.
	repeatsNever
)

// screen is the terminal as the dialogue sees it.
type screen interface {
	Write([]byte) (int, error)
	// hidden reports whether what is typed is not shown, and inLines whether it is
	// handed over by lines. A tool that reads a secret wants both; one that passes a
	// terminal on, as ssh does, only the first.
	hidden() bool
	inLines() bool
}

// dialogue answers the prompts of one tool. Whoever reads the terminal hands
// the bytes to feed; run, on a goroutine of its own, types the answers and tells
// what else the tool shows. Both have nothing to do any more once the far side
// has spoken.
type dialogue struct {
	// Immutable.
	hop     string
	script  script
	ask     func(context.Context, Prompt) (string, error) // nil where nobody can be asked
	notify  func(context.Context, Notice)                 // nil: log
	log     *slog.Logger                                  // may be nil
	screen  screen
	ready   <-chan struct{} // closed when the far side has spoken
	secrets *secrets
	fail    func(error) // ends the tool; must not wait for run
	// quiet: the terminal carries the payload as well, so that nothing on it is told.
	quiet bool
	// busy reports whether the tool is seen not to wait for anything; nil where
	// that can't be seen.
	busy func() bool

	// changed wakes run. Capacity 1; sender feed, which never blocks;
	// receiver run; never closed.
	changed chan struct{}

	// Guarded by mu.
	mu      sync.Mutex
	line    promptLine
	since   time.Time // of the last byte
	tally   tally
	notices notices
	said    bool // something on standard error since the last answer

	// Owned by run.
	typed map[string]int // how often a question was answered, by its key
	asked int            // questions to a person
}

// tally is what happened, for the judgement of how the tool ended.
type tally struct {
	passwords int    // prompts for a password that were answered
	skipped   bool   // a passphrase was asked for and there was none
	other     string // the last other question that was answered
}

func newDialogue(e *Env, hop string, s script, screen screen, secrets *secrets, fail func(error)) *dialogue {
	return &dialogue{
		hop: hop, script: s, ask: e.Prompt, notify: e.Notify, log: e.Log, screen: screen, ready: e.Ready,
		secrets: secrets, fail: fail, changed: make(chan struct{}, 1), typed: make(map[string]int),
	}
}

// feed takes what the terminal shows.
func (d *dialogue) feed(b []byte) {
	d.mu.Lock()
	d.line.feed(b)
	d.since = time.Now()
	if lines := d.line.take(); !d.quiet {
		d.notices.add(d.since, lines...)
	}
	d.mu.Unlock()
	d.wake()
}

func (d *dialogue) wake() {
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

// errWithdrawn is a question that the tool does not wait for any more.
var errWithdrawn = errors.New("the tool goes on without an answer")

// run answers until ctx is done or the far side has spoken.
func (d *dialogue) run(ctx context.Context) {
	timer := time.NewTimer(pollLast)
	defer timer.Stop()
	poll := pollFirst
	for {
		if isClosed(d.ready) {
			d.tell(ctx)
			return
		}
		d.mu.Lock()
		line, age := d.standing(), time.Since(d.since)
		due := d.notices.due(time.Now())
		d.mu.Unlock()
		timer.Stop()
		if due == 0 {
			d.tell(ctx)
			continue
		}
		if line != "" {
			if q, ok := d.judge(line, age); ok {
				if err := d.answer(ctx, q, line); err != nil && !errors.Is(err, errWithdrawn) {
					if ctx.Err() == nil { // else the tool has ended, and says why itself
						d.fail(err)
					}
					return
				}
				poll = pollFirst
				continue
			}
			due = min(due, poll)
			poll = min(2*poll, pollLast)
		}
		if due < forever {
			timer.Reset(due)
		}
		select {
		case <-d.changed:
			poll = pollFirst
		case <-timer.C:
		case <-d.ready:
		case <-ctx.Done():
			return
		}
	}
}

// standing is the line that may be a question: the unfinished one, or the last one of
// all, where it ended with a line feed. The caller holds mu.
func (d *dialogue) standing() string {
	if line := d.line.text(); line != "" || d.line.last == "" {
		return line
	}
	return d.line.last + "\n"
}

// judge decides whether it is time to answer.
func (d *dialogue) judge(line string, age time.Duration) (question, bool) {
	hidden := d.screen.hidden()
	if text, isWhole := strings.CutSuffix(line, "\n"); isWhole {
		q := question{asks: asksOther, text: text, key: text}
		patience := promptSettle
		if d.ask == nil {
			patience = echoPatience // there are tools that leave the echo off
		}
		return q, hidden && age >= patience && d.screen.inLines()
	}
	q := d.script.recognise(line)
	switch q.asks {
	case asksHostKey:
		return q, true
	case asksPassword, asksPassphrase:
		if !hidden {
			return q, age >= echoPatience
		}
		if d.typed[q.key] > 0 && !d.isRepeated(q) {
			return q, age >= noticeSettle // a word of regret may come another way
		}
		return q, !q.vague || age >= promptSettle
	case asksOther:
		return q, hidden || age >= promptSettle // with echo it could be the beginning of a line
	}
	patience := promptSettle
	switch {
	case hidden && d.ask != nil:
		patience = hiddenSettle
	case !hidden && d.ask == nil:
		patience = echoPatience
	}
	q = question{asks: asksOther, text: line, key: line}
	return q, age >= patience && (hidden || d.busy == nil || !d.busy())
}

// answer answers the question that stands in line, or says why the tool has to
// be ended.
func (d *dialogue) answer(ctx context.Context, q question, line string) error {
	if q.asks == asksHostKey {
		return fmt.Errorf("%w, and is not accepted by answering a question", ErrHostKeyUnknown)
	}
	hidden := d.screen.hidden()
	if q.asks != asksOther && !hidden {
		if d.ask == nil {
			return fmt.Errorf("%w: the tool asks %q, but its terminal would show the answer", ErrPermission, q.text)
		}
		q.asks = asksOther
	}
	n := d.typed[q.key]
	if n > 0 && !d.isRepeated(q) {
		n, q.other = 0, true // the answer to the other question is none to this one
	}
	secret := d.secretFor(ctx, &q)
	switch {
	case secret != "" && n > 0, n >= maxAttempts, d.asked >= maxQuestions:
		return d.wrong(q)
	case secret != "":
	case d.ask != nil:
		answer, err := d.askWhileItStands(ctx, d.question(q, n+1, hidden), line, hidden)
		if err != nil {
			return err
		}
		secret = Secret(answer)
	case q.asks == asksPassphrase && d.script.skipPassphrase && n == 0:
		d.mu.Lock()
		d.tally.skipped = true
		d.mu.Unlock()
	case d.typed[q.key] > 0:
		return fmt.Errorf("%w: the tool has taken an answer to %q and asks something else in the same words", ErrPasswordRequired, q.text)
	default:
		return fmt.Errorf("%w: the tool asks %q", ErrPasswordRequired, q.text)
	}
	return d.enter(q, secret, hidden)
}

// isRepeated reports whether a question that was answered before means that the
// answer was wrong.
func (d *dialogue) isRepeated(q question) bool {
	if d.script.repeats == repeatsQuestion || q.asks == asksPassphrase {
		return true
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.line.context() != "" || d.said
}

// secretFor returns the secret that is at hand for a question, "" if there is none.
// A tool that has other ways to show that the password was wrong gets it once:
// what sounds alike may be a question of another module.
func (d *dialogue) secretFor(ctx context.Context, q *question) Secret {
	var secret Secret
	switch {
	case q.asks == asksPassphrase && !q.other:
		secret = d.script.passphrase
	case q.asks == asksPassword && !q.other:
		secret = d.script.password
		others := d.count().passwords - d.typed[q.key]
		if d.script.repeats != repeatsQuestion && others > 0 || d.script.repeats == repeatsNever && d.typed[q.key] > 0 {
			secret = ""
		}
	}
	if secret != "" && d.script.confirm != nil {
		if *q = d.script.confirm(ctx, *q); q.asks == asksOther {
			secret = ""
		}
	}
	return secret
}

func (d *dialogue) wrong(q question) error {
	other := d.count().other
	switch {
	case q.asks == asksPassphrase:
		return classify(ErrPassword, fmt.Errorf("incorrect passphrase: the tool asks again: %q", q.text))
	case q.asks == asksOther, d.asked >= maxQuestions:
		return fmt.Errorf("%w: the tool asks %q again and again", ErrPermission, q.text)
	case other != "":
		return incorrectAnswer(other)
	}
	return ErrPassword
}

// incorrectAnswer is for a tool that does not tell which of several answers it did
// not like.
func incorrectAnswer(other string) error {
	return fmt.Errorf("%w, or a wrong answer to %q", ErrPassword, other)
}

// askWhileItStands asks a person, until the tool goes on without an answer.
func (d *dialogue) askWhileItStands(ctx context.Context, p Prompt, line string, hidden bool) (string, error) {
	d.tell(ctx) // what stands above belongs to the question
	d.asked++
	asking, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stands := func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		return d.standing() == line
	}
	var answer string
	var err error
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		answer, err = askPerson(asking, d.ask, p)
	}()
	for ready := d.ready; ; {
		select {
		case <-d.changed:
			if !stands() {
				cancel(errWithdrawn)
			}
			continue
		case <-ready:
			cancel(errWithdrawn)
			ready = nil
			continue
		case <-asked: // askPerson returns when its context ends
		}
		break
	}
	exposed := hidden && !d.screen.hidden()
	switch {
	case err == nil && stands() && !exposed:
		return answer, nil
	case exposed && !isClosed(d.ready):
		return "", fmt.Errorf("%w: the tool stopped waiting for an answer to %q", ErrTimeout, p.Text)
	case err == nil:
		return "", errWithdrawn
	}
	return "", err
}

// enter types an answer.
func (d *dialogue) enter(q question, answer Secret, hidden bool) error {
	text := answer.reveal()
	if strings.ContainsAny(text, "\n\r\x00") {
		return fmt.Errorf("%w: what was given for %q holds a character that ends it", ErrPassword, q.text)
	}
	if hidden || len(text) >= minSecret {
		d.secrets.add(text)
	}
	d.typed[q.key]++
	d.mu.Lock()
	// Before the answer: what comes in afterwards is already the reaction.
	d.line.answered()
	d.said = false
	switch {
	case !hidden:
		d.line.echo, d.tally.other = text, q.text
	case q.asks == asksPassword && !q.other:
		d.tally.passwords++
	case q.asks != asksPassphrase:
		d.tally.other = q.text
	}
	d.mu.Unlock()
	if _, err := d.screen.Write([]byte(text + "\n")); err != nil {
		return fmt.Errorf("%w: typing an answer: %w", ErrEOF, err)
	}
	return nil
}

// minSecret is how long an answer that the terminal shows must be, in bytes, to be
// kept out of the log. Without "1", the choice from a menu, nothing there could be
// read any more.
const minSecret = 4

// question is how the person at the master is asked for an answer.
func (d *dialogue) question(q question, n int, hidden bool) Prompt {
	p := Prompt{Kind: PromptOther, Path: d.hop, Text: q.text, Attempt: n, Echo: !hidden}
	switch {
	case q.asks == asksPassword:
		p.Kind = PromptPassword
	case q.asks == asksPassphrase && !q.other:
		p.Kind = PromptPassphrase
	default:
		if d.notify != nil {
			break // which has told it
		}
		d.mu.Lock()
		if above := d.line.context(); above != "" {
			p.Text = above + "\n" + p.Text // a challenge is answered by what it says
		}
		d.mu.Unlock()
	}
	return p
}
