package contexts

import (
	"context"
	"errors"
	"fmt"

	"github.com/mitosis-go/mitosis/core"
	"github.com/mitosis-go/mitosis/router"
)

// An EncodedCall is a call of a Func with its argument, as it travels. A context can make it
// in others without knowing the types: it passes on what its parent asked for.
type EncodedCall struct {
	_    struct{} `cbor:",toarray"`
	Func uint64
	Arg  []byte
}

// ErrHasNodes is matched by the error of [Func.Encode] for a function whose argument or result
// may hold nodes. Those are granted by the context that calls, so nobody can call for it.
var ErrHasNodes = errors.New("the argument or the result may hold nodes")

// Encode returns the call of the function with an argument.
func (f *Func[In, Out]) Encode(in In) (EncodedCall, error) {
	if f.e.nodes {
		return EncodedCall{}, fmt.Errorf("function %q: %w", f.e.name, ErrHasNodes)
	}
	arg, err := marshalAt(&in)
	return EncodedCall{Func: f.e.index, Arg: arg}, err
}

// Decode decodes what a call of the function by [EncodedCall.Call] returned.
func (f *Func[In, Out]) Decode(result []byte) (out Out, err error) {
	if err = core.Unmarshal(result, &out); err != nil {
		err = fmt.Errorf("the result cannot be decoded: %w", err)
	}
	return out, err
}

// Call makes the call in another context. It returns the result as it travels. Its errors are
// as of [Func.Call].
func (c EncodedCall) Call(ctx context.Context, on *Node) ([]byte, error) {
	e := lookup(c.Func)
	if e == nil || e.kind != kindFunc {
		return nil, fmt.Errorf("%w: number %d", ErrUnknownFunc, c.Func)
	}
	out := outgoing{e: e, n: on}
	out.sendCall(ctx, nil, nil, (*encoded)(&c.Arg))
	if out.reply == nil {
		return nil, out.err
	}
	return out.wait(ctx)
}

// encoded is a value that has been encoded.
type encoded []byte

// MarshalCBOR implements cbor.Marshaler.
func (e encoded) MarshalCBOR() ([]byte, error) { return e, nil }

// Toward returns the child of n through which n reaches a context: the context itself, if it
// is a child, or if its ancestors are not known here. For n it returns n.
func (n *Node) Toward(other *Node) *Node {
	first := other
	for range maxAncestors {
		up := first.Parent()
		if first.id == n.id || up == nil || up.id == n.id || up.id == first.id {
			return first
		}
		first = up
	}
	return other
}

// maxAncestors bounds a walk up the tree.
const maxAncestors = 256

// Descendant returns the context below the local one that has an ID, nil if there is none.
func (n *Node) Descendant(id core.ID) *Node {
	if n.id != n.self.id || n.self.router.Relation(id) != router.RelationDescendant {
		return nil
	}
	return n.self.node(id)
}

// EncodedCallOf returns the call of a function by its name, with an argument that has been encoded
// as CBOR. The error matches [ErrUnknownFunc] where this program has no function of that name, and
// [ErrHasNodes] as of [Func.Encode]. An argument of the wrong type is an error of the call.
func EncodedCallOf(name string, arg []byte) (EncodedCall, error) {
	functions.mu.Lock()
	e := functions.byName[name]
	functions.mu.Unlock()
	if e == nil || e.kind != kindFunc {
		return EncodedCall{}, fmt.Errorf("%w: %q", ErrUnknownFunc, name)
	}
	if e.nodes {
		return EncodedCall{}, fmt.Errorf("function %q: %w", name, ErrHasNodes)
	}
	return EncodedCall{Func: e.index, Arg: arg}, nil
}
