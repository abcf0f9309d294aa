//go:build linux

package lab

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Proc is a process of a host, with its numbers in that host.
type Proc struct {
	PID, PPID int // PPID is 0 for pid 1 and for processes that the test process started
	PGID, SID int
	UID, GID  uint32 // effective
	Threads   int
	State     string // as in /proc/PID/stat: R, S, D, T, Z ...
	Comm      string
	Cmdline   []string // empty for zombies
	Exe       string   // target of the link /proc/PID/exe, "" for zombies
}

func (p Proc) String() string {
	return fmt.Sprintf("%d (parent %d, uid %d, %s) %s %q", p.PID, p.PPID, p.UID, p.State, p.Comm, p.Cmdline)
}

// Processes lists all processes of the host except pid 1. It needs no program in
// the host. It panics when the host has ended.
func (r *Running) Processes() []Proc {
	var procs []Proc
	err := r.gate.do(func() error {
		entries, err := os.ReadDir("/proc")
		if err != nil {
			return err
		}
		for _, e := range entries {
			pid, err := strconv.Atoi(e.Name())
			if err != nil || pid == 1 {
				continue
			}
			p, err := readProc(pid)
			if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
				continue // it has just ended
			}
			if err != nil {
				return err
			}
			procs = append(procs, p)
		}
		return nil
	})
	if err != nil {
		panic(fmt.Sprintf("lab: processes of %s: %v", r.Name(), err))
	}
	return procs
}

func readProc(pid int) (Proc, error) {
	dir := fmt.Sprintf("/proc/%d/", pid)
	stat, err := os.ReadFile(dir + "stat")
	if err != nil {
		return Proc{}, err
	}
	p := Proc{PID: pid}
	// The name in parentheses may contain anything, parentheses too.
	open, end := strings.IndexByte(string(stat), '('), strings.LastIndexByte(string(stat), ')')
	p.Comm = string(stat[open+1 : end])
	f := strings.Fields(string(stat[end+1:]))
	p.State = f[0]
	for i, to := range map[int]*int{1: &p.PPID, 2: &p.PGID, 3: &p.SID, 17: &p.Threads} {
		if *to, err = strconv.Atoi(f[i]); err != nil {
			return Proc{}, err
		}
	}
	status, err := os.ReadFile(dir + "status")
	if err != nil {
		return Proc{}, err
	}
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(line, ":")
		ids := strings.Fields(value)
		if (name != "Uid" && name != "Gid") || len(ids) < 2 {
			continue
		}
		id, err := strconv.ParseUint(ids[1], 10, 32)
		if err != nil {
			return Proc{}, err
		}
		if name == "Uid" {
			p.UID = uint32(id)
		} else {
			p.GID = uint32(id)
		}
	}
	cmdline, err := os.ReadFile(dir + "cmdline")
	if err != nil {
		return Proc{}, err
	}
	if len(cmdline) > 0 {
		p.Cmdline = strings.Split(strings.TrimSuffix(string(cmdline), "\x00"), "\x00")
	}
	p.Exe, _ = os.Readlink(dir + "exe") // a zombie has none
	return p, nil
}

// Kill sends a signal to the process that has the number pid in the host.
func (r *Running) Kill(pid int, sig syscall.Signal) error {
	if pid <= 0 {
		return fmt.Errorf("lab: kill %d: %w", pid, syscall.EINVAL)
	}
	return r.gate.do(func() error {
		// kill takes the number in the caller's pid namespace, which a thread
		// cannot change. A directory in the host's /proc names the process as well.
		dir, err := os.Open(fmt.Sprintf("/proc/%d", pid))
		if errors.Is(err, fs.ErrNotExist) {
			return syscall.ESRCH
		}
		if err != nil {
			return err
		}
		defer dir.Close()
		return unix.PidfdSendSignal(int(dir.Fd()), sig, nil, 0)
	})
}
