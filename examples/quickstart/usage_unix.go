//go:build linux || darwin || freebsd

package main

import "syscall"

// usage returns the size and the free space of the file system of path. The types of the fields
// differ between systems.
func usage(path string) (Usage, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(path, &s); err != nil {
		return Usage{}, err
	}
	return Usage{s.Blocks * uint64(s.Bsize), uint64(s.Bavail) * uint64(s.Bsize)}, nil
}
