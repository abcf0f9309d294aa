package inventory

import (
	"fmt"

	"github.com/mitosis-go/mitosis/contexts/fleet"
)

// Tree returns rules for those of the hosts that have the variable behind, in the order in which
// they come; nil if none has. behind is a host set, which may name groups: any one of them
// carries the host. They have to be members of the group, too. With through, which is true or
// false, the keys stay in the master: see [fleet.Rule].
func (i *Inventory) Tree(hosts fleet.HostSet) (*fleet.Tree, error) {
	type way struct {
		behind  string
		through bool
	}
	members := make(map[way][]string)
	var order []way
	for name := range hosts.All() {
		r := &reach{vars: i.Host(name).Vars}
		if v := r.text("through"); v != "" && !isTrue(v) && !isFalse(v) {
			r.fail("through", "%q is neither true nor false", v)
		}
		w := way{behind: r.text("behind"), through: isTrue(r.text("through"))}
		if r.err != nil {
			return nil, fmt.Errorf("host %s: %w", name, r.err)
		}
		if w.behind == "" {
			continue
		}
		if members[w] == nil {
			order = append(order, w)
		}
		members[w] = append(members[w], name)
	}
	if order == nil {
		return nil, nil
	}
	tree := &fleet.Tree{}
	for _, w := range order {
		via, err := i.Select(w.behind)
		if err == nil && via.Len() == 0 {
			err = fmt.Errorf("it is empty")
		}
		if err != nil {
			return nil, fmt.Errorf("host %s: %w: behind: %w", members[w][0], ErrVariable, err)
		}
		// A head that is in a group with its rack is not behind itself.
		behind := fleet.NewHosts(members[w]...).Minus(via)
		if behind.Len() > 0 {
			tree.Rules = append(tree.Rules, fleet.Rule{Hosts: behind, Via: via, Through: w.through})
		}
	}
	return tree, nil
}
