//go:build linux

package lab

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	// initName is argv[0] of a host's pid 1.
	initName = "lab-init"
	// initPlanFD carries the initPlan to pid 1. Its end of file tells pid 1 that
	// the test process is gone.
	initPlanFD = 3
	// initReadyFD carries one line back: the number of the descriptor that holds
	// the upper layer open.
	initReadyFD = 4
)

// initPlan has the mounts that pid 1 makes.
type initPlan struct {
	Hostname string
	// DiskSize is the tmpfs option size= of the upper layer, "" for the kernel's default.
	DiskSize string
	Noexec   []string
	Binds    []bind
	NoMemfd  bool
	HidePID  bool
	Cgroups  bool
}

// bind is a path of the machine that is visible in the host.
type bind struct {
	Source, Target string
	ReadOnly       bool
}

func init() {
	var err error
	switch {
	case os.Args[0] == initName && os.Getpid() == 1:
		err = runInit()
	case os.Args[0] == limitName && len(os.Args) > 3:
		err = execLimited(os.Args[1], os.Args[2], os.Args[3:])
	default:
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// runInit is the program of pid 1: it mounts the file systems, and then reaps until the end.
func runInit() error {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals) // with a handler, no signal ends pid 1
	planPipe := os.NewFile(initPlanFD, "plan")
	dec := json.NewDecoder(planPipe)
	var plan initPlan
	if err := dec.Decode(&plan); err != nil {
		return fmt.Errorf("read plan: %w", err)
	}
	upper, err := plan.mount()
	if err != nil {
		return err
	}
	// Otherwise the host's processes would list the name of the test binary.
	if err := os.WriteFile("/proc/self/comm", []byte("init"), 0); err != nil {
		return err
	}
	ready := os.NewFile(initReadyFD, "ready")
	if _, err := fmt.Fprintln(ready, upper); err != nil {
		return err
	}
	ready.Close()
	go func() {
		io.Copy(io.Discard, planPipe)
		os.Exit(0)
	}()
	for sig := range signals {
		if sig == syscall.SIGCHLD {
			reap()
		}
	}
	return nil
}

// reap collects every process that has ended so far. Several may share one signal.
func reap() {
	for {
		pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
	}
}

// mount builds the host's file systems below a tmpfs and makes them the root. It
// returns a descriptor of the upper layer's directory.
func (p *initPlan) mount() (upper int, err error) {
	// With shared propagation every mount below would appear on the machine.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return 0, fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Sethostname([]byte(p.Hostname)); err != nil {
		return 0, fmt.Errorf("set host name: %w", err)
	}
	// The sources of binds are opened first, because the next mount may hide them.
	sources := make([]int, len(p.Binds))
	for i, b := range p.Binds {
		if sources[i], err = unix.Open(b.Source, unix.O_PATH|unix.O_CLOEXEC, 0); err != nil {
			return 0, fmt.Errorf("bind %s: %w", b.Source, err)
		}
	}
	const disk = "/tmp" // a directory that every machine has; only this mount namespace sees the mount
	options := "mode=755"
	if p.DiskSize != "" {
		options += ",size=" + p.DiskSize
	}
	if err := unix.Mount("lab", disk, "tmpfs", 0, options); err != nil {
		return 0, fmt.Errorf("mount disk: %w", err)
	}
	root := disk + "/root"
	for _, dir := range []string{root, disk + "/upper", disk + "/work"} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return 0, err
		}
	}
	if upper, err = unix.Open(disk+"/upper", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
		return 0, err
	}
	layers := fmt.Sprintf("lowerdir=/,upperdir=%s/upper,workdir=%s/work", disk, disk)
	if err := unix.Mount("overlay", root, "overlay", 0, layers); err != nil {
		return 0, fmt.Errorf("mount overlay: %w", err)
	}
	if err := p.mountOwn(root); err != nil {
		return 0, err
	}
	for i, b := range p.Binds {
		if err := bindInto(root, sources[i], b); err != nil {
			return 0, fmt.Errorf("bind %s: %w", b.Source, err)
		}
		unix.Close(sources[i])
	}
	if p.NoMemfd {
		// The setting belongs to the pid namespace (since Linux 6.3).
		if err := os.WriteFile(root+"/proc/sys/vm/memfd_noexec", []byte("2"), 0); err != nil {
			return 0, fmt.Errorf("forbid executable memfd: %w", err)
		}
	}
	// pivot_root(".", ".") mounts the old root on top of the new one, where it can be
	// unmounted. So it needs no directory.
	if err := os.Chdir(root); err != nil {
		return 0, err
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return 0, fmt.Errorf("pivot_root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return 0, fmt.Errorf("unmount the machine's root: %w", err)
	}
	return upper, os.Chdir("/")
}

// mountOwn mounts the file systems that every host has for itself.
func (p *initPlan) mountOwn(root string) error {
	const nosuid, nodev, noexec = unix.MS_NOSUID, unix.MS_NODEV, unix.MS_NOEXEC
	procOptions := ""
	if p.HidePID {
		procOptions = "hidepid=2"
	}
	for _, m := range []struct {
		target, fstype string
		flags          uintptr
		options        string
	}{
		{"/proc", "proc", nosuid | nodev | noexec, procOptions},
		{"/sys", "sysfs", nosuid | nodev | noexec | unix.MS_RDONLY, ""},
		{"/dev", "tmpfs", nosuid, "mode=755"},
		{"/dev/pts", "devpts", nosuid | noexec, "newinstance,ptmxmode=666,mode=620,gid=5"},
		{"/dev/shm", "tmpfs", nosuid | nodev, "mode=1777"},
		{"/run", "tmpfs", nosuid | nodev, "mode=755"},
		{"/tmp", "tmpfs", nosuid | nodev, "mode=1777"},
		{"/home", "tmpfs", nosuid | nodev, "mode=755"},
		{"/root", "tmpfs", nosuid | nodev, "mode=700"},
	} {
		if err := os.MkdirAll(root+m.target, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m.fstype, root+m.target, m.fstype, m.flags, m.options); err != nil {
			return fmt.Errorf("mount %s: %w", m.target, err)
		}
		if m.target == "/dev" {
			if err := fillDev(root + "/dev"); err != nil {
				return err
			}
		}
	}
	if p.Cgroups {
		// sysfs has no directories for the hierarchies, which come as binds, and is
		// read-only.
		if err := unix.Mount("tmpfs", root+cgroupRoot, "tmpfs", nosuid|nodev|noexec, "mode=755"); err != nil {
			return fmt.Errorf("mount %s: %w", cgroupRoot, err)
		}
	}
	for _, path := range p.Noexec {
		if err := makeNoexec(root, filepath.Clean(path)); err != nil {
			return fmt.Errorf("noexec %s: %w", path, err)
		}
	}
	return nil
}

// fillDev makes the device files that programs expect. Where mknod is forbidden
// the machine's own are bound in.
func fillDev(dev string) error {
	for name, minor := range map[string]uint32{"null": 3, "zero": 5, "full": 7, "random": 8, "urandom": 9, "tty": 0} {
		major := uint32(1)
		if name == "tty" {
			major = 5
		}
		path := dev + "/" + name
		err := unix.Mknod(path, unix.S_IFCHR|0o666, int(unix.Mkdev(major, minor)))
		if errors.Is(err, unix.EPERM) {
			if err = os.WriteFile(path, nil, 0o666); err == nil {
				err = unix.Mount("/dev/"+name, path, "", unix.MS_BIND, "")
			}
		} else if err == nil {
			err = os.Chmod(path, 0o666)
		}
		if err != nil {
			return fmt.Errorf("make /dev/%s: %w", name, err)
		}
	}
	for name, target := range map[string]string{
		"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1",
		"stderr": "/proc/self/fd/2", "ptmx": "pts/ptmx",
	} {
		if err := os.Symlink(target, dev+"/"+name); err != nil {
			return err
		}
	}
	return nil
}

// makeNoexec forbids execution below path. If the host has a file system of its own there, it
// changes that one. Otherwise it mounts an empty one that keeps owner and mode.
func makeNoexec(root, path string) error {
	target := root + path
	if err := os.MkdirAll(target, 0o755); err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Stat(target, &st); err != nil {
		return err
	}
	var parent unix.Stat_t
	if err := unix.Stat(filepath.Dir(target), &parent); err != nil {
		return err
	}
	if st.Dev == parent.Dev {
		options := fmt.Sprintf("mode=%o,uid=%d,gid=%d", st.Mode&0o7777, st.Uid, st.Gid)
		return unix.Mount("tmpfs", target, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, options)
	}
	flags := uintptr(unix.MS_REMOUNT | unix.MS_BIND | unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC)
	if path == "/dev" {
		flags &^= unix.MS_NODEV
	}
	return unix.Mount("", target, "", flags, "")
}

// bindInto makes the file or directory behind the descriptor visible at b.Target.
func bindInto(root string, source int, b bind) error {
	from := fmt.Sprintf("/proc/self/fd/%d", source)
	st, err := os.Stat(from)
	if err != nil {
		return err
	}
	target := root + filepath.Clean("/"+b.Target)
	dir := target
	if !st.IsDir() {
		dir = filepath.Dir(target)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if !st.IsDir() {
		if f, err := os.OpenFile(target, os.O_CREATE|os.O_RDONLY, 0o644); err != nil {
			return err
		} else {
			f.Close()
		}
	}
	if err := unix.Mount(from, target, "", unix.MS_BIND, ""); err != nil {
		return err
	}
	if b.ReadOnly {
		return unix.Mount("", target, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, "")
	}
	return nil
}

// parseBind reads "path", "path:target" and either with ":ro" at its end.
func parseBind(s string) (bind, error) {
	rest, readOnly := strings.CutSuffix(s, ":ro")
	source, target, found := strings.Cut(rest, ":")
	if !found {
		target = source
	}
	if !filepath.IsAbs(source) || !filepath.IsAbs(target) {
		return bind{}, fmt.Errorf("lab: bind %q: the paths must be absolute", s)
	}
	return bind{Source: source, Target: target, ReadOnly: readOnly}, nil
}
