//go:build unix

package guard

import (
	"errors"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// runGuard is all that a guard does. It does not return.
//
// Where the system allows it, a guard has three parts. First it starts the worker. Then the
// process executes a small program that only waits (see sleeper). After an event that program
// executes the guard again, which comes back here, acts on the event, and in the end exits.
//
// Goroutines, all until the process exits: one waits for the link to hang up,
// one reaps, one (of package os/signal) gathers signals. The main goroutine
// decides. Since init runs on the main thread, the worker's parent-death signal
// is tied to that thread, which lives as long as the process.
func runGuard(marker string, args []string) bool {
	w, slept := awake(args)
	if !slept {
		// Signals that are ignored when the worker starts would stay ignored in it and in
		// all processes that it starts. So these two have a handler until then.
		signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP, syscall.SIGINT)
		detach()
		self, err := SelfPath() // before closeStray closes a descriptor that it needs
		closeStray()
		if err == nil {
			w, err = startWorker(self, marker, args)
		}
		if err != nil {
			os.Stderr.WriteString("mitosis: guard: starting the worker: " + err.Error() + "\n")
			os.Exit(125)
		}
		signal.Ignore(syscall.SIGHUP, syscall.SIGINT)
		_ = w.sleep() // if that fails, this process goes on as it is
		time.AfterFunc(time.Second, Trim)
	}
	var kill <-chan time.Time
	// allowGrace continues the worker, which could not end while it is stopped, and
	// starts its time to end.
	allowGrace := func() {
		syscall.Kill(w.pid, syscall.SIGCONT)
		if kill == nil {
			kill = time.After(Grace)
		}
	}
	reaped := slept && wasReaped(w.pid)
	switch {
	case !slept || reaped:
	case !w.released():
		allowGrace() // whatever the reason for waking
	default:
		// A SIGTERM that came in the few milliseconds since we woke is
		// forgotten. The lease is not.
		_ = w.sleep()
	}
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)

	hangup := w.awaitHangup()
	exited := make(chan syscall.WaitStatus, 1)
	killed := new(killedAfter)
	if reaped {
		exited <- 0
	}
	go reap(w.pid, reaped, exited, killed)

	var status syscall.WaitStatus
	gone := false
loop:
	for {
		select {
		case status = <-exited:
			break loop
		case <-hangup:
			if w.released() {
				hangup = w.awaitHangup()
				continue
			}
			hangup, gone = nil, true
			allowGrace()
		case <-term:
			syscall.Kill(w.pid, syscall.SIGTERM)
			allowGrace()
		case <-kill:
			syscall.Kill(w.pid, syscall.SIGKILL)
		}
	}

	// From here on the parent's writes must fail, and not wait for the killing.
	unix.Close(w.link)
	spared := newJobs(marker, keepsJobs(w.lease))
	spared.cutOff = killed
	killLeft(w.pid, spared, reapBudget)
	if !gone {
		w.lastWords()
	}
	code := status.ExitStatus()
	if status.Signaled() {
		code = 128 + int(status.Signal())
	}
	os.Exit(code)
	return false
}

// worker has the process that a guard started, and the guard's descriptors.
type worker struct {
	pid    int
	link   int // duplicate of the link's input, only ever polled
	log    int // read end of the log pipe
	stderr int // the carrier's standard error
	life   int // write end of a pipe that stays empty: the worker reads its end when the guard dies
	lease  int // a timer: if it is set when the link hangs up, the guard waits for it in place of the link
}

// awaitHangup returns a channel that is closed when the link has hung up. Its goroutine runs
// until then.
func (w *worker) awaitHangup() <-chan struct{} {
	hangup := make(chan struct{})
	go func() {
		w.waitHangup()
		close(hangup)
	}()
	return hangup
}

// startWorker starts the worker, and closes the descriptors that only the worker should have.
// The parent does not see the end of the link while any other process has its output open.
func startWorker(self, marker string, args []string) (*worker, error) {
	null, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		// A root without /dev is no reason to give up: an empty pipe
		// reads as the end of the file as well.
		var p [2]int
		if unix.Pipe(p[:]) != nil {
			return nil, err
		}
		unix.Close(p[1])
		null = p[0]
	}
	var log, life [2]int
	for _, p := range []*[2]int{&log, &life} {
		if err := unix.Pipe(p[:]); err != nil {
			return nil, err
		}
		unix.CloseOnExec(p[0])
		unix.CloseOnExec(p[1])
	}
	w := &worker{log: log[0], life: life[1], lease: newLease(null)}
	if w.link, err = dup(0); err != nil {
		return nil, err
	}
	if w.stderr, err = dup(2); err != nil {
		if w.stderr, err = dup(null); err != nil {
			return nil, err
		}
	}

	argv := append([]string{os.Args[0], WorkerPrefix + marker}, args...)
	attr := &syscall.ProcAttr{
		Env: marked(Kept(syscall.Environ()), marker),
		Files: []uintptr{
			uintptr(null), uintptr(log[1]), uintptr(log[1]),
			WorkerIn: 0, WorkerOut: 1, WorkerLog: uintptr(log[0]), WorkerStderr: uintptr(w.stderr), WorkerLife: uintptr(life[0]),
			WorkerLease: uintptr(w.lease),
		},
		Sys: workerAttr(),
	}
	if w.pid, err = syscall.ForkExec(self, argv, attr); err != nil {
		return nil, err
	}
	for fd := range 3 {
		unix.Dup2(null, fd)
	}
	unix.Close(null)
	unix.Close(log[1])
	unix.Close(life[0])
	return w, nil
}

// marked returns an environment with the mark of a new worker. The mark of the context that
// started the worker is not in it.
func marked(env []string, marker string) []string {
	return append(Unmarked(env), markVariable+marker)
}

func dup(fd int) (int, error) {
	return unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
}

// reap waits for every child: for the worker, unless it has ended already, and for orphans that the
// kernel gave to this process. It notes the children that were killed with the worker. It returns
// when no child is left.
func reap(pid int, ended bool, exited chan<- syscall.WaitStatus, killed *killedAfter) {
	for childless := false; !childless && awaitChild(); {
		killed.reap(func() (int, bool) {
			var status syscall.WaitStatus
			got, err := syscall.Wait4(-1, &status, reapOptions, nil)
			switch {
			case err != nil || got <= 0:
				childless = errors.Is(err, syscall.ECHILD)
			case got == pid:
				ended = true
				exited <- status
			case status.Signaled() && status.Signal() == syscall.SIGKILL:
				if !ended && !isGone(pid) {
					time.Sleep(moment)
				}
				return got, ended || isGone(pid)
			}
			return 0, false
		})
	}
}

// moment is how long the worker's end may be seen behind that of a command which the kernel kills
// with it: its last thread gives its children to us and then tells of the worker.
const moment = 50 * time.Millisecond

// lastWords copies the rest of a dead worker's output, such as the trace of a panic, to the
// carrier's standard error. The parent shows it like other output of the tool.
func (w *worker) lastWords() {
	unix.SetNonblock(w.log, true)
	buf := make([]byte, 64<<10)
	for range 16 {
		n, err := unix.Read(w.log, buf)
		if n <= 0 || err != nil {
			return
		}
		writeBounded(w.stderr, buf[:n])
	}
}

// writeBounded writes b, and gives up on a reader that takes nothing for 200 ms. It writes
// pieces of 4 KiB, which a pipe that polls as writable takes without blocking.
func writeBounded(fd int, b []byte) {
	for len(b) > 0 {
		p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
		if n, err := unix.Poll(p, 200); n != 1 || err != nil {
			return
		}
		n, err := unix.Write(fd, b[:min(len(b), 4096)])
		if err != nil {
			return
		}
		b = b[n:]
	}
}

// guardPID is the process ID of the guard, in a worker.
var guardPID int

// prepareWorker runs in the worker before any other package of the program.
func prepareWorker() {
	guardPID = os.Getppid()
	for fd := WorkerIn; fd <= WorkerLease; fd++ {
		unix.CloseOnExec(fd)
	}
}

// number parses a process ID. It returns 0 for any other text.
func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil || n <= 0 {
		return 0
	}
	return n
}
