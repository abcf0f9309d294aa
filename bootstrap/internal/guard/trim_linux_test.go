package guard

import (
	"slices"
	"testing"
)

func TestCleanMappings(t *testing.T) {
	const smaps = `00400000-0068b000 r-xp 00000000 fe:00 1234                       /memfd:mitosis (deleted)
Size:               2604 kB
Anonymous:             0 kB
VmFlags: rd ex mr mw me
0068b000-00700000 r--p 0028b000 fe:00 1234                       /bin/x
Anonymous:             8 kB
00700000-00720000 rw-p 00300000 fe:00 1234                       /bin/x
Anonymous:             0 kB
c000000000-c000400000 rw-p 00000000 00:00 0
Anonymous:             0 kB
7ffc0000-7ffd0000 r-xp 00000000 00:00 0                          [vdso]
Anonymous:             0 kB
00800000-00801000 r--p 00000000 fe:00 1234                       /bin/y z
Anonymous:             0 kB
`
	want := []mapping{{0x400000, 0x68b000}, {0x800000, 0x801000}}
	if got := slices.Collect(cleanMappings([]byte(smaps))); !slices.Equal(got, want) {
		t.Errorf("clean mappings are %x, want %x", got, want)
	}
}

func TestTrimDoesNoHarm(t *testing.T) {
	for range 10 {
		Trim()
	}
}
