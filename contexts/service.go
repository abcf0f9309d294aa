package contexts

import (
	"context"
	"fmt"
	"reflect"
)

// A Service is an object of type T that lives in a context and is called by name. Each
// context has at most one. Make a Service with [NewService], and its methods with
// [NewMethod]; keep both in package variables.
//
//	var counters = contexts.NewService("myprog.counters",
//		func(ctx context.Context, self *contexts.Node) (*Counters, error) {
//			return openCounters(ctx, "/var/lib/counters")
//		})
//
//	var add = contexts.NewMethod(counters, "add", (*Counters).Add, contexts.Serial, contexts.AllowDescendants)
//
//	n, err := add.Call(ctx, web1, 3)                   // the object in the context web1
//	n, err = add.Call(ctx, contexts.Nearest(self), 3)  // the one that is started here or above
//
// # Life of the object
//
// The object is made when a method is first called in its context, or by Start. Whoever
// asks for it meanwhile waits for the same making. If the making fails or panics, all of
// them get the error, and the next call tries again. A caller that gives up does not end
// the making for the others. When the last one has left, the ctx of the making ends, and
// if an object is made nevertheless, it is closed. A second object is never made before
// the first making has ended. A making has no deadline: one that may hang has to set its own.
//
// The object lives until its context ends. When that happens, its calls are cancelled and
// new ones fail with [ErrClosed]. When all of its methods have returned, or half of the time
// is over, the object is closed: by its method Close() error, Close(context.Context) error
// or Close(), if it has one. Close of the context waits for that. The object that was made
// last is closed first, and all of them before the contexts below: Close may use these.
//
// The objects of a context have at most half of Config.CloseTimeout together, and a second
// if the parent was lost. Objects that take longer are left, with a warning in the log,
// where errors of Close are as well. A context that is killed closes nothing,
// and its guard ends those below it on that host at once.
//
// If a method panics, its caller gets a *PanicError, and the object lives on.
//
// # Calls of methods
//
// A method is a [Func]: errors, deadlines, cancellation and authority are the same. Its
// calls run side by side, unless its options say otherwise: see [Serial] and
// [SingleFlight]. A method that is allowed to descendants lets them have the object made.
type Service[T any] struct{ s *service }

// NewService declares a service under a name, which must be unique in the program, and
// defines how its object is made. It panics as [NewFunc] does.
//
// The ctx of newObject ends with the object: goroutines of the object may use it. [Self]
// takes it. While the object is made, ctx also ends when nobody waits for it any more.
func NewService[T any](name string, newObject func(ctx context.Context, self *Node) (T, error)) *Service[T] {
	s := declareService[T](name)
	s.Define(newObject)
	return s
}

// DeclareService is [Declare] for a service. Init panics if it is not defined.
func DeclareService[T any](name string) *Service[T] { return declareService[T](name) }

func declareService[T any](name string) *Service[T] {
	unit, object := reflect.TypeFor[struct{}](), reflect.TypeFor[T]()
	if object.Kind() != reflect.Interface && !closes(object) && closes(reflect.PointerTo(object)) {
		panic(fmt.Sprintf("%s: contexts: service %q: the object is a %v, and only a pointer to it has the method Close", lineOf(2), name, object))
	}
	s := &service{name: name}
	s.start.e = newEntry(name, kindFunc, nil, unit, unit)
	s.find.e = newEntry(name+".(find)", kindFunc, nil, unit, reflect.TypeFor[bool]())
	s.register.e = newEntry(name+".(register)", kindFunc, nil, reflect.TypeFor[*Node](), unit)
	s.init()
	return &Service[T]{s}
}

// Define gives a service that was made by [DeclareService] the function that makes its
// object.
func (s *Service[T]) Define(newObject func(ctx context.Context, self *Node) (T, error)) {
	s.s.define(func(ctx context.Context, self *Node) (any, error) { return newObject(ctx, self) })
}

// Name returns the name under which the service is registered.
func (s *Service[T]) Name() string { return s.s.name }

// Start makes the object in a context, if it has none, and returns when it is made. Only
// the context itself and its ancestors may start it, unlike callers of methods.
func (s *Service[T]) Start(ctx context.Context, on Target) error { return s.s.startOn(ctx, on) }

// Object returns the object in the local context. It makes the object if there is none.
// Functions that run beside the object get it so, those with streams for example:
//
//	c, err := counters.Object(ctx, contexts.Self(ctx))
//
// Close of the object does not wait for those who have it from here.
func (s *Service[T]) Object(ctx context.Context, self *Node) (T, error) {
	v, err := s.s.objectHere(ctx, self)
	object, _ := v.(T) // nil, where T is an interface
	return object, err
}

// Find returns the context that [Nearest] means: it has the object, or passes calls on to it.
// A program that calls often finds once, and calls the node until it is gone.
func (s *Service[T]) Find(ctx context.Context, from *Node) (*Node, error) {
	return s.s.nearest(ctx, from)
}

// Register starts the service in the context at, which must be below the context with, and
// has with pass calls on to it. So Nearest leads there from with and from all contexts below
// that have no nearer one: contexts use an object that is beside them, without knowing it
// and without any other right to its context.
//
// For calls that are passed on, the authority of methods is that of with, and [Caller]
// returns with. Nodes in their arguments and results come without a grant. An object in
// with itself takes the place of the registration.
//
// The registration ends with the context at, with another one, and with Register of nil.
// Only with and its ancestors may register.
func (s *Service[T]) Register(ctx context.Context, with, at *Node) error {
	return s.s.registerWith(ctx, with, at)
}

// A MethodOption changes how a service's method may be called. The options of functions
// are such options, too. For methods, [Serial] means that no two of all the object's Serial
// methods run at the same time, so that nothing they share needs a lock. Such a method can't
// call another one of its own object: that is an error at once.
type MethodOption interface{ methodOption(*method) }

func (o Option) methodOption(m *method) { m.opts |= o }

// SingleFlight has all callers that call a method with equal arguments at the same time
// share one run and its result. Arguments are equal if they are encoded equally.
//
// A caller that gives up does not end the run for the others. When the last one has left,
// the run's ctx ends. The next run for the argument begins when it has returned, so that
// two never overlap. The run's ctx has no deadline: callers leave by theirs. [Caller]
// returns the first one, so such a method must not answer by its caller.
//
// Runs of a method that is Serial, too, take their turns.
const SingleFlight singleFlight = true

type singleFlight bool

func (o singleFlight) methodOption(m *method) { m.single = bool(o) }

// A Method is a function that is called with a service's object.
type Method[T, In, Out any] struct {
	*Func[In, Out] // whose name is that of the service, a dot, and that of the method
}

// NewMethod registers a method of a service. A method expression of Go is such a function:
//
//	contexts.NewMethod(counters, "add", (*Counters).Add)
//
// The rest is as for [NewFunc].
func NewMethod[T, In, Out any](s *Service[T], name string, fn func(T, context.Context, In) (Out, error), opts ...MethodOption) *Method[T, In, Out] {
	m := declareMethod[T, In, Out](s, name, opts)
	m.Define(fn)
	return m
}

// DeclareMethod is [Declare] for a method. A method that calls itself in another context,
// such as a cache that asks the one above, has to be declared first:
//
//	var get = contexts.DeclareMethod[string, []byte](cache, "get")
//
//	func init() { get.Define((*Cache).Get) }
func DeclareMethod[In, Out, T any](s *Service[T], name string, opts ...MethodOption) *Method[T, In, Out] {
	return declareMethod[T, In, Out](s, name, opts)
}

func declareMethod[T, In, Out any](s *Service[T], name string, opts []MethodOption) *Method[T, In, Out] {
	in, out := reflect.TypeFor[In](), reflect.TypeFor[Out]()
	f := &Func[In, Out]{sendNode: types.VisitorOf(in), recvNode: types.VisitorOf(out)}
	f.e = newEntry(s.s.name+"."+name, kindFunc, nil, in, out)
	s.s.addMethod(f.e, opts)
	return &Method[T, In, Out]{f}
}

// Define gives a method that was made by [DeclareMethod] its body, as [Func.Define] does.
func (m *Method[T, In, Out]) Define(fn func(T, context.Context, In) (Out, error)) {
	m.e.define(func(c *incoming) {
		if c.passOn() {
			return
		}
		var in In
		var out Out
		c.serveFunc(m.sendNode, m.recvNode, &in, &out, func() error {
			v, err := c.callMethod(&in, func(ctx context.Context, object any) (any, error) {
				t, _ := object.(T) // nil, where T is an interface
				return fn(t, ctx, in)
			})
			out, _ = v.(Out)
			return err
		})
	})
}

// service is a Service with its type erased.
type service struct {
	// Immutable after registration.
	name      string
	newObject func(ctx context.Context, self *Node) (any, error)

	// The functions by which contexts talk of the service. Their names have no other form,
	// and so none of them is that of a method.
	start    Func[struct{}, struct{}] // makes the object
	find     Func[struct{}, bool]     // reports whether the context has the service
	register Func[*Node, struct{}]    // has the context pass calls on

	homes homes
}

// method is how a service's method is called. Immutable after registration.
type method struct {
	s      *service
	opts   Option
	single bool
	// arrive is called by the reader of a link for each call that is admitted.
	arrive func(c *incoming)
	// check is called before a call is sent: would it wait for itself?
	check func(ctx context.Context, on *Node, in any) error
}

// init defines the functions that need no body of the user.
func (s *service) init() {
	s.register.sendNode = types.VisitorOf(reflect.TypeFor[*Node]())
	s.find.Define(func(ctx context.Context, _ struct{}) (bool, error) { return s.isIn(callOf(ctx).l), nil })
	s.register.Define(func(ctx context.Context, at *Node) (struct{}, error) {
		return struct{}{}, s.registerIn(callOf(ctx).l, at)
	})
}

// mayCall returns an error for a call that would wait for itself. Functions that are no
// methods have a nil m.
func (m *method) mayCall(ctx context.Context, c *outgoing, in any) error {
	if m == nil || c.oneWay {
		return nil
	}
	return m.check(ctx, c.n, in)
}

// addMethod makes a function a method.
func (s *service) addMethod(e *entry, opts []MethodOption) {
	m := &method{s: s}
	m.arrive = s.arrive
	m.check = func(ctx context.Context, on *Node, in any) error { return s.checkMethod(ctx, e, on, in) }
	for _, o := range opts {
		o.methodOption(m)
	}
	e.method, e.opts = m, m.opts
	s.find.e.opts |= m.opts & AllowDescendants // else nothing here is of use to them
}

// define gives the service its body.
func (s *service) define(newObject func(ctx context.Context, self *Node) (any, error)) {
	s.start.Define(func(ctx context.Context, _ struct{}) (struct{}, error) {
		_, err := s.in(callOf(ctx).l).get(ctx)
		return struct{}{}, err
	})
	s.newObject = newObject
}
