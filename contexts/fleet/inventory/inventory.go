// Package inventory reads which hosts there are, how they are reached, and the groups that
// they are in.
//
// An [Inventory] comes from one or several sources: a file of its own form, Ansible's
// inventories (INI, YAML, a directory of them, a program that prints JSON), the hosts of an
// ssh_config, or a list of names. Load finds out which of them it is. It is a
// [fleet.Groups]: Select reads a host set that names its groups.
//
//	hosts:
//	  web[01-30].example.com: {user: deploy}
//	  db1: {host: 10.0.0.7, port: 2222, become: sudo}
//	  lab: {hop: "ssh:bastion/docker:lab"}
//	groups:
//	  web: web[01-30].example.com
//	  all-but-db: {hosts: "@*!db1", vars: {jump: bastion}}
//	vars:
//	  key: ~/.ssh/fleet
//
// # Variables
//
// These say how a host is reached. In Ansible's inventories they have Ansible's names, or
// ours behind mitosis_; all other variables are the program's, see Host.Vars.
//
//	here        Ansible                          meaning
//	hop         -                                the whole hop path; nothing else counts
//	via         -                                hops in front, as a hop path
//	behind      -                                hosts of the inventory, by one of which it is reached; see Inventory.Tree
//	through     -                                true: those behind which it is only carry its connection
//	connection  ansible_connection               ssh, openssh, local, docker, podman ...: a method of hop paths
//	host        ansible_host                     the name or address to connect to; else the host's name
//	port        ansible_port                     of the ssh server
//	user        ansible_user                     to log in as, or to run as in a container
//	key         ansible_ssh_private_key_file     a file
//	password    ansible_password                 of the login
//	jump        -                                jump hosts, as of ssh -J
//	ssh_args    ansible_ssh_common_args, ansible_ssh_extra_args, ansible_ssh_args
//	                                             for ssh. A host with such arguments, unless they are but
//	                                             -J or -o ProxyJump, is reached by the ssh program
//	become      ansible_become, _become_method   sudo, su or doas; true is sudo
//	become_user ansible_become_user              else root
//	become_password  ansible_become_password     asked for where it is needed and not given
//
// ansible_ssh_host, _user, _port and _pass mean the same as their newer names. A value that
// is encrypted by ansible-vault, or a template, is an error where one of these needs it.
package inventory

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/mitosis-go/mitosis/contexts/fleet"
)

// ErrInvalid is matched by errors about the text of an inventory.
var ErrInvalid = errors.New("not a valid inventory")

// An Inventory is a list of hosts and of groups of them. It does not change.
type Inventory struct {
	hosts  map[string]*host
	groups map[string]*group
	order  []string // the hosts' names, as they came
}

type host struct {
	vars map[string]any // its own
	in   []string       // groups that name it

	// Made by finish.
	all    map[string]any // with those of the groups
	groups []string       // that it is in, sorted, without all
}

type group struct {
	hosts    []string
	children []string
	vars     map[string]any
	depth    int // below all; set by finish
}

// Host is one host of an inventory.
type Host struct {
	Name string
	// Vars are all its variables: its own, and those of its groups where it has none. They
	// must not be changed.
	Vars map[string]any
	// Groups are the names of all groups that it is in, sorted, without "all".
	Groups []string
}

// priority is a variable of a group, which its hosts do not have.
const priority = "ansible_group_priority"

// all is the group of all hosts.
const all = "all"

func newInventory() *Inventory {
	return &Inventory{hosts: make(map[string]*host), groups: map[string]*group{all: {}}}
}

func (i *Inventory) host(name string) *host {
	h := i.hosts[name]
	if h == nil {
		h = &host{}
		i.hosts[name] = h
		i.order = append(i.order, name)
	}
	return h
}

func (i *Inventory) group(name string) *group {
	g := i.groups[name]
	if g == nil {
		g = &group{}
		i.groups[name] = g
	}
	return g
}

func (i *Inventory) addTo(groupName string, names ...string) {
	g := i.group(groupName)
	for _, name := range names {
		h := i.host(name)
		if groupName != all && !slices.Contains(h.in, groupName) {
			h.in = append(h.in, groupName)
			g.hosts = append(g.hosts, name)
		}
	}
}

func (i *Inventory) addChild(parent, child string) {
	i.group(child)
	if g := i.group(parent); parent != all && !slices.Contains(g.children, child) {
		g.children = append(g.children, child)
	}
}

// Hosts returns all hosts, in the order in which they were named.
func (i *Inventory) Hosts() fleet.HostSet { return fleet.NewHosts(i.order...) }

// Groups returns the names of all groups, sorted.
func (i *Inventory) Groups() []string { return slices.Sorted(maps.Keys(i.groups)) }

// Group implements [fleet.Groups]: "*" and "all" are all hosts, "ungrouped" those that are
// in no group.
func (i *Inventory) Group(name string) (fleet.HostSet, error) {
	switch {
	case name == all || name == "*":
		return i.Hosts(), nil
	case i.groups[name] != nil:
		var names []string
		for g := range i.below(name) {
			names = append(names, i.groups[g].hosts...)
		}
		return i.Hosts().Intersect(fleet.NewHosts(names...)), nil
	case name == "ungrouped":
		return fleet.NewHosts(slices.DeleteFunc(slices.Clone(i.order), func(n string) bool { return len(i.hosts[n].in) > 0 })...), nil
	}
	return fleet.HostSet{}, fmt.Errorf("%w; there are %s", fleet.ErrNoGroup, strings.Join(i.Groups(), ", "))
}

// below returns a group and the groups within it.
func (i *Inventory) below(name string) map[string]bool {
	found := map[string]bool{name: true}
	for next := []string{name}; len(next) > 0; next = next[1:] {
		for _, child := range i.groups[next[0]].children {
			if !found[child] {
				found[child] = true
				next = append(next, child)
			}
		}
	}
	return found
}

// Select reads a host set that may name groups. It may also name hosts that are not in the
// inventory.
func (i *Inventory) Select(text string) (fleet.HostSet, error) { return fleet.ParseHostsWith(i, text) }

// Host returns a host. One that is not in the inventory has the variables of the group all.
func (i *Inventory) Host(name string) Host {
	h := i.hosts[name]
	if h == nil {
		return Host{Name: name, Vars: i.groups[all].vars}
	}
	return Host{Name: name, Vars: h.all, Groups: slices.Clone(h.groups)}
}

// finish gives each host the variables of its groups: those of a group nearer to the host
// count more, of two at the same distance from all the one with the higher
// ansible_group_priority, or else with the later name.
func (i *Inventory) finish() error {
	parents := make(map[string][]string)
	for _, name := range i.Groups() {
		for _, child := range i.groups[name].children {
			parents[child] = append(parents[child], name)
		}
	}
	state := make(map[string]int)
	const under, done = 1, 2
	var visit func(name string) error
	visit = func(name string) error {
		switch state[name] {
		case done:
			return nil
		case under:
			return fmt.Errorf("%w: the group %q is within itself", ErrInvalid, name)
		}
		state[name] = under
		g := i.groups[name]
		g.depth = 1
		for _, parent := range parents[name] {
			if err := visit(parent); err != nil {
				return err
			}
			g.depth = max(g.depth, i.groups[parent].depth+1)
		}
		state[name] = done
		return nil
	}
	for _, name := range i.Groups() {
		if err := visit(name); err != nil {
			return err
		}
	}
	i.groups[all].depth = 0
	above := make(map[string][]string) // by group: itself and those that it is in, weakest first
	for _, name := range i.Groups() {
		found := map[string]bool{all: true, name: true}
		for next := []string{name}; len(next) > 0; next = next[1:] {
			for _, parent := range parents[next[0]] {
				if !found[parent] {
					found[parent] = true
					next = append(next, parent)
				}
			}
		}
		above[name] = slices.Collect(maps.Keys(found))
	}
	for _, h := range i.hosts {
		names := []string{all}
		for _, in := range h.in {
			names = append(names, above[in]...)
		}
		slices.SortFunc(names, i.compareGroups)
		names = slices.Compact(names)
		h.all = make(map[string]any)
		for _, name := range names {
			maps.Copy(h.all, i.groups[name].vars)
		}
		delete(h.all, priority)
		maps.Copy(h.all, h.vars)
		h.groups = names[1:] // all comes first, since nothing is above it
		slices.Sort(h.groups)
	}
	return nil
}

// compareGroups orders groups by how much their variables count.
func (i *Inventory) compareGroups(a, b string) int {
	rank := func(name string) (int, int) {
		p, ok := i.groups[name].vars[priority].(int)
		if !ok {
			p = 1
		}
		return i.groups[name].depth, p
	}
	depthA, priorityA := rank(a)
	depthB, priorityB := rank(b)
	if depthA != depthB {
		return depthA - depthB
	}
	if priorityA != priorityB {
		return priorityA - priorityB
	}
	return strings.Compare(a, b)
}

// set sets variables of something that may have none yet.
func set(vars *map[string]any, more map[string]any) {
	if *vars == nil && len(more) > 0 {
		*vars = make(map[string]any)
	}
	maps.Copy(*vars, more)
}
