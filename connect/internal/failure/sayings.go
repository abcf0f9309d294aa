package failure

import "strings"

// Verdict is the class of a failure, and what can be done about it; "" where that
// is not known.
type Verdict struct {
	Class error
	Hint  string
}

// Saying is something that a tool says when it fails, in lower case, and what that
// means.
type Saying struct {
	text string
	Verdict
}

// Meaning finds the first of the sayings that was said. Tools say the same with
// and without a capital letter.
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

// Says is a saying with its meaning.
func Says(text string, class error, hint string) Saying {
	return Saying{text, Verdict{class, hint}}
}
