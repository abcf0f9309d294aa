//go:build linux

package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"
)

// Host describes a host. The zero value is a host whose only user is root.
type Host struct {
	// Name is the host name. Dial and the /etc/hosts of other hosts know it. An empty
	// name is replaced by one that the lab makes up.
	Name string

	Users []User
	// Sudoers are the lines of a sudoers drop-in; visudo must accept them. The
	// rules below it are Debian's: root and group sudo may do everything.
	Sudoers string
	// SSHD asks for an sshd.
	SSHD *SSHD

	// Files maps absolute paths to contents. A file that begins with #! is executable, and
	// a private key has mode 0600. A file below a user's home belongs to that user, with all
	// directories that are made for it.
	Files map[string]string
	// Binds are paths of the machine that are visible in the host: "path" or
	// "path:target". A ":ro" at the end makes them read-only.
	Binds []string
	// Cgroups mounts cgroups at /sys/fs/cgroup, as container runtimes want them. They are
	// groups of the machine that are made for the host and removed at its end.
	Cgroups bool
	// Remove lists programs and files that the host does not have. A name without a
	// slash stands for that program in every directory of programs, also with a version
	// number behind it (python3.11 for python3). Any other entry is a pattern of
	// filepath.Glob: the paths that match are removed with all below them.
	Remove []string
	// Setup are root's shell commands, run after all of the above and before sshd.
	Setup []string

	// Noexec are mount points that forbid execution. One that isn't a file system
	// of the host's own (see the package comment) becomes an empty tmpfs.
	Noexec []string
	// NoMemfd forbids executable memfds, by the sysctl vm.memfd_noexec=2.
	NoMemfd bool
	// HidePID mounts /proc with hidepid=2.
	HidePID bool
	// ReadOnlyRoot makes the root file system read-only at the end of the start. The
	// host's own file systems stay writable unless ReadOnly lists them.
	ReadOnlyRoot bool
	ReadOnly     []string
	// DiskSize limits the root file system, as in tmpfs's size=: "64m".
	DiskSize string
	// Limits are resource limits (unix.RLIMIT_...) of sshd, and so of logins, and of
	// commands.
	Limits map[int]unix.Rlimit

	// Env is in the environment of commands and, through /etc/environment, of logins.
	Env map[string]string
	// Lang is LANG of commands and logins. A locale that the machine lacks is made in
	// the host.
	Lang string
}

// Running is a host between Start and Close. Its methods may be called by several
// goroutines at once.
type Running struct {
	// Immutable after Open.
	host     Host
	name     hostName
	index    int
	ip       string
	net      *network
	netns    *os.File // the host's network namespace
	upper    *os.File // the directory of the overlay's upper layer
	gate     *gate
	initCmd  *exec.Cmd
	cgroups  []bind        // made for the host
	initErrs *bytes.Buffer // messages of pid 1; complete once initCmd.Wait has returned
	lifeline *os.File      // pid 1 ends when this is closed
	sshPort  int
	hostKeys []ssh.PublicKey

	closeOnce sync.Once
	closeErr  error

	// Guarded by mu.
	mu       sync.Mutex
	closed   bool
	commands map[*Cmd]struct{} // started and not waited for
	shaper   *shaper           // nil while the link is not shaped
}

// Start makes a host that ends with the test. If that is impossible, it fails the test. It
// must be called from the test's goroutine.
func Start(t testing.TB, h Host) *Running {
	t.Helper()
	r, err := openFor(t.Context(), t.Name(), h)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() && h.SSHD != nil {
			t.Logf("sshd of %s:\n%s", r.Name(), r.SSHDLog())
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

var madeUpNames atomic.Int64

// Open is like Start, for callers without a test. The caller closes the host. ctx bounds only
// the start.
func Open(ctx context.Context, h Host) (*Running, error) { return openFor(ctx, "", h) }

func openFor(ctx context.Context, test string, h Host) (*Running, error) {
	if h.Name == "" {
		h.Name = fmt.Sprintf("host%d", madeUpNames.Add(1))
	}
	n, err := acquireNetwork()
	if err != nil {
		return nil, fmt.Errorf("lab: %w", err)
	}
	r := &Running{host: h, name: hostName{test, h.Name}, net: n, gate: newGate(), commands: map[*Cmd]struct{}{}}
	if err := r.open(ctx); err != nil {
		closeErr := r.Close()
		return nil, fmt.Errorf("lab: start host %s: %w", h.Name, errors.Join(err, closeErr))
	}
	return r, nil
}

func (r *Running) open(ctx context.Context) error {
	var others string
	r.index, others = r.net.allot(r.name)
	r.ip = indexIP(r.index)
	if err := r.startInit(ctx); err != nil {
		return err
	}
	if err := r.gate.enter(r.initCmd.Process.Pid); err != nil {
		return err
	}
	// The network needs the program ip, so it comes before Remove.
	if err := r.gate.do(func() error { return runIP(hostSide(r.index)) }); err != nil {
		return err
	}
	if err := inNetns(r.netns, func() error { return awaitRouter(ctx) }); err != nil {
		return err
	}
	if err := r.gate.do(func() error { return r.furnish(others) }); err != nil {
		return err
	}
	for _, script := range r.host.Setup {
		if _, err := r.Exec(ctx, "/bin/sh", "-c", script); err != nil {
			return err
		}
	}
	if r.host.SSHD != nil {
		if err := r.startSSHD(ctx, *r.host.SSHD); err != nil {
			return fmt.Errorf("sshd: %w", err)
		}
	}
	return r.gate.do(r.seal)
}

// startInit starts pid 1 and waits until it has mounted its file systems. Meanwhile it connects
// the host to the network.
func (r *Running) startInit(ctx context.Context) error {
	plan, err := r.plan()
	if err != nil {
		return err
	}
	planRead, planWrite, err := os.Pipe()
	if err != nil {
		return err
	}
	defer planRead.Close()
	r.lifeline = planWrite
	readyRead, readyWrite, err := os.Pipe()
	if err != nil {
		return err
	}
	defer readyRead.Close()
	r.initErrs = new(bytes.Buffer)
	cmd := &exec.Cmd{
		Path:       "/proc/self/exe",
		Args:       []string{initName},
		Env:        []string{"GOMAXPROCS=1", "GOTRACEBACK=all"},
		Dir:        "/",
		Stderr:     r.initErrs,
		ExtraFiles: []*os.File{planRead, readyWrite},
		WaitDelay:  time.Second,
		SysProcAttr: &syscall.SysProcAttr{
			Cloneflags: hostNamespaces,
			Pdeathsig:  syscall.SIGKILL,
			Setsid:     true,
		},
	}
	err = r.gate.start(cmd)
	readyWrite.Close()
	if err != nil {
		return err
	}
	r.initCmd = cmd
	plugged := make(chan error, 1)
	go func() { plugged <- r.net.plug(r.index, cmd.Process.Pid) }()
	upperFD, err := sendPlan(ctx, plan, planWrite, readyRead)
	if plugErr := <-plugged; err == nil {
		err = plugErr
	}
	if err != nil {
		cmd.Process.Kill()
		cmd.Wait()
		return fmt.Errorf("pid 1: %w: %s", err, bytes.TrimSpace(r.initErrs.Bytes()))
	}
	proc := fmt.Sprintf("/proc/%d/", cmd.Process.Pid)
	if r.upper, err = os.Open(fmt.Sprintf("%sfd/%d", proc, upperFD)); err != nil {
		return err
	}
	r.netns, err = os.Open(proc + "ns/net")
	return err
}

func sendPlan(ctx context.Context, plan *initPlan, to, from *os.File) (upperFD int, err error) {
	if err := json.NewEncoder(to).Encode(plan); err != nil {
		return 0, err
	}
	deadline := time.Now().Add(readyTimeout)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	if err := from.SetReadDeadline(deadline); err != nil {
		return 0, err
	}
	if _, err := fmt.Fscanln(from, &upperFD); err != nil {
		return 0, fmt.Errorf("not ready: %w", err)
	}
	return upperFD, nil
}

func (r *Running) plan() (*initPlan, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	plan := &initPlan{
		Hostname: r.host.Name, Cgroups: r.host.Cgroups, DiskSize: r.host.DiskSize, Noexec: r.host.Noexec,
		NoMemfd: r.host.NoMemfd, HidePID: r.host.HidePID,
		Binds: []bind{{Source: self, Target: self, ReadOnly: true}},
	}
	if r.host.Cgroups {
		// r has them before they are mounted, so that close removes them in any case.
		r.cgroups, err = makeCgroups(fmt.Sprintf("lab-%d-%d", os.Getpid(), r.index))
		if err != nil {
			return nil, err
		}
		plan.Binds = append(plan.Binds, r.cgroups...)
	}
	for _, s := range r.host.Binds {
		b, err := parseBind(s)
		if err != nil {
			return nil, err
		}
		plan.Binds = append(plan.Binds, b)
	}
	return plan, nil
}

// Name is the host's name.
func (r *Running) Name() string { return r.host.Name }

// IP is the host's address.
func (r *Running) IP() string { return r.ip }

// Close ends the host: it kills every process in it, waits until the last is
// gone, and with it all mounts. Calls after the first return the same error.
func (r *Running) Close() error {
	r.closeOnce.Do(func() { r.closeErr = r.close() })
	return r.closeErr
}

// closeTimeout bounds the wait for the kernel to end a host's processes.
const closeTimeout = 30 * time.Second

func (r *Running) close() error {
	r.mu.Lock()
	r.closed = true
	var commands []*Cmd
	for c := range r.commands {
		commands = append(commands, c)
	}
	r.mu.Unlock()

	var errs []error
	if r.initCmd != nil {
		r.initCmd.Process.Kill()
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for _, c := range commands {
				c.Wait()
			}
			r.initCmd.Wait()
		}()
		select {
		case <-ended:
		case <-time.After(closeTimeout):
			errs = append(errs, fmt.Errorf("lab: host %s does not end: %s", r.Name(), blockers(r.initCmd.Process.Pid)))
		}
	}
	r.gate.leave()
	errs = append(errs, removeCgroups(r.cgroups))
	errs = append(errs, r.unshape())
	r.net.forget(r.name, r.ip)
	for _, f := range []*os.File{r.lifeline, r.upper, r.netns} {
		if f != nil {
			f.Close()
		}
	}
	releaseNetwork()
	return errors.Join(errs...)
}

// blockers describes the threads of a process that should be gone.
func blockers(pid int) string {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return err.Error()
	}
	stack, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stack", pid))
	return strings.TrimSpace(string(status) + string(stack))
}

// programDirs are the directories in which Remove looks for a program.
var programDirs = []string{
	"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin",
	"/opt/*/bin", "/usr/local/*/bin", "/snap/bin",
}

// removePatterns returns the patterns of the paths for which an entry of Host.Remove stands.
func removePatterns(entry string) []string {
	if strings.Contains(entry, "/") {
		return []string{entry}
	}
	var patterns []string
	for _, dir := range programDirs {
		patterns = append(patterns, filepath.Join(dir, entry), filepath.Join(dir, entry+"[0-9.]*"))
	}
	return patterns
}
