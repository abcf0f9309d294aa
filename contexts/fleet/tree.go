package fleet

import (
	"context"
	"errors"
	"fmt"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/contexts"
)

// A Tree says by way of which members others are reached. A context sees and can change what
// goes through it, so nobody is above a member whom neither a rule nor Auto names.
//
// The hops of a member, as Config.Hops returns them, are made from the context above it. What
// they hold themselves, such as jump hosts of an inventory, stays as it is.
type Tree struct {
	// Rules say who is above a member. The first that names the member counts.
	Rules []Rule
	// Auto lets members that no rule names be started by others. Default: the master starts
	// them.
	Auto *Auto
}

// A Rule says by way of which contexts some members are reached.
type Rule struct {
	// Hosts are the members of which the rule speaks; so are those for which Match returns
	// true, if it is not nil. Those in Via are left out, so that a rack may be named as a
	// whole.
	Hosts HostSet
	Match func(name string) bool

	// Via are members, of which any one will do. They are connected when they are needed.
	// Each takes a part of Hosts; when one is lost, the others take over what was below it.
	Via HostSet
	// Path has, in place of Via, the hops to a context that is no member.
	Path string
	// Direct lets the master connect what none of Via can.
	Direct bool

	// Through leaves keys, agent and passwords in the master: the contexts of Via open only
	// the TCP connection of a login, and see ciphertext. The first hop of each of Hosts must
	// be able to do that, as that of package ssh is. Without it, Via connects with the keys
	// that it finds at its host, and sees all that goes to the members below.
	Through bool
}

// Auto has members that are up start others: a context that has room for one more connect
// takes the next member that waits.
type Auto struct {
	// Among are the members that may be above others. Default: those that rules name in Via.
	Among HostSet
	// Children bounds the members that one context starts, the master excepted. Default: 64.
	Children int
	// Depth bounds the levels of members: with 1 the master starts all of them. Default: 3.
	Depth int
}

const (
	defaultTreeChildren = 64
	defaultTreeDepth    = 3
	// connectsOfOne bounds the connects that one context makes at once. Each takes
	// processor time of its host, and a process or a network connection.
	connectsOfOne = 16
)

// ErrTree is matched by errors about a Tree that can't be.
var ErrTree = errors.New("no tree")

// A ViaError is that of a member which could not be connected because none of the contexts
// that may be above it is there.
type ViaError struct {
	Via HostSet
	Err error // why they are not
}

func (e *ViaError) Error() string {
	return fmt.Sprintf("none of the contexts on the way (%v) is there: %v", e.Via, e.Err)
}

// Unwrap returns the reasons.
func (e *ViaError) Unwrap() error { return e.Err }

// A plan is a Tree for the members of a group. Immutable after newPlan.
type plan struct {
	rules []Rule
	of    map[string]int // by member: the index of its rule; absent: none
	auto  *Auto          // with its defaults; nil: none
	above map[string]bool
}

// newPlan checks a tree. hops returns the hops of a member.
func newPlan(t *Tree, hosts HostSet) (*plan, error) {
	p := &plan{rules: t.Rules, of: make(map[string]int), above: make(map[string]bool)}
	for i, r := range t.Rules {
		if err := p.add(i, r, hosts); err != nil {
			return nil, fmt.Errorf("%w: rule %d: %w", ErrTree, i+1, err)
		}
	}
	if t.Auto != nil {
		auto := *t.Auto
		if auto.Children <= 0 {
			auto.Children = defaultTreeChildren
		}
		if auto.Depth <= 0 {
			auto.Depth = defaultTreeDepth
		}
		if auto.Among.Len() == 0 {
			auto.Among = hosts.Intersect(p.vias())
		} else if unknown := auto.Among.Minus(hosts); unknown.Len() > 0 {
			return nil, fmt.Errorf("%w: Auto.Among: %v is not in the group", ErrTree, unknown)
		}
		p.auto = &auto
		for name := range auto.Among.All() {
			p.above[name] = true
		}
	}
	return p, p.findCycle(hosts)
}

// add takes a rule for the members that no earlier one names.
func (p *plan) add(i int, r Rule, hosts HostSet) error {
	switch {
	case r.Via.Len() == 0 && r.Path == "":
		return errors.New("it has neither Via nor Path")
	case r.Via.Len() > 0 && r.Path != "":
		return errors.New("it has both Via and Path")
	}
	if unknown := r.Via.Minus(hosts); unknown.Len() > 0 {
		return fmt.Errorf("its Via, %v, is not in the group; a context that is no member has a Path", unknown)
	}
	if r.Path != "" {
		if _, err := connect.ParsePath(r.Path); err != nil {
			return fmt.Errorf("its Path: %w", err)
		}
	}
	found := false
	take := func(name string) {
		if _, taken := p.of[name]; !taken && !r.Via.Contains(name) {
			p.of[name], found = i, true
		}
	}
	for name := range r.Hosts.All() {
		if hosts.Contains(name) {
			take(name)
		}
	}
	if r.Match != nil {
		for name := range hosts.All() {
			if r.Match(name) {
				take(name)
			}
		}
	}
	if !found {
		return fmt.Errorf("no member of the group is left for it; its Hosts are %q", r.Hosts.String())
	}
	for name := range r.Via.All() {
		p.above[name] = true
	}
	return nil
}

// vias are the members that rules name in Via.
func (p *plan) vias() HostSet {
	var names []string
	for _, r := range p.rules {
		names = append(names, r.Via.Names()...)
	}
	return NewHosts(names...)
}

// findCycle returns an error that names a circle of members of which each is above the next.
func (p *plan) findCycle(hosts HostSet) error {
	const under, done = 1, 2
	// Members of one rule have the same contexts above them, so the rules are what is walked;
	// a member is on the way to itself if its rule leads back to its rule by way of it.
	state := make([]int, len(p.rules))
	var way []string
	var visit func(rule int) error
	visit = func(rule int) error {
		state[rule] = under
		for name := range p.rules[rule].Via.All() {
			next, ruled := p.of[name]
			if !ruled {
				continue
			}
			way = append(way, name)
			switch state[next] {
			case under:
				return fmt.Errorf("%w: %v would be above itself", ErrTree, NewHosts(way...))
			case 0:
				if err := visit(next); err != nil {
					return err
				}
			}
			way = way[:len(way)-1]
		}
		state[rule] = done
		return nil
	}
	for i := range p.rules {
		if state[i] == 0 {
			if err := visit(i); err != nil {
				return err
			}
		}
	}
	return nil
}

// grow makes the broker's part of a group with a tree: its members are there, without their
// targets.
func (c *connections) grow(p *plan, g *Group) error {
	c.plan, c.broker = p, newBroker(c.self)
	of := func(via HostSet) (stations []*station) {
		for name := range via.All() {
			stations = append(stations, c.broker.station(name, g.members[name]))
		}
		return stations
	}
	for _, r := range p.rules {
		k := c.broker.class(r.Via)
		k.through = r.Through
		if k.add(of(r.Via)...); r.Path != "" {
			hops, err := connect.ParsePath(r.Path)
			if err != nil {
				return err
			}
			host, err := c.manage("", hops, g.Len())
			if err != nil {
				return err
			}
			k.via = NewHosts(r.Path)
			k.add(c.broker.station("path "+r.Path, &Member{name: r.Path, target: host}))
		}
		if r.Direct {
			k.last = c.broker.master
			k.last.classes = append(k.last.classes, k)
		}
		c.classes = append(c.classes, k)
	}
	if p.auto != nil {
		k := c.broker.class(p.auto.Among)
		k.children, k.depth = p.auto.Children, p.auto.Depth
		k.add(c.broker.master)
		k.add(of(p.auto.Among)...)
		c.classes = append(c.classes, k)
	}
	return nil
}

// classOf returns how a member is reached; nil: from the master by its hops.
func (c *connections) classOf(name string) (key string, k *class) {
	switch i, ruled := c.plan.of[name]; {
	case name == "": // a Path
	case ruled:
		return fmt.Sprintf("rule %d:", i), c.classes[i]
	case c.plan.auto != nil:
		return "auto:", c.classes[len(c.classes)-1]
	}
	return "", nil
}

// configOf returns how the managed hosts of a member are kept: one that is above others has as
// many contexts below it as there are.
func (c *connections) configOf(name string, members int) *contexts.ManagedHostConfig {
	cfg := c.cfg.Host
	if cfg.MaxContexts == 0 && (name == "" || c.plan.above[name]) {
		cfg.MaxContexts = max(1024, 8*members)
	}
	return &cfg
}

// by returns the host that is one hop from a context of the class. isAbove says that it leads
// to a member that may be above others.
func (k *class) by(hop connect.Method, isAbove bool, cfg *contexts.ManagedHostConfig) (*contexts.ManagedHost, error) {
	through, ok := hop.(connect.ThroughMethod)
	if k.through && !ok {
		return nil, fmt.Errorf("%w: a hop of type %T can't go through another context", ErrTree, hop)
	}
	// Owned by the one goroutine that connects the host.
	var present *ask   // by which it was connected
	var avoid *station // from which the last attempt failed
	route := func(ctx context.Context) (contexts.Route, error) {
		if present != nil {
			k.broker.left(present)
			present = nil
		}
		a := &ask{class: k, urgent: isAbove, avoid: avoid, granted: make(chan struct{})}
		if err := k.broker.wait(ctx, a); err != nil {
			return contexts.Route{}, err
		}
		r := contexts.Route{From: a.node, Method: hop, Done: func(_ *contexts.Node, err error) {
			if k.broker.ended(a, err == nil); err == nil {
				present, avoid = a, nil
			} else {
				avoid = a.station
			}
		}}
		if k.through && a.station.member != nil {
			r.From, r.Method = k.broker.self, through.WithThrough(a.node)
		}
		return r, nil
	}
	return k.broker.self.ManageBy(hop.Label(), route, cfg), nil
}
