package fleet

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/contexts"
)

// Config says how the members of a group are reached. The zero value is a good choice.
type Config struct {
	// Hops returns the hops to a host of a name. Default: the name is a hop path, as of
	// [connect.ParsePath]. With an inventory it is the Hops of its hosts.
	Hops func(name string) ([]connect.Method, error)
	// Tree says by way of which members others are reached. Default: the master reaches each
	// of them by its hops.
	Tree *Tree
	// Host is how each managed host is kept.
	Host contexts.ManagedHostConfig
	// Policy is that of operations on the group, see [Group.With].
	Policy Policy
	// Secrets, if not nil, is told which members were connected: see [AskOnce].
	Secrets *Secrets
}

// A Member is one host of a group.
type Member struct {
	name    string
	target  contexts.Target
	secrets *Secrets // nil for none
}

// Name returns the name, which no other member of the group has.
func (m *Member) Name() string { return m.name }

func (m *Member) String() string { return m.name }

// Target is where work for the member goes: a host that is connected by its first use.
func (m *Member) Target() contexts.Target { return m.target }

// A Group is a list of hosts to work on together. It does not change; operations on groups
// return new ones, which share the connections. It may be used by several goroutines.
//
// Nothing is connected before the first operation. The connections end with Close of the
// group that New returned, or with the tree.
type Group struct {
	hosts   HostSet
	members map[string]*Member
	policy  Policy
	kept    *connections
}

// connections are the managed hosts of a fleet, with those that lead to others.
type connections struct {
	// Immutable after New.
	self    *contexts.Node
	cfg     Config
	plan    *plan // nil: no tree
	classes []*class
	broker  *broker

	mu    sync.Mutex
	hosts map[string]*contexts.ManagedHost // by the hops to them
	first []*contexts.ManagedHost          // those that are one hop from self
	below []*contexts.ManagedHost          // all others
}

// New returns the group of these hosts, in their order, whose connections are made from self.
// The error names the host whose hops can't be made.
func New(self *contexts.Node, hosts HostSet, cfg *Config) (*Group, error) {
	c := &connections{self: self, hosts: make(map[string]*contexts.ManagedHost)}
	if cfg != nil {
		c.cfg = *cfg
	}
	if c.cfg.Hops == nil {
		c.cfg.Hops = connect.ParsePath
	}
	g := &Group{hosts: hosts, members: make(map[string]*Member, hosts.Len()), policy: c.cfg.Policy, kept: c}
	for name := range hosts.All() {
		g.members[name] = &Member{name: name, secrets: c.cfg.Secrets}
	}
	if c.cfg.Tree != nil {
		p, err := newPlan(c.cfg.Tree, hosts)
		if err == nil {
			err = c.grow(p, g)
		}
		if err != nil {
			return nil, err
		}
	}
	for name := range hosts.All() {
		hops, err := c.cfg.Hops(name)
		if err != nil {
			return nil, fmt.Errorf("member %s: %w", name, err)
		}
		if g.members[name].target, err = c.manage(name, hops, hosts.Len()); err != nil {
			return nil, fmt.Errorf("member %s: %w", name, err)
		}
	}
	return g, nil
}

// manage returns the managed host at the end of the hops to one of so many members. Members
// behind the same hops share those.
func (c *connections) manage(name string, hops []connect.Method, members int) (contexts.Target, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var target contexts.Target = c.self
	var host *contexts.ManagedHost
	cfg := &c.cfg.Host
	key, k := "", (*class)(nil)
	if c.plan != nil {
		key, k = c.classOf(name)
		cfg = c.configOf(name, members)
	}
	for _, hop := range hops {
		one, err := connect.Key(hop)
		if err != nil {
			return nil, err
		}
		key += one
		known := c.hosts[key]
		switch {
		case known != nil:
		case host != nil:
			known = host.Manage(hop, cfg)
			c.below = append(c.below, known)
		case k == nil:
			known = c.self.Manage(hop, cfg)
			c.first = append(c.first, known)
		default:
			if known, err = k.by(hop, c.plan.above[name], cfg); err != nil {
				return nil, err
			}
			c.below = append(c.below, known)
		}
		c.hosts[key], host, target = known, known, known
	}
	return target, nil
}

// Hosts returns the names of the members.
func (g *Group) Hosts() HostSet { return g.hosts }

// Len returns the number of members.
func (g *Group) Len() int { return g.hosts.Len() }

// Members yields the members in their order.
func (g *Group) Members() iter.Seq[*Member] {
	return func(yield func(*Member) bool) {
		for name := range g.hosts.All() {
			if !yield(g.members[name]) {
				return
			}
		}
	}
}

// Member returns the member of a name, nil if there is none.
func (g *Group) Member(name string) *Member {
	if g.hosts.Contains(name) {
		return g.members[name]
	}
	return nil
}

// With returns the same group, with another policy for operations on it.
func (g *Group) With(p Policy) *Group {
	with := *g
	with.policy = p
	return &with
}

// Filter returns the members that a function wants.
func (g *Group) Filter(want func(*Member) bool) *Group {
	var names []string
	for m := range g.Members() {
		if want(m) {
			names = append(names, m.name)
		}
	}
	return g.only(NewHosts(names...))
}

// Only returns the members that are in a set.
func (g *Group) Only(hosts HostSet) *Group { return g.only(g.hosts.Intersect(hosts)) }

func (g *Group) only(hosts HostSet) *Group {
	part := *g
	part.hosts = hosts
	return &part
}

// Union returns the members of g and those that only other has. The policy, and the member
// where both have one of the same name, are those of g.
func (g *Group) Union(other *Group) *Group {
	all := g.only(g.hosts.Union(other.hosts))
	all.members = make(map[string]*Member, all.hosts.Len())
	for name := range all.hosts.All() {
		if all.members[name] = g.Member(name); all.members[name] == nil {
			all.members[name] = other.members[name]
		}
	}
	return all
}

// Intersect returns the members of g whose names other has, too.
func (g *Group) Intersect(other *Group) *Group { return g.only(g.hosts.Intersect(other.hosts)) }

// Minus returns the members of g whose names other has not.
func (g *Group) Minus(other *Group) *Group { return g.only(g.hosts.Minus(other.hosts)) }

// SymmetricDifference returns the members of which only one of the two has the name.
func (g *Group) SymmetricDifference(other *Group) *Group {
	return g.Union(other).only(g.hosts.SymmetricDifference(other.hosts))
}

// Close closes all connections that New's group and those made of it have. It returns the
// errors of hosts on which processes survived. A later operation connects anew.
func (g *Group) Close() error {
	c := g.kept
	if c.broker != nil {
		c.broker.stop()
	}
	c.mu.Lock()
	first, below := slices.Clone(c.first), slices.Clone(c.below)
	c.mu.Unlock()
	// Nothing is connected again while those above it end. Then each context closes what is
	// below it.
	tops := c.leave(below)
	errs := make([]error, len(first)+len(tops))
	var closing sync.WaitGroup
	for i, h := range first {
		closing.Go(func() { errs[i] = h.Close() })
	}
	for i, n := range tops {
		closing.Go(func() { errs[len(first)+i] = n.Close() })
	}
	closing.Wait()
	return errors.Join(errs...)
}

// leave ends the attempts to connect hosts, and returns those of their contexts that are
// children of the master.
func (c *connections) leave(hosts []*contexts.ManagedHost) (tops []*contexts.Node) {
	for _, h := range hosts {
		if n := h.Leave(); n != nil && n.Parent() == c.self {
			tops = append(tops, n)
		}
	}
	return tops
}

// Call calls a function on all members and yields the results as they come, each with its
// member; [Collect] keeps them. Each member comes exactly once, also one that was not tried:
// its error matches [ErrNotTried]. Leaving the loop cancels the calls that are under way,
// and waits for them. The policy of the group says the rest.
func Call[In, Out any](ctx context.Context, g *Group, f *contexts.Func[In, Out], in In) iter.Seq2[*Member, Result[Out]] {
	if g.policy.Gather {
		// A function that can't be called by others is called from here.
		if call, err := f.Encode(in); err == nil {
			return callGathered(ctx, g, f, call)
		}
	}
	return each(ctx, g, func(ctx context.Context, _ *Member, n *contexts.Node) (Out, error) { return f.Call(ctx, n, in) })
}

// Do is [Call] for a function of this program that does what it likes with the context of
// each member: several calls, files, commands.
func Do[Out any](ctx context.Context, g *Group, do func(ctx context.Context, m *Member, n *contexts.Node) (Out, error)) iter.Seq2[*Member, Result[Out]] {
	return each(ctx, g, do)
}
