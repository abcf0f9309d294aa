// Package work has the functions of the example: the program and its agent import it, and
// so register the same.
package work

import (
	"context"
	"os"

	"github.com/mitosis-go/mitosis/contexts"
)

// Report tells which program a context runs.
type Report struct {
	Hostname string
	Size     int64 // of the executable, in bytes
}

// Look runs in a context.
var Look = contexts.NewFunc("agent.look", func(context.Context, struct{}) (Report, error) {
	var r Report
	var err error
	if r.Hostname, err = os.Hostname(); err != nil {
		return r, err
	}
	self, err := os.Stat("/proc/self/exe")
	if err != nil {
		return r, err
	}
	r.Size = self.Size()
	return r, nil
})
