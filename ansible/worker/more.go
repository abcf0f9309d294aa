//go:build linux || darwin || freebsd

package worker

import (
	"context"
	"fmt"
	"time"

	"github.com/mitosis-go/mitosis/contexts"
)

// request is the argument of ansible.more.
type request struct {
	Token string `cbor:"token"`
}

func init() {
	contexts.NewFunc("ansible.more", func(_ context.Context, r request) (result, error) { return here.more(r.Token) })
}

// rest is output that has not been passed on yet.
type rest struct {
	stdout, stderr []byte
	forget         *time.Timer
}

// take takes the next piece.
func (r *rest) take() (stdout, stderr []byte) {
	n := min(maxInline, len(r.stdout))
	m := min(maxInline-n, len(r.stderr))
	stdout, stderr = r.stdout[:n], r.stderr[:m]
	r.stdout, r.stderr = r.stdout[n:], r.stderr[m:]
	return stdout, stderr
}

// pass returns a result with the next piece of an output, and keeps what is left of it for a while.
func (f *farm) pass(r *rest) result {
	var res result
	res.Stdout, res.Stderr = r.take()
	if len(r.stdout)+len(r.stderr) == 0 {
		return res
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last++
	token := fmt.Sprint(f.last)
	res.More = token
	r.forget = time.AfterFunc(restLife, func() { f.takeRest(token) })
	f.rests[token] = r
	return res
}

func (f *farm) takeRest(token string) *rest {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.rests[token]
	delete(f.rests, token)
	return r
}

// more returns the next piece of an output.
func (f *farm) more(token string) (result, error) {
	r := f.takeRest(token)
	if r == nil {
		return result{}, fmt.Errorf("there is no output %q", token)
	}
	r.forget.Stop()
	return f.pass(r), nil
}
