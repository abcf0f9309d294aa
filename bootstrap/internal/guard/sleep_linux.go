//go:build amd64 || arm64

package guard

import (
	"errors"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A sleeper is the program that a guard executes while there is nothing to do. It is one page
// large, waits for the same events as the guard, and then executes the guard again, all in the
// same process. A Go program that only waits has half a dozen threads and more than a megabyte
// of its own; see docs/decisions/003-a-waiting-guard-is-no-go-program.md.
//
// This struct is the executable file, byte by byte: an ELF header, machine code, and the
// code's data. The code is the function sleeping in sleep_linux_*.s, which makes these system
// calls and no other:
//
//	           prctl    gives the process a name
//	reap:      waitid   finds a dead child
//	           ppoll    one that was killed: waits for a moment, for it may be the first that is
//	           waitid   seen of the worker's end. If the worker is dead, too: wake
//	child:     wait4    reaps it: an orphan that the kernel gave to us, or the worker, if that
//	                    has exited with status 0
//	childless: ppoll    the worker is reaped: is there something left in its log? then wake
//	           exit     with the worker's status
//	wait:      ppoll    hang-up of the link: continue the worker, which could not end while it
//	                    is stopped, and wait once more for its end, up to patience: then wake
//	           kill     SIGTERM: passes it on to the worker, then wake
//	           read     SIGCHLD: takes it, then reap
//	wake:      kill     SIGCONT
//	           rt_sig-  ignores SIGTERM: a Go program unblocks it before it has a
//	           action   handler, and would die of one that is pending
//	           execve   the guard, with our own arguments and environment
//	           kill     if execve fails: asks the worker's process group to end
//	           exit     and leaves the rest to the worker, as if we had been killed
//
// So a context that ends in order does not start its guard's program once more, which took as
// much processor time as the rest of its end.
//
// An exec keeps descriptors, children, the adoption of orphans (PR_SET_CHILD_SUBREAPER), the
// worker's parent-death signal, and pending signals. The sleeper does not read the link, and it
// reaps no worker that ended in another way, so the guard can see for itself why it was woken.
type sleeper struct {
	header   elfHeader
	segments [2]elfSegment
	code     [768]byte

	poll     [3]unix.PollFd // the link, SIGTERM, SIGCHLD
	log      unix.PollFd
	ignore   sigaction
	patience unix.Timespec
	moment   unix.Timespec
	worker   int32 // its pid
	adopts   int32 // 1 if orphans are given to this process: without children it has no descendants
	name     [16]byte
	image    [32]byte // path of the guard's executable
}

// sigaction is the kernel's struct. The handler 1 ignores the signal (SIG_IGN).
type sigaction struct{ handler, flags, restorer, mask uint64 }

// elfHeader is Elf64_Ehdr of elf(5). Both machines are little-endian.
type elfHeader struct {
	ident                                       [16]byte
	kind, machine                               uint16
	version                                     uint32
	entry, segments, sections                   uint64
	flags                                       uint32
	size, segmentSize, segmentCount             uint16
	sectionSize, sectionCount, sectionNameIndex uint16
}

// elfSegment is Elf64_Phdr of elf(5).
type elfSegment struct {
	kind, flags                                            uint32
	offset, address, physical, fileSize, memorySize, align uint64
}

// patience is how long a sleeper waits for the worker when the link has hung up. The guard then
// allows it Grace.
const patience = 500 * time.Millisecond

// sleeperAt is the address at which the file is mapped.
const sleeperAt = 0x400000

// sleepingCode returns the first address of the machine code and the address behind its end.
func sleepingCode() (from, to unsafe.Pointer)

// newSleeper makes the executable, but for the fields that depend on the worker and on
// descriptors. The method sleep fills these in.
func newSleeper() (*sleeper, error) {
	s := &sleeper{ignore: sigaction{handler: 1}, patience: unix.NsecToTimespec(int64(patience)), moment: unix.NsecToTimespec(int64(moment))}
	copy(s.name[:], processName)
	from, to := sleepingCode()
	size := uintptr(to) - uintptr(from)
	if size > unsafe.Sizeof(s.code) {
		// The linker has been told to change the order of functions.
		return nil, errors.ErrUnsupported
	}
	copy(s.code[:], unsafe.Slice((*byte)(from), size))
	s.header = elfHeader{
		ident:       [16]byte{0x7f, 'E', 'L', 'F', 2 /* 64 bits */, 1 /* little-endian */, 1},
		kind:        2, // executable
		machine:     map[string]uint16{"amd64": 62, "arm64": 183}[runtime.GOARCH],
		version:     1,
		entry:       uint64(sleeperAt + unsafe.Offsetof(s.code)),
		segments:    uint64(unsafe.Offsetof(s.segments)),
		size:        uint16(unsafe.Sizeof(s.header)),
		segmentSize: uint16(unsafe.Sizeof(s.segments[0])), segmentCount: uint16(len(s.segments)),
	}
	all := uint64(unsafe.Sizeof(*s))
	s.segments = [2]elfSegment{
		{kind: 1 /* load */, flags: 5 /* read, execute */, address: sleeperAt, fileSize: all, memorySize: all, align: 64 << 10},
		{kind: 0x6474e551 /* stack */, flags: 6 /* read, write */},
	}
	return s, nil
}

// workerPrefix begins the argument by which a guard that has slept knows its worker. Behind it
// are the fields of worker, with commas between them.
const workerPrefix = "worker="

func (w *worker) fields() []*int {
	return []*int{&w.pid, &w.link, &w.log, &w.stderr, &w.life, &w.lease}
}

// sleep makes this process a sleeper. It returns only if that fails, for example because an
// anonymous file can't be made or must not be executed. The guard then goes on as it is.
//
// sleep has to be called
//
//   - on the main thread: the worker's parent-death signal is tied to that thread, and no
//     other thread outlives an exec;
//   - before any goroutine waits for children;
//   - with SIGHUP and SIGINT ignored: they stay ignored in the sleeper;
//   - with SIGTERM not caught. A SIGTERM before the exec then kills the guard, and the worker
//     gets one as well. A handler would take the signal, and the exec would forget that.
func (w *worker) sleep() error {
	s, err := newSleeper()
	if err != nil {
		return err
	}
	path, err := SelfPath()
	if err != nil {
		return err
	}
	if memfdKills(path) {
		return unix.EPERM
	}
	size := unsafe.Sizeof(*s)
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &limit); err != nil || limit.Cur < uint64(size) {
		return syscall.EFBIG // the error of the write, which would also raise SIGXFSZ
	}
	var before unix.Sigset_t
	term, child, both := signalSet(syscall.SIGTERM), signalSet(syscall.SIGCHLD), signalSet(syscall.SIGTERM, syscall.SIGCHLD)

	var opened []int
	defer func() {
		for _, fd := range opened {
			unix.Close(fd)
		}
	}()
	var failed error
	open := func(fd int, err error) int32 {
		if err != nil {
			failed = errors.Join(failed, err)
			return -1
		}
		opened = append(opened, fd)
		return int32(fd)
	}
	self := emulated()
	image := int32(self)
	if self < 0 {
		image = open(unix.Open(path, unix.O_PATH, 0))
	}
	s.poll[0] = w.polled()
	s.poll[1] = unix.PollFd{Fd: open(unix.Signalfd(-1, &term, 0)), Events: unix.POLLIN}
	s.poll[2] = unix.PollFd{Fd: open(unix.Signalfd(-1, &child, 0)), Events: unix.POLLIN}
	s.log = unix.PollFd{Fd: int32(w.log), Events: unix.POLLIN}
	s.worker = int32(w.pid)
	if getsOrphans() {
		s.adopts = 1
	}
	copy(s.image[:len(s.image)-1], descriptorPath(image))
	file := open(createExecutable())
	if failed != nil {
		return failed
	}
	if _, err := unix.Write(int(file), unsafe.Slice((*byte)(unsafe.Pointer(s)), size)); err != nil {
		return err
	}

	var numbers []string
	for _, n := range w.fields() {
		numbers = append(numbers, strconv.Itoa(*n))
	}
	argv := append([]string{os.Args[0], os.Args[1], workerPrefix + strings.Join(numbers, ",")}, os.Args[2:]...)
	for _, fd := range []int{w.link, w.log, w.stderr, w.life, w.lease} {
		unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0)
	}
	if self >= 0 {
		// An emulator opens the file that it executes by its path, after the exec. So the
		// sleeper needs these descriptors, and so does the worker when it starts processes.
		unix.FcntlInt(uintptr(file), unix.F_SETFD, 0)
		unix.FcntlInt(uintptr(self), unix.F_SETFD, 0)
	}
	if err := unix.PthreadSigmask(unix.SIG_BLOCK, &both, &before); err != nil {
		return err
	}
	defer unix.PthreadSigmask(unix.SIG_SETMASK, &before, nil)
	return syscall.Exec(descriptorPath(file), argv, syscall.Environ())
}

// awake returns the worker of a guard that has slept, and reports whether it has.
func awake(args []string) (*worker, bool) {
	if len(args) == 0 {
		return nil, false
	}
	list, ok := strings.CutPrefix(args[0], workerPrefix)
	w := new(worker)
	numbers, fields := strings.Split(list, ","), w.fields()
	if !ok || len(numbers) != len(fields) {
		return nil, false
	}
	for i, field := range fields {
		var err error
		if *field, err = strconv.Atoi(numbers[i]); err != nil {
			return nil, false
		}
	}
	nameProcess()
	return w, true
}

// createExecutable makes an anonymous file that may be executed. Linux from 6.3 on may demand
// the flag for that; older kernels refuse it as unknown.
func createExecutable() (int, error) {
	fd, err := unix.MemfdCreate(processName, unix.MFD_CLOEXEC|unix.MFD_EXEC)
	if errors.Is(err, unix.EINVAL) {
		fd, err = unix.MemfdCreate(processName, unix.MFD_CLOEXEC)
	}
	return fd, err
}

// memfdKills reports whether a seccomp filter kills a process that calls memfd_create, as
// the filters of systemd do by default. Where there is a filter, it has a new process make the
// call. After an error it reports true.
func memfdKills(self string) bool {
	if mode, _, _ := syscall.RawSyscall(syscall.SYS_PRCTL, unix.PR_GET_SECCOMP, 0, 0); mode != unix.SECCOMP_MODE_FILTER {
		return false
	}
	pid, err := syscall.ForkExec(self, []string{os.Args[0], memfdWord}, &syscall.ProcAttr{
		Env: syscall.Environ(), Files: []uintptr{0, 1, 2},
	})
	var status syscall.WaitStatus
	for err == nil {
		if _, err = syscall.Wait4(pid, &status, 0, nil); err == nil {
			return status.Signaled()
		} else if err == syscall.EINTR {
			err = nil
		}
	}
	return true
}

// tryMemfd calls memfd_create in a process that exists only for that call (see memfdKills). If
// a filter kills the process, it must leave no core file behind.
func tryMemfd() {
	_ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
	_, _ = createExecutable()
}

func descriptorPath(fd int32) string { return "/proc/self/fd/" + strconv.Itoa(int(fd)) }

func signalSet(signals ...syscall.Signal) (set unix.Sigset_t) {
	for _, s := range signals {
		set.Val[0] |= 1 << (s - 1)
	}
	return set
}
