#include "go_asm.h"
#include "textflag.h"

// Linux, arch/x86/entry/syscalls/syscall_64.tbl.
#define SYS_read 0
#define SYS_rt_sigaction 13
#define SYS_execve 59
#define SYS_wait4 61
#define SYS_kill 62
#define SYS_prctl 157
#define SYS_exit_group 231
#define SYS_waitid 247
#define SYS_ppoll 271

#define SIGTERM 15
#define SIGCONT 18
#define PR_SET_NAME 15
#define WNOHANG 1
#define WEXITED_WNOHANG_WNOWAIT 0x1000005

// func sleepingCode() (from, to unsafe.Pointer)
TEXT ·sleepingCode(SB),NOSPLIT,$0-16
	LEAQ sleeping<>(SB), AX
	MOVQ AX, from+0(FP)
	LEAQ sleepingEnd<>(SB), AX
	MOVQ AX, to+8(FP)
	RET

// sleeping is the code of a sleeper: see the type sleeper. Nothing calls it: a process begins
// here, with argc, argv..., 0, envp..., 0 on its stack.
//
// R12 holds the address of the sleeper, BX the stack pointer at entry. From SP on: the three
// descriptors to poll at 0, the results of waitid and read at 64.
TEXT sleeping<>(SB),NOSPLIT|NOFRAME,$0-0
	MOVQ SP, BX
	SUBQ $256, SP
	MOVQ $const_sleeperAt, R12
	MOVQ (sleeper_poll+0)(R12), AX
	MOVQ AX, 0(SP)
	MOVQ (sleeper_poll+8)(R12), AX
	MOVQ AX, 8(SP)
	MOVQ (sleeper_poll+16)(R12), AX
	MOVQ AX, 16(SP)

	MOVL $PR_SET_NAME, DI
	LEAQ sleeper_name(R12), SI
	MOVL $SYS_prctl, AX
	SYSCALL

reap:
	MOVQ $0, 80(SP) // siginfo's si_pid stays 0 where no child is dead
	XORL DI, DI     // P_ALL
	XORL SI, SI
	LEAQ 64(SP), DX
	MOVL $WEXITED_WNOHANG_WNOWAIT, R10
	XORL R8, R8
	MOVL $SYS_waitid, AX
	SYSCALL
	TESTQ AX, AX
	JLT wake
	MOVL 80(SP), DI
	TESTL DI, DI
	JEQ wait
	CMPL DI, sleeper_worker(R12)
	JEQ wake
	XORL SI, SI
	MOVL $WNOHANG, DX
	XORL R10, R10
	MOVL $SYS_wait4, AX
	SYSCALL
	JMP reap

wait:
	LEAQ 0(SP), DI
	MOVL $3, SI
	XORL DX, DX
	XORL R10, R10
	XORL R8, R8
	MOVL $SYS_ppoll, AX
	SYSCALL
	CMPQ AX, $-4 // EINTR: this process was stopped and continued
	JEQ reap
	TESTQ AX, AX
	JLT wake
	CMPW 14(SP), $0 // revents of SIGTERM
	JEQ other
	MOVL sleeper_worker(R12), DI
	MOVL $SIGTERM, SI
	MOVL $SYS_kill, AX
	SYSCALL
	JMP wake

other:
	CMPW 6(SP), $0 // revents of the link
	JNE wake
	MOVL 16(SP), DI // SIGCHLD
	LEAQ 64(SP), SI
	MOVL $128, DX // one signalfd_siginfo
	MOVL $SYS_read, AX
	SYSCALL
	JMP reap

wake:
	MOVL sleeper_worker(R12), DI
	MOVL $SIGCONT, SI
	MOVL $SYS_kill, AX
	SYSCALL

	MOVL $SIGTERM, DI
	LEAQ sleeper_ignore(R12), SI
	XORL DX, DX
	MOVL $8, R10 // bytes of a signal set
	MOVL $SYS_rt_sigaction, AX
	SYSCALL

	LEAQ sleeper_image(R12), DI
	MOVQ (BX), AX
	LEAQ 8(BX), SI         // argv
	LEAQ 16(BX)(AX*8), DX  // envp
	MOVL $SYS_execve, AX
	SYSCALL

	MOVL sleeper_worker(R12), DI
	NEGL DI
	MOVL $SIGTERM, SI
	MOVL $SYS_kill, AX
	SYSCALL
	MOVL $125, DI
	MOVL $SYS_exit_group, AX
	SYSCALL
	INT $3

TEXT sleepingEnd<>(SB),NOSPLIT|NOFRAME,$0-0
	RET
