package main

import "golang.org/x/sys/windows"

// usage returns the size and the free space of the volume of path.
func usage(path string) (Usage, error) {
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return Usage{}, err
	}
	var use Usage
	err = windows.GetDiskFreeSpaceEx(name, &use.Free, &use.Total, nil)
	return use, err
}
