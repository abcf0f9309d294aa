#include "textflag.h"
#include "entry.h"

// What a folded image starts with. It is never called: the header of a folded
// image names the instruction behind the parameters as the entry, which begins on
// the stack that the kernel has made. The package comment says what it does.
//
// The first sixteen bytes are what it is found by in an executable, and begin
// with the name of the anonymous file. The parameters are zero but in a folded
// image.
//
// While it runs:
//	R12	this function
//	R13	the stack as it was: argc, argv, envp; free below
//	R14	the image in memory, which begins with its header
//	R15	the anonymous file; -1 without one
//	BX	the buffer in which the image is put together: the file, if there is one
//
// munmap, mprotect and mremap round lengths up to pages.

#define PARAMETERS (56-16)

#define FILL(eight, to) \
	MOVQ       $eight, AX \
	MOVQ       AX, to     \
	PUNPCKLQDQ to, to

#define SYS_write 1
#define SYS_close 3
#define SYS_mmap 9
#define SYS_mprotect 10
#define SYS_munmap 11
#define SYS_mremap 25
#define SYS_clone 56
#define SYS_execve 59
#define SYS_exit 60
#define SYS_wait4 61
#define SYS_ftruncate 77
#define SYS_prctl 157
#define SYS_memfd_create 319

TEXT ·startFolded(SB), NOSPLIT|NOFRAME|TOPFRAME, $0-0
	QUAD $0x007369736f74696d // "mitosis\0"
	QUAD $0x9d1f6b02c7e4a853
	QUAD $0
	QUAD $0
	QUAD $0
	QUAD $0
	QUAD $0

	MOVQ SP, R13
	LEAQ ·startFolded(SB), R12
	MOVL SELF(R12), AX
	MOVQ R12, R14
	SUBQ AX, R14
	MOVQ $-1, R15

	// A seccomp filter may kill who calls memfd_create. So where there is one, a
	// process tries that is of no account: a copy, whose end is no signal, and which
	// leaves no core file.
	MOVL  $21, DI // PR_GET_SECCOMP
	MOVL  $SYS_prctl, AX
	SYSCALL
	CMPQ  AX, $2 // SECCOMP_MODE_FILTER
	JNE   create
	XORL  DI, DI
	XORL  SI, SI
	XORL  DX, DX
	XORL  R10, R10
	XORL  R8, R8
	MOVL  $SYS_clone, AX
	SYSCALL
	TESTQ AX, AX
	JLT   build
	JNE   await
	MOVL  $4, DI // PR_SET_DUMPABLE
	XORL  SI, SI
	MOVL  $SYS_prctl, AX
	SYSCALL
	MOVQ  R12, DI
	XORL  SI, SI
	MOVL  $SYS_memfd_create, AX
	SYSCALL
	XORL  DI, DI
	MOVL  $SYS_exit, AX
	SYSCALL
await:
	MOVQ  AX, DI
	LEAQ  STATUS(R13), SI
	MOVL  $1, (SI)
	MOVL  $0x40000000, DX // __WALL
	XORL  R10, R10
	MOVL  $SYS_wait4, AX
	SYSCALL
	MOVL  STATUS(R13), AX
	TESTL AX, AX
	JNE   build

create:
	// The file. Kernels from 6.3 on may demand MFD_EXEC, older ones refuse it. It
	// stays open, because an emulator opens by name what it is to run; what begins
	// there closes what it has not opened.
	MOVQ  R12, DI
	MOVL  $0x10, SI // MFD_EXEC
	MOVL  $SYS_memfd_create, AX
	SYSCALL
	TESTQ AX, AX
	JGE   created
	MOVQ  R12, DI
	XORL  SI, SI
	MOVL  $SYS_memfd_create, AX
	SYSCALL
	TESTQ AX, AX
	JLT   build
created:
	MOVQ  AX, R15
	MOVQ  AX, DI
	MOVL  SIZE(R12), SI
	MOVL  $SYS_ftruncate, AX
	SYSCALL
	TESTQ AX, AX
	JNE   noFile

build:
	XORL  DI, DI
	MOVL  SIZE(R12), SI
	MOVL  $3, DX       // PROT_READ|PROT_WRITE
	MOVL  $0x8001, R10 // MAP_POPULATE|MAP_SHARED
	MOVQ  R15, R8
	TESTQ R8, R8
	JGE   map
	MOVL  $0x8022, R10 // MAP_POPULATE|MAP_PRIVATE|MAP_ANONYMOUS
map:
	XORL R9, R9
	MOVL $SYS_mmap, AX
	SYSCALL
	CMPQ AX, $-4096
	JHI  noFile
	MOVQ AX, BX

	// The segments are as they were in the file, since nobody has changed them yet.
	CLD
	MOVWLZX 56(R14), R8 // e_phnum
	LEAQ    64(R14), R9
segment:
	CMPL 0(R9), $1 // p_type: PT_LOAD
	JNE  nextSegment
	MOVQ 8(R9), DI // p_offset
	ADDQ BX, DI
	MOVQ 16(R9), SI // p_vaddr
	MOVQ 32(R9), CX // p_filesz
	REP; MOVSB
nextSegment:
	ADDQ $56, R9
	DECL R8
	JNZ  segment

	// The header and the parameters.
	MOVQ ENTRY(R12), AX
	MOVQ AX, 24(BX) // e_entry
	MOVL SELF(R12), DI
	LEAQ ENTRY(BX)(DI*1), DI
	MOVL $PARAMETERS, CX
	XORL AX, AX
	REP; STOSB

	// The code before this function, then the code behind it. Sixteen bytes at a
	// time are looked at whether they begin an instruction of interest.
	FILL(0xe8e8e8e8e8e8e8e8, X1) // CALL
	FILL(0x8b8b8b8b8b8b8b8b, X2) // MOV from memory
	FILL(0x8d8d8d8d8d8d8d8d, X3) // LEA
	FILL(0x8989898989898989, X4) // MOV to memory
	FILL(0x8383838383838383, X5) // arithmetic with an immediate byte
	FILL(0x8080808080808080, X6) // the same of one byte
	FILL(0xc7c7c7c7c7c7c7c7, X7) // in the byte behind, an operand relative to
	FILL(0x0505050505050505, X8) // the instruction
	MOVL TEXT_FROM(R12), SI
	MOVL SELF(R12), DI
	MOVL TEXT_TO(R12), R11
unfold:
	ADDQ BX, SI
	LEAQ -8(BX)(DI*1), DI
	JMP  scan
sixteen:
	ADDQ $16, SI
scan:
	CMPQ     SI, DI
	JHI      scanned
	MOVOU    (SI), X0
	MOVO     X0, X9
	PCMPEQB  X2, X9
	MOVO     X0, X10
	PCMPEQB  X3, X10
	POR      X10, X9
	MOVO     X0, X10
	PCMPEQB  X4, X10
	POR      X10, X9
	MOVO     X0, X10
	PCMPEQB  X5, X10
	POR      X10, X9
	MOVO     X0, X10
	PCMPEQB  X6, X10
	POR      X10, X9
	MOVOU    1(SI), X10
	PAND     X7, X10
	PCMPEQB  X8, X10
	PAND     X10, X9
	PCMPEQB  X1, X0
	POR      X9, X0
	PMOVMSKB X0, AX
	BSFL     AX, AX
	JEQ      sixteen
	ADDQ     AX, SI
	CMPQ     SI, DI
	JHI      scanned
	MOVBLZX  (SI), AX
	MOVQ     SI, R8
	CMPL     AX, $0xe8
	JEQ      call
	// The field is the third byte and on; behind it may be an immediate byte.
	ADDQ     $2, R8
	ADDQ     $6, SI
	ANDL     $8, AX
	XORL     $8, AX
	SHRL     $3, AX
	ADDQ     AX, SI
	JMP      relative
call:
	INCQ R8
	ADDQ $5, SI
relative:
	MOVL   (R8), DX
	BSWAPL DX
	MOVQ   SI, CX
	SUBQ   BX, CX
	SUBL   CX, DX
	MOVL   DX, (R8)
	JMP    scan
scanned:
	TESTL R11, R11
	JEQ   tables
	MOVL  SELF_END(R12), SI
	MOVL  R11, DI
	XORL  R11, R11
	JMP   unfold

tables:
	// The records of functions, and their index.
	MOVL  COUNT(R12), CX
	TESTL CX, CX
	JEQ   unfolded
	MOVL  TABLES(R12), SI
	ADDQ  BX, SI
	MOVQ  SI, DI
	MOVL  FIRST(R12), R8
	XORL  AX, AX
	XORL  DX, DX
function:
	LEAQ    (SI)(R8*1), R9
	ADDL    (R9), AX  // entryOff
	MOVL    AX, (R9)
	ADDL    4(R9), DX // nameOff
	MOVL    DX, 4(R9)
	MOVL    AX, (DI)
	MOVL    R8, 4(DI)
	ADDQ    $8, DI
	MOVL    28(R9), R10 // npcdata
	MOVBLZX 43(R9), R11 // nfuncdata
	ADDL    R11, R10
	LEAQ    51(R8)(R10*4), R8
	ANDL    $~7, R8
	DECL    CX
	JNZ     function

unfolded:
	TESTQ R15, R15
	JLT   inPlace
	MOVQ  BX, DI
	MOVL  SIZE(R12), SI
	MOVL  $SYS_munmap, AX
	SYSCALL

	// The path of the file, from its end.
	LEAQ PATH_END(R13), SI
	MOVB $0, (SI)
	MOVQ R15, AX
	MOVL $10, CX
digit:
	XORL  DX, DX
	DIVL  CX
	ADDL  $0x30, DX // '0'
	DECQ  SI
	MOVB  DX, (SI)
	TESTL AX, AX
	JNE   digit
	MOVQ  $0x2f64662f666c6573, AX // "self/fd/"
	MOVQ  AX, -8(SI)
	MOVQ  $0x65732f636f72702f, AX // "/proc/se"
	MOVQ  AX, -14(SI)
	LEAQ  -14(SI), DI
	MOVQ  (R13), AX
	LEAQ  8(R13), SI
	LEAQ  16(R13)(AX*8), DX
	MOVL  $SYS_execve, AX
	SYSCALL

noFile:
	// Once more, without a file.
	TESTQ R15, R15
	JLT   broken
	MOVQ  R15, DI
	MOVL  $SYS_close, AX
	SYSCALL
	MOVQ  $-1, R15
	JMP   build

inPlace:
	// What was folded is in segments that can't be written. Each is replaced by
	// its part of the buffer: this code by the same code, but for the parameters.
	MOVQ    ENTRY(R12), R15
	MOVL    SIZE(R12), AX
	MOVQ    AX, STATUS(R13)
	MOVWLZX 56(R14), R12
	LEAQ    64(R14), R9
place:
	CMPL  0(R9), $1
	JNE   nextPlace
	MOVL  4(R9), DX // p_flags: PF_R 4, PF_W 2, PF_X 1
	TESTL $2, DX
	JNE   nextPlace
	MOVL  DX, AX
	ANDL  $1, DX
	SHLL  $2, DX // PROT_EXEC
	SHRL  $2, AX
	ANDL  $1, AX // PROT_READ
	ORL   AX, DX
	MOVQ  8(R9), DI
	ADDQ  BX, DI
	MOVQ  32(R9), SI
	MOVL  $SYS_mprotect, AX
	SYSCALL
	TESTQ AX, AX
	JNE   broken
	MOVQ  SI, DX
	MOVL  $3, R10 // MREMAP_MAYMOVE|MREMAP_FIXED
	MOVQ  16(R9), R8
	MOVL  $SYS_mremap, AX
	SYSCALL
	CMPQ  AX, $-4096
	JHI   broken
nextPlace:
	ADDQ $56, R9
	DECL R12
	JNZ  place

	MOVQ BX, DI
	MOVQ STATUS(R13), SI
	MOVL $SYS_munmap, AX
	SYSCALL
	XORL DX, DX
	MOVQ R13, SP
	JMP  R15

broken:
	MOVL $2, DI
	LEAQ reason<>(SB), SI
	MOVL $REASON, DX
	MOVL $SYS_write, AX
	SYSCALL
	MOVL $126, DI
	MOVL $SYS_exit, AX
	SYSCALL
	INT  $3
	QUAD $0x53a8e4c7026b1f9d // the end
