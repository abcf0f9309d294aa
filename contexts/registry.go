package contexts

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/mitosis-go/mitosis/contexts/internal/call"
)

// An Option changes how a registered function may be called.
type Option uint8

const (
	// AllowDescendants lets contexts call the function in their ancestors. Without it, only
	// a context itself and its ancestors may call its functions. Treat the argument of such
	// a function as input from a hostile host.
	AllowDescendants Option = 1 << iota
	// Serial runs the calls of the function one after the other, in the order of their
	// arrival. Without it they run side by side. For methods of services see
	// [MethodOption].
	Serial
)

// kind tells what the answer to a call is: one value, a sequence, or a byte stream.
type kind uint8

const (
	kindFunc kind = iota
	kindSeq
	kindConn
)

func (k kind) String() string { return [...]string{"func", "seq", "conn"}[k] }

// entry is one registered function, with its types erased.
type entry struct {
	// Immutable after registration.
	name  string
	kind  kind
	opts  Option
	nodes bool   // its argument or result may hold nodes
	sig   string // the types of argument and result, as Describe of package call spells them
	where string // file:line of the registration

	// serve decodes the argument, runs the function and answers. It is
	// called in a goroutine of its own.
	serve func(c *incoming)

	// serial queues the calls of a Serial function.
	serial call.Queue

	// method is set in methods of services only.
	method *method

	// index is the function's number on the wire; set when the table is
	// frozen.
	index uint64
}

// The registered functions belong to the program and not to a tree: package variables
// register them, and every copy of the program must have the same. With the errors of
// core and the methods of connect they are the only global state that is filled before
// main.
var functions struct {
	mu          sync.Mutex
	frozen      bool
	byName      map[string]*entry
	byIndex     []*entry
	fingerprint [32]byte
}

// register adds e, or panics with the line that e comes from.
func register(e *entry) {
	functions.mu.Lock()
	defer functions.mu.Unlock()
	switch old := functions.byName[e.name]; {
	case e.name == "":
		panic(e.where + ": contexts: a function needs a name")
	case old != nil:
		panic(fmt.Sprintf("%s: contexts: function %q is already registered at %s", e.where, e.name, old.where))
	case functions.frozen:
		panic(fmt.Sprintf("%s: contexts: function %q is registered after Init; make it a package variable, so that every copy of the program has it", e.where, e.name))
	}
	if functions.byName == nil {
		functions.byName = make(map[string]*entry)
	}
	functions.byName[e.name] = e
}

// define gives a registered function its body.
func (e *entry) define(serve func(c *incoming)) {
	functions.mu.Lock()
	defer functions.mu.Unlock()
	if e.serve != nil {
		panic(fmt.Sprintf("%s: contexts: function %q is defined twice", e.where, e.name))
	}
	e.serve = serve
}

// freeze numbers the functions in the order of their names. Calls carry the number in
// place of the name, so that a small call fits into a small packet. Parent and child
// compare the fingerprint at the start, so that both number in the same way.
func freeze() {
	functions.mu.Lock()
	defer functions.mu.Unlock()
	if functions.frozen {
		return
	}
	functions.frozen = true
	for _, e := range functions.byName {
		functions.byIndex = append(functions.byIndex, e)
	}
	slices.SortFunc(functions.byIndex, func(a, b *entry) int { return strings.Compare(a.name, b.name) })
	h := sha256.New()
	for i, e := range functions.byIndex {
		if e.serve == nil {
			panic(fmt.Sprintf("%s: contexts: function %q is declared and not defined; call its Define in an init function", e.where, e.name))
		}
		e.index = uint64(i)
		fmt.Fprintf(h, "%s %s%s\n", e.name, e.kind, e.sig)
	}
	h.Sum(functions.fingerprint[:0])
}

// lookup returns the function with a number, nil if there is none. It takes no lock: the
// functions do not change after freeze, which comes before the first link.
func lookup(index uint64) *entry {
	if index >= uint64(len(functions.byIndex)) {
		return nil
	}
	return functions.byIndex[index]
}
