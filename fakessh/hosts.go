package fakessh

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/mitosis-go/mitosis/contexts"
)

// Hosts maps the host names that a tool uses to contexts.
type Hosts struct {
	// Default is the context for names that neither Names nor Lookup knows. If it
	// is nil, such names are refused.
	Default *contexts.Node
	// Names are tried first: as "user@host", then as "host".
	Names map[string]*contexts.Node
	// Lookup, if not nil, is asked next. It returns nil and no error for what
	// it does not know. It may connect; ctx ends with the call of ssh. It is
	// called from several goroutines.
	Lookup func(ctx context.Context, d Destination) (*contexts.Node, error)
	// PassOn runs the real ssh for hosts that are not known, if there is no
	// Default.
	PassOn bool
	// KeepJobs spares the processes that a command leaves running when it ends by
	// itself, as sshd does, also when the program ends: see [contexts.Command].
	// Without it they end with the context.
	KeepJobs bool
}

// Destination is what a tool wants to reach.
type Destination struct {
	Host string // as it is on the command line
	User string // "" if none is given
	Port int    // 0 if none is given
}

// find returns the node, or nil where the real ssh is to be asked.
func (h *Hosts) find(ctx context.Context, d Destination) (*contexts.Node, error) {
	if n := h.Names[d.User+"@"+d.Host]; n != nil {
		return n, nil
	}
	if n := h.Names[d.Host]; n != nil {
		return n, nil
	}
	if h.Lookup != nil {
		if n, err := h.Lookup(ctx, d); n != nil || err != nil {
			return n, err
		}
	}
	if h.Default != nil {
		return h.Default, nil
	}
	if h.PassOn {
		return nil, nil
	}
	names := slices.Sorted(maps.Keys(h.Names))
	known := "none"
	if len(names) > 0 {
		known = strings.Join(names, ", ")
	}
	return nil, fmt.Errorf("could not resolve hostname %s: known here are: %s", d.Host, known)
}
