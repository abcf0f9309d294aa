package tool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/internal/failure"
)

const (
	// MaxAttempts bounds how often a person is asked the same question.
	MaxAttempts = 3
	// MaxQuestions bounds how often a person is asked anything, by a tool that has
	// ever new questions.
	MaxQuestions = 30
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

// Answers says how to talk with a tool. The zero value recognises nothing.
type Answers struct {
	// Recognise finds out what the last line of the terminal asks. It is pure.
	Recognise func(line string) Question
	// Confirm may find that a question is not what it seems, before a secret
	// that is at hand is typed; nil for tools that can't be fooled.
	Confirm func(context.Context, Question) Question
	Repeats Repeats

	Password   connect.Secret // "" has to be asked for
	Passphrase connect.Secret
	// SkipPassphrase says that an empty answer makes the tool go on without
	// the key.
	SkipPassphrase bool
}

// Repeats says how a tool shows that an answer was wrong.
type Repeats uint8

const (
	// RepeatsQuestion: by the same question.
	RepeatsQuestion Repeats = iota
	// RepeatsWithWord: by the same question behind a word of regret. Without that
	// the question is another one in the same words, as PAM's modules have them.
	RepeatsWithWord
	// RepeatsNever: by its end. Whatever it asks is another question.
	RepeatsNever
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
// the bytes to feed; loop, on a goroutine of its own, types the answers and tells
// what else the tool shows. Both have nothing to do any more once the far side
// has spoken.
type dialogue struct {
	// Immutable.
	hop     string
	answers Answers
	ask     func(context.Context, connect.Prompt) (string, error) // nil where nobody can be asked
	notify  func(context.Context, connect.Notice)                 // nil: log
	log     *slog.Logger                                          // may be nil
	screen  screen
	ready   <-chan struct{} // closed when the far side has spoken
	secrets *Secrets
	fail    func(error) // ends the tool; must not wait for loop
	// echoes is told of an answer before the terminal shows it; nil: nobody wants to know.
	echoes func(answer string)
	// quiet: the terminal carries the payload as well, so that nothing on it is told.
	quiet bool
	// busy reports whether the tool is seen not to wait for anything; nil where
	// that can't be seen.
	busy func() bool
	// waits tells for what the tool waits; nil where that is no terminal of its own.
	waits func() waiting

	// changed wakes loop. Capacity 1; sender feed, which never blocks;
	// receiver loop; never closed.
	changed chan struct{}

	// Guarded by mu.
	mu      sync.Mutex
	line    PromptLine
	since   time.Time // of the last byte
	tally   tally
	notices notices
	said    bool // something on standard error since the last answer

	// Owned by loop.
	typed map[string]int // how often a question was answered, by its key
	asked int            // questions to a person
	// A round of authentication ends when a question is asked again because an answer
	// was wrong. Within one, several questions may have the same words.
	round  map[string]bool // was the question answered in this round, by its key
	rounds map[string]int  // in how many rounds it was answered, this one included
}

// waiting is for what a tool waits.
type waiting uint8

const (
	waitsUnknown   waiting = iota
	waitsForInput          // it reads from its terminal
	waitsElsewhere         // for something else
)

// tally is what happened, for the judgement of how the tool ended.
type tally struct {
	Passwords int    // prompts for a password that were answered
	Skipped   bool   // a passphrase was asked for and there was none
	Other     string // the last other question that was answered
}

func newDialogue(e *connect.OpenRequest, hop string, s Answers, screen screen, secrets *Secrets, fail func(error)) *dialogue {
	return &dialogue{
		hop: hop, answers: s, ask: e.Prompt, notify: e.Notify, log: e.Log, screen: screen, ready: e.Ready,
		secrets: secrets, fail: fail, changed: make(chan struct{}, 1), typed: make(map[string]int),
		round: make(map[string]bool), rounds: make(map[string]int),
	}
}

// feed takes what the terminal shows.
func (d *dialogue) feed(b []byte) {
	d.mu.Lock()
	d.line.Feed(b)
	d.since = time.Now()
	if lines := d.line.drain(); !d.quiet {
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

// loop answers until ctx is done or the far side has spoken.
func (d *dialogue) loop(ctx context.Context) {
	timer := time.NewTimer(pollLast)
	defer timer.Stop()
	poll := pollFirst
	for {
		if IsClosed(d.ready) {
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
	if line := d.line.Text(); line != "" || d.line.last == "" {
		return line
	}
	return d.line.last + "\n"
}

// judge decides whether it is time to answer.
func (d *dialogue) judge(line string, age time.Duration) (Question, bool) {
	hidden := d.screen.hidden()
	if text, isWhole := strings.CutSuffix(line, "\n"); isWhole {
		q := Question{Asks: AsksOther, Text: text, Key: text}
		if !hidden {
			return q, age >= promptSettle && d.screen.inLines() && d.isAwaited(age)
		}
		patience := promptSettle
		if d.ask == nil {
			patience = echoPatience // there are tools that leave the echo off
		}
		return q, age >= patience && d.screen.inLines()
	}
	q := d.answers.Recognise(line)
	switch q.Asks {
	case AsksHostKey:
		return q, true
	case AsksPassword, AsksPassphrase:
		if !hidden {
			return q, age >= echoPatience
		}
		if d.typed[q.Key] > 0 && !d.isRepeated(q) {
			return q, age >= noticeSettle // a word of regret may come another way
		}
		return q, !q.Vague || age >= promptSettle
	case AsksOther:
		return q, hidden || age >= promptSettle // with echo it could be the beginning of a line
	}
	patience := promptSettle
	switch {
	case hidden && d.ask != nil:
		patience = hiddenSettle
	case !hidden && d.ask == nil && (d.waits == nil || age < promptSettle || d.waits() != waitsForInput):
		patience = echoPatience
	}
	q = Question{Asks: AsksOther, Text: line, Key: line}
	return q, age >= patience && (hidden || d.busy == nil || !d.busy())
}

// isAwaited reports whether an answer to a whole line is waited for, on a terminal that
// shows what is typed: a notice looks the same. Where nobody can see whether the tool
// reads, a person decides, who sees the line as a question once it has stood for long; it
// is withdrawn when the tool goes on.
func (d *dialogue) isAwaited(age time.Duration) bool {
	if d.waits == nil || d.quiet {
		return false
	}
	switch d.waits() {
	case waitsForInput:
		return true
	case waitsUnknown:
		return d.ask != nil && age >= echoPatience
	}
	return false
}

// answer answers the question that stands in line, or says why the tool has to
// be ended.
func (d *dialogue) answer(ctx context.Context, q Question, line string) error {
	if q.Asks == AsksHostKey {
		return fmt.Errorf("%w, and is not accepted by answering a question", connect.ErrHostKeyUnknown)
	}
	hidden := d.screen.hidden()
	if q.Asks != AsksOther && !hidden {
		if d.ask == nil {
			return fmt.Errorf("%w: the tool asks %q, but its terminal would show the answer", connect.ErrPermission, q.Text)
		}
		q.Asks = AsksOther
	}
	if d.round[q.Key] && d.isRepeated(q) {
		clear(d.round)
	}
	n := d.rounds[q.Key]
	if d.round[q.Key] {
		n, q.Other = n-1, true // the answer to the other question is none to this one
	}
	secret := d.secretFor(ctx, &q)
	switch {
	case secret != "" && n > 0, n >= MaxAttempts, d.asked >= MaxQuestions:
		return d.wrong(q)
	case secret != "":
	case d.ask != nil:
		answer, err := d.askWhileItStands(ctx, d.question(q, n+1, hidden), line, hidden)
		if err != nil {
			return err
		}
		secret = connect.Secret(answer)
	case q.Asks == AsksPassphrase && d.answers.SkipPassphrase && n == 0:
		d.mu.Lock()
		d.tally.Skipped = true
		d.mu.Unlock()
	case d.typed[q.Key] > 0:
		return fmt.Errorf("%w: the tool has taken an answer to %q and asks something else in the same words", connect.ErrPasswordRequired, q.Text)
	default:
		return fmt.Errorf("%w: the tool asks %q", connect.ErrPasswordRequired, q.Text)
	}
	return d.enter(q, secret, hidden)
}

// isRepeated reports whether a question that was answered before means that the
// answer was wrong.
func (d *dialogue) isRepeated(q Question) bool {
	if d.answers.Repeats == RepeatsQuestion || q.Asks == AsksPassphrase {
		return true
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.line.Context() != "" || d.said
}

// secretFor returns the secret that is at hand for a question, "" if there is none.
// A tool that has other ways to show that the password was wrong gets it once:
// what sounds alike may be a question of another module.
func (d *dialogue) secretFor(ctx context.Context, q *Question) connect.Secret {
	var secret connect.Secret
	switch {
	case q.Asks == AsksPassphrase && !q.Other:
		secret = d.answers.Passphrase
	case q.Asks == AsksPassword && !q.Other:
		secret = d.answers.Password
		others := d.count().Passwords - d.typed[q.Key]
		if d.answers.Repeats != RepeatsQuestion && others > 0 || d.answers.Repeats == RepeatsNever && d.typed[q.Key] > 0 {
			secret = ""
		}
	}
	if secret != "" && d.answers.Confirm != nil {
		if *q = d.answers.Confirm(ctx, *q); q.Asks == AsksOther {
			secret = ""
		}
	}
	return secret
}

func (d *dialogue) wrong(q Question) error {
	other := d.count().Other
	switch {
	case q.Asks == AsksPassphrase:
		return failure.Classify(connect.ErrPassword, fmt.Errorf("incorrect passphrase: the tool asks again: %q", q.Text))
	case q.Asks == AsksOther, d.asked >= MaxQuestions:
		return fmt.Errorf("%w: the tool asks %q again and again", connect.ErrPermission, q.Text)
	case other != "":
		return incorrectAnswer(other)
	}
	return connect.ErrPassword
}

// incorrectAnswer is for a tool that does not tell which of several answers it did
// not like.
func incorrectAnswer(other string) error {
	return fmt.Errorf("%w, or a wrong answer to %q", connect.ErrPassword, other)
}

// askWhileItStands asks a person, until the tool goes on without an answer.
func (d *dialogue) askWhileItStands(ctx context.Context, p connect.Prompt, line string, hidden bool) (string, error) {
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
		answer, err = AskPerson(asking, d.ask, p)
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
		case <-asked: // AskPerson returns when its context ends
		}
		break
	}
	exposed := hidden && !d.screen.hidden()
	switch {
	case err == nil && stands() && !exposed:
		return answer, nil
	case exposed && !IsClosed(d.ready):
		return "", fmt.Errorf("%w: the tool stopped waiting for an answer to %q", connect.ErrTimeout, p.Text)
	case err == nil:
		return "", errWithdrawn
	}
	return "", err
}

// enter types an answer.
func (d *dialogue) enter(q Question, answer connect.Secret, hidden bool) error {
	text := Reveal(answer)
	if strings.ContainsAny(text, "\n\r\x00") {
		return fmt.Errorf("%w: what was given for %q holds a character that ends it", connect.ErrPassword, q.Text)
	}
	if hidden {
		d.secrets.Add(text)
	} else if d.echoes != nil {
		d.echoes(text)
	}
	d.typed[q.Key]++
	if !d.round[q.Key] {
		d.round[q.Key] = true
		d.rounds[q.Key]++
	}
	d.mu.Lock()
	// Before the answer: what comes in afterwards is already the reaction.
	d.line.Answered()
	d.said = false
	switch {
	case !hidden:
		d.line.echo, d.tally.Other = text, q.Text
	case q.Asks == AsksPassword && !q.Other:
		d.tally.Passwords++
	case q.Asks != AsksPassphrase:
		d.tally.Other = q.Text
	}
	d.mu.Unlock()
	if _, err := d.screen.Write([]byte(text + "\n")); err != nil {
		return fmt.Errorf("%w: typing an answer: %w", connect.ErrEOF, err)
	}
	return nil
}

// question is how the person at the master is asked for an answer.
func (d *dialogue) question(q Question, n int, hidden bool) connect.Prompt {
	p := connect.Prompt{Kind: connect.PromptOther, Path: d.hop, Text: q.Text, Attempt: n, Echo: !hidden}
	switch {
	case q.Asks == AsksPassword:
		p.Kind = connect.PromptPassword
	case q.Asks == AsksPassphrase && !q.Other:
		p.Kind = connect.PromptPassphrase
	default:
		if d.notify != nil {
			break // which has told it
		}
		d.mu.Lock()
		// A whole line is part of what stands there.
		if above := strings.Trim(strings.TrimSuffix("\n"+d.line.Context(), "\n"+q.Text), "\n"); above != "" {
			p.Text = above + "\n" + p.Text // a challenge is answered by what it says
		}
		d.mu.Unlock()
	}
	return p
}
