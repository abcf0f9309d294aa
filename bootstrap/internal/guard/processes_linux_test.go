package guard

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
)

func TestParseStat(t *testing.T) {
	for in, want := range map[string]Process{
		"12 (sh) S 7 12 12 0":                   {PID: 12, Parent: 7},
		"12 (a) Z 1 (b) ) R 7 12":               {PID: 12, Parent: 7},
		"12 (x) Z 7 0":                          {PID: 12, Parent: 7, Dead: true},
		"12 (new\nline) S 9 12 12 0 -1 4194304": {PID: 12, Parent: 9},
	} {
		if p, ok := parseStat(12, []byte(in)); !ok || p != want {
			t.Errorf("%q: parsed as %+v, %v, want %+v", in, p, ok, want)
		}
	}
	for _, in := range []string{"", "12 (sh", "12 (sh)", "12 (sh) S", "12 (sh) S x"} {
		if _, ok := parseStat(12, []byte(in)); ok {
			t.Errorf("%q was parsed, want it refused: it is no line of /proc/PID/stat", in)
		}
	}
}

// fake makes a directory that looks like /proc. parents has the parent of each process. If
// children is set, each process has the files that name its children.
func fake(t *testing.T, parents map[int]int, children bool) string {
	t.Helper()
	proc := t.TempDir()
	write := func(path, text string) {
		path = filepath.Join(proc, path)
		os.MkdirAll(filepath.Dir(path), 0o755)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for pid, parent := range parents {
		p := strconv.Itoa(pid)
		write(p+"/stat", p+" (some (name) S 1) S "+strconv.Itoa(parent)+" 0 0")
		if !children {
			continue
		}
		// Children belong to threads. Here those with odd numbers belong to the second.
		var list [2]string
		for child, of := range parents {
			if of == pid {
				list[child%2] += strconv.Itoa(child) + " "
			}
		}
		write(p+"/task/"+p+"/children", list[0])
		write(p+"/task/"+strconv.Itoa(pid+100000)+"/children", list[1])
	}
	return proc
}

func TestDescendantsAreFoundBothWays(t *testing.T) {
	parents := map[int]int{1: 0, 10: 1, 11: 10, 12: 10, 13: 11, 14: 13, 20: 1, 21: 20, 30: 31, 31: 30}
	for _, children := range []bool{false, true} {
		proc := fake(t, parents, children)
		for root, want := range map[int][]int{10: {11, 12, 13, 14}, 20: {21}, 14: nil, 1: {10, 11, 12, 13, 14, 20, 21}, 30: {31}} {
			got := descendants(readProcesses(proc, root), root)
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("below %d (children files: %v) found %v, want %v", root, children, got, want)
			}
		}
		var direct []int
		for _, p := range readChildren(proc, 10) {
			direct = append(direct, p.PID)
		}
		if slices.Sort(direct); !slices.Equal(direct, []int{11, 12}) {
			t.Errorf("the children of 10 (children files: %v) are %v, want 11 and 12", children, direct)
		}
		if got := descendants(readProcesses(proc, 10), 10, 11); slices.Contains(got, 11) || !slices.Contains(got, 13) {
			t.Errorf("below 10 except 11 found %v, want 13 (a child of 11) but not 11", got)
		}
	}
}

func TestZombiesAreNotAlive(t *testing.T) {
	all := []Process{{PID: 2, Parent: 1, Dead: true}, {PID: 3, Parent: 2}}
	if got := descendants(all, 1); !slices.Equal(got, []int{3}) {
		t.Errorf("live processes are %v, want only 3, the child of a zombie", got)
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("12 (sh) S 7 12 12 0"))
	f.Fuzz(func(t *testing.T, b []byte) { parseStat(1, b) })
}

// A process that is in the middle of execve has no environment yet. It has the mark all the same.
func TestStraysThatAreExecutingAnotherProgram(t *testing.T) {
	script := filepath.Join(t.TempDir(), "again")
	if err := os.WriteFile(script, []byte("#!/bin/sh\nexec \"$0\"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(script)
	cmd.Env = []string{markVariable + "stray"}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	entry := []byte(markVariable + "stray")
	scans, misses, unmarked := 20000, 0, 0
	if testing.Short() {
		scans = 5000
	}
	for range scans {
		if env, err := environ(cmd.Process.Pid); err != nil || !hasEntry(env, entry) {
			misses++
		}
		if !isMarked(cmd.Process.Pid) { // a job is known by that
			unmarked++
		}
	}
	if unmarked > 0 {
		t.Errorf("%d of %d looks found no mark, want none", unmarked, scans)
	}
	if misses > 0 {
		t.Errorf("%d of %d looks missed it, want none", misses, scans)
	}
}
