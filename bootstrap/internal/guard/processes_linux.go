package guard

import (
	"bytes"
	"os"
	"strconv"
)

// readProcesses lists the processes below root from a proc file system. Kernels with
// CONFIG_PROC_CHILDREN name the children of each thread, so the cost grows with the processes
// below root. Elsewhere it lists all of /proc, and the cost grows with those of the machine.
func readProcesses(proc string, root int) []Process {
	if _, err := os.Stat(proc + "/" + strconv.Itoa(root) + "/task/" + strconv.Itoa(root) + "/children"); err == nil {
		return readChildren(proc, root)
	}
	return readAll(proc)
}

func readChildren(proc string, root int) []Process {
	var all []Process
	seen := map[int]bool{root: true}
	for queue := []int{root}; len(queue) > 0; queue = queue[1:] {
		parent := queue[0]
		tasks := proc + "/" + strconv.Itoa(parent) + "/task"
		for _, tid := range readNumbers(tasks) {
			list, _ := os.ReadFile(tasks + "/" + strconv.Itoa(tid) + "/children")
			for _, word := range bytes.Fields(list) {
				pid := number(string(word))
				if pid == 0 || seen[pid] {
					continue
				}
				seen[pid] = true
				p, ok := readStat(proc, pid)
				if !ok {
					continue
				}
				p.Parent = parent
				all = append(all, p)
				queue = append(queue, pid)
			}
		}
	}
	return all
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
		env, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
		if err != nil || !hasEntry(env, entry) {
			continue
		}
		if p, ok := readStat("/proc", pid); ok && !p.Dead {
			found = append(found, pid)
		}
	}
	return found
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
