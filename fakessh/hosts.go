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
	// Default is the context for names that neither Names nor Lookup knows. If it is nil,
	// such names are refused.
	Default contexts.Target
	// Names are tried first: as "user@host", then as "host".
	Names map[string]contexts.Target
	// Lookup, if not nil, is called next. It returns nil and no error for a host that it
	// does not know. It may connect; ctx ends with the call of ssh. Several goroutines
	// call it.
	Lookup func(ctx context.Context, d Destination) (contexts.Target, error)
	// PassOn runs the real ssh for unknown hosts, if there is no Default.
	PassOn bool
	// KeepJobs keeps processes that a command leaves running when it ends by itself, as
	// sshd does, even if the program ends: see [contexts.Command]. Without it they end
	// with the context.
	KeepJobs bool
}

// Destination is the host that a tool wants to reach.
type Destination struct {
	Host string // as it is on the command line
	User string // "" if none is given
	Port int    // 0 if none is given
}

// find returns the node for a destination, or nil if the real ssh is to run.
func (h *Hosts) find(ctx context.Context, d Destination) (*contexts.Node, error) {
	lookup := h.Lookup
	if lookup == nil {
		lookup = func(context.Context, Destination) (contexts.Target, error) { return nil, nil }
	}
	for _, find := range []func() (contexts.Target, error){
		func() (contexts.Target, error) { return h.Names[d.User+"@"+d.Host], nil },
		func() (contexts.Target, error) { return h.Names[d.Host], nil },
		func() (contexts.Target, error) { return lookup(ctx, d) },
		func() (contexts.Target, error) { return h.Default, nil },
	} {
		t, err := find()
		if err != nil {
			return nil, err
		}
		if t == nil {
			continue
		}
		// A nil *Node in a Target is as good as none.
		if n, err := contexts.NodeOf(ctx, t); n != nil || err != nil {
			return n, err
		}
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
