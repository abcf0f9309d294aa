//go:build unix

package fakessh

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mitosis-go/mitosis/fakessh/internal/shim"
	"github.com/mitosis-go/mitosis/internal/descriptor"
	"github.com/mitosis-go/mitosis/internal/tunnel"
)

// Proxy serves the shims of a program. It listens on a socket in a directory that only this
// user can enter, in memory if possible. The directory also has links to this program that are
// called ssh, scp and the like.
type Proxy struct {
	// Immutable.
	dir    string
	ended  string // the directory behind it in PATH: see endedDir
	hosts  Hosts
	ln     *net.UnixListener
	ctx    context.Context
	cancel context.CancelFunc
	calls  sync.WaitGroup // accept, and one for each shim
	shared masters
	active *usage // counts the shims
	once   sync.Once
	err    error // of Close
}

// Open makes a proxy for tools that are started with its [Proxy.Environ]. Their commands in
// contexts end with ctx or Close.
func Open(ctx context.Context, hosts Hosts) (*Proxy, error) {
	self := shim.SelfPath()
	ended, err := endedDir(self)
	if err != nil {
		return nil, fmt.Errorf("fakessh: no place for the ssh that is found when this program has ended: %w", err)
	}
	dir, err := makeDir()
	if err != nil {
		return nil, fmt.Errorf("fakessh: no place for the shim: %w", err)
	}
	for _, name := range shim.Names {
		err = errors.Join(err, os.Symlink(self, filepath.Join(dir, name)))
	}
	var ln *net.UnixListener
	if err == nil {
		ln, err = net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, shim.SocketName), Net: "unix"})
	}
	if err != nil {
		return nil, fmt.Errorf("fakessh: %w", errors.Join(err, removeDir(dir)))
	}
	p := &Proxy{dir: dir, ended: ended, hosts: hosts, ln: ln, active: newUsage()}
	p.ctx, p.cancel = context.WithCancel(ctx)
	p.calls.Go(p.accept)
	context.AfterFunc(p.ctx, func() { p.ln.Close() })
	return p, nil
}

// Close ends all commands that run for shims, which end with status 255, and removes the
// directory. An ssh that is started later with the environment only prints that its program
// has ended, and ends with status 255.
func (p *Proxy) Close() error {
	p.once.Do(func() {
		p.cancel()
		p.ln.Close()
		p.calls.Wait()
		p.err = retire(p.dir, p.ended)
	})
	return p.err
}

// Path returns the path of the shim, for tools that take it as an option.
func (p *Proxy) Path() string { return filepath.Join(p.dir, shim.Names[0]) }

// Environ returns an environment with the variables by which tools find the shim: PATH, for
// tools that run ssh, scp or sftp, and the variables in which some tools take the program.
func (p *Proxy) Environ(env []string) []string {
	path := os.Getenv("PATH")
	for _, e := range env {
		if v, ok := strings.CutPrefix(e, "PATH="); ok {
			path = v
		}
	}
	env = append(env[:len(env):len(env)], shim.SocketVariable+"="+filepath.Join(p.dir, shim.SocketName), "PATH="+p.dir+":"+p.ended+":"+path, "GIT_SSH_VARIANT=ssh")
	for _, name := range []string{"GIT_SSH", "GIT_SSH_COMMAND", "RSYNC_RSH", "SVN_SSH", "CVS_RSH", "BORG_RSH", "AUTOSSH_PATH", "ANSIBLE_SSH_EXECUTABLE"} {
		env = append(env, name+"="+p.Path())
	}
	return append(env, "ANSIBLE_SCP_EXECUTABLE="+filepath.Join(p.dir, "scp"), "ANSIBLE_SFTP_EXECUTABLE="+filepath.Join(p.dir, "sftp"))
}

// accept takes shims until the listener is closed.
func (p *Proxy) accept() {
	for {
		conn, err := p.ln.AcceptUnix()
		if err != nil {
			if tunnel.IsPassing(err) && tunnel.Pause(p.ctx) {
				continue
			}
			return
		}
		p.handle(conn)
	}
}

// handle serves a shim, in a goroutine that belongs to calls.
func (p *Proxy) handle(conn *net.UnixConn) {
	p.active.add(1)
	p.calls.Go(func() {
		defer p.active.add(-1)
		defer conn.Close()
		// Every wait for the shim ends with the proxy.
		defer context.AfterFunc(p.ctx, func() { conn.Close() })()
		p.serve(conn)
	})
}

// idle waits until there is no shim.
func (p *Proxy) idle(ctx context.Context) error { return p.active.wait(ctx, 0, nil) }

// greetingTime is how long a shim may take to send its greeting.
const greetingTime = 30 * time.Second

// serve receives the greeting of a shim and runs its call. Other clients get no answer, nor do
// other users, if one should get here: commands run with the rights of the program.
func (p *Proxy) serve(conn *net.UnixConn) {
	if !isOurs(conn) || conn.SetReadDeadline(time.Now().Add(greetingTime)) != nil {
		return
	}
	first := &rightsReader{conn: conn}
	defer first.close()
	var g shim.Greeting
	r := bufio.NewReader(first)
	if err := shim.Receive(r, shim.MaxGreeting, &g); err != nil {
		return
	}
	fds := first.received()
	if len(fds) != greetingFiles || conn.SetReadDeadline(time.Time{}) != nil {
		return
	}
	newCall(p, conn, r, g, [greetingFiles]int(fds), first.close).serve()
}

// isOurs reports whether a connection is from this user, or from root, who may do the same.
func isOurs(conn *net.UnixConn) bool {
	uid := -1
	err := descriptor.Control(conn, func(fd int) (err error) {
		uid, err = peerUID(fd)
		return err
	})
	return err == nil && (uid == os.Getuid() || uid == 0)
}

// greetingFiles is how many come with a greeting: the standard ones.
const greetingFiles = 3

// rightsReader reads from a socket, and owns the descriptors that come with the bytes.
type rightsReader struct {
	conn *net.UnixConn

	mu  sync.Mutex
	fds []int // guarded by mu
}

// Read implements io.Reader.
func (r *rightsReader) Read(b []byte) (int, error) {
	oob := make([]byte, unix.CmsgSpace(4*(greetingFiles+1)))
	n, oobn, flags, _, err := r.conn.ReadMsgUnix(b, oob)
	n = max(n, 0)
	if flags&unix.MSG_CTRUNC != 0 {
		err = errTooMany
	}
	if keepErr := r.keep(oob[:oobn]); keepErr != nil {
		err = keepErr
	}
	if n == 0 && err == nil && len(b) > 0 {
		return 0, net.ErrClosed
	}
	return n, err
}

var errTooMany = errors.New("there are too many descriptors")

// keep takes the descriptors that are in control messages.
func (r *rightsReader) keep(oob []byte) error {
	if len(oob) == 0 {
		return nil
	}
	messages, err := unix.ParseSocketControlMessage(oob)
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range messages {
		fds, _ := unix.ParseUnixRights(&m)
		for _, fd := range fds {
			unix.CloseOnExec(fd)
		}
		r.fds = append(r.fds, fds...)
	}
	if len(r.fds) > greetingFiles {
		err = errTooMany
	}
	return err
}

// received returns the descriptors that have come.
func (r *rightsReader) received() []int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.fds
}

// forget gives up the descriptors that have come: another owner closes them.
func (r *rightsReader) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fds = nil
}

// close closes the descriptors that have come.
func (r *rightsReader) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, fd := range r.fds {
		unix.Close(fd)
	}
	r.fds = nil
}

// makeDir makes the private directory, in memory if possible, and removes the directories of
// programs that were killed.
func makeDir() (string, error) {
	var errs []error
	for _, base := range []string{os.Getenv("XDG_RUNTIME_DIR"), "/dev/shm", os.TempDir()} {
		if !isPlain(base) {
			continue
		}
		left, _ := filepath.Glob(filepath.Join(base, shim.DirPrefix+"*"))
		sweep(left)
		dir, err := os.MkdirTemp(base, shim.DirPrefix)
		if err == nil {
			return dir, nil
		}
		errs = append(errs, err)
	}
	return "", errors.Join(errs...)
}

// removeDir removes the files that Open has made, and the directory.
func removeDir(dir string) error {
	var errs []error
	for _, name := range append(shim.Names[:], shim.SocketName) {
		if err := os.Remove(filepath.Join(dir, name)); !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	if err := os.Remove(dir); !errors.Is(err, fs.ErrNotExist) {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
