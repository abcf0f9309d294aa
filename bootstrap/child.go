package bootstrap

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"runtime"
	"strconv"
	"sync"
	"time"

	"github.com/mitosis-go/mitosis/bootstrap/internal/guard"
	"github.com/mitosis-go/mitosis/bootstrap/internal/scan"
	"github.com/mitosis-go/mitosis/bootstrap/internal/worker"
	"github.com/mitosis-go/mitosis/bootstrap/pipe"
)

// welcomeTime bounds a child's wait for its parent's answer. The parent answers
// at once or is lost.
const welcomeTime = 2 * time.Minute

// A Child is what a child finds when it has been welcomed.
type Child struct {
	Welcome Welcome
	// Link carries frames. Closing it unblocks Read and Write.
	Link io.ReadWriteCloser
	// Output yields what is printed on descriptors 1 and 2, by this process and
	// by those that it starts. It must be read all the time: a full pipe stops
	// whoever prints. What is still in it when this process dies is handed by
	// the guard to Stderr.
	Output *os.File
	// Stderr is what the carrier gave as standard error: for last words when
	// there is no link any more.
	Stderr *os.File
}

// trimAfter is when a child gives back the pages of its executable that only
// starting up has needed, which are most of those that it has touched.
const trimAfter = time.Second

// IsChild tells whether this process was started by a [Launch] and should call
// [Accept].
func IsChild() bool { return guard.Marker != "" }

// Accept says hello to the parent and waits for the welcome. It may be called
// once, in a child. Standard input, output and error are not the link any more
// when main begins; that has been seen to before.
func Accept(fingerprint [32]byte) (*Child, error) {
	if !IsChild() {
		return nil, errors.New("not a child")
	}
	files := worker.TakeOver()
	worker.Watch()
	l := &childLink{Pipe: pipe.New(files.In, files.Out), in: files.In, out: files.Out}
	frame, err := helloFrame(NewHello(fingerprint), 0)
	if err != nil {
		return nil, err
	}
	first := append([]byte("\n"+guard.Marker+" "+scan.Go+"\n"), frame...)
	if _, err := l.Write(first); err != nil {
		return nil, fmt.Errorf("saying hello: %w", err)
	}
	// Where a deadline can't be set, the guard still ends a child whose
	// parent has gone.
	l.in.SetReadDeadline(time.Now().Add(welcomeTime))
	b := &Child{Link: l, Output: files.Output, Stderr: files.Stderr}
	frames := &afterNudges{r: l, marker: guard.Marker}
	rest, err := readHello(frames, &b.Welcome)
	if err != nil {
		return nil, fmt.Errorf("waiting for the welcome: %w", err)
	}
	l.in.SetReadDeadline(time.Time{})
	l.left = append(rest, frames.buf...)
	if b.Welcome.Version != Version {
		return nil, fmt.Errorf("%w: the parent has %d, this program %d", ErrVersion, b.Welcome.Version, Version)
	}
	time.AfterFunc(trimAfter, guard.Trim)
	return b, nil
}

// NewHello is the hello of this process.
func NewHello(fingerprint [32]byte) Hello {
	h := Hello{
		Version: Version, Fingerprint: fingerprint,
		GOOS: runtime.GOOS, GOARCH: runtime.GOARCH,
		Pid: os.Getpid(), UID: os.Getuid(),
	}
	h.Hostname, _ = os.Hostname()
	if u, err := user.LookupId(strconv.Itoa(h.UID)); err == nil {
		h.User = u.Username
	}
	if sum, err := hex.DecodeString(guard.ImageHash); err == nil && len(sum) == len(h.ImageHash) {
		h.ImageHash = [32]byte(sum)
	}
	return h
}

// Lease lets this child live for d after the loss of its parent; another call sets
// the time anew. The guard ends the child then, whatever the program does. Errors
// match [errors.ErrUnsupported] where there is no such guard, and where another
// guard is above it, which would end this child with its own.
func Lease(d time.Duration) error {
	switch above, err := guard.Below(); {
	case err != nil:
		return fmt.Errorf("%w: whether another context is above cannot be told: %w", errors.ErrUnsupported, err)
	case above != 0:
		return fmt.Errorf("%w: it is below another context on the same host, whose guard, process %d, ends with it all that is below", errors.ErrUnsupported, above)
	}
	return guard.Lease(d)
}

// ExtendLease sets the time of a lease anew that Lease has begun.
func ExtendLease(d time.Duration) { _ = guard.Lease(d) }

// Exit ends a child. Whatever it started and did not end is killed by its guard,
// which goes on for that if somebody has stopped it.
func Exit(code int) {
	guard.Wake()
	os.Exit(code)
}

// KillDescendants ends every process that this context started and that still
// lives, daemons in sessions of their own included: SIGTERM, then, after grace or
// when ctx is done, SIGKILL for up to two seconds. It returns how many survived,
// zombies not counted.
func KillDescendants(ctx context.Context, grace time.Duration) (survivors int) {
	return guard.KillDescendants(ctx, grace)
}

// KeepJobs lets processes outlive this context, if a command that was started
// without the context's mark left them running: see Unmarked.
func KeepJobs() error { return guard.KeepJobs() }

// Unmarked is an environment without the mark by which a context knows what was
// started in it.
func Unmarked(env []string) []string { return guard.Unmarked(env) }

// LeftRunning lists the processes that were left running by those who started them,
// and that KillDescendants would end.
func LeftRunning() []Left { return guard.LeftRunning() }

// HeedsHangup reports whether a process is known not to ignore SIGHUP.
func HeedsHangup(pid int) bool { return guard.HeedsHangup(pid) }

// GroupThatHeedsHangup lists the live members of a process group that don't ignore
// SIGHUP.
func GroupThatHeedsHangup(group int) []int { return guard.GroupThatHeedsHangup(group) }

// A Left is a process that somebody has left running.
type Left = guard.Left

// The router looks for this in the link that a child is given.
var _ interface{ TryWrite([]byte) int } = (*childLink)(nil)

// childLink is the link as the child has it: two descriptors, which may be one
// socket or terminal.
type childLink struct {
	*pipe.Pipe
	in, out *os.File
	left    []byte // owned by the one reader

	once sync.Once
	err  error
}

func (l *childLink) Read(b []byte) (int, error) {
	if len(l.left) > 0 {
		n := copy(b, l.left)
		if l.left = l.left[n:]; len(l.left) == 0 {
			l.left = nil
		}
		return n, nil
	}
	return l.Pipe.Read(b)
}

func (l *childLink) Close() error {
	l.once.Do(func() { l.err = errors.Join(l.out.Close(), l.in.Close()) })
	return l.err
}
