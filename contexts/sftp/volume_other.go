//go:build !linux && !darwin && !freebsd

package sftp

import "os"

const hasVolumes = false

func volumeOf(string) (volume, error) { return volume{}, statusUnsupported }

func volumeOfOpen(*os.File) (volume, error) { return volume{}, statusUnsupported }
