package main

import (
	"fmt"
	"maps"
	"slices"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/contexts/fleet"
)

// behind has hosts that are reached by way of others, as the variable behind of the inventory
// says, together with those others.
type behind struct {
	all  fleet.HostSet
	hops map[string][]connect.Method // from the host in front, if there is one
	tree *fleet.Tree
}

// putBehind puts hosts behind those that are to be in front of them, which need not be named
// for that.
func (d *directory) putBehind(h *hosts, ssh connect.SSHSettings) error {
	if d.inv == nil {
		return nil
	}
	b := &behind{all: h.set, hops: make(map[string][]connect.Method, h.set.Len())}
	listed := make(map[string][]string, h.set.Len()) // by a name of the inventory: the hosts that begin with it
	for name := range h.set.All() {
		first := d.first(name)
		listed[first] = append(listed[first], name)
	}
	for known := fleet.NewHosts(slices.Sorted(maps.Keys(listed))...); ; {
		tree, err := d.inv.Tree(known)
		if err != nil || tree == nil {
			return err
		}
		more := known
		for _, r := range tree.Rules {
			more, b.all = more.Union(r.Via), b.all.Union(r.Via)
		}
		if b.tree = tree; more.Len() == known.Len() {
			break
		}
		known = more
	}
	for i, r := range b.tree.Rules {
		var also []string
		for name := range r.Hosts.All() {
			also = append(also, listed[name]...)
		}
		b.tree.Rules[i].Hosts = r.Hosts.Union(fleet.NewHosts(also...))
	}
	for name := range b.all.All() {
		hops, known := h.hops[name]
		if !known {
			var err error
			if hops, _, err = d.hops(name); err != nil {
				return err
			}
			if hops, err = ssh.Apply(hops); err != nil {
				return err
			}
		}
		b.hops[name] = hops
	}
	h.behind = b
	for name := range h.set.All() {
		hops, err := b.way(name, h.one)
		if err != nil {
			return err
		}
		h.hops[name] = hops
	}
	return nil
}

// way returns the hops from here to a host, by way of the first of those that may be in front.
// one says that the hops are made as they stand, without a group.
func (b *behind) way(name string, one bool) ([]connect.Method, error) {
	hops := b.hops[name]
	for range b.all.Len() {
		i := slices.IndexFunc(b.tree.Rules, func(r fleet.Rule) bool { return r.Hosts.Contains(name) })
		if i < 0 {
			return hops, nil
		}
		r := b.tree.Rules[i]
		if r.Through && one {
			return nil, fmt.Errorf("%s is behind %v with the keys of here (the variable through): give it by -w %[1]s", printable(name), r.Via)
		}
		name = r.Via.Names()[0]
		hops = slices.Concat(b.hops[name], hops)
	}
	return nil, fmt.Errorf("%s is behind itself by the inventory", printable(name))
}
