//go:build linux

package connecttest

import (
	"context"
	"errors"
	"sync"

	"github.com/mitosis-go/mitosis/connect"
)

// Person answers prompts and remembers them.
type Person struct {
	mu      sync.Mutex
	Answers []string
	Asked   []connect.Prompt
}

// Answer is the Prompt of an OpenRequest.
func (p *Person) Answer(_ context.Context, q connect.Prompt) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.Asked = append(p.Asked, q)
	if len(p.Asked) > len(p.Answers) {
		return "", errors.New("nobody is at home")
	}
	return p.Answers[len(p.Asked)-1], nil
}
