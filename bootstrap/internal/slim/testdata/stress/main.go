// Command stress exercises the parts of the Go runtime that read the tables of functions. It
// prints a line for each part that came out right. The argument is "all", "calm" for all parts
// but preemption, which needs free processors, or the name of a way to fail (see end).
package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"reflect"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"runtime/trace"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

func main() {
	if what := os.Args[1]; what != "all" && what != "calm" {
		end(what)
	}
	for _, part := range []struct {
		name string
		run  func() error
	}{
		{"deep stacks", deepStacks}, {"panics", panics}, {"wrappers", wrappers}, {"callers", callers},
		{"reflection", reflection}, {"goroutines", goroutines}, {"profiles", profiles}, {"preemption", preemption},
	} {
		if part.name == "preemption" && os.Args[1] == "calm" {
			continue
		}
		if err := part.run(); err != nil {
			fmt.Println(part.name+":", err)
			os.Exit(1)
		}
		fmt.Println(part.name, "ok")
	}
}

// end ends the program by a failure of the runtime: how is its name.
func end(how string) {
	switch how {
	case "panic":
		panic("deliberate")
	case "nil":
		var p *point
		fmt.Println(p.x)
	case "overflow":
		debug.SetMaxStack(1 << 20)
		fmt.Println(endless(1))
	case "deadlock":
		select {}
	}
}

func endless(n int) int { return endless(n+1) + 1 }

type point struct{ x, y int }

type list struct {
	next *list
	n    int
}

// grow uses much stack, with pointers in every frame, and holds on to them over
// collections and moves of the stack.
func grow(depth int, l *list) int {
	var room [32]*list
	room[depth%len(room)] = &list{next: l, n: depth}
	here := &room
	if depth == 0 {
		runtime.GC()
		return l.n
	}
	sum := grow(depth-1, room[depth%len(room)])
	if here[depth%len(room)].n != depth || l != nil && l.n != depth+1 {
		panic("a pointer was lost")
	}
	return sum
}

func deepStacks() error {
	var wg sync.WaitGroup
	var wrong atomic.Int32
	for range 8 {
		wg.Go(func() {
			for range 4 {
				if grow(3000, nil) != 1 {
					wrong.Add(1)
				}
				runtime.GC() // shrinks the stack again
			}
		})
	}
	wg.Wait()
	if wrong.Load() > 0 {
		return errors.New("wrong sum")
	}
	return nil
}

// spin has no call in its loop, so only a signal can preempt it. Its slices and copies bring
// inlined code of the runtime into it.
func spin(stop *atomic.Bool, n *atomic.Int64) {
	a, b := make([]*point, 64), make([]*point, 64)
	for i := 0; !stop.Load(); i++ {
		a[i%64] = &point{i, i}
		if i%1024 == 0 {
			copy(b, a)
			n.Add(1)
		}
		if p := b[i%64]; p != nil && p.x != p.y {
			panic("a point was overwritten")
		}
	}
}

func tight(stop *bool) (n int) {
	for !*stop {
		n++
	}
	return n
}

func preemption() error {
	var stop atomic.Bool
	var n atomic.Int64
	var wg sync.WaitGroup
	for range 2 * runtime.GOMAXPROCS(0) {
		wg.Go(func() { spin(&stop, &n) })
	}
	never := false
	for range runtime.GOMAXPROCS(0) {
		go tight(&never) // for the rest of the process: each collection has to stop these
	}
	for i := range 20 {
		runtime.GC()
		if i%10 == 0 {
			time.Sleep(time.Millisecond)
		}
	}
	stop.Store(true)
	wg.Wait()
	if n.Load() == 0 {
		return errors.New("nobody ran")
	}
	return nil
}

func recovered(f func()) (v any) {
	defer func() { v = recover() }()
	f()
	return nil
}

// catch is small enough to be a candidate for inlining wherever it is called.
func catch(to *any) { *to = recover() }

func panics() error {
	var a []int
	var m map[string]int
	var p *point
	var text any = "text"
	five := len(os.Args) + 3
	for want, f := range map[string]func(){
		"index out of range [5] with length 0":             func() { _ = a[five] },
		"slice bounds out of range [:5] with capacity 0":   func() { _ = a[:five] },
		"assignment to entry in nil map":                   func() { m["a"] = 1 },
		"nil pointer dereference":                          func() { p.x = 1 },
		"integer divide by zero":                           func() { _ = 1 / (five - 5) },
		"interface conversion: interface {} is string, no": func() { _ = text.(int) },
		"own": func() { panic(errors.New("own")) },
	} {
		if v := fmt.Sprint(recovered(f)); !strings.Contains(v, want) {
			return fmt.Errorf("%q instead of %q", v, want)
		}
	}
	// recover has no effect in a function that a deferred function calls, and has one in the
	// deferred function itself.
	var inner any
	outer := recovered(func() {
		defer func() { func() { catch(&inner) }() }()
		panic("through")
	})
	if outer != "through" || inner != nil {
		return fmt.Errorf("recovered from too deep: %v, %v", outer, inner)
	}
	var direct any
	if v := recovered(func() { defer catch(&direct); panic("direct") }); v != nil || direct != "direct" {
		return fmt.Errorf("not recovered: %v, %v", v, direct)
	}
	// Many deferred calls, in a loop and not, with a panic that replaces one.
	order := ""
	v := recovered(func() {
		for i := range 3 {
			defer func() { order += fmt.Sprint(i) }()
		}
		defer func() { panic(fmt.Sprint(recover(), " and second")) }()
		panic("first")
	})
	if v != "first and second" || order != "210" {
		return fmt.Errorf("%v, order %s", v, order)
	}
	done := make(chan bool)
	go func() {
		defer close(done)
		defer func() { recover() }()
		runtime.Goexit()
	}()
	<-done
	return nil
}

type doer interface{ do(to *any) }

type value struct{ name [3]string }

func (v value) do(to *any) { *to = recover() }

type embedding struct{ *value }

//go:noinline
func do(d doer) { d.do(nil) } // through the interface, for every type

// wrappers checks that a method recovers also if it is called through a wrapper. The compiler
// makes wrappers for interfaces, embedded fields and method values.
func wrappers() error {
	v := &value{}
	for i, d := range []doer{*v, v, embedding{v}, &embedding{v}} {
		var to any
		out := recovered(func() {
			defer d.do(&to)
			panic(i)
		})
		if out != nil || to != i {
			return fmt.Errorf("wrapper %d: %v, %v", i, out, to)
		}
		bound := d.do
		out = recovered(func() {
			defer bound(&to)
			panic(-i)
		})
		if out != nil || to != -i {
			return fmt.Errorf("bound %d: %v, %v", i, out, to)
		}
	}
	// The runtime finds the method's name for this text by the name of its wrapper.
	var none *value
	if got := fmt.Sprint(recovered(func() { do(none) })); !strings.Contains(got, "value method main.value.do called using nil *value pointer") {
		return errors.New(got)
	}
	return nil
}

//go:noinline
func name() string {
	pc, _, _, ok := runtime.Caller(0)
	if !ok {
		return "not found"
	}
	return runtime.FuncForPC(pc).Name()
}

//go:noinline
func named() []string {
	pcs := make([]uintptr, 20)
	var names []string
	frames := runtime.CallersFrames(pcs[:runtime.Callers(1, pcs)])
	for {
		f, more := frames.Next()
		names = append(names, f.Function)
		if !more {
			return names
		}
	}
}

// waits is on the stack of its goroutine once it has sent to there, and stays there.
func waits(there chan<- bool, c <-chan int) {
	there <- true
	<-c
}

func callers() error {
	if got := name(); got != "main.name" {
		return errors.New(got)
	}
	got := strings.Join(named(), " ")
	if want := "main.named main.callers main.main runtime.main runtime.goexit"; got != want {
		return errors.New(got)
	}
	if s := string(debug.Stack()); !strings.Contains(s, "main.callers(") {
		return errors.New(s)
	}
	there := make(chan bool)
	go waits(there, make(chan int))
	<-there
	all := make([]byte, 1<<20)
	if s := string(all[:runtime.Stack(all, true)]); !strings.Contains(s, "main.waits") {
		return errors.New(s)
	}
	return nil
}

func profiles() error {
	runtime.SetBlockProfileRate(1)
	runtime.SetMutexProfileFraction(1)
	runtime.MemProfileRate = 64
	var cpu, events bytes.Buffer
	if err := pprof.StartCPUProfile(&cpu); err != nil {
		return err
	}
	if err := trace.Start(&events); err != nil {
		return err
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	for i := range 20 {
		wg.Go(func() {
			for range 20 {
				mu.Lock()
				recovered(func() { _ = fmt.Sprint(i, grow(50, nil)) })
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	trace.Stop()
	pprof.StopCPUProfile()
	if events.Len() == 0 || cpu.Len() == 0 {
		return errors.New("nothing was recorded")
	}
	for _, name := range []string{"goroutine", "heap", "allocs", "block", "mutex", "threadcreate"} {
		var out bytes.Buffer
		if err := pprof.Lookup(name).WriteTo(&out, 1); err != nil || out.Len() == 0 {
			return fmt.Errorf("%s: %v, %d bytes", name, err, out.Len())
		}
		if name == "goroutine" && !strings.Contains(out.String(), "main.waits") {
			return errors.New(out.String())
		}
	}
	return nil
}

func goroutines() error {
	const n = 2000
	results := make(chan *list)
	for i := range n {
		go func() {
			l := &list{n: i}
			select {
			case results <- l:
			case <-time.After(time.Minute):
			}
		}()
	}
	var freed atomic.Int32
	sum := 0
	for range n {
		l := <-results
		sum += l.n
		runtime.AddCleanup(l, func(c *atomic.Int32) { c.Add(1) }, &freed)
	}
	if sum != n*(n-1)/2 {
		return fmt.Errorf("sum %d", sum)
	}
	for range 100 {
		runtime.GC()
		if freed.Load() > n/2 {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return fmt.Errorf("%d of %d were freed", freed.Load(), n)
}

func (p *point) Add(q point, more ...int) point { return point{p.x + q.x + len(more), p.y + q.y} }

func reflection() error {
	for range 200 {
		p := &point{1, 2}
		out := reflect.ValueOf(p).MethodByName("Add").Call([]reflect.Value{reflect.ValueOf(point{3, 4}), reflect.ValueOf(5)})
		if out[0].Interface() != (point{5, 6}) {
			return fmt.Errorf("%v", out[0])
		}
		f := reflect.MakeFunc(reflect.TypeFor[func(*list, string) (string, *list)](), func(in []reflect.Value) []reflect.Value {
			runtime.GC()
			return []reflect.Value{in[1], in[0]}
		}).Interface().(func(*list, string) (string, *list))
		l := &list{n: 7}
		if s, m := f(l, "text"); s != "text" || m.n != 7 {
			return errors.New("arguments were lost")
		}
		method := reflect.ValueOf(p).MethodByName("Add").Interface().(func(point, ...int) point)
		if method(point{}) != (point{1, 2}) {
			return errors.New("method value")
		}
	}
	return nil
}
