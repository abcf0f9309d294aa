package ssh

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/internal/failure"
	"github.com/mitosis-go/mitosis/connect/internal/printable"
	"github.com/mitosis-go/mitosis/connect/internal/tool"
)

// maxOffers bounds the keys that are offered on one connection. Servers cut off
// after MaxAuthTries (6 by default), x/crypto/ssh after 64 attempts.
const maxOffers = 50

// An authenticator chooses the next authentication method (RFC 4252): keys, then
// keyboard-interactive, then the password, as the server allows. It serves one Open. If the
// server cuts the connection after too many keys, it continues on the next connection with
// the keys that are left.
//
// Its methods run on the goroutine of the handshake, one at a time.
type authenticator struct {
	// Immutable.
	ctx    context.Context
	env    *connect.OpenRequest
	label  string
	method *Login
	set    *settings
	keys   *keyring

	// One connection.
	wire      *wire
	queue     []identity
	collected bool
	current   authAttempt
	partials  int // methods that were accepted although more are required
	offers    int
	agent     net.Conn
	agentStop func() bool

	// The current attempt at keyboard-interactive or a password.
	given    answers
	answered bool // a question was answered
	asking   bool // a person was asked
	lacking  bool // a question had no answer

	// The current round: what one challenge of the server asks together.
	round map[string]bool // the questions that were put to a person

	// Until the server accepts a method and requires more.
	attempts int            // in which a person was asked
	asked    map[string]int // in how many rounds a person was asked a question
	hasTried bool           // keyboard-interactive
	silent   bool           // keyboard-interactive failed without an answer of ours

	// The whole Open.
	tried        []string
	refused      map[string]bool // keys, by their encoding
	questions    int             // to a person
	told         int             // lines that were told to a person
	passwordSent bool            // the given password was sent
	badPassword  bool            // a password was refused
	wrong        answers         // those that were refused last
	unanswered   string          // a question for which nobody could be asked
	troubles     int             // how many of keys.troubles were noted
	fatal        error           // a person refused to answer
	final        error           // the last error of next
}

// An authAttempt is a key or method that the server is about to accept or refuse.
type authAttempt struct {
	method string
	name   string
	key    string
}

// note keeps one attempt and its result for the account. It takes the path off errors of
// files, which the text has already.
func (a *authenticator) note(format string, args ...any) {
	for i := range args {
		if e, ok := args[i].(*fs.PathError); ok {
			args[i] = e.Err
		}
	}
	text := fmt.Sprintf(format, args...)
	if slices.Contains(a.tried, text) {
		return
	}
	a.tried = append(a.tried, text)
	if a.env.Log != nil {
		a.env.Log.Debug("ssh authentication", "hop", a.label, "user", a.set.user, "tried", text)
	}
}

// begin prepares for a new connection.
func (a *authenticator) begin(w *wire) {
	a.wire = w
	a.queue, a.collected = nil, false
	a.current, a.partials, a.offers = authAttempt{}, 0, 0
	if a.refused == nil {
		a.refused = map[string]bool{}
	}
}

// next is the ssh.ClientAuthCallback. Its error comes back from the handshake
// wrapped; explain finds it in final.
func (a *authenticator) next(c *ssh.ClientAuthContext) (ssh.AuthMethod, error) {
	method, err := a.choose(c)
	a.final = err
	return method, err
}

func (a *authenticator) choose(c *ssh.ClientAuthContext) (ssh.AuthMethod, error) {
	// The library goes on with other methods when the connection is gone.
	// Nobody should be asked for a password then.
	if err := a.wire.failure(); err != nil {
		return nil, err
	}
	if err := a.ctx.Err(); err != nil {
		return nil, err
	}
	if len(c.PartialSuccessMethods) > a.partials {
		a.partials = len(c.PartialSuccessMethods)
		a.note("%s (accepted, but not enough)", a.current.name)
		a.current = authAttempt{}
		a.attempts, a.asked, a.hasTried, a.silent = 0, nil, false, false
	} else {
		a.settle()
	}
	if a.fatal != nil {
		return nil, fmt.Errorf("%w; %s", a.fatal, a.account(c.AllowedMethods))
	}
	if a.wrong.expired != "" {
		return nil, a.denied(c.AllowedMethods)
	}
	for _, name := range a.set.methods {
		if !slices.Contains(c.AllowedMethods, name) {
			continue
		}
		var method ssh.AuthMethod
		switch name {
		case "publickey":
			method = a.publicKey()
		case "keyboard-interactive":
			method = a.keyboard()
		case "password":
			method = a.password()
		}
		if method != nil {
			return method, nil
		}
	}
	return nil, a.denied(c.AllowedMethods)
}

// settle notes that the current attempt was refused.
func (a *authenticator) settle() {
	current := a.current
	a.current = authAttempt{}
	switch current.method {
	case "":
		return
	case "publickey":
		a.refused[current.key] = true
		if a.keys.troubles > a.troubles {
			a.troubles = a.keys.troubles
			a.note("%v", a.keys.trouble)
			return
		}
	case "keyboard-interactive", "password":
		if a.fatal != nil {
			return // nothing was sent
		}
	}
	switch current.method {
	case "keyboard-interactive":
		a.silent = a.silent || a.lacking || !a.answered
		if a.lacking {
			return // the other answers may have been right; account tells of the question
		}
		a.refuse(a.answered)
	case "password":
		a.refuse(true)
	}
	a.note("%s (refused)", current.name)
}

func (a *authenticator) publicKey() ssh.AuthMethod {
	if !a.collected {
		a.collected = true
		a.queue = a.identities()
	}
	for len(a.queue) > 0 && a.offers < maxOffers {
		id := a.queue[0]
		a.queue = a.queue[1:]
		if id.public != nil && a.refused[string(id.public.Marshal())] {
			continue
		}
		signer, err := id.signer()
		if err == nil {
			signer, err = a.set.restrict(signer)
		}
		if err != nil {
			a.note("%s: %v", id.name, err)
			continue
		}
		key := string(signer.PublicKey().Marshal())
		if a.refused[key] {
			continue
		}
		a.offers++
		a.current = authAttempt{method: "publickey", name: id.name, key: key}
		return ssh.PublicKeys(signer)
	}
	return nil
}

// person reports whether a person may still be asked for a password. If the program gave a
// wrong one, that is an error instead.
func (a *authenticator) person() bool {
	return a.env.Prompt != nil && a.attempts < a.set.maxPrompts() && (a.method.Password == "" || !a.badPassword)
}

// unsent reports whether there is a given password that was not sent.
func (a *authenticator) unsent() bool { return a.method.Password != "" && !a.passwordSent }

// begins starts an attempt at a method with questions.
func (a *authenticator) begins(name string) {
	a.current = authAttempt{method: name, name: name}
	a.given, a.answered, a.asking, a.lacking = answers{}, false, false, false
}

// keyboard is tried once even if there is no password and nobody can be asked. A server that
// waives its second factor asks nothing; if another one asks, the error has its question.
func (a *authenticator) keyboard() ssh.AuthMethod {
	if a.silent {
		return nil
	}
	if !a.unsent() && !a.person() && a.hasTried {
		a.wanted("keyboard-interactive")
		return nil
	}
	a.hasTried = true
	a.begins("keyboard-interactive")
	return ssh.KeyboardInteractive(func(name, instruction string, questions []string, echos []bool) ([]string, error) {
		a.round = map[string]bool{}
		a.tell(name + "\n" + instruction)
		answers := make([]string, len(questions))
		for i, question := range questions {
			answer, err := a.answer(question, echos[i], len(questions) == 1)
			if err != nil {
				return nil, err
			}
			answers[i] = answer
			a.answered = true
		}
		return answers, nil
	})
}

// answer answers one question of keyboard-interactive. The given password only goes to a
// question whose answer is hidden: to one that has the word, or, if nobody can be asked, to
// the only one, unless it names another factor. The lines above the last one of a question
// are told as notices.
func (a *authenticator) answer(question string, echo, only bool) (string, error) {
	lines := textLines(question)
	text := ""
	if len(lines) > 0 {
		text = lines[len(lines)-1]
	}
	isPassword := !echo && isAccountPassword(text)
	if a.unsent() && !echo && (isPassword || only && a.env.Prompt == nil && !isOtherFactor(text)) {
		a.tell(strings.Join(lines[:max(0, len(lines)-1)], "\n"))
		a.passwordSent, a.given.password = true, true
		return tool.Reveal(a.method.Password), nil
	}
	if a.env.Prompt == nil {
		a.tell(strings.Join(lines[:max(0, len(lines)-1)], "\n"))
		a.unanswered, a.lacking = cmp.Or(text, tool.NoText), true
		return "", fmt.Errorf("%w: the server asks %q", connect.ErrPasswordRequired, a.unanswered)
	}
	kind, key := connect.PromptOther, text
	if isPassword {
		kind, key = connect.PromptPassword, "password"
	}
	if a.env.Notify != nil && len(lines) > 1 {
		a.tell(strings.Join(lines[:len(lines)-1], "\n"))
		return a.ask(kind, key, text, echo)
	}
	return a.ask(kind, key, strings.Join(lines, "\n"), echo)
}

// ask asks a person. The key tells whether it is the same question again. In another round
// that means that the answer before was wrong; in the same one it is a question in the same
// words.
func (a *authenticator) ask(kind connect.PromptKind, key, text string, echo bool) (string, error) {
	if !a.asking {
		a.asking = true
		a.attempts++
	}
	if a.asked == nil {
		a.asked = map[string]int{}
	}
	if !a.round[key] {
		a.round[key] = true
		a.asked[key]++
	}
	if a.questions++; a.questions > tool.MaxQuestions {
		a.fatal = fmt.Errorf("%w: the server asks %q, after %d other questions", connect.ErrPermission, text, tool.MaxQuestions)
		return "", a.fatal
	}
	answer, err := tool.AskPerson(a.ctx, a.env.Prompt, connect.Prompt{Kind: kind, Path: a.label, Text: text, Attempt: a.asked[key], Echo: echo})
	if err != nil {
		a.fatal = err
		return "", err
	}
	a.given.add(kind, text)
	return answer, nil
}

// tell shows a person the texts of the server, up to MaxNotices lines, since a server may send
// any number.
func (a *authenticator) tell(text string) {
	for _, line := range textLines(text) {
		a.given.hear(line)
		if a.told++; a.told <= tool.MaxNotices {
			tool.TellPerson(a.ctx, a.env.Notify, a.env.Log, connect.Notice{Path: a.label, Text: line})
		}
	}
}

func (a *authenticator) password() ssh.AuthMethod {
	if !a.unsent() && (a.method.Password != "" || !a.person()) {
		a.wanted("password")
		return nil
	}
	a.begins("password")
	return ssh.PasswordCallback(func() (string, error) {
		if a.method.Password != "" {
			a.passwordSent, a.given.password = true, true
			return tool.Reveal(a.method.Password), nil
		}
		a.round = map[string]bool{}
		return a.ask(connect.PromptPassword, "password", a.set.user+"@"+a.set.host+"'s password: ", false)
	})
}

// wanted notes that the server would have taken a password and there was none.
func (a *authenticator) wanted(question string) {
	if a.method.Password == "" && a.env.Prompt == nil && a.unanswered == "" {
		a.unanswered = question
	}
}

// explain finds the reason for a handshake that ended during authentication,
// and whether another connection could do better.
func (a *authenticator) explain(d *dial, err error) (again, error) {
	lost := a.wire.failure()
	if a.final != nil && a.final != lost {
		return againNever, d.fail(phaseAuth, a.final)
	}
	if a.current.method == "" && len(a.tried) == 0 {
		return againNever, d.fail(phaseAuth, failure.Classify(connect.ErrEOF, fmt.Errorf("the server closed the connection: %w", err)))
	}
	if a.given.expired != "" { // which the server says before it disconnects
		a.settle()
		return againNever, d.fail(phaseAuth, a.denied(nil))
	}
	// A server that says why it disconnects has refused the key. One that says nothing may
	// have seen too many keys, if there was more than one.
	if (lost == nil || a.offers > 1) && a.canGoOn() {
		return againNow, d.fail(phaseAuth, fmt.Errorf("%w: the server closed the connection: %w", connect.ErrPermission, err))
	}
	if lost != nil {
		// The server has not answered the current attempt.
		return againNever, d.fail(phaseAuth, failure.Classify(connect.ErrEOF, fmt.Errorf("the connection was lost: %w", err)))
	}
	a.settle()
	return againNever, d.fail(phaseAuth, fmt.Errorf("%w; the server closed the connection: %v", a.denied(nil), err))
}

// canGoOn reports whether there is something left to try on a new connection, after the server
// has cut one during authentication.
func (a *authenticator) canGoOn() bool {
	if a.current.method != "publickey" || a.fatal != nil {
		return false
	}
	a.settle()
	for i := range a.queue {
		if a.queue[i].public == nil || !a.refused[string(a.queue[i].public.Marshal())] {
			return true
		}
	}
	return a.unsent() || a.person()
}

// denied returns the error if nothing is left to try. Its class is the first of these on which
// a person can act: a wrong password, a missing passphrase, a missing password.
func (a *authenticator) denied(allowed []string) error {
	class := connect.ErrPermission
	explicit := len(a.method.Keys)+len(a.method.IdentityFiles)+len(a.method.Certificates) > 0
	switch {
	case a.wrong.expired != "":
		return fmt.Errorf("%w: the server says %q: %s; %s", class, a.wrong.expired, failure.ExpiredHint, a.account(allowed))
	case a.badPassword:
		class = a.wrong.refusal()
	case errors.Is(a.keys.trouble, connect.ErrPassword):
		class = connect.ErrPassword
	case errors.Is(a.keys.trouble, connect.ErrPasswordRequired):
		class = connect.ErrPasswordRequired
	case a.unanswered != "" && (!explicit || a.partials > 0 || a.passwordSent):
		class = connect.ErrPasswordRequired
	}
	return fmt.Errorf("%w: %s", class, a.account(allowed))
}

// account lists the attempts with their results.
func (a *authenticator) account(allowed []string) string {
	text := "user " + a.set.user + ": tried nothing"
	if len(a.tried) > 0 {
		text = "user " + a.set.user + ": tried " + strings.Join(a.tried, ", ")
	}
	if a.env.Where != "" {
		text += " (with the keys and the agent of " + a.env.Where + ")"
	}
	switch a.unanswered {
	case "":
	case "password", "keyboard-interactive":
		text += "; nobody could be asked"
	default:
		text += fmt.Sprintf("; nobody could be asked %q", a.unanswered)
	}
	if len(allowed) > 0 {
		text += "; the server takes " + strings.Join(allowed, ", ") + a.set.notTaken(allowed)
	}
	return text
}

// isAccountPassword reports whether a question with a hidden answer asks for the password of
// the account.
func isAccountPassword(question string) bool {
	return tool.HasPasswordWord(question) && !tool.HasWord(question, tool.OnceWords) && !tool.HasWord(question, tool.FreshWords)
}

// isOtherFactor reports whether a question names another factor than a password.
func isOtherFactor(question string) bool {
	return tool.ContainsAny(strings.ToLower(question), append([]string{"code", "pin", "código", "код", "challenge", "response", "factor"}, tool.OnceWords...)...)
}

// textLines returns the lines of a text of the server, safe to show.
func textLines(text string) []string {
	var lines []string
	for line := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == '\n' || r == '\r' }) {
		if line = strings.TrimRight(printable.Line(line), " "); strings.TrimSpace(line) != "" {
			lines = append(lines, line)
		}
	}
	return lines
}
