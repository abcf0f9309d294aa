package call

import (
	"encoding"
	"fmt"
	"reflect"
	"strings"
	"sync"

	"github.com/fxamacker/cbor/v2"
)

// Types knows which types can travel, and where values hold nodes, which are of type N.
type Types[N comparable] struct {
	// Immutable.

	// TakenBy returns the type of the values that a mailbox's sender of type t takes, and
	// nil where t is no such type.
	TakenBy func(t reflect.Type) reflect.Type
	// NodeOf returns the node to which a sender leads.
	NodeOf func(sender reflect.Value) N

	visitors sync.Map // reflect.Type to Visitor[N]
}

// A Visitor calls visit with every node that a value holds. It is nil for types that
// cannot hold one, which makes the common case free.
type Visitor[N any] func(v reflect.Value, visit func(N))

var (
	errorType         = reflect.TypeFor[error]()
	cborMarshaler     = reflect.TypeFor[cbor.Marshaler]()
	cborUnmarshaler   = reflect.TypeFor[cbor.Unmarshaler]()
	binaryMarshaler   = reflect.TypeFor[encoding.BinaryMarshaler]()
	binaryUnmarshaler = reflect.TypeFor[encoding.BinaryUnmarshaler]()
)

// marshalsItself reports whether values of t have methods that encode them.
func marshalsItself(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	return p.Implements(cborMarshaler) && p.Implements(cborUnmarshaler) ||
		p.Implements(binaryMarshaler) && p.Implements(binaryUnmarshaler)
}

// Describe spells a type by its structure, so that two builds of a program
// whose types differ have different fingerprints. It returns an error for a
// type that cannot travel.
func (k *Types[N]) Describe(t reflect.Type) (string, error) {
	var b strings.Builder
	err := k.describe(&b, t, map[reflect.Type]bool{})
	return b.String(), err
}

func (k *Types[N]) describe(b *strings.Builder, t reflect.Type, seen map[reflect.Type]bool) error {
	if t == reflect.TypeFor[N]() {
		b.WriteString("node")
		return nil
	}
	if taken := k.TakenBy(t); taken != nil {
		b.WriteString("sender of ")
		return k.describe(b, taken, seen)
	}
	switch {
	case t == errorType:
		return fmt.Errorf("an error value cannot be part of an argument or a result; return it as the function's error")
	case seen[t] || t.PkgPath() != "" && marshalsItself(t):
		b.WriteString(t.String())
		return nil
	}
	switch t.Kind() {
	case reflect.Bool, reflect.String,
		reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr,
		reflect.Float32, reflect.Float64:
		b.WriteString(t.Kind().String())
		return nil
	case reflect.Interface:
		if t.NumMethod() == 0 {
			b.WriteString("any")
			return nil
		}
		return fmt.Errorf("the interface type %v cannot be decoded; use a concrete type", t)
	case reflect.Pointer:
		b.WriteByte('*')
		return k.describe(b, t.Elem(), seen)
	case reflect.Slice:
		b.WriteString("[]")
		return k.describe(b, t.Elem(), seen)
	case reflect.Array:
		fmt.Fprintf(b, "[%d]", t.Len())
		return k.describe(b, t.Elem(), seen)
	case reflect.Map:
		b.WriteString("map[")
		if err := k.describe(b, t.Key(), seen); err != nil {
			return err
		}
		b.WriteByte(']')
		return k.describe(b, t.Elem(), seen)
	case reflect.Struct:
		seen[t] = true
		return k.describeStruct(b, t, seen)
	}
	return fmt.Errorf("the type %v cannot travel", t)
}

func (k *Types[N]) describeStruct(b *strings.Builder, t reflect.Type, seen map[reflect.Type]bool) error {
	b.WriteString("struct{")
	exported := 0
	for i := range t.NumField() {
		f := t.Field(i)
		if !f.IsExported() && !f.Anonymous || f.Tag.Get("cbor") == "-" {
			continue
		}
		exported++
		fmt.Fprintf(b, "%s ", f.Name)
		if err := k.describe(b, f.Type, seen); err != nil {
			return fmt.Errorf("%v.%s: %w", t, f.Name, err)
		}
		b.WriteByte(';')
	}
	if exported == 0 && t.NumField() > 0 {
		return fmt.Errorf("%v has no exported field: nothing of it would arrive", t)
	}
	b.WriteByte('}')
	return nil
}

// VisitorOf returns the visitor of t, building it on first use.
func (k *Types[N]) VisitorOf(t reflect.Type) Visitor[N] {
	if v, ok := k.visitors.Load(t); ok {
		return v.(Visitor[N])
	}
	v := Visitor[N](nil)
	if k.holdsNode(t, map[reflect.Type]bool{}) {
		v = k.visit
	}
	k.visitors.Store(t, v)
	return v
}

func (k *Types[N]) holdsNode(t reflect.Type, seen map[reflect.Type]bool) bool {
	if t == reflect.TypeFor[N]() || k.TakenBy(t) != nil {
		return true
	}
	if seen[t] {
		return false
	}
	seen[t] = true
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array:
		return k.holdsNode(t.Elem(), seen)
	case reflect.Map:
		return k.holdsNode(t.Elem(), seen)
	case reflect.Struct:
		for i := range t.NumField() {
			if f := t.Field(i); f.IsExported() && k.holdsNode(f.Type, seen) {
				return true
			}
		}
	}
	return false
}

func (k *Types[N]) visit(v reflect.Value, visit func(N)) {
	var none N
	if v.Type() == reflect.TypeFor[N]() {
		if n := v.Interface().(N); n != none {
			visit(n)
		}
		return
	}
	if k.TakenBy(v.Type()) != nil {
		if n := k.NodeOf(v); n != none {
			visit(n)
		}
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			k.visit(v.Elem(), visit)
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			k.visit(v.Index(i), visit)
		}
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			k.visit(it.Value(), visit)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				k.visit(v.Field(i), visit)
			}
		}
	}
}
