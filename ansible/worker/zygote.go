//go:build linux || darwin || freebsd

package worker

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/mitosis-go/mitosis/bootstrap"
)

//go:embed zygote.py
var script string

// zygote is a Python that forks. The goroutine that runs serve owns its process and reads its answers.
type zygote struct {
	ready chan struct{} // closed by serve when it takes tasks
	gone  chan struct{} // closed by serve at its end

	sending sync.Mutex    // one request is sent at a time
	conn    *net.UnixConn // set before ready is closed

	mu     sync.Mutex
	uses   int                    // guarded by mu
	ending bool                   // guarded by mu: nobody uses it any more
	idle   *time.Timer            // guarded by mu: runs while uses is 0
	tasks  map[string]chan answer // guarded by mu: each has capacity 1
	zips   map[string]bool        // guarded by mu: those that it has
	size   int                    // guarded by mu: of its zips
	err    error                  // guarded by mu: why it has ended
}

// answer is what became of a task.
type answer struct {
	status int
	err    error
}

func newZygote() *zygote {
	return &zygote{
		ready: make(chan struct{}), gone: make(chan struct{}),
		tasks: make(map[string]chan answer), zips: make(map[string]bool),
	}
}

// use begins a use, and reports whether that is possible.
func (z *zygote) use() bool {
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.ending {
		return false
	}
	z.uses++
	if z.idle != nil {
		z.idle.Stop()
	}
	return true
}

// unuse ends a use. The last one starts the time after which the zygote ends, or ends it if it has
// grown too large.
func (z *zygote) unuse() {
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.uses--; z.uses > 0 {
		return
	}
	if z.size > maxZips {
		z.endLocked()
		return
	}
	if z.idle != nil {
		z.idle.Stop()
	}
	z.idle = time.AfterFunc(maxIdle, func() {
		z.mu.Lock()
		defer z.mu.Unlock()
		if z.uses == 0 {
			z.endLocked()
		}
	})
}

// endLocked has the zygote end. mu is held.
func (z *zygote) endLocked() {
	z.ending = true
	select {
	case <-z.ready:
		_ = z.conn.Close()
	default:
	}
}

func (z *zygote) why() error {
	z.mu.Lock()
	defer z.mu.Unlock()
	return z.err
}

// serve is the life of the zygote.
func (z *zygote) serve(p place) {
	err := z.live(p)
	z.mu.Lock()
	z.ending, z.err = true, err
	for _, c := range z.tasks {
		c <- answer{err: err}
	}
	z.tasks = nil
	z.mu.Unlock()
	close(z.gone)
}

// live starts Python, reads its answers to the end, and waits for it.
func (z *zygote) live(p place) error {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	syscall.CloseOnExec(pair[0])
	syscall.CloseOnExec(pair[1])
	theirs := os.NewFile(uintptr(pair[1]), "zygote")
	defer theirs.Close()
	ours := os.NewFile(uintptr(pair[0]), "zygote")
	conn, err := net.FileConn(ours)
	_ = ours.Close()
	if err != nil {
		return err
	}
	z.conn = conn.(*net.UnixConn)
	defer z.conn.Close()
	source := fmt.Sprintf("PRELOAD = %s\n%s", map[bool]string{true: "True", false: "False"}[p.preloads], script)
	argv := p.argv(len(source))
	cmd := exec.Command(argv[0], argv[1:]...)
	var said tail
	cmd.Stdin, cmd.Stderr = theirs, &said
	cmd.Env = bootstrap.Unmarked(os.Environ())
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	// Processes that modules leave running are spared, as those of a command with KeepJobs. The
	// zygote itself ends when the socket does.
	_ = bootstrap.KeepJobs()
	if err := cmd.Start(); err != nil {
		return err
	}
	_ = theirs.Close()
	_, _ = z.conn.Write([]byte(source))
	z.read()
	_ = z.conn.Close()
	err = cmd.Wait()
	if text := strings.TrimSpace(said.String()); text != "" {
		return fmt.Errorf("%w: %s", errGone, text)
	}
	return errors.Join(errGone, err)
}

// argv is the command that starts Python with a script of a size, which it reads from its input.
func (p place) argv(size int) []string {
	python := "exec " + quote(p.interpreter) + " -c " + quote(fmt.Sprintf(`exec(open(0,"rb",closefd=False).read(%d))`, size))
	if p.shell != "" {
		return []string{p.shell, "-c", python}
	}
	login := os.Getenv("SHELL")
	if login == "" {
		login = "/bin/sh"
	}
	return []string{login, "-c", "/bin/sh -c " + quote(python)}
}

// quote quotes a text for a shell.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// read reads answers until the socket ends.
func (z *zygote) read() {
	lines := bufio.NewScanner(z.conn)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		switch {
		case len(words) == 1 && words[0] == "ready":
			close(z.ready)
		case len(words) == 2 && words[0] == "other":
			z.end(words[1], answer{err: errOther})
		case len(words) == 3 && words[0] == "status":
			status, err := strconv.Atoi(words[2])
			z.end(words[1], answer{status, err})
		default:
			return
		}
	}
}

// end hands the end of a task to the one that waits for it.
func (z *zygote) end(id string, a answer) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if c := z.tasks[id]; c != nil {
		c <- a
		delete(z.tasks, id)
	}
}

// start starts a task with its outputs. The channel gets its end.
func (z *zygote) start(id string, t task, stdout, stderr *os.File) (<-chan answer, error) {
	z.sending.Lock()
	defer z.sending.Unlock()
	z.mu.Lock()
	known := z.zips[t.Zip]
	ended := make(chan answer, 1)
	gone := z.tasks == nil
	if !gone && (known || t.Data != "") {
		z.tasks[id] = ended
		if !known {
			z.zips[t.Zip], z.size = true, z.size+len(t.Data)
		}
	}
	z.mu.Unlock()
	switch {
	case gone:
		return nil, z.why()
	case !known && t.Data == "":
		return nil, errNeedsZip
	case !known:
		if err := z.send("zip "+t.Zip, t.Data); err != nil {
			return nil, err
		}
	}
	return ended, z.send("run "+id+" "+t.Zip, t.Task, stdout, stderr)
}

// send sends a request. sending is held.
func (z *zygote) send(line, body string, files ...*os.File) error {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(line)+1+len(body)))
	b = append(append(append(b, line...), '\n'), body...)
	var rights []byte
	if len(files) > 0 {
		fds := make([]int, len(files))
		for i, f := range files {
			fds[i] = int(f.Fd())
		}
		rights = syscall.UnixRights(fds...)
	}
	n, _, err := z.conn.WriteMsgUnix(b[:4], rights, nil)
	if err == nil {
		_, err = z.conn.Write(b[n:])
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errGone, err)
	}
	return nil
}

// await waits for the end of a task. If ctx ends first, the processes of the task get signals.
func (z *zygote) await(ctx context.Context, id string, ended <-chan answer) (int, error) {
	select {
	case a := <-ended:
		return a.status, a.err
	case <-ctx.Done():
	}
	for _, sig := range signals {
		z.sending.Lock()
		_ = z.send(fmt.Sprintf("kill %s %d", id, sig), "")
		z.sending.Unlock()
		select {
		case <-ended:
			return 0, context.Cause(ctx)
		case <-time.After(killDelay):
		}
	}
	return 0, context.Cause(ctx)
}

// tail keeps the last of what is written to it.
type tail struct{ bytes.Buffer }

func (t *tail) Write(b []byte) (int, error) {
	const most = 4 << 10
	if t.Len() > most {
		t.Next(t.Len() - most/2)
	}
	return t.Buffer.Write(b)
}
