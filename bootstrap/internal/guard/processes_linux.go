package guard

import (
	"bytes"
	"os"
	"slices"
	"strconv"
	"time"
)

// readProcesses lists the processes below root from a proc file system. Kernels with
// CONFIG_PROC_CHILDREN name the children of each thread, so the cost grows with the processes
// below root. Elsewhere it lists all of /proc, and the cost grows with those of the machine.
func readProcesses(proc string, root int) []Process {
	if !namesChildren(proc, root) {
		return readAll(proc)
	}
	var all []Process
	seen := map[int]bool{root: true}
	for queue := []int{root}; len(queue) > 0; queue = queue[1:] {
		for _, p := range namedChildren(proc, queue[0]) {
			if !seen[p.PID] {
				seen[p.PID] = true
				all = append(all, p)
				queue = append(queue, p.PID)
			}
		}
	}
	return all
}

// readChildren lists the children of a process.
func readChildren(proc string, parent int) []Process {
	if namesChildren(proc, parent) {
		return namedChildren(proc, parent)
	}
	return slices.DeleteFunc(readAll(proc), func(p Process) bool { return p.Parent != parent })
}

// namesChildren reports whether the kernel names the children of threads.
func namesChildren(proc string, pid int) bool {
	_, err := os.Stat(proc + "/" + strconv.Itoa(pid) + "/task/" + strconv.Itoa(pid) + "/children")
	return err == nil
}

func namedChildren(proc string, parent int) (children []Process) {
	tasks := proc + "/" + strconv.Itoa(parent) + "/task"
	for _, tid := range readNumbers(tasks) {
		list, _ := os.ReadFile(tasks + "/" + strconv.Itoa(tid) + "/children")
		for _, word := range bytes.Fields(list) {
			if p, ok := readStat(proc, number(string(word))); ok {
				p.Parent = parent
				children = append(children, p)
			}
		}
	}
	return children
}

func readAll(proc string) []Process {
	var all []Process
	for _, pid := range readNumbers(proc) {
		if p, ok := readStat(proc, pid); ok {
			all = append(all, p)
		}
	}
	return all
}

// readStat reads /proc/PID/stat: pid, name in parentheses (which may hold
// anything, parentheses too), state, parent.
func readStat(proc string, pid int) (Process, bool) {
	b, err := os.ReadFile(proc + "/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return Process{}, false
	}
	return parseStat(pid, b)
}

func parseStat(pid int, b []byte) (Process, bool) {
	i := bytes.LastIndexByte(b, ')')
	if i < 0 {
		return Process{}, false
	}
	words := bytes.Fields(b[i+1:])
	if len(words) < 2 {
		return Process{}, false
	}
	parent, err := strconv.Atoi(string(words[1]))
	if err != nil {
		return Process{}, false
	}
	state := words[0][0]
	return Process{PID: pid, Parent: parent, Dead: state == 'Z' || state == 'X' || state == 'x'}, true
}

func readNumbers(dir string) []int {
	f, err := os.Open(dir)
	if err != nil {
		return nil
	}
	defer f.Close()
	names, _ := f.Readdirnames(-1)
	var out []int
	for _, name := range names {
		if n := number(name); n > 0 {
			out = append(out, n)
		}
	}
	return out
}

// processes lists at least the processes below root.
func processes(root int) []Process { return readProcesses("/proc", root) }

// strays lists the live processes that have a context's mark in their
// environment, except for self. Those of other users can't be seen.
func strays(marker string, self int) []int {
	entry := []byte(markVariable + marker)
	var found []int
	for _, pid := range readNumbers("/proc") {
		if pid == self {
			continue
		}
		if env, err := environ(pid); err != nil || !hasEntry(env, entry) {
			continue
		}
		if p, ok := readStat("/proc", pid); ok && !p.Dead {
			found = append(found, pid)
		}
	}
	return found
}

// environ returns the environment of a process in the kernel's form.
func environ(pid int) ([]byte, error) { return readStart(pid, "environ") }

// readStart reads the arguments or the environment of a process. In the middle of execve it has
// none for some microseconds, and is looked at again.
func readStart(pid int, file string) (text []byte, err error) {
	for empty, looks := 0, 0; empty < 4 && looks < 100; looks++ {
		if text, err = os.ReadFile("/proc/" + strconv.Itoa(pid) + "/" + file); err != nil || len(text) > 0 {
			break
		}
		if isExecuting(pid) {
			empty = 0
			time.Sleep(100 * time.Microsecond)
		} else {
			empty++ // it may have begun or ended that between the two looks
		}
	}
	return text, err
}

// isExecuting reports whether a process is in the middle of execve: it has memory, where the
// place of its environment is not known yet.
func isExecuting(pid int) bool {
	const memory, environment = 23, 51
	return statField(pid, memory) > 0 && statField(pid, environment) == 0
}

// statField returns a number of /proc/PID/stat, by its place in proc_pid_stat(5) behind the name;
// -1 if it is not there.
func statField(pid, n int) int64 {
	stat, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	words := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	const first = 3
	if n-first >= len(words) {
		return -1
	}
	value, err := strconv.ParseInt(string(words[n-first]), 10, 64)
	if err != nil {
		return -1
	}
	return value
}

// hasEntry reports whether an environment has an entry. env is in the kernel's form: a zero
// byte ends each entry.
func hasEntry(env, entry []byte) bool {
	for e := range bytes.SplitSeq(env, []byte{0}) {
		if bytes.Equal(e, entry) {
			return true
		}
	}
	return false
}
