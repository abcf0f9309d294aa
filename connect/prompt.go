package connect

import (
	"bytes"
	"strings"
)

// matcher finds password prompts in what a tool prints on its terminal. It is
// pure: bytes go in, and whether the terminal echoes is told to it.
//
// A tool that lets us choose its prompt is given a token that nothing else
// prints: then only the token is a prompt, whatever a banner or a lecture says
// about passwords. Where the token never shows, because PAM speaks in another
// voice, an unfinished line on a terminal that does not echo is one.
type matcher struct {
	token string

	text  []byte // what was printed since the last answer
	asked int    // prompts seen
}

// maxPromptText bounds what is kept of a tool's output, in bytes.
const maxPromptText = 16 << 10

func (m *matcher) feed(b []byte) {
	m.text = append(m.text, b...)
	if extra := len(m.text) - maxPromptText; extra > 0 {
		m.text = append(m.text[:0], m.text[extra:]...)
	}
}

// prompt returns the text of the prompt at the end of what was fed, and
// whether it was recognised by the token.
func (m *matcher) prompt() (text string, byToken, ok bool) {
	if m.token != "" {
		if at := bytes.LastIndex(m.text, []byte(m.token)); at >= 0 {
			return "", true, true
		}
	}
	line := m.text
	if at := bytes.LastIndexByte(line, '\n'); at >= 0 {
		line = line[at+1:]
	}
	s := strings.TrimSpace(cleanText(string(line)))
	return s, false, s != "" && endsLikePrompt(s)
}

// endsLikePrompt tells a question from a line that is still being written.
func endsLikePrompt(s string) bool {
	for _, end := range []string{":", "?", "：", ">"} {
		if strings.HasSuffix(s, end) {
			return true
		}
	}
	return false
}

// answered forgets what was printed up to an answer.
func (m *matcher) answered() {
	m.text = m.text[:0]
	m.asked++
}

// said is what the tool printed apart from prompts, for error texts.
func (m *matcher) said() string {
	s := string(m.text)
	if m.token != "" {
		s = strings.ReplaceAll(s, m.token, "")
	}
	lines := strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\r' })
	var kept []string
	for _, l := range lines {
		if l = strings.TrimSpace(cleanText(l)); l != "" {
			kept = append(kept, l)
		}
	}
	return strings.Join(kept, " / ")
}
