package inventory

import (
	"bytes"
	"fmt"

	"go.yaml.in/yaml/v4"

	"github.com/mitosis-go/mitosis/contexts/fleet"
)

// JSON is YAML as well, and a node keeps the order of the names.

// readTree reads an inventory that is YAML or JSON: ours, Ansible's, or what a program prints
// for Ansible.
func (i *Inventory) readTree(text []byte) error {
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if doc.Kind == 0 || len(doc.Content) == 0 {
		return nil // an empty file
	}
	if err := bounded(&doc); err != nil {
		return err
	}
	root := resolve(doc.Content[0])
	if root.Kind == yaml.ScalarNode && root.Tag == "!!null" {
		return nil
	}
	if root.Kind != yaml.MappingNode {
		return invalid(root, "it is no mapping")
	}
	for name, value := range pairs(root) {
		if name.Value == "hosts" || name.Value == "groups" && isOurs(value) {
			return i.readOurs(root)
		}
	}
	for name, value := range pairs(root) {
		var err error
		switch name.Value {
		case "_meta":
			err = i.readMeta(value)
		default:
			err = i.readGroup(name.Value, value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// isOurs reports whether the value of "groups" is a mapping of groups, and not the body of a
// group of Ansible's that has this name.
func isOurs(value *yaml.Node) bool {
	for name := range pairs(resolve(value)) {
		if name.Value == "hosts" || name.Value == "children" || name.Value == "vars" {
			return false
		}
	}
	return true
}

func invalid(n *yaml.Node, format string, args ...any) error {
	return fmt.Errorf("%w: line %d: %s", ErrInvalid, n.Line, fmt.Sprintf(format, args...))
}

// resolve follows an alias.
func resolve(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

// pairs yields the names and values of a mapping, in their order.
func pairs(n *yaml.Node) func(yield func(name, value *yaml.Node) bool) {
	return func(yield func(name, value *yaml.Node) bool) {
		if n.Kind != yaml.MappingNode {
			return
		}
		for at := 0; at+1 < len(n.Content); at += 2 {
			if !yield(n.Content[at], resolve(n.Content[at+1])) {
				return
			}
		}
	}
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// names yields the names in a mapping or a sequence, and the values of a mapping.
func names(n *yaml.Node, each func(name string, value *yaml.Node) error) error {
	switch {
	case isNull(n):
	case n.Kind == yaml.MappingNode:
		for name, value := range pairs(n) {
			if err := each(name.Value, value); err != nil {
				return err
			}
		}
	case n.Kind == yaml.SequenceNode:
		for _, item := range n.Content {
			if item = resolve(item); item.Kind != yaml.ScalarNode {
				return invalid(item, "it is no name")
			}
			if err := each(item.Value, nil); err != nil {
				return err
			}
		}
	default:
		return invalid(n, "it is no list of names")
	}
	return nil
}

// readGroup reads the body of a group of Ansible's.
func (i *Inventory) readGroup(name string, body *yaml.Node) error {
	if name != "ungrouped" {
		i.group(name)
	}
	if body.Kind == yaml.SequenceNode { // the hosts alone, as programs may print it
		return names(body, func(host string, _ *yaml.Node) error {
			i.addHosts(name, []string{host}, nil)
			return nil
		})
	}
	if !isNull(body) && body.Kind != yaml.MappingNode {
		return invalid(body, "the group %q is no mapping of hosts, children and vars", name)
	}
	for key, value := range pairs(body) {
		var err error
		switch key.Value {
		case "hosts":
			err = names(value, func(pattern string, vars *yaml.Node) error {
				hosts, err := expandPattern(pattern)
				if err != nil {
					return invalid(value, "%v", err)
				}
				v, err := variables(vars)
				i.addHosts(name, hosts, v)
				return err
			})
		case "children":
			err = names(value, func(child string, body *yaml.Node) error {
				if i.addChild(name, child); body != nil {
					return i.readGroup(child, body)
				}
				return nil
			})
		case "vars":
			var v map[string]any
			if v, err = variables(value); err == nil {
				set(&i.group(name).vars, v)
			}
		default:
			err = invalid(key, "a group has hosts, children and vars, not %q", key.Value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// readMeta reads the variables of hosts from what a program printed.
func (i *Inventory) readMeta(meta *yaml.Node) error {
	for key, value := range pairs(meta) {
		if key.Value != "hostvars" {
			continue
		}
		return names(value, func(name string, vars *yaml.Node) error {
			v, err := variables(vars)
			if err == nil {
				set(&i.host(name).vars, v)
			}
			return err
		})
	}
	return nil
}

// An encrypted value is one of ansible-vault.
type encrypted struct{}

func (encrypted) String() string { return "a value that ansible-vault has encrypted" }

// variables decodes a mapping of variables; nil and null have none.
func variables(n *yaml.Node) (map[string]any, error) {
	if n == nil || isNull(n) {
		return nil, nil
	}
	if n.Kind != yaml.MappingNode {
		return nil, invalid(n, "variables are a mapping")
	}
	vars := make(map[string]any)
	for name, value := range pairs(n) {
		v, err := decode(value)
		if err != nil {
			return nil, fmt.Errorf("%w: the variable %s: %w", ErrInvalid, name.Value, err)
		}
		vars[name.Value] = v
	}
	return vars, nil
}

// mostNodes and deepest bound what a document is once its aliases are followed, which may
// lead back to where they are.
const (
	mostNodes = 5_000_000
	deepest   = 100
)

// bounded reports an error where a document is beyond these bounds.
func bounded(doc *yaml.Node) error {
	left := mostNodes
	var walk func(n *yaml.Node, depth int) error
	walk = func(n *yaml.Node, depth int) error {
		n = resolve(n)
		if left--; left < 0 || depth > deepest {
			return invalid(n, "with its aliases it has more than %d parts, or is deeper than %d", mostNodes, deepest)
		}
		for _, part := range n.Content {
			if err := walk(part, depth+1); err != nil {
				return err
			}
		}
		return nil
	}
	return walk(doc, 0)
}

// decode returns the value of a variable as Ansible understands it, for which yes, no, on and
// off are truth values.
func decode(n *yaml.Node) (any, error) {
	n = resolve(n)
	switch {
	case n.Tag == "!vault":
		return encrypted{}, nil
	case n.Tag == "!unsafe": // a text that is no template
		return n.Value, nil
	case n.Kind == yaml.MappingNode:
		m := make(map[string]any)
		for name, value := range pairs(n) {
			v, err := decode(value)
			if err != nil {
				return nil, err
			}
			m[name.Value] = v
		}
		return m, nil
	case n.Kind == yaml.SequenceNode:
		list := make([]any, 0, len(n.Content))
		for _, item := range n.Content {
			v, err := decode(item)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return list, nil
	}
	if n.Style == 0 {
		switch n.Value {
		case "yes", "Yes", "YES", "on", "On", "ON":
			return true, nil
		case "no", "No", "NO", "off", "Off", "OFF":
			return false, nil
		}
	}
	var v any
	err := n.Decode(&v)
	return v, err
}

// readOurs reads an inventory of our own form.
func (i *Inventory) readOurs(root *yaml.Node) error {
	var groups *yaml.Node
	for key, value := range pairs(root) {
		switch key.Value {
		case "hosts":
			err := names(value, func(text string, vars *yaml.Node) error {
				hosts, err := fleet.ParseHosts(text)
				if err != nil {
					return invalid(value, "%v", err)
				}
				v, err := variables(vars)
				i.addHosts(all, hosts.Names(), ourNames(v))
				return err
			})
			if err != nil {
				return err
			}
		case "groups":
			groups = value
		case "vars":
			v, err := variables(value)
			if err != nil {
				return err
			}
			set(&i.group(all).vars, ourNames(v))
		default:
			return invalid(key, "an inventory has hosts, groups and vars, not %q", key.Value)
		}
	}
	if groups == nil {
		return nil
	}
	// A group may name hosts and groups that come later in the file only by "groups".
	return names(groups, func(name string, body *yaml.Node) error {
		if body == nil {
			return invalid(groups, "the group %q has no hosts", name)
		}
		return i.readOurGroup(name, body)
	})
}

// readOurGroup reads "web: web[1-3]" or "web: {hosts: web[1-3], groups: [db], vars: {}}".
func (i *Inventory) readOurGroup(name string, body *yaml.Node) error {
	i.group(name)
	addHosts := func(n *yaml.Node) error {
		if n.Kind != yaml.ScalarNode {
			return invalid(n, "the hosts of the group %q are a host set in one text", name)
		}
		hosts, err := i.Select(n.Value)
		if err != nil {
			return invalid(n, "%v", err)
		}
		i.addTo(name, hosts.Names()...)
		return nil
	}
	if body.Kind == yaml.ScalarNode {
		if isNull(body) {
			return nil
		}
		return addHosts(body)
	}
	for key, value := range pairs(body) {
		var err error
		switch key.Value {
		case "hosts":
			err = addHosts(value)
		case "groups":
			err = names(value, func(child string, _ *yaml.Node) error {
				i.addChild(name, child)
				return nil
			})
		case "vars":
			var v map[string]any
			if v, err = variables(value); err == nil {
				set(&i.group(name).vars, ourNames(v))
			}
		default:
			err = invalid(key, "a group has hosts, groups and vars, not %q", key.Value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// readVars reads a file of variables.
func readVars(text []byte) (map[string]any, error) {
	if bytes.HasPrefix(text, []byte("$ANSIBLE_VAULT;")) {
		return nil, fmt.Errorf("%w: it is encrypted by ansible-vault", ErrInvalid)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if doc.Kind == 0 || len(doc.Content) == 0 {
		return nil, nil
	}
	if err := bounded(&doc); err != nil {
		return nil, err
	}
	return variables(resolve(doc.Content[0]))
}
