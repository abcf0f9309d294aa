package tool

import (
	"slices"
	"strings"
	"sync"

	"github.com/mitosis-go/mitosis/connect"
)

// Secrets are what was typed for a tool. Whatever the tool says afterwards is
// shown without them.
type Secrets struct {
	// Immutable.
	token, instead string // a word that means nothing to a reader, and one that does

	mu  sync.Mutex
	all []string // guarded by mu
}

// Add has a secret hidden from now on.
func (s *Secrets) Add(secret string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if secret != "" && !slices.Contains(s.all, secret) {
		s.all = append(s.all, secret)
	}
}

func (s *Secrets) hide(text string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, secret := range s.all {
		text = strings.ReplaceAll(text, secret, connect.Secret("").String())
	}
	if s.token != "" {
		text = strings.ReplaceAll(text, s.token, s.instead)
	}
	return text
}

// Reveal returns a secret itself. Its callers are the places where secrets
// are typed or signed with.
func Reveal(s connect.Secret) string { return string(s) }
