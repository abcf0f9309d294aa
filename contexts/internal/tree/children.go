package tree

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/mitosis-go/mitosis/bootstrap"
	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/core"
	"github.com/mitosis-go/mitosis/router"
)

// Child is a context that was started from here. Its fields do not change.
type Child struct {
	ID      core.ID
	Name    string // the last element of its path
	Link    *router.Link
	Carrier bootstrap.Carrier

	closing sync.Once
}

// CloseOnce has the first caller close the child, and the others wait until that is over.
func (c *Child) CloseOnce(do func()) { c.closing.Do(do) }

// Children are the contexts that were started from here, and the connects that are to
// make more of them. The zero value has none.
type Children struct {
	mu         sync.Mutex
	all        map[core.ID]*Child
	names      map[string]ordinal        // the last elements of their paths
	free       map[string]int            // by label: its children have all lower numbers; absent: 1 is free
	connecting int                       // places taken by connects under way
	asking     map[core.ID][]*pendingHop // hops that each context makes for us, for which it may ask for passwords
	taken      int                       // contexts below this one that are under way: see Take
}

// An ordinal tells children by the same hop apart. The first has 1.
type ordinal struct {
	label  string
	number int
}

// Reserve takes a place for one more child. It reports false if there are as many as most
// already.
func (c *Children) Reserve(most int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.all)+c.connecting >= most {
		return false
	}
	c.connecting++
	return true
}

// Release gives a place back: the child has been added, or will not be.
func (c *Children) Release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.connecting--
}

// Add adds a child. Release has to follow: the place is counted twice until then.
func (c *Children) Add(k *Child) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all == nil {
		c.all = make(map[core.ID]*Child)
	}
	c.all[k.ID] = k
}

// Remove forgets a child, and gives its name back.
func (c *Children) Remove(id core.ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if k := c.all[id]; k != nil {
		c.dropNameLocked(k.Name)
	}
	delete(c.all, id)
}

// TakeName returns the last element of a new child's path: the label of its hop, or
// "label#2" if a child has that already. The name is taken until Remove or DropName.
func (c *Children) TakeName(label string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.names == nil {
		c.names, c.free = make(map[string]ordinal), make(map[string]int)
	}
	for n := max(c.free[label], 1); ; n++ {
		name := label
		if n > 1 {
			name += "#" + strconv.Itoa(n)
		}
		if _, taken := c.names[name]; !taken {
			c.names[name], c.free[label] = ordinal{label, n}, n+1
			return name
		}
	}
}

// DropName gives back the name of a child that has not come to be.
func (c *Children) DropName(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dropNameLocked(name)
}

func (c *Children) dropNameLocked(name string) {
	o, ok := c.names[name]
	if !ok {
		return
	}
	delete(c.names, name)
	switch first, known := c.free[o.label]; {
	case o.number == 1:
		delete(c.free, o.label)
	case known && o.number < first:
		c.free[o.label] = o.number
	}
}

// Get returns a child, nil if there is none of that ID.
func (c *Children) Get(id core.ID) *Child {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.all[id]
}

// List returns all children, in no order.
func (c *Children) List() []*Child {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make([]*Child, 0, len(c.all))
	for _, k := range c.all {
		all = append(all, k)
	}
	return all
}

// A Person answers the questions of a hop, and sees its notices.
type Person struct {
	Prompt func(context.Context, connect.Prompt) (string, error) // nil: that of the tree
	Notify func(context.Context, connect.Notice)                 // nil: that of the tree
}

// pendingHop is a hop that another context makes for us.
type pendingHop struct {
	path   string
	person Person
}

// LetAsk lets a context ask for passwords until end is called: it makes a hop for us that
// may need them. The path is that of the hop, and the person answers.
func (c *Children) LetAsk(id core.ID, path string, person Person) (end func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.asking == nil {
		c.asking = make(map[core.ID][]*pendingHop)
	}
	hop := &pendingHop{path, person}
	c.asking[id] = append(c.asking[id], hop)
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		left := slices.DeleteFunc(c.asking[id], func(h *pendingHop) bool { return h == hop })
		if c.asking[id] = left; len(left) == 0 {
			delete(c.asking, id)
		}
	}
}

// PersonFor returns the person for a question or a notice of a context about a path: that of
// the hop with this path, or of the first hop where none has it. may reports whether the context
// makes a hop for us at all, and so may ask.
func (c *Children) PersonFor(id core.ID, path string) (p Person, may bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	hops := c.asking[id]
	if len(hops) == 0 {
		return Person{}, false
	}
	for _, h := range hops {
		if path == h.path || strings.HasPrefix(path, h.path+"/") {
			return h.person, true
		}
	}
	return hops[0].person, true
}

// Take takes a place for one more context below this one. there counts the contexts that
// are below it already. Take reports false if there are as many as most.
func (c *Children) Take(there, most int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if there+c.taken >= most {
		return false
	}
	c.taken++
	return true
}

// GiveBack gives a place back that Take took.
func (c *Children) GiveBack() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.taken--
}
