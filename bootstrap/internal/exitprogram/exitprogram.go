// Package exitprogram makes small programs for Linux that only exit. One of them is executed at
// a far side to find out whether an image for its architecture would run there. The name of the
// machine does not tell: a kernel of 64 bits may execute programs of 32 bits or not.
package exitprogram

import "encoding/binary"

// For returns an executable for Linux on an architecture that ends with status 0. For an
// architecture without machine code here it returns a script, which only shows that execution
// is allowed.
//
// If the kernel refuses an executable of a foreign format, some shells take it for a script. So
// the header has a single quote in place of the ABI (EI_OSABI), which Linux ignores. The shell
// finds no second quote, reports that, and executes nothing.
func For(goarch string) []byte {
	var machine uint16
	var flags uint32
	var code []byte
	wide := true
	words := func(list ...uint32) (b []byte) {
		for _, w := range list {
			b = binary.LittleEndian.AppendUint32(b, w)
		}
		return b
	}
	// Each calls exit(0), by the numbers of arch/*/entry/syscalls.
	switch goarch {
	case "amd64":
		machine, code = 62, []byte{0x6a, 60, 0x58, 0x31, 0xff, 0x0f, 0x05} // push 60; pop rax; xor edi,edi; syscall
	case "386":
		machine, wide, code = 3, false, []byte{0x31, 0xc0, 0x40, 0x31, 0xdb, 0xcd, 0x80} // xor eax,eax; inc eax; xor ebx,ebx; int 0x80
	case "arm64":
		machine, code = 183, words(0xd2800ba8, 0xd2800000, 0xd4000001) // mov x8,#93; mov x0,#0; svc #0
	case "arm":
		machine, wide, flags, code = 40, false, 0x05000000, words(0xe3a07001, 0xe3a00000, 0xef000000) // mov r7,#1; mov r0,#0; svc #0
	case "riscv64":
		machine, code = 243, words(0x05d00893, 0x00000513, 0x00000073) // li a7,93; li a0,0; ecall
	default:
		return []byte("#!/bin/sh\n")
	}
	const address, align = 0x400000, 0x10000
	const load, stack = 1, 0x6474e551 // PT_LOAD, PT_GNU_STACK
	const read, write, execute = 4, 2, 1
	le := binary.LittleEndian
	b := []byte("\x7fELF\x01\x01\x01'")
	b = append(b, make([]byte, 16-len(b))...)
	b = le.AppendUint16(b, 2) // ET_EXEC
	b = le.AppendUint16(b, machine)
	b = le.AppendUint32(b, 1)
	if !wide {
		const header, segment = 52, 32
		size := uint32(header + 2*segment + len(code))
		for _, v := range []uint32{address + header + 2*segment, header, 0, flags} {
			b = le.AppendUint32(b, v)
		}
		for _, v := range []uint16{header, segment, 2, 0, 0, 0} {
			b = le.AppendUint16(b, v)
		}
		for _, v := range []uint32{load, 0, address, address, size, size, read | execute, align, stack, 0, 0, 0, 0, 0, read | write, 16} {
			b = le.AppendUint32(b, v)
		}
		return append(b, code...)
	}
	b[4] = 2 // ELFCLASS64
	const header, segment = 64, 56
	size := uint64(header + 2*segment + len(code))
	for _, v := range []uint64{address + header + 2*segment, header, 0} {
		b = le.AppendUint64(b, v)
	}
	b = le.AppendUint32(b, flags)
	for _, v := range []uint16{header, segment, 2, 0, 0, 0} {
		b = le.AppendUint16(b, v)
	}
	for _, s := range []struct {
		kind, flags uint32
		rest        [6]uint64
	}{
		{load, read | execute, [6]uint64{0, address, address, size, size, align}},
		{stack, read | write, [6]uint64{5: 16}},
	} {
		b = le.AppendUint32(le.AppendUint32(b, s.kind), s.flags)
		for _, v := range s.rest {
			b = le.AppendUint64(b, v)
		}
	}
	return append(b, code...)
}
