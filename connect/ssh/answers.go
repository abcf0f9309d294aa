package ssh

import (
	"cmp"
	"strings"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/internal/failure"
	"github.com/mitosis-go/mitosis/connect/internal/tool"
)

// answers are those of one attempt. A server does not say which of them was wrong.
type answers struct {
	password bool   // the password of the account is among them
	other    string // the last other question that was answered
	expired  string // what the server has said since, if it is that the account has expired
}

// add notes that a person has answered a question.
func (g *answers) add(kind connect.PromptKind, text string) {
	if kind == connect.PromptPassword {
		g.password = true
		return
	}
	g.other = cmp.Or(text[strings.LastIndexByte(text, '\n')+1:], tool.NoText)
}

// hear notes a line that the server tells. Before the first answer it is a banner for all.
func (g *answers) hear(line string) {
	if (g.password || g.other != "") && failure.Expired(line) {
		g.expired = line
	}
}

// refusal returns the class of an attempt that was refused, with the question that may have been
// answered wrongly.
func (g *answers) refusal() error {
	if g.password && g.other != "" {
		return tool.IncorrectAnswer(g.other)
	}
	return connect.ErrPassword
}

// refuse notes that the server has refused the current attempt, in which answers were sent or not.
func (a *authenticator) refuse(sent bool) {
	if sent {
		a.wrong = a.given
	}
	a.badPassword = a.badPassword || sent && a.given.expired == ""
}
