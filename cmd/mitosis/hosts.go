package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/fleet"
	"github.com/mitosis-go/mitosis/contexts/fleet/inventory"
)

// hostOptions say which hosts a command is for.
type hostOptions struct {
	sets, without, sources []string

	ssh       connect.SSHSettings
	acceptNew bool

	flags []*pflag.FlagSet

	recorded []string // not nil: those of the run that is tried again
}

func (o *hostOptions) declare(s *sections) {
	s.hosts = o
	f := o.add(s, "Hosts")
	f.StringArrayVarP(&o.sets, "hosts", "w", nil, "`HOSTSET`: several hosts, such as 'web[01-30],@db!db2'; may be given several times")
	f.StringArrayVarP(&o.without, "exclude", "x", nil, "`HOSTSET`: leave these out")
	o.declareInventory(f)
	o.declareHops(o.add(s, "Hops"))
}

// declareOne declares the options of commands that take one host.
func (o *hostOptions) declareOne(s *sections) {
	s.hosts = o
	o.declareInventory(o.add(s, "Host"))
	o.declareHops(o.add(s, "Hops"))
}

func (o *hostOptions) add(s *sections, title string) *pflag.FlagSet {
	f := s.add(title)
	o.flags = append(o.flags, f)
	return f
}

// given reports whether the command line has an option.
func (o *hostOptions) given(name string) bool {
	return slices.ContainsFunc(o.flags, func(f *pflag.FlagSet) bool { return f.Changed(name) })
}

func (o *hostOptions) declareHops(f *pflag.FlagSet) {
	f.StringArrayVarP(&o.ssh.IdentityFiles, "identity", "i", nil, "`FILE`: a private key; may be given several times")
	f.StringVarP(&o.ssh.ConfigFile, "ssh-config", "F", "", "`FILE`: the configuration of ssh, in place of the user's and the system's")
	f.StringArrayVarP(&o.ssh.Options, "option", "o", nil, "`KEYWORD=VALUE`: a setting of ssh_config; may be given several times")
	f.IntVarP(&o.ssh.Port, "port", "p", 0, "`PORT` of hosts that are given without one")
	f.StringVarP(&o.ssh.User, "login-name", "l", "", "`USER` at hosts that are given without one")
	f.BoolVar(&o.acceptNew, "accept-new", false, "take the keys of hosts that were never seen, and remember them")
	declareBrokerChoice(f)
	declareVerbose(f)
	onValue(f, "password-from", "", "`FILE|FD`: take the password, for all who ask for one, from the first line of a file or descriptor", givenPassword.from)
}

// settings returns the options of ssh, those that were not given as the settings have them.
func (o *hostOptions) settings() connect.SSHSettings {
	s := o.ssh
	if !o.given("login-name") {
		s.User = inForce.User
	}
	if !o.given("identity") {
		s.IdentityFiles = inForce.Identity
	}
	if !o.given("ssh-config") {
		s.ConfigFile = inForce.SSHConfig
	}
	s.HostKeys = connect.HostKeysAsk // which refuses where nobody can be asked
	if o.acceptNew {
		s.HostKeys = connect.HostKeysAcceptNew
	}
	return s
}

func (o *hostOptions) declareInventory(f *pflag.FlagSet) {
	f.StringArrayVar(&o.sources, "inventory", nil, "`FILE` that has the groups and variables of hosts; else those that the settings name: see mitosis help config")
}

// many reports whether the options name the hosts, so that no word does.
func (o *hostOptions) many() bool { return len(o.sets) > 0 || o.recorded != nil }

// hosts are those that a command line names.
type hosts struct {
	set  fleet.HostSet
	hops map[string][]connect.Method // all the way from here
	// one: the command line names a single host by a word, and can't name more.
	one bool
	// behind is for hosts that the inventory has behind others; nil: there are none.
	behind *behind
}

// group makes the group of the hosts.
func (h *hosts) group(self *contexts.Node, kept contexts.ManagedHostConfig) (*fleet.Group, error) {
	if h.behind == nil {
		of := func(name string) ([]connect.Method, error) { return h.hops[name], nil }
		return fleet.New(self, h.set, &fleet.Config{Hops: of, Host: kept})
	}
	of := func(name string) ([]connect.Method, error) { return h.behind.hops[name], nil }
	all, err := fleet.New(self, h.behind.all, &fleet.Config{Hops: of, Host: kept, Tree: h.behind.tree})
	if err != nil {
		return nil, err
	}
	return all.Only(h.set), nil
}

// single returns the hops of the only host.
func (h *hosts) single() []connect.Method { return h.hops[h.set.Names()[0]] }

// choose finds the hosts that the words and the options name. Nothing is connected.
func (o *hostOptions) choose(paths []string) (*hosts, error) {
	known, err := o.load()
	if err != nil {
		return nil, err
	}
	if o.recorded != nil {
		return known.reach(fleet.NewHosts(o.recorded...), o.settings(), false)
	}
	words := fleet.NewHosts(paths...)
	if words.Len() < len(paths) {
		return nil, fmt.Errorf("the host %s is given twice", printable(repeated(paths)))
	}
	set := words
	for _, text := range o.sets {
		more, err := fleet.ParseHostsWith(known, text)
		if err != nil {
			return nil, fmt.Errorf("-w: %w", err)
		}
		set = set.Union(more)
	}
	for _, text := range o.without {
		less, err := fleet.ParseHostsWith(known, text)
		if err != nil {
			return nil, fmt.Errorf("-x: %w", err)
		}
		set = set.Minus(less)
	}
	switch {
	case set.Len() > 0:
	case len(o.sets) > 0 || len(paths) > 0:
		return nil, errors.New("the set of hosts is empty")
	default:
		return nil, errNoHost
	}
	for name := range set.All() {
		if set.Len() > 1 && words.Contains(name) && slices.Contains(becoming, methodOf(name)) {
			return nil, fmt.Errorf("%s as a word of its own is on this host: what follows a host is written behind a slash, as in ssh:web1/%[1]s", printable(name))
		}
	}
	return known.reach(set, o.settings(), len(o.sets) == 0 && len(paths) == 1)
}

// repeated returns the first word that is there again.
func repeated(words []string) string {
	seen := make(map[string]bool)
	for _, w := range words {
		if seen[w] || w == "" {
			return w
		}
		seen[w] = true
	}
	return ""
}

// directory knows the hosts of the inventory, if there is one.
type directory struct {
	inv *inventory.Inventory // nil: none
	all fleet.HostSet
}

// Group implements fleet.Groups.
func (d *directory) Group(name string) (fleet.HostSet, error) {
	if d.inv == nil {
		return fleet.HostSet{}, fmt.Errorf("%w, since there is no inventory: give --inventory FILE", fleet.ErrNoGroup)
	}
	return d.inv.Group(name)
}

// reach finds the hops to each host of a set.
func (d *directory) reach(set fleet.HostSet, ssh connect.SSHSettings, one bool) (*hosts, error) {
	h := &hosts{set: set, hops: make(map[string][]connect.Method, set.Len()), one: one}
	same := make(map[string]string) // the first name of each way
	for name := range set.All() {
		hops, listed, err := d.hops(name)
		if err == nil {
			hops, err = ssh.Apply(hops)
		}
		if err != nil {
			return nil, err
		}
		h.hops[name] = hops
		way, err := connect.Key(hops...)
		if err != nil {
			return nil, err
		}
		if other, twice := same[way]; twice && !listed {
			return nil, fmt.Errorf("%s and %s are the same host", printable(other), printable(name))
		}
		same[way] = cmp.Or(same[way], name)
	}
	return h, d.putBehind(h, ssh)
}

// becoming are the methods that go on as another user of the same host. Before a host was one
// word, they stood behind it as a word of their own.
var becoming = []string{"sudo", "su", "doas"}

// methodOf returns the text in front of the colon or slash.
func methodOf(path string) string {
	if i := strings.IndexAny(path, ":/"); i >= 0 {
		return path[:i]
	}
	return path
}

// first returns the name of the inventory that a host begins with, or else its own.
func (d *directory) first(name string) string {
	if first, _, more := strings.Cut(name, "/"); more && !d.all.Contains(name) && d.all.Contains(first) {
		return first
	}
	return name
}

// hops returns the hops to a host, and whether the inventory has it. Behind a name of the
// inventory more hops may stand, with a slash between.
func (d *directory) hops(name string) (hops []connect.Method, listed bool, err error) {
	first := d.first(name)
	switch {
	case d.inv == nil:
		hops, err = parsePath(name)
	case d.all.Contains(first):
		listed = true
		hops, err = d.inv.Host(first).Hops()
		if rest := strings.TrimPrefix(name[len(first):], "/"); err == nil && first != name {
			var behind []connect.Method
			behind, err = parsePath(rest)
			hops = append(hops, behind...)
		}
	default:
		if hops, err = parsePath(name); err == nil && len(hops) == 1 && hops[0].Label() == "ssh:"+name {
			hops, err = d.inv.Host(name).Hops() // with the variables that all hosts have
		}
	}
	return hops, listed, err
}

// parsePath reads a hop path. A word without a method is an ssh hop; with a comma in it, it
// might be two hosts for who knows clush and a jump host for who knows this program.
func parsePath(path string) ([]connect.Method, error) {
	for element := range strings.SplitSeq(path, "/") {
		before, _, _ := strings.Cut(element, ":")
		if strings.Contains(before, ",") && !strings.Contains(before, "[") {
			return nil, fmt.Errorf("%s could mean two things: -w %[1]s is several hosts, ssh:%[1]s is the last of them, by way of the others", printable(element))
		}
	}
	hops, err := connect.ParsePath(path)
	if set, setErr := fleet.ParseHosts(path); err != nil && setErr == nil && set.Len() > 1 {
		err = fmt.Errorf("%w; sets of hosts are given with -w", err)
	}
	return hops, err
}

// load reads the inventory. Without any it is empty.
func (o *hostOptions) load() (*directory, error) {
	sources := o.sources
	if len(sources) == 0 {
		sources = inForce.Inventory
	}
	if len(sources) == 0 {
		return new(directory), nil
	}
	inv, err := inventory.Load(context.Background(), sources...)
	if err != nil {
		return nil, err
	}
	return &directory{inv, inv.Hosts()}, nil
}

// onlyPath reads the word that names the host of a command which takes one only.
func (o *hostOptions) onlyPath(command string, paths []string) ([]connect.Method, error) {
	if len(paths) > 1 {
		return nil, fmt.Errorf("%s takes one host, and %s are several: a host is one word, with slashes between its hops, as %s", command, quoted(paths), strings.Join(paths, "/"))
	}
	if len(paths) == 0 {
		return nil, errNoHost
	}
	h, err := o.choose(paths)
	if err != nil {
		return nil, err
	}
	return h.single(), nil
}
