//go:build linux

package lab

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const cgroupRoot = "/sys/fs/cgroup"

// makeCgroups makes a group for a host in each of the machine's hierarchies. It returns their
// directories as binds: to the host each of them looks like a whole hierarchy.
func makeCgroups(name string) ([]bind, error) {
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return nil, err
	}
	var binds []bind
	for line := range strings.Lines(string(mounts)) {
		fields := strings.Fields(line)
		if len(fields) < 3 || fields[2] != "cgroup" && fields[2] != "cgroup2" || !strings.HasPrefix(fields[1], cgroupRoot) {
			continue
		}
		group := filepath.Join(fields[1], name)
		if err := os.Mkdir(group, 0o755); err != nil {
			return binds, err
		}
		binds = append(binds, bind{Source: group, Target: fields[1]})
		// In the first version of cgroups a new cpuset has neither processors nor
		// memory, and accepts no process.
		for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
			if b, err := os.ReadFile(filepath.Join(fields[1], file)); err == nil {
				if err := os.WriteFile(filepath.Join(group, file), b, 0); err != nil && fields[2] == "cgroup" {
					return binds, err
				}
			}
		}
	}
	if len(binds) == 0 {
		return nil, fmt.Errorf("no cgroup file system is mounted below %s", cgroupRoot)
	}
	return binds, nil
}

// removeCgroups removes the groups of makeCgroups, with all groups below. The
// kernel frees a group some time after its last process has been reaped.
func removeCgroups(binds []bind) error {
	var errs []error
	for _, b := range binds {
		var groups []string
		err := filepath.WalkDir(b.Source, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				groups = append(groups, path)
			}
			return nil // groups come and go
		})
		errs = append(errs, err)
		for i := len(groups) - 1; i >= 0; i-- {
			errs = append(errs, removeGroup(groups[i]))
		}
	}
	return errors.Join(errs...)
}

func removeGroup(dir string) error {
	deadline := time.Now().Add(5 * time.Second)
	for {
		err := os.Remove(dir)
		if err == nil || errors.Is(err, fs.ErrNotExist) || time.Now().After(deadline) {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
}
