package failure

import "strings"

// Verdict is the class of a failure, and a hint on what can be done, "" if that is not known.
type Verdict struct {
	Class error
	Hint  string
}

// Saying is a text of a failing tool, in lower case, with its verdict.
type Saying struct {
	text string
	Verdict
}

// Meaning returns the verdict of the first saying that is in a line. It ignores capital
// letters, which differ between versions of tools.
func Meaning(said []string, sayings []Saying) Verdict {
	for _, s := range sayings {
		for _, line := range said {
			if strings.Contains(strings.ToLower(line), s.text) {
				return s.Verdict
			}
		}
	}
	return Verdict{}
}

// ExpiredHint is the advice where Expired reports true.
const ExpiredHint = "let root change the password or the account's date of expiry"

// Expired reports whether a server says that an account or its password has expired, as PAM words
// it. The password was right then.
func Expired(line string) bool {
	line = strings.ToLower(line)
	for _, text := range [...]string{"account has expired", "account expired", "password has expired", "password expired"} {
		if strings.Contains(line, text) {
			return true
		}
	}
	return false
}

// Says makes a saying with its verdict.
func Says(text string, class error, hint string) Saying {
	return Saying{text, Verdict{class, hint}}
}
