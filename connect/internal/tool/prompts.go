package tool

import (
	"strings"
	"unicode/utf8"

	"github.com/mitosis-go/mitosis/connect/internal/printable"
)

// AskFor says what a prompt asks for.
type AskFor uint8

const (
	AsksNothing    AskFor = iota // not a prompt, or an unknown one
	AsksPassword                 // the password of an account
	AsksPassphrase               // the passphrase of a private key
	AsksHostKey                  // whether to trust a host; only a person can answer
	AsksOther                    // anything else; only a person can answer
)

// Question is a recognised prompt.
type Question struct {
	Asks AskFor
	Text string // for a person
	// Key is the same if the question comes again.
	Key string
	// Vague: only its words make it a prompt for a password. Other lines can have them, too.
	Vague bool
	// Other: the given secret is not the answer. It asks for a new password, say, or for
	// the PIN of a token.
	Other bool
}

// MaxNotices bounds the lines of one tool that are told to a person.
const MaxNotices = 100

// MaxPrompt bounds the line in which a prompt is looked for, in bytes. Its end is kept.
const MaxPrompt = 4 << 10

// PromptLine keeps the last line of a terminal, which is where a prompt stands. Text in front
// of a line feed or a carriage return is no prompt any more, so that a banner with
// "password:" in it is ignored. The type is pure.
type PromptLine struct {
	line  []byte
	above []byte // complete lines since the last answer, for a person to read
	// echo is an answer that the terminal is about to show while it is typed; it is no
	// line of the tool. "" if there is none.
	echo string

	last  string   // the last complete line since the last answer
	held  string   // a line that ended with a carriage return: the next byte may overwrite it
	ended []string // complete lines that were not drained yet
}

// Feed takes bytes of the terminal.
func (l *PromptLine) Feed(b []byte) {
	for _, c := range b {
		if c != '\n' && c != '\r' {
			l.held = ""
		}
		switch c {
		case '\n', '\r':
			if len(l.line) > 0 {
				l.endLine()
			}
			if c == '\n' && l.held != "" {
				if len(l.ended) < MaxNotices {
					l.ended = append(l.ended, l.held)
				}
				l.held = ""
			}
			l.line = l.line[:0]
		case '\b':
			// sudo's pwfeedback takes its stars back in this way.
			if len(l.line) > 0 {
				l.line = l.line[:len(l.line)-1]
			}
		case 0:
		default:
			if len(l.line) >= MaxPrompt {
				l.line = append(l.line[:0], l.line[MaxPrompt/2:]...)
			}
			l.line = append(l.line, c)
		}
	}
}

// endLine keeps a line that has ended, unless it is the echo of an answer.
func (l *PromptLine) endLine() {
	text := strings.TrimSpace(printable.Line(string(l.line)))
	if l.echo != "" && text == strings.TrimSpace(printable.Line(l.echo)) {
		l.echo = ""
		return
	}
	l.above = append(append(l.above, l.line...), '\n')
	l.above = l.above[max(0, len(l.above)-MaxPrompt):]
	if strings.Trim(text, "*") != "" {
		l.held, l.last = text, text
	}
}

// drain returns the complete lines that came since the last time, for a person to
// read as they come.
func (l *PromptLine) drain() []string {
	lines := l.ended
	l.ended = nil
	return lines
}

// Text returns the line as a person would see it, without the stars that some tools show for
// a password.
func (l *PromptLine) Text() string {
	s := strings.TrimLeft(printable.Line(string(l.line)), " ")
	if strings.Trim(s, "* ") == "" {
		return ""
	}
	return s
}

// Context returns the lines above since the last answer.
func (l *PromptLine) Context() string {
	var lines []string
	for line := range strings.SplitSeq(string(l.above), "\n") {
		if line = strings.TrimSpace(printable.Line(line)); line != "" && strings.Trim(line, "*") != "" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}

// Answered forgets all of it, so that no prompt is answered twice.
func (l *PromptLine) Answered() { l.line, l.above, l.last = l.line[:0], l.above[:0], "" }

// PasswordPrompt recognises the prompts of PAM, login, su, sudo and their
// like in the languages that they are translated to: an unfinished line that
// ends with a colon and holds the word.
func PasswordPrompt(line string) bool {
	s := strings.TrimRight(line, " \u00a0\u200b")
	for _, colon := range []string{":", "：", "៖"} {
		if rest, ok := strings.CutSuffix(s, colon); ok {
			return HasPasswordWord(rest)
		}
	}
	return false
}

// HasPasswordWord reports whether a text has the word "password" in a language of the table.
func HasPasswordWord(s string) bool {
	s = strings.ToLower(s)
	for _, word := range passwordWords {
		if strings.Contains(s, word) {
			return true
		}
	}
	return false
}

// passwordWords are the words for password, in lower case, as the catalogues
// of Linux-PAM, shadow, sudo, util-linux and polkit have them.
var passwordWords = []string{
	"password", "passwd", "passwort", "kennwort", "mot de passe", "contraseña", "contrasenya", "contrasinal",
	"contrasigno", "senha", "palavra-passe", "parola", "parolă", "adgangskode", "wachtwoord", "lösenord", "passord",
	"salasana", "jelszó", "jelszava", "heslo", "hasło", "parool", "pasahitza", "pasvorto", "focal faire", "kata sandi", "sandi",
	"şifrə", "şifre", "šifra", "lozinka", "geslo", "slaptažodis", "parole", "mật khẩu", "iphasiwedi", "kontrasenyas", "fjalëkalimi",
	"пароль", "парола", "лозинка", "συνθηματικό", "κωδικός πρόσβασης", "пароли", "պաղտնաբառ", "გასაღები", "პაროლი",
	"密码", "密碼", "口令", "パスワード", "암호", "비밀번호", "รหัสผ่าน", "ססמה", "סיסמה", "كلمة السر", "كلمة المرور",
	"गुप्तशब्द", "शब्दकूट", "पासवर्ड", "পাসওয়ার্ড", "গুপ্তশব্দ", "પાસવર્ડ", "ਪਾਸਵਰਡ", "ପ୍ରବେଶ ସଙ୍କେତ", "ಗುಪ್ತಪದ",
	"അടയാളവാക്ക്", "సంకేతపదము", "கடவுச்சொல்", "රහස්පදය", "ពាក្យសម្ងាត់", "ཆོག་ཡིག་",
}

// OnceWords are words of prompts for a one-time password, as those of OATH and OPIE. It is
// not the password of the account.
var OnceWords = []string{"one-time", "one time", "onetime", "otp", "totp", "hotp", "oath", "passcode", "token", "verification", "einmalpasswort"}

// FreshWords are words of prompts for a new password.
var FreshWords = []string{"new", "new_password", "retype", "re-enter", "repeat", "neues", "nouveau", "nueva", "nuova", "nova", "новый"}

// AccountPrompt recognises the prompt for the password of an account, by its words.
func AccountPrompt(line string) Question {
	if !PasswordPrompt(line) || HasWord(line, OnceWords) {
		return Question{}
	}
	return Question{Asks: AsksPassword, Text: line, Key: "password", Vague: true, Other: HasWord(line, FreshWords)}
}

// HasWord reports whether s has one of the words, and not only as part of a longer one: there
// is a "pin" in the user name chopin.
func HasWord(s string, words []string) bool {
	s = strings.ToLower(s)
	for _, word := range words {
		for rest := s; ; {
			before, after, found := strings.Cut(rest, word)
			if !found {
				break
			}
			left, _ := utf8.DecodeLastRuneInString(before)
			right, _ := utf8.DecodeRuneInString(after)
			if !isWordPart(left) && !isWordPart(right) {
				return true
			}
			rest = after
		}
	}
	return false
}

// AnyPrompt recognises prompts of unknown tools.
func AnyPrompt(line string) Question {
	q := AccountPrompt(line)
	q.Vague = false // such a tool has no better prompt to wait for
	return q
}

// TokenPrompt recognises only prompts that have the token, which no other text has, and a
// colon at the end. The token may end with the colon.
func TokenPrompt(token string) func(line string) Question {
	return func(line string) Question {
		_, text, found := strings.Cut(line, token)
		if text = strings.TrimSpace(text); !found || !strings.HasSuffix(text, ":") && !strings.HasSuffix(token, ":") {
			return Question{} // not before the colon, so that a person gets to see all of it
		}
		if text == "" {
			text = "password:"
		}
		return Question{Asks: AsksPassword, Text: text, Key: "password"}
	}
}

// ContainsAny reports whether s has one of the parts.
func ContainsAny(s string, parts ...string) bool {
	for _, p := range parts {
		if strings.Contains(s, p) {
			return true
		}
	}
	return false
}

// WordedPrompt recognises prompts as [AnyPrompt] does. Prompts with different texts are
// different questions.
func WordedPrompt(line string) Question {
	q := AnyPrompt(line)
	q.Key = line
	return q
}
