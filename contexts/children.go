package contexts

import (
	"fmt"
	"sync"

	"github.com/mitosis-go/mitosis/core"
)

// children are the contexts that were started from here, and the connects that are to
// make more of them. The zero value has none.
type children struct {
	mu         sync.Mutex
	all        map[core.ID]*child
	names      map[string]bool // the last elements of their paths
	connecting int             // places taken by connects under way
	asking     map[core.ID]int // contexts that may ask for passwords: connects that they make for us
	taken      int             // contexts that connects under way below this one will add
}

// reserve takes a place for one more child, and reports whether there was one of at
// most so many.
func (c *children) reserve(most int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.all)+c.connecting >= most {
		return false
	}
	c.connecting++
	return true
}

// release gives a place back: the child has taken it, or there will be none.
func (c *children) release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.connecting--
}

func (c *children) add(k *child) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all == nil {
		c.all = make(map[core.ID]*child)
	}
	c.all[k.id] = k
}

func (c *children) remove(id core.ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if k := c.all[id]; k != nil {
		delete(c.names, k.name)
	}
	delete(c.all, id)
}

// name returns the last element of a new child's path: the label of its hop, or
// "label#2" where a child has that already. It is taken until remove or unname.
func (c *children) name(label string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.names == nil {
		c.names = make(map[string]bool)
	}
	name := label
	for n := 2; c.names[name]; n++ {
		name = fmt.Sprintf("%s#%d", label, n)
	}
	c.names[name] = true
	return name
}

// unname gives back the name of a child that has not come to be.
func (c *children) unname(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.names, name)
}

// get returns a child, nil if there is none of that ID.
func (c *children) get(id core.ID) *child {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.all[id]
}

// list returns all children, in no order.
func (c *children) list() []*child {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make([]*child, 0, len(c.all))
	for _, k := range c.all {
		all = append(all, k)
	}
	return all
}

// letAsk lets a context ask for passwords until the returned function is called:
// it does something for us that may need them.
func (c *children) letAsk(id core.ID) (end func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.asking == nil {
		c.asking = make(map[core.ID]int)
	}
	c.asking[id]++
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.asking[id]--; c.asking[id] == 0 {
			delete(c.asking, id)
		}
	}
}

// mayAsk reports whether a context may ask for passwords.
func (c *children) mayAsk(id core.ID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asking[id] > 0
}

// take takes a place for one more context below this one, where so many are there
// already, and reports whether there was one of at most so many.
func (c *children) take(there, most int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if there+c.taken >= most {
		return false
	}
	c.taken++
	return true
}

// giveBack gives back what take took.
func (c *children) giveBack() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.taken--
}
