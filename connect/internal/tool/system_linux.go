package tool

import (
	"bytes"
	"encoding/binary"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// The requests that read and write the settings of a terminal, and the value
// that switches a special character off (_POSIX_VDISABLE).
const (
	getTermios   = unix.TCGETS
	setTermios   = unix.TCSETS
	disabledChar = 0
)

// ownSession starts a tool apart from the signals of our terminal, and has the
// kernel kill it when we die. Programs with the set-user-ID bit don't get that
// signal; they end because their pipe and their terminal do.
func ownSession() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
}

// isBusy reports whether a process is seen to run, or to wait for the processor or
// a disk: then it does not wait for anybody to type. Whether one that sleeps reads
// from its terminal, the kernel tells only those who may trace it (proc(5), wchan),
// and a program with the set-user-ID bit only root.
func isBusy(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false
	}
	// The state stands behind the name, which may hold anything.
	_, rest, _ := bytes.Cut(stat[bytes.LastIndexByte(stat, ')')+1:], []byte(" "))
	return len(rest) > 0 && (rest[0] == 'R' || rest[0] == 'D')
}

// maxFamily bounds the processes of a tool that are looked at.
const maxFamily = 16

// waitsFor finds out whether a tool, or a process that it has started, reads from a
// terminal. The kernel tells it of processes that we may trace (proc(5), syscall): of our
// own descendants, but for programs with the set-user-ID bit, of which only root is told.
func waitsFor(pid int) waiting {
	family, found := []int{pid}, waitsElsewhere
	for i := 0; i < len(family) && i < maxFamily; i++ {
		proc := "/proc/" + strconv.Itoa(family[i])
		switch waits := callOf(proc); waits {
		case waitsForInput, waitsReading:
			return waits
		case waitsUnknown:
			found = waitsUnknown
		}
		children, _ := os.ReadFile(proc + "/task/" + strconv.Itoa(family[i]) + "/children")
		for word := range strings.FieldsSeq(string(children)) {
			if child, err := strconv.Atoi(word); err == nil {
				family = append(family, child)
			}
		}
	}
	return found
}

// callOf finds out for what a process waits by the system call in which it is.
func callOf(proc string) waiting {
	text, err := os.ReadFile(proc + "/syscall")
	words := strings.Fields(string(text))
	if err != nil || len(words) < 3 {
		return waitsUnknown // it runs, or is not ours to look at
	}
	isTerminal := func(fd uint64) bool {
		to, _ := os.Readlink(proc + "/fd/" + strconv.FormatUint(fd, 10))
		return strings.HasPrefix(to, "/dev/pts/") || strings.HasPrefix(to, "/dev/tty")
	}
	var args [2]uint64
	for i := range args {
		if args[i], err = strconv.ParseUint(words[i+1], 0, 64); err != nil {
			return waitsUnknown
		}
	}
	call, _ := strconv.Atoi(words[0])
	switch call {
	case unix.SYS_READ:
		if isTerminal(args[0]) {
			return waitsReading
		}
		return waitsElsewhere
	case unix.SYS_PPOLL, pollCall():
		list := readMemory(proc, args[0], args[1]*pollSize)
		if list == nil {
			return waitsUnknown
		}
		for entry := range slices.Chunk(list, pollSize) {
			if wanted := binary.NativeEndian.Uint16(entry[4:]); wanted&unix.POLLIN != 0 && isTerminal(uint64(binary.NativeEndian.Uint32(entry))) {
				return waitsForInput
			}
		}
		return waitsElsewhere
	case unix.SYS_WAIT4, unix.SYS_WAITID, unix.SYS_NANOSLEEP, unix.SYS_CLOCK_NANOSLEEP, unix.SYS_CONNECT, unix.SYS_RECVFROM, unix.SYS_RECVMSG:
		return waitsElsewhere
	}
	return waitsUnknown
}

// pollCall is the number of poll, which newer architectures don't have.
func pollCall() int {
	if runtime.GOARCH == "amd64" {
		return 7
	}
	return -1
}

// pollSize is the size of struct pollfd, in bytes.
const pollSize = 8

// readMemory returns a piece of the memory of a process, nil where it can't be read.
func readMemory(proc string, at, size uint64) []byte {
	if size == 0 || size > 64*pollSize || int64(at) < 0 {
		return nil
	}
	memory, err := os.Open(proc + "/mem")
	if err != nil {
		return nil
	}
	defer memory.Close()
	b := make([]byte, size)
	if _, err := memory.ReadAt(b, int64(at)); err != nil {
		return nil
	}
	return b
}
