//go:build !linux

package disk

import "os"

// extras are empty: this package knows the attributes of Linux only.
type extras struct {
	list    accessList
	capable bool
	hidden  bool
}

func readExtras(*Dir, string) extras { return extras{} }

func (*extras) give(*os.File) error { return nil }

func setList(*os.File, accessList) error { return nil }

func clearList(*os.File) error { return nil }
