package connect

import (
	"fmt"
	"reflect"
	"strings"
	"sync"

	"github.com/mitosis-go/mitosis/core"
)

// registry has the types of methods, by the names under which they travel.
var registry struct {
	mu     sync.RWMutex
	byName map[string]func(b []byte) (Method, error)
	byType map[reflect.Type]string
}

// Register lets methods of type T travel to the context that makes the hop. Call it from
// an init function, so that every copy of the program does. It panics if the name or the
// type is registered already. Methods are registered and passed as values, not as pointers.
func Register[T Method](name string) { register(name, reflect.TypeFor[T]()) }

// register is Register without a copy of its code for each type, which every
// image would carry.
func register(name string, t reflect.Type) {
	registry.mu.Lock()
	defer registry.mu.Unlock()
	if _, ok := registry.byName[name]; ok {
		panic(fmt.Sprintf("connect: the method %q is registered already", name))
	}
	if old, ok := registry.byType[t]; ok {
		panic(fmt.Sprintf("connect: %v is registered already, as %q", t, old))
	}
	if registry.byName == nil {
		registry.byName = make(map[string]func([]byte) (Method, error))
		registry.byType = make(map[reflect.Type]string)
	}
	registry.byType[t] = name
	registry.byName[name] = func(b []byte) (Method, error) {
		m := reflect.New(t)
		if err := core.Unmarshal(b, m.Interface()); err != nil {
			return nil, fmt.Errorf("method %q: %w", name, err)
		}
		return m.Elem().Interface().(Method), nil
	}
}

// wireMethod is a method on its way.
type wireMethod struct {
	_     struct{} `cbor:",toarray"`
	Name  string
	Value []byte
}

// Key returns a text that is equal for equal hops, and for no others. It has their secrets. The
// key of some hops begins with that of the first of them.
func Key(hops ...Method) (string, error) {
	var key strings.Builder
	for _, hop := range hops {
		code, err := Encode(hop)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&key, "%d:%s", len(code), code)
	}
	return key.String(), nil
}

// Encode returns a method as bytes that [Decode] reads. Its type must be registered.
func Encode(m Method) ([]byte, error) {
	registry.mu.RLock()
	name, ok := registry.byType[reflect.TypeOf(m)]
	registry.mu.RUnlock()
	if !ok {
		return nil, fmt.Errorf("methods of type %T cannot travel: connect.Register was not called for it", m)
	}
	value, err := core.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("method %q: %w", name, err)
	}
	return core.Marshal(wireMethod{Name: name, Value: value})
}

// Decode is the reverse of Encode.
func Decode(b []byte) (Method, error) {
	var w wireMethod
	if err := core.Unmarshal(b, &w); err != nil {
		return nil, err
	}
	registry.mu.RLock()
	decode := registry.byName[w.Name]
	registry.mu.RUnlock()
	if err := notImported(w.Name); err != nil {
		return nil, err
	}
	if decode == nil {
		return nil, fmt.Errorf("%w %q is registered", ErrNoMethod, w.Name)
	}
	return decode(w.Value)
}
