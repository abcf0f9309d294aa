package contexts

import (
	"encoding"
	"fmt"
	"reflect"
	"strings"
	"sync"

	"github.com/fxamacker/cbor/v2"
)

var (
	nodeType          = reflect.TypeFor[*Node]()
	errorType         = reflect.TypeFor[error]()
	cborMarshaler     = reflect.TypeFor[cbor.Marshaler]()
	cborUnmarshaler   = reflect.TypeFor[cbor.Unmarshaler]()
	binaryMarshaler   = reflect.TypeFor[encoding.BinaryMarshaler]()
	binaryUnmarshaler = reflect.TypeFor[encoding.BinaryUnmarshaler]()
)

// sender is what every Sender[T] is: a value that leads to a node, and takes
// values of a type.
type sender interface {
	leadsTo() *Node
	takes() reflect.Type
}

// isSender reports whether t is a Sender of something. Pointers to one are
// pointers.
func isSender(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && t.Implements(reflect.TypeFor[sender]())
}

// marshalsItself reports whether values of t say themselves how they travel.
func marshalsItself(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	return p.Implements(cborMarshaler) && p.Implements(cborUnmarshaler) ||
		p.Implements(binaryMarshaler) && p.Implements(binaryUnmarshaler)
}

// describe spells a type by its structure, so that two builds of a program
// whose types differ have different fingerprints. It returns an error for a
// type that cannot travel.
func describe(t reflect.Type) (string, error) {
	var b strings.Builder
	err := describeTo(&b, t, map[reflect.Type]bool{})
	return b.String(), err
}

func describeTo(b *strings.Builder, t reflect.Type, seen map[reflect.Type]bool) error {
	switch {
	case t == nodeType:
		b.WriteString("node")
		return nil
	case isSender(t):
		b.WriteString("sender of ")
		return describeTo(b, reflect.Zero(t).Interface().(sender).takes(), seen)
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
		return describeTo(b, t.Elem(), seen)
	case reflect.Slice:
		b.WriteString("[]")
		return describeTo(b, t.Elem(), seen)
	case reflect.Array:
		fmt.Fprintf(b, "[%d]", t.Len())
		return describeTo(b, t.Elem(), seen)
	case reflect.Map:
		b.WriteString("map[")
		if err := describeTo(b, t.Key(), seen); err != nil {
			return err
		}
		b.WriteByte(']')
		return describeTo(b, t.Elem(), seen)
	case reflect.Struct:
		seen[t] = true
		return describeStruct(b, t, seen)
	}
	return fmt.Errorf("the type %v cannot travel", t)
}

func describeStruct(b *strings.Builder, t reflect.Type, seen map[reflect.Type]bool) error {
	b.WriteString("struct{")
	exported := 0
	for i := range t.NumField() {
		f := t.Field(i)
		if !f.IsExported() && !f.Anonymous || f.Tag.Get("cbor") == "-" {
			continue
		}
		exported++
		fmt.Fprintf(b, "%s ", f.Name)
		if err := describeTo(b, f.Type, seen); err != nil {
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

// A visitor calls visit with every node that a value holds. It is nil for
// types that cannot hold one, which makes the common case free.
type visitor func(v reflect.Value, visit func(*Node))

var visitors sync.Map // reflect.Type to visitor

// visitorOf returns the visitor of t, building it on first use.
func visitorOf(t reflect.Type) visitor {
	if v, ok := visitors.Load(t); ok {
		return v.(visitor)
	}
	v := visitor(nil)
	if holdsNode(t, map[reflect.Type]bool{}) {
		v = visitNodes
	}
	visitors.Store(t, v)
	return v
}

func holdsNode(t reflect.Type, seen map[reflect.Type]bool) bool {
	if t == nodeType || isSender(t) {
		return true
	}
	if seen[t] {
		return false
	}
	seen[t] = true
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array:
		return holdsNode(t.Elem(), seen)
	case reflect.Map:
		return holdsNode(t.Elem(), seen)
	case reflect.Struct:
		for i := range t.NumField() {
			if f := t.Field(i); f.IsExported() && holdsNode(f.Type, seen) {
				return true
			}
		}
	}
	return false
}

func visitNodes(v reflect.Value, visit func(*Node)) {
	if v.Type() == nodeType {
		if n := v.Interface().(*Node); n != nil {
			visit(n)
		}
		return
	}
	if isSender(v.Type()) {
		if n := v.Interface().(sender).leadsTo(); n != nil {
			visit(n)
		}
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			visitNodes(v.Elem(), visit)
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			visitNodes(v.Index(i), visit)
		}
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			visitNodes(it.Value(), visit)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				visitNodes(v.Field(i), visit)
			}
		}
	}
}
