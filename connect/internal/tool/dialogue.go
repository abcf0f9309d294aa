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
	// MaxQuestions bounds how often a person is asked anything by one tool, which may
	// have new questions without end.
	MaxQuestions = 30
	// promptSettle is how long an unknown unfinished line must stand unchanged to be
	// taken for a prompt. If echo is off, the tool certainly waits for input. If it is
	// on, no system says whether another user's tool reads, so time has to decide. The
	// question is withdrawn if the line changes.
	promptSettle = 1500 * time.Millisecond
	// hiddenSettle is the shorter promptSettle if echo is off and a person can be asked.
	hiddenSettle = 300 * time.Millisecond
	// echoPatience is how long a password prompt may stand while echo is on. Some tools
	// print the prompt before they switch echo off; a tool that never does gets no
	// password. If nobody can be asked, an unknown line may stand as long: it ends the
	// hop, which can't be withdrawn.
	echoPatience = 10 * time.Second
	// While a line is unfinished, the terminal's echo is polled, at growing intervals:
	// a tool switches it off without printing a byte.
	pollFirst, pollLast = time.Millisecond, 50 * time.Millisecond
)

// Answers says how the questions of a tool are recognised and answered. The zero value
// recognises none.
type Answers struct {
	// Recognise returns the question that the last line of the terminal asks. It is pure.
	Recognise func(line string) Question
	// Confirm is called before a given secret is typed, and may return another question:
	// a server can word its own like a prompt of the tool. It may be nil.
	Confirm func(context.Context, Question) Question
	Repeats Repeats

	Password   connect.Secret // "": a person is asked
	Passphrase connect.Secret
	// SkipPassphrase says that the tool goes on without the key after an empty answer.
	SkipPassphrase bool
	// MayTrust says that a person decides whether to trust the key of a host.
	MayTrust bool
}

// Repeats says how a tool shows that an answer was wrong.
type Repeats uint8

const (
	// RepeatsQuestion: the tool asks the same question again.
	RepeatsQuestion Repeats = iota
	// RepeatsWithWord: the tool says so, and asks the same question again. If it says
	// nothing in between, it is another question in the same words: modules of PAM
	// share theirs.
	RepeatsWithWord
	// RepeatsNever: the tool ends. Every question is a new one.
	RepeatsNever
)

// screen is the terminal as the dialogue sees it.
type screen interface {
	Write([]byte) (int, error)
	// hidden reports whether echo is off, and inLines whether input reaches the tool by
	// lines. A tool that reads a secret wants both; one that passes its terminal on, as
	// ssh does, only the first.
	hidden() bool
	inLines() bool
}

// dialogue answers the prompts of one tool. The reader of the terminal passes all bytes to
// feed. loop, on a goroutine of its own, types the answers and tells a person the other
// lines. Both have nothing to do any more once the far side has spoken.
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
	// echoes is called with an answer before the terminal shows it. It may be nil.
	echoes func(answer string)
	// quiet: the terminal carries the payload, too, so that its lines are not told.
	quiet bool
	// busy reports whether the tool certainly waits for nothing; nil if no system tells.
	busy func() bool
	// waits returns what the tool waits for; nil if no system tells.
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
	typed map[string]int // how often each question was answered, by its key
	asked int            // questions to a person
	blank blank
	// A round of authentication ends when a question is asked again because an answer
	// was wrong. Within a round, several questions may have the same words.
	round  map[string]bool // the keys of the questions that were answered in this round
	rounds map[string]int  // in how many rounds a question was answered, including this one
}

// tally counts the answers, which explain why a tool ended.
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
		since: time.Now(),
	}
}

// feed takes bytes that the terminal shows.
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

// errWithdrawn: the tool does not wait for the answer to a question any more.
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
		if q, ok := d.judge(line, age); ok {
			err := d.answer(ctx, q, line)
			switch {
			case err == nil, errors.Is(err, errWithdrawn):
			case line == "" && d.blank.doubtful():
				d.blank.refused = true // perhaps nothing was asked
			default:
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
		if line == "" {
			due, poll = min(due, blankPoll), min(2*poll, blankPoll)
		}
		timer.Reset(due)
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

// standing returns the line that may be a question: the unfinished one, or else the last
// one with its line feed. The caller holds mu.
func (d *dialogue) standing() string {
	if line := d.line.Text(); line != "" || d.line.last == "" {
		return line
	}
	return d.line.last + "\n"
}

// judge returns the question in a line that has stood for so long, and whether to answer
// it now.
func (d *dialogue) judge(line string, age time.Duration) (Question, bool) {
	hidden := d.screen.hidden()
	if !hidden {
		d.blank.left = false
	}
	if line == "" {
		return Question{Asks: AsksOther}, d.judgeBlank(age, hidden)
	}
	d.blank.since = time.Time{}
	if text, isWhole := strings.CutSuffix(line, "\n"); isWhole {
		q := Question{Asks: AsksOther, Text: text, Key: text}
		if !hidden {
			return q, age >= promptSettle && d.screen.inLines() && d.isAwaited(age)
		}
		patience := promptSettle
		if d.ask == nil {
			patience = echoPatience // some tools leave the echo off
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
			return q, age >= noticeSettle // the tool may say on standard error that it was wrong
		}
		return q, !q.Vague || age >= promptSettle
	case AsksOther:
		return q, hidden || age >= promptSettle // with echo it could be the beginning of a line
	}
	patience := promptSettle
	switch {
	case hidden && d.ask != nil:
		patience = hiddenSettle
	case !hidden && d.ask == nil && (d.waits == nil || age < promptSettle || d.waits() < waitsForInput):
		patience = echoPatience
	}
	q = Question{Asks: AsksOther, Text: line, Key: line}
	return q, age >= patience && (hidden || d.busy == nil || !d.busy())
}

// isAwaited reports whether the tool waits for an answer to a whole line while echo is on. A
// notice looks the same. If no system tells whether the tool reads, a person decides: the
// line becomes a question after a long time, and is withdrawn when the tool goes on.
func (d *dialogue) isAwaited(age time.Duration) bool {
	if d.waits == nil || d.quiet {
		return false
	}
	switch d.waits() {
	case waitsForInput, waitsReading:
		return true
	case waitsUnknown:
		return d.ask != nil && age >= echoPatience
	}
	return false
}

// answer answers the question that stands in line. An error says why the tool has to be
// ended.
func (d *dialogue) answer(ctx context.Context, q Question, line string) error {
	hidden := d.screen.hidden()
	if q.Asks == AsksHostKey {
		return d.answerHostKey(ctx, q, line, hidden)
	}
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
		n, q.Other = n-1, true // another question in the same words: the given secret is not its answer
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
		return fmt.Errorf("%w: the tool has taken an answer to %q and asks something else in the same words", connect.ErrPasswordRequired, q.shown())
	default:
		return fmt.Errorf("%w: the tool asks %q", connect.ErrPasswordRequired, q.shown())
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

// secretFor returns the given secret for a question, "" if there is none. A tool that does
// not repeat the question after a wrong password gets the password once: a similar question
// may be that of another module.
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
		return fmt.Errorf("%w: the tool asks %q again and again", connect.ErrPermission, q.shown())
	case other != "":
		return IncorrectAnswer(other)
	}
	return connect.ErrPassword
}

// IncorrectAnswer is the error for a tool that does not tell which of several answers was
// wrong.
func IncorrectAnswer(other string) error {
	return fmt.Errorf("%w, or a wrong answer to %q", connect.ErrPassword, other)
}

// askWhileItStands asks a person, and withdraws the question if the tool goes on without an
// answer.
func (d *dialogue) askWhileItStands(ctx context.Context, p connect.Prompt, line string, hidden bool) (string, error) {
	d.tell(ctx) // the lines above belong to the question
	d.asked++
	asking, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stands := func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		// The blank at the end may come later than the rest.
		return strings.TrimRight(d.standing(), " ") == strings.TrimRight(line, " ")
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
	case exposed && !IsClosed(d.ready) && line != "":
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
		return fmt.Errorf("%w: the answer given for %q has a line feed, a carriage return or a zero byte in it", connect.ErrPassword, q.Text)
	}
	if hidden {
		d.secrets.Add(text)
	} else if d.echoes != nil {
		d.echoes(text)
	}
	d.blank.left = hidden
	d.typed[q.Key]++
	if !d.round[q.Key] {
		d.round[q.Key] = true
		d.rounds[q.Key]++
	}
	d.mu.Lock()
	// Before the answer is typed: everything that comes in afterwards is the reaction.
	d.line.Answered()
	d.since = time.Now()
	d.said = false
	switch {
	case !hidden && q.Asks == AsksHostKey:
		d.line.echo = text
	case !hidden:
		d.line.echo, d.tally.Other = text, q.shown()
	case q.Asks == AsksPassword && !q.Other:
		d.tally.Passwords++
	case q.Asks != AsksPassphrase:
		d.tally.Other = q.shown()
	}
	d.mu.Unlock()
	if _, err := d.screen.Write([]byte(text + "\n")); err != nil {
		return fmt.Errorf("%w: typing an answer: %w", connect.ErrEOF, err)
	}
	return nil
}

// question returns the n-th prompt for a question, as the person at the master gets it.
func (d *dialogue) question(q Question, n int, hidden bool) connect.Prompt {
	p := connect.Prompt{Kind: connect.PromptOther, Path: d.hop, Text: q.Text, Attempt: n, Echo: !hidden}
	switch {
	case q.Asks == AsksPassword:
		p.Kind = connect.PromptPassword
	case q.Asks == AsksPassphrase && !q.Other:
		p.Kind = connect.PromptPassphrase
	default:
		if q.Asks == AsksHostKey {
			p.Kind = connect.PromptHostKey
		}
		if d.notify != nil {
			break // Notify has shown it
		}
		d.mu.Lock()
		// A question that is a whole line is among the lines above.
		if above := strings.Trim(strings.TrimSuffix("\n"+d.line.Context(), "\n"+q.Text), "\n"); above != "" {
			p.Text = above + "\n" + p.Text // they may hold the challenge
		}
		d.mu.Unlock()
	}
	return p
}
