package fakessh

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// whoKnow returns, for each of some directories, the processes that have it in their
// environment. Processes of other users can't be asked.
func whoKnow(dirs []string) map[string][]int {
	known := make(map[string][]int)
	list, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, path := range list {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil || pid == os.Getpid() {
			continue
		}
		env, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		for _, dir := range dirs {
			if bytes.Contains(env, []byte(dir)) {
				known[dir] = append(known[dir], pid)
			}
		}
	}
	return known
}

// awaitEnd waits until processes have ended, and reports false if one of them has not by
// the deadline, or can't be watched: Linux before 5.3 has no means.
func awaitEnd(pids []int, deadline time.Time) bool {
	for _, pid := range pids {
		fd, err := unix.PidfdOpen(pid, 0)
		if errors.Is(err, unix.ESRCH) {
			continue
		}
		if err != nil {
			return false
		}
		ended := pollUntil(fd, deadline)
		unix.Close(fd)
		if !ended {
			return false
		}
	}
	return true
}

// pollUntil reports whether a descriptor becomes readable before the deadline.
func pollUntil(fd int, deadline time.Time) bool {
	for {
		left := time.Until(deadline)
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(max(0, left.Milliseconds())))
		if n > 0 || left <= 0 || err != nil && !errors.Is(err, unix.EINTR) {
			return n > 0
		}
	}
}
