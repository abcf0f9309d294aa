//go:build linux || darwin || freebsd

package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/mitosis-go/mitosis/contexts"
)

// Bounds of what a context keeps.
const (
	maxZips   = 64 << 20         // bytes of zips that a zygote has, in base64
	maxIdle   = 10 * time.Minute // without a task, until a zygote ends
	maxInline = 600 << 10        // bytes of output in one result: the broker's bodies have at most 1 MiB, in base64
	restLife  = 2 * time.Minute  // how long the rest of an output waits to be asked for
	killDelay = 500 * time.Millisecond
	waitDelay = time.Second // for the end of outputs that a process which was left running has open
)

// task is the argument of ansible.python.
type task struct {
	Interpreter string `cbor:"interpreter"`
	Shell       string `cbor:"shell"` // that starts the interpreter; "": the login shell starts a shell
	Zip         string `cbor:"zip"`   // the hash of Data
	Data        string `cbor:"data"`  // base64; "": it should be known
	Task        string `cbor:"task"`  // for the zygote
}

// result is the result of ansible.python, and of ansible.more without Status.
type result struct {
	Status  int    `cbor:"status"`
	Stdout  []byte `cbor:"stdout"`
	Stderr  []byte `cbor:"stderr"`
	More    string `cbor:"more,omitempty"`    // there is more output: the argument for ansible.more
	First   bool   `cbor:"first,omitempty"`   // the Python has been started for it
	Need    bool   `cbor:"need,omitempty"`    // the zip is not known
	Refused string `cbor:"refused,omitempty"` // why there is no such Python
}

func init() {
	contexts.NewFunc("ansible.python", func(ctx context.Context, t task) (result, error) { return here.run(ctx, t) })
}

// farm has the zygotes of a context.
type farm struct {
	mu      sync.Mutex
	zygotes map[place]*zygote // guarded by mu
	rests   map[string]*rest  // guarded by mu
	last    uint64            // guarded by mu: of the numbers of tasks and rests
}

// place tells zygotes apart.
type place struct {
	interpreter, shell string
	preloads           bool
}

var here = farm{zygotes: make(map[place]*zygote), rests: make(map[string]*rest)}

var (
	errNeedsZip = errors.New("the zip is not known")
	errOther    = errors.New("the Python can't fork for this zip: it has other libraries than those that were imported, or is none")
	errGone     = errors.New("the Python has ended")
)

// run runs a task.
func (f *farm) run(ctx context.Context, t task) (result, error) {
	for _, preloads := range []bool{true, false} {
		z, first, err := f.zygote(ctx, place{t.Interpreter, t.Shell, preloads})
		if err != nil {
			return result{Refused: err.Error()}, context.Cause(ctx)
		}
		r, err := f.runIn(ctx, z, t)
		r.First = first
		switch {
		case err == nil:
			return r, nil
		case errors.Is(err, errNeedsZip):
			return result{Need: true}, nil
		case !errors.Is(err, errOther):
			return result{}, err
		}
	}
	return result{Refused: errOther.Error()}, nil
}

// zygote returns the zygote of a place with a use of it, which its caller ends. It is started if it
// is not there.
func (f *farm) zygote(ctx context.Context, p place) (z *zygote, first bool, err error) {
	f.mu.Lock()
	z = f.zygotes[p]
	if z == nil || !z.use() {
		z, first = newZygote(), true
		z.use()
		f.zygotes[p] = z
		go f.serve(p, z)
	}
	f.mu.Unlock()
	select {
	case <-z.ready:
		return z, first, nil
	case <-z.gone:
		z.unuse()
		return nil, false, fmt.Errorf("%s: %w", p.interpreter, z.why())
	case <-ctx.Done():
		z.unuse()
		return nil, false, context.Cause(ctx)
	}
}

// serve is the life of a zygote.
func (f *farm) serve(p place, z *zygote) {
	z.serve(p)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.zygotes[p] == z {
		delete(f.zygotes, p)
	}
}

// runIn runs a task in a zygote, and ends the use of it.
func (f *farm) runIn(ctx context.Context, z *zygote, t task) (result, error) {
	defer z.unuse()
	f.mu.Lock()
	f.last++
	id := fmt.Sprint(f.last)
	f.mu.Unlock()
	var outputs [2]*output
	for i := range outputs {
		o, err := newOutput()
		if err != nil {
			return result{}, errors.Join(err, outputs[0].abandon())
		}
		outputs[i] = o
	}
	ended, err := z.start(id, t, outputs[0].w, outputs[1].w)
	if err != nil {
		return result{}, errors.Join(err, outputs[0].abandon(), outputs[1].abandon())
	}
	for _, o := range outputs {
		o.read()
	}
	status, err := z.await(ctx, id, ended)
	for _, o := range outputs {
		o.end(err == nil)
	}
	if err != nil {
		return result{}, err
	}
	r := f.pass(&rest{stdout: outputs[0].b, stderr: outputs[1].b})
	r.Status = status
	return r, nil
}

// output is a pipe, and what was read from it.
type output struct {
	r, w *os.File
	done chan struct{} // closed when all is read
	b    []byte        // complete when done is closed
}

func newOutput() (*output, error) {
	r, w, err := os.Pipe()
	return &output{r: r, w: w, done: make(chan struct{})}, err
}

func (o *output) abandon() error {
	if o == nil {
		return nil
	}
	return errors.Join(o.r.Close(), o.w.Close())
}

// read reads in a goroutine, until end.
func (o *output) read() {
	_ = o.w.Close() // the child has its own
	go func() {
		defer close(o.done)
		o.b, _ = io.ReadAll(o.r)
	}()
}

// end waits until all is read, for a task that has ended by itself.
func (o *output) end(byItself bool) {
	if byItself {
		select {
		case <-o.done:
		case <-time.After(waitDelay):
		}
	}
	_ = o.r.SetReadDeadline(time.Unix(1, 0))
	<-o.done
	_ = o.r.Close()
}

// signals of a task that is to end, in their order.
var signals = [...]syscall.Signal{syscall.SIGTERM, syscall.SIGKILL}
