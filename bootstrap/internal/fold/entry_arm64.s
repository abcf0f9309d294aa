#include "textflag.h"
#include "entry.h"

// What a folded image starts with: entry_amd64.s says in which state, and what
// its parts are for.
//
// While it runs:
//	R19	this function
//	R20	the stack as it was: argc, argv, envp; free below
//	R21	the image in memory, which begins with its header
//	R22	the entry of the program
//	R23	the buffer in which the image is put together: the file, if there is one
//	R24	its size
//	R25	the anonymous file; -1 without one
//
// System calls change R0 only.

#define SYS_ftruncate 46
#define SYS_close 57
#define SYS_write 64
#define SYS_exit 93
#define SYS_prctl 167
#define SYS_munmap 215
#define SYS_mremap 216
#define SYS_clone 220
#define SYS_execve 221
#define SYS_mmap 222
#define SYS_mprotect 226
#define SYS_wait4 260
#define SYS_memfd_create 279

TEXT ·startFolded(SB), NOSPLIT|NOFRAME|TOPFRAME, $0-0
	DWORD $0x007369736f74696d // "mitosis\0"
	DWORD $0x9d1f6b02c7e4a853
	DWORD $0
	DWORD $0
	DWORD $0
	DWORD $0
	DWORD $0

	MOVD  RSP, R20
	MOVD  $·startFolded(SB), R19
	MOVD  ENTRY(R19), R22
	MOVWU SIZE(R19), R24
	MOVWU SELF(R19), R0
	SUB   R0, R19, R21
	MOVD  $-1, R25

	// A seccomp filter may kill who calls memfd_create. So a process tries
	// that is of no account: a copy, whose end is no signal, and which leaves no
	// core file. The emulator QEMU refuses an end that is no signal, so there the
	// image runs in place.
	MOVD $0, R0 // flags
	MOVD $0, R1
	MOVD $0, R2
	MOVD $0, R3
	MOVD $0, R4
	MOVD $SYS_clone, R8
	SVC
	TBNZ $63, R0, build
	CBNZ R0, await
	MOVD $4, R0 // PR_SET_DUMPABLE
	MOVD $0, R1
	MOVD $SYS_prctl, R8
	SVC
	MOVD R19, R0
	MOVD $0, R1
	MOVD $SYS_memfd_create, R8
	SVC
	MOVD $0, R0
	MOVD $SYS_exit, R8
	SVC
await:
	ADD   $STATUS, R20, R1
	MOVD  $1, R2
	MOVW  R2, (R1)
	MOVD  $0x40000000, R2 // __WALL
	MOVD  $0, R3
	MOVD  $SYS_wait4, R8
	SVC
	MOVWU (R1), R0
	CBNZ  R0, build

	// The file. Kernels from 6.3 on may demand MFD_EXEC, older ones refuse it.
	MOVD R19, R0
	MOVD $0x10, R1 // MFD_EXEC
	MOVD $SYS_memfd_create, R8
	SVC
	TBZ  $63, R0, created
	MOVD R19, R0
	MOVD $0, R1
	SVC
	TBNZ $63, R0, build
created:
	MOVD R0, R25
	MOVD R24, R1
	MOVD $SYS_ftruncate, R8
	SVC
	CBNZ R0, noFile

build:
	MOVD $0, R0
	MOVD R24, R1
	MOVD $3, R2      // PROT_READ|PROT_WRITE
	MOVD $0x8001, R3 // MAP_POPULATE|MAP_SHARED
	MOVD R25, R4
	TBZ  $63, R4, map
	MOVD $0x8022, R3 // MAP_POPULATE|MAP_PRIVATE|MAP_ANONYMOUS
map:
	MOVD $0, R5
	MOVD $SYS_mmap, R8
	SVC
	TBNZ $63, R0, noFile // no address is negative
	MOVD R0, R23

	// The segments are as they were in the file, since nobody has changed them yet.
	// Each ends in a page of its own, so the last sixteen bytes may be fewer.
	MOVHU 56(R21), R9 // e_phnum
	ADD   $64, R21, R10
segment:
	MOVWU 0(R10), R0 // p_type
	CMPW  $1, R0     // PT_LOAD
	BNE   nextSegment
	MOVD  8(R10), R1 // p_offset
	ADD   R23, R1
	MOVD  16(R10), R0 // p_vaddr
	MOVD  32(R10), R2 // p_filesz
	ADD   R0, R2
copy:
	CMP   R2, R0
	BHS   nextSegment
	LDP.P 16(R0), (R3, R4)
	STP.P (R3, R4), 16(R1)
	B     copy
nextSegment:
	ADD  $56, R10
	SUB  $1, R9
	CBNZ R9, segment

	// The header and the parameters.
	MOVD  R22, 24(R23) // e_entry
	MOVWU SELF(R19), R0
	ADD   R23, R0
	STP   (ZR, ZR), 16(R0)
	STP   (ZR, ZR), 32(R0)
	MOVD  ZR, 48(R0)

	// The code before this function, then the code behind it.
	MOVD  $0x9f000000, R5 // what of an instruction says that it is
	MOVD  $0x90000000, R6 // ADRP
	MOVWU TEXT_FROM(R19), R0
	MOVWU SELF(R19), R1
	MOVWU TEXT_TO(R19), R2
unfold:
	SUB $4, R1
scan:
	CMP   R1, R0
	BGT   scanned
	MOVWU (R23)(R0), R3
	LSR   $26, R3, R4
	CMP   $0x25, R4 // BL
	BNE   address
	SUB   R0>>2, R3, R4
	BFXIL $0, R4, $26, R3
	B     unfoldedOne
address:
	AND  R5, R3, R4
	CMP  R6, R4
	BNE  step
	UBFX $29, R3, $2, R7
	UBFX $5, R3, $19, R4
	ORR  R4<<2, R7, R4
	SUB  R0>>12, R4
	BFI  $29, R4, $2, R3
	LSR  $2, R4
	BFI  $5, R4, $19, R3
unfoldedOne:
	MOVW R3, (R23)(R0)
step:
	ADD $4, R0
	B   scan
scanned:
	CBZ   R2, tables
	MOVWU SELF_END(R19), R0
	MOVD  R2, R1
	MOVD  $0, R2
	B     unfold

tables:
	// The records of functions, and their index.
	MOVWU COUNT(R19), R9
	CBZ   R9, unfolded
	MOVWU TABLES(R19), R10
	ADD   R23, R10
	MOVD  R10, R11
	MOVWU FIRST(R19), R0
	MOVD  $0, R1
	MOVD  $0, R2
function:
	ADD   R10, R0, R3
	LDPW  (R3), (R4, R5) // entryOff, nameOff
	ADDW  R4, R1
	ADDW  R5, R2
	STPW  (R1, R2), (R3)
	STPW  (R1, R0), (R11)
	ADD   $8, R11
	MOVWU 28(R3), R4 // npcdata
	MOVBU 43(R3), R5 // nfuncdata
	ADD   R5, R4
	ADD   $51, R0
	ADD   R4<<2, R0
	AND   $~7, R0
	SUB   $1, R9
	CBNZ  R9, function

unfolded:
	TBNZ $63, R25, inPlace
	MOVD R23, R0
	MOVD R24, R1
	MOVD $SYS_munmap, R8
	SVC

	// The path of the file, from its end.
	ADD    $PATH_END, R20, R0
	MOVB   ZR, (R0)
	MOVD   R25, R1
	MOVD   $10, R2
digit:
	UDIV   R2, R1, R3
	MSUB   R2, R1, R3, R4 // the remainder
	ADD    $0x30, R4      // '0'
	MOVB.W R4, -1(R0)
	MOVD   R3, R1
	CBNZ   R1, digit
	MOVD   $0x2f64662f666c6573, R1 // "self/fd/"
	MOVD   R1, -8(R0)
	MOVD   $0x65732f636f72702f, R1 // "/proc/se"
	MOVD.W R1, -14(R0)
	ADD    $8, R20, R1
	MOVD   (R20), R2
	ADD    R2<<3, R1, R2
	ADD    $8, R2
	MOVD   $SYS_execve, R8
	SVC

noFile:
	// Once more, without a file.
	TBNZ $63, R25, broken
	MOVD R25, R0
	MOVD $SYS_close, R8
	SVC
	MOVD $-1, R25
	B    build

inPlace:
	// What was folded is in segments that can't be written. Each is replaced by
	// its part of the buffer: this code by the same code, but for the parameters.
	// The kernel rounds lengths up to its pages, of which there are several sizes.
	MOVHU 56(R21), R9
	ADD   $64, R21, R10
place:
	MOVWU 0(R10), R0
	CMPW  $1, R0
	BNE   nextPlace
	MOVWU 4(R10), R11 // p_flags: PF_R 4, PF_W 2, PF_X 1
	TBNZ  $1, R11, nextPlace
	MOVD  8(R10), R12
	ADD   R23, R12
	MOVD  32(R10), R13
	TBZ   $0, R11, readable
	MOVD  R12, R0
	BL    synchronize
readable:
	MOVD R12, R0
	MOVD R13, R1
	UBFX $2, R11, $1, R2 // PROT_READ
	BFI  $2, R11, $1, R2 // PROT_EXEC
	MOVD $SYS_mprotect, R8
	SVC
	CBNZ R0, broken
	MOVD R12, R0
	MOVD R13, R2
	MOVD $3, R3 // MREMAP_MAYMOVE|MREMAP_FIXED
	MOVD 16(R10), R4
	MOVD $SYS_mremap, R8
	SVC
	TBNZ $63, R0, broken
	TBZ  $0, R11, nextPlace
	BL   synchronize
nextPlace:
	ADD  $56, R10
	SUB  $1, R9
	CBNZ R9, place

	MOVD R23, R0
	MOVD R24, R1
	MOVD $SYS_munmap, R8
	SVC
	JMP  (R22)

synchronize:
	// The R13 bytes at R0 were written as data, and are to be executed. Another
	// address may be another line of the cache of instructions, so it is done
	// for both.
	MRS  CTR_EL0, R2
	MOVD $4, R4
	UBFX $16, R2, $4, R3 // DminLine
	LSL  R3, R4, R3
	UBFX $0, R2, $4, R2  // IminLine
	LSL  R2, R4, R4
	ADD  R0, R13, R1
	MOVD R0, R2
clean:
	DC   CVAU, R2
	ADD  R3, R2
	CMP  R1, R2
	BLO  clean
	DSB  $11             // ISH
invalidate:
	WORD $0xd50b7520     // IC IVAU, X0
	ADD  R4, R0
	CMP  R1, R0
	BLO  invalidate
	DSB  $11
	ISB  $15
	JMP  (R30)

broken:
	MOVD $2, R0
	MOVD $reason<>(SB), R1
	MOVD $REASON, R2
	MOVD $SYS_write, R8
	SVC
	MOVD $126, R0
	MOVD $SYS_exit, R8
	SVC
	BRK
	DWORD $0x53a8e4c7026b1f9d // the end
