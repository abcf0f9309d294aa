package main

import "golang.org/x/sys/windows"

// usage asks the volume that path is on.
func usage(path string) (Usage, error) {
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return Usage{}, err
	}
	var use Usage
	err = windows.GetDiskFreeSpaceEx(name, &use.Free, &use.Total, nil)
	return use, err
}
