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

// welcomeTime bounds a child's wait for the welcome. A parent answers at once, or is lost.
const welcomeTime = 2 * time.Minute

// A Child is this process as a child that has been welcomed: its place in the tree, its link
// and its files.
type Child struct {
	Welcome Welcome
	// Link carries frames. Closing it unblocks Read and Write.
	Link io.ReadWriteCloser
	// Output returns the bytes that this process and those that it starts print on
	// descriptors 1 and 2. It must be read all the time, because a full pipe blocks
	// all of them. If this process dies, the guard copies the rest to Stderr.
	Output *os.File
	// Stderr is the carrier's standard error, for last words after the end of the
	// link.
	Stderr *os.File
}

// trimAfter is how long nothing comes from the parent until a child gives back the pages of its
// executable that it has touched.
const trimAfter = time.Second

// IsChild reports whether this process was started by a [Launch]. It should call [Accept]
// then.
func IsChild() bool { return guard.Marker != "" }

// Accept says hello to the parent and waits for the welcome. It may be called once, in a
// child. The link is not standard input and output: these were replaced before main.
func Accept(fingerprint [32]byte) (*Child, error) {
	if !IsChild() {
		return nil, errors.New("this process was not started as a child: see IsChild")
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
		return nil, fmt.Errorf("%w: the parent has %d, this program has %d; run the same build on both sides", ErrVersion, b.Welcome.Version, Version)
	}
	l.trim = time.AfterFunc(trimAfter, guard.Trim)
	return b, nil
}

// NewHello makes the hello of this process.
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

// Lease lets this child live for d after the loss of its parent. After that the guard ends
// it, whatever the program does. Another call sets the time anew. The error matches
// [errors.ErrUnsupported] where the guard has no timer, and where another guard is above
// this one, because that would end this child, too.
func Lease(d time.Duration) error {
	switch above, err := guard.Below(); {
	case err != nil:
		return fmt.Errorf("%w: it is not known whether another context is above: %w", errors.ErrUnsupported, err)
	case above != 0:
		return fmt.Errorf("%w: it is below another context on the same host, whose guard (process %d) ends all processes below it", errors.ErrUnsupported, above)
	}
	return guard.Lease(d)
}

// ExtendLease sets the time of a lease anew. Lease must have begun it.
func ExtendLease(d time.Duration) { _ = guard.Lease(d) }

// Exit ends a child. Its guard kills the processes that it leaves behind; a guard that
// somebody has stopped is continued for that.
func Exit(code int) {
	guard.Wake()
	os.Exit(code)
}

// KillDescendants ends the processes that this context started, daemons in sessions of their
// own included. It sends SIGTERM, and after grace or at the end of ctx SIGKILL, for up to two
// seconds. It returns how many processes survived, zombies not counted.
func KillDescendants(ctx context.Context, grace time.Duration) (survivors int) {
	return guard.KillDescendants(ctx, grace)
}

// KeepJobs lets processes outlive this context that were left running by a command without
// the context's mark: see Unmarked.
func KeepJobs() error { return guard.KeepJobs() }

// Unmarked returns an environment without the mark by which a context recognises the
// processes that it started.
func Unmarked(env []string) []string { return guard.Unmarked(env) }

// LeftRunning lists the processes whose parents have ended, and that KillDescendants would
// end.
func LeftRunning() []Left { return guard.LeftRunning() }

// HeedsHangup reports whether a process is known to heed SIGHUP.
func HeedsHangup(pid int) bool { return guard.HeedsHangup(pid) }

// GroupThatHeedsHangup lists the live members of a process group that heed SIGHUP.
func GroupThatHeedsHangup(group int) []int { return guard.GroupThatHeedsHangup(group) }

// A Left is a process whose parent has ended.
type Left = guard.Left

// The router looks for this in the link that a child is given.
var _ interface{ TryWrite([]byte) int } = (*childLink)(nil)

// childLink is the child's end of the link: two descriptors, which may be one socket or
// terminal.
type childLink struct {
	*pipe.Pipe
	in, out *os.File
	left    []byte      // owned by the one reader
	trim    *time.Timer // likewise; nil until the welcome has come

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
	n, err := l.Pipe.Read(b)
	if l.trim != nil {
		l.trim.Reset(trimAfter)
	}
	return n, err
}

func (l *childLink) Close() error {
	l.once.Do(func() { l.err = errors.Join(l.out.Close(), l.in.Close()) })
	return l.err
}
