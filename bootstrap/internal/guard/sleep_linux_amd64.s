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
#define POLLIN 1
#define CLD_EXITED 1
#define P_PID 1
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
// R12 holds the address of the sleeper, BX the stack pointer at entry, R13 the address of the
// time that ppoll waits (0: without end), R14 whether the worker has been reaped, R15 a child that
// was killed. From SP on: the three descriptors to poll at 0, that of the log at 24, the results of
// waitid and read at 64, no time at all at 192.
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
	MOVQ sleeper_log(R12), AX
	MOVQ AX, 24(SP)
	MOVQ $0, 192(SP)
	MOVQ $0, 200(SP)
	XORL R13, R13
	XORL R14, R14

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
	JLT childless
	MOVL 80(SP), DI
	TESTL DI, DI
	JEQ alive
	CMPL DI, sleeper_worker(R12)
	JEQ worker
	CMPL 72(SP), $CLD_EXITED // si_code
	JEQ child
	TESTL R14, R14
	JNE wake
	MOVL DI, R15
	XORL DI, DI
	XORL SI, SI
	LEAQ sleeper_moment(R12), DX
	XORL R10, R10
	XORL R8, R8
	MOVL $SYS_ppoll, AX
	SYSCALL
	MOVQ $0, 80(SP)
	MOVL $P_PID, DI
	MOVL sleeper_worker(R12), SI
	LEAQ 64(SP), DX
	MOVL $WEXITED_WNOHANG_WNOWAIT, R10
	XORL R8, R8
	MOVL $SYS_waitid, AX
	SYSCALL
	CMPL 80(SP), $0
	JNE wake
	MOVL R15, DI
	JMP child

worker:
	CMPL sleeper_adopts(R12), $0
	JEQ wake
	CMPL 72(SP), $CLD_EXITED // si_code
	JNE wake
	CMPL 88(SP), $0 // si_status
	JNE wake
	MOVL $1, R14

child:
	XORL SI, SI
	MOVL $WNOHANG, DX
	XORL R10, R10
	MOVL $SYS_wait4, AX
	SYSCALL
	JMP reap

childless:
	TESTL R14, R14
	JEQ wake
	LEAQ 24(SP), DI
	MOVL $1, SI
	LEAQ 192(SP), DX
	XORL R10, R10
	XORL R8, R8
	MOVL $SYS_ppoll, AX
	SYSCALL
	TESTQ AX, AX
	JLT wake
	MOVWLZX 30(SP), AX // revents of the log
	TESTL $POLLIN, AX
	JNE wake
	XORL DI, DI
	MOVL $SYS_exit_group, AX
	SYSCALL

alive:
	TESTL R14, R14
	JNE wake

wait:
	LEAQ 0(SP), DI
	MOVL $3, SI
	MOVQ R13, DX
	XORL R10, R10
	XORL R8, R8
	MOVL $SYS_ppoll, AX
	SYSCALL
	CMPQ AX, $-4 // EINTR: this process was stopped and continued
	JEQ reap
	TESTQ AX, AX
	JLE wake
	CMPW 14(SP), $0 // revents of SIGTERM
	JEQ other
	MOVL sleeper_worker(R12), DI
	MOVL $SIGTERM, SI
	MOVL $SYS_kill, AX
	SYSCALL
	JMP wake

other:
	CMPW 6(SP), $0 // revents of the link
	JEQ dead
	MOVL sleeper_worker(R12), DI
	MOVL $SIGCONT, SI
	MOVL $SYS_kill, AX
	SYSCALL
	MOVL $-1, 0(SP) // ppoll skips it from now on
	LEAQ sleeper_patience(R12), R13
	JMP reap

dead:
	MOVL 16(SP), DI // SIGCHLD
	LEAQ 64(SP), SI
	MOVL $128, DX // one signalfd_siginfo
	MOVL $SYS_read, AX
	SYSCALL
	JMP reap

wake:
	TESTL R14, R14
	JNE execute // the worker's number may be that of another process now
	MOVL sleeper_worker(R12), DI
	MOVL $SIGCONT, SI
	MOVL $SYS_kill, AX
	SYSCALL

execute:
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
