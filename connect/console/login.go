package console

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/internal/failure"
	"github.com/mitosis-go/mitosis/connect/internal/tool"
)

const (
	// lineSettle is how long the line must show nothing new before anything is
	// typed: login(1) drops what was typed before it has switched echo off, which
	// some do behind the prompt.
	settleTime = 300 * time.Millisecond
	// killLine is Control-U, which deletes a half-typed line.
	killLine = "\x15"
	// judging is how long login may take to check a password.
	judging = 6 * time.Second
	// maxNames bounds how often a login name is typed.
	maxNames = 3
	// startSilence bounds how long a shell that answers may take for the
	// first line.
	startSilence = 20 * time.Second
)

// pauses are those between attempts at a line that shows no known prompt. The last one is
// longer than an earlier hop takes to give up (idleTenths).
var pauses = []time.Duration{0, 0, 2 * time.Second, 4 * time.Second, 12 * time.Second}

// lineAsks is what the last line of a console asks for.
type lineAsks uint8

const (
	lineUnknown  lineAsks = iota // nothing known; it may be a shell
	lineName                     // a login name
	linePassword                 // the password of the name that was typed
	lineRescue                   // the password of root, without a name
	lineEnter                    // Enter
)

// consolePrompt recognises the prompts of getty, login, sulogin and askfirst of
// busybox by the unfinished line and the one above. It is pure.
func consolePrompt(line, above string) lineAsks {
	above = strings.ToLower(above[strings.LastIndexByte(above, '\n')+1:])
	switch s := strings.TrimRight(strings.ToLower(line), " "); {
	case strings.Contains(s, "press enter"):
		return lineEnter
	case strings.Contains(s, "control-d to continue"):
		if strings.Contains(above, "press enter") {
			return lineEnter
		}
		return lineRescue
	case tool.PasswordPrompt(s):
		if strings.Contains(s, "root password for") || strings.Contains(s, "maintenance") {
			return lineRescue
		}
		return linePassword
	case strings.HasSuffix(s, "login:"), strings.HasSuffix(s, "username:"):
		return lineName
	}
	return lineUnknown
}

// login finds a shell at the other end of a line and has it start the first
// stage. All of it is done by the goroutine of Open.
type login struct {
	// Immutable.
	c    Login
	e    *connect.OpenRequest
	port *port
	word string // random; the far shell prints it

	phase string
	shown *tool.Words  // the output of the line
	hide  tool.Secrets // in shown
	seen  []byte       // the output since the last input, in which word is looked for
	last  tool.PromptLine

	heard, typed time.Time // when the last byte came, and when the last input was typed
	tries        int       // how many of pauses were used
	active       bool      // a prompt was recognised: the host is up

	names    int    // how many were typed
	named    bool   // the last input was a name
	answered bool   // the last input was a name or a password
	own      bool   // we have logged in to the shell
	asked    string // the prompt at which the password was typed
	attempts int    // passwords that a person was asked for
}

func newLogin(c Login, e *connect.OpenRequest, port *port) *login {
	g := &login{c: c, e: e, port: port, word: strings.ToLower(rand.Text()[:16]), active: !c.Boot}
	g.shown = tool.NewWords(e.Log, tool.OnTerminal, &g.hide)
	return g
}

// logIn returns when the first stage is about to start.
func (g *login) logIn(ctx context.Context) error {
	g.phase = "looking for a login prompt"
	g.heard = time.Now()
	for {
		_, found, err := g.await(ctx, settleTime, g.word+saysShell)
		if err != nil {
			return err
		}
		if found {
			return g.begin(ctx)
		}
		if err := g.act(ctx); err != nil {
			return err
		}
	}
}

// await reads until the line has been silent for d, or has shown one of the texts. It returns
// that text and true.
func (g *login) await(ctx context.Context, d time.Duration, texts ...string) (text string, found bool, err error) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		for _, text := range texts {
			if at := strings.Index(string(g.seen), text); at >= 0 {
				g.seen = g.seen[at+len(text):]
				return text, true, nil
			}
		}
		select {
		case b, ok := <-g.port.in:
			if !ok {
				return "", false, failure.Classify(connect.ErrEOF, fmt.Errorf("the line was lost: %w", g.port.readErr))
			}
			g.hear(b)
			timer.Reset(d)
		case <-timer.C:
			return "", false, nil
		case <-ctx.Done():
			return "", false, failure.Classify(connect.ErrTimeout, context.Cause(ctx))
		}
	}
}

func (g *login) hear(b []byte) {
	_, _ = g.shown.Write(b)
	g.last.Feed(b)
	g.seen = append(g.seen, b...)
	g.seen = g.seen[max(0, len(g.seen)-tool.MaxPrompt):]
	g.heard = time.Now()
	if g.heard.Sub(g.typed) > 2*time.Second {
		g.tries = 0 // it is not the echo: the host does something
	}
}

// enter types a text. Output from before does not count any more.
func (g *login) enter(text string) error {
	g.seen, g.named, g.answered = nil, false, false
	g.last.Answered()
	g.typed = time.Now()
	if err := g.port.enter(text); err != nil {
		return failure.Classify(connect.ErrTimeout, fmt.Errorf("the line takes no input: %w", err))
	}
	return nil
}

// act answers the line, which is silent.
func (g *login) act(ctx context.Context) error {
	text := g.last.Text()
	asks := consolePrompt(text, g.last.Context())
	if asks == linePassword && !g.named && g.asked == "" {
		asks = lineUnknown // for the name of somebody else
	}
	if asks != lineUnknown {
		g.active, g.tries = true, 0
	}
	switch asks {
	case lineName:
		return g.name()
	case linePassword, lineRescue:
		return g.password(ctx, asks, text)
	case lineEnter:
		return g.enter("\r")
	}
	return g.unknown(text)
}

// unknown types Enter or a command at a line that may be a shell.
func (g *login) unknown(text string) error {
	silence := cmp.Or(g.c.Silence, defaultSilence)
	tried := g.tries == len(pauses)
	pause := pauses[min(g.tries, len(pauses)-1)]
	if g.answered && text == "" {
		pause = judging // login would take earlier input for the next name
	}
	switch {
	case !g.active:
		return nil
	case !tried && time.Since(g.typed) >= pause:
		g.tries++
		switch {
		case text == "" && g.tries == 1:
			return g.enter(killLine + "\r")
		case g.tries <= 2:
			return g.enter(killLine + probeLine(g.word))
		}
		return g.enter("\n" + probeLine(g.word)) // for a terminal that was left raw
	case time.Since(g.heard) >= silence && time.Since(g.typed) >= min(silence, time.Second):
		if g.shown.String() == "" {
			return fmt.Errorf("%w: nothing was heard for %v", connect.ErrTimeout, silence)
		}
		return fmt.Errorf("%w: neither a prompt nor a shell that answers was found", connect.ErrTimeout)
	}
	return nil
}

// name answers a login prompt. One behind a password means that it was wrong, or
// that the account can't log in.
func (g *login) name() error {
	if g.asked != "" {
		if err := g.wrong(); err != nil {
			return err
		}
	}
	if g.names++; g.names > maxNames {
		return fmt.Errorf("%w: the login name is asked for again and again", connect.ErrPermission)
	}
	g.phase = "logging in"
	err := g.enter(cmp.Or(g.c.User, "root") + "\r")
	g.named, g.answered, g.own = true, true, true
	return err
}

// wrong returns the error for a password that was not accepted, nil if a person may try again.
func (g *login) wrong() error {
	v := failure.Meaning(strings.Split(g.shown.String(), " / "), consoleSays)
	if v.Class == nil && (g.c.Password != "" || g.attempts >= tool.MaxAttempts) {
		v.Class = connect.ErrPassword
	}
	g.asked = ""
	return v.Class
}

// consoleSays are messages of login if something else than the password is wrong.
var consoleSays = []failure.Saying{
	failure.Says("not available", connect.ErrPermission, ""),
	failure.Says("expired", connect.ErrPermission, ""),
	failure.Says("not allowed", connect.ErrPermission, ""),
	failure.Says("timed out", connect.ErrTimeout, ""),
}

// password answers a prompt for a password.
func (g *login) password(ctx context.Context, asks lineAsks, text string) error {
	g.phase = "logging in"
	kind := connect.PromptPassword
	switch {
	case g.asked == "":
	case g.asked != text:
		kind = connect.PromptOther // an expired one that has to be changed, for instance
	default:
		if err := g.wrong(); err != nil {
			return err
		}
	}
	answer := g.c.Password
	if answer == "" || kind == connect.PromptOther {
		if g.e.Prompt == nil {
			return fmt.Errorf("%w: the line asks %q", connect.ErrPasswordRequired, text)
		}
		g.attempts++
		p := connect.Prompt{Kind: kind, Path: g.port.hop, Text: text, Attempt: g.attempts}
		reply, err := g.ask(ctx, p)
		if err != nil || g.last.Text() != text {
			return err // login has given up meanwhile, and would take the answer for a name
		}
		answer = connect.Secret(reply)
	}
	secret := tool.Reveal(answer)
	if strings.ContainsAny(secret, "\n\r\x00") {
		return fmt.Errorf("%w: the answer given for %q has a line feed, a carriage return or a zero byte in it", connect.ErrPassword, text)
	}
	g.hide.Add(secret)
	if asks == lineRescue {
		g.own = false
	}
	if kind == connect.PromptPassword {
		g.asked = text
	}
	err := g.enter(secret + "\n")
	g.answered = true
	return err
}

// ask asks a person, and reads the line meanwhile.
func (g *login) ask(ctx context.Context, p connect.Prompt) (reply string, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		reply, err = tool.AskPerson(ctx, g.e.Prompt, p)
	}()
	for {
		select {
		case <-answered:
			return reply, err
		case b, ok := <-g.port.in:
			if !ok {
				cancel()
				<-answered
				return "", failure.Classify(connect.ErrEOF, fmt.Errorf("the line was lost: %w", g.port.readErr))
			}
			g.hear(b)
		}
	}
}

// begin makes the shell start the first stage.
func (g *login) begin(ctx context.Context) error {
	g.phase = "starting the far side"
	if _, _, err := g.await(ctx, settleTime); err != nil { // its prompt
		return err
	}
	if err := g.enter(startLine(g.word, g.own)); err != nil {
		return err
	}
	switch says, _, err := g.await(ctx, startSilence, g.word+saysReady, g.word+saysNoTTY); {
	case err != nil:
		return err
	case says == "":
		return fmt.Errorf("%w: the shell does not start /bin/sh", connect.ErrTimeout)
	case says == g.word+saysNoTTY:
		return fmt.Errorf("%w: the terminal can't be made a pipe: no stty", connect.ErrStart)
	}
	script := ""
	if n := len(g.e.Argv); n > 0 {
		script = g.e.Argv[n-1]
	}
	g.port.left = g.seen
	return g.enter(stageLine(script, g.port.end, !g.c.KernelMessages))
}

// abandon closes the line after a failure. It ends a shell to which we have logged in; one
// whose terminal has become a pipe ends by itself.
func (g *login) abandon() {
	if g.own && g.asked != "" && g.phase != "starting the far side" {
		_ = g.port.enter(killLine + "exit\n")
	}
	_ = g.port.Close()
}

// hint returns what a person can do about a failure.
func (g *login) hint(err error) string {
	switch said := g.shown.String(); {
	case !errors.Is(err, connect.ErrTimeout) || g.names > 0:
	case said == "":
		return "check the cable, the speed, and whether a getty runs at the far side"
	case strings.Count(said, "�")*4 > len(said):
		return "the output does not look like text: try another speed"
	}
	return ""
}
