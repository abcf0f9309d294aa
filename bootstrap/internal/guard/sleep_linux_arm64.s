#include "go_asm.h"
#include "textflag.h"

// Linux, include/uapi/asm-generic/unistd.h.
#define SYS_read 63
#define SYS_ppoll 73
#define SYS_exit_group 94
#define SYS_waitid 95
#define SYS_kill 129
#define SYS_rt_sigaction 134
#define SYS_prctl 167
#define SYS_execve 221
#define SYS_wait4 260

#define SIGTERM 15
#define SIGCONT 18
#define PR_SET_NAME 15
#define CLD_EXITED 1
#define P_PID 1
#define WNOHANG 1
#define WEXITED_WNOHANG_WNOWAIT 0x1000005

// func sleepingCode() (from, to unsafe.Pointer)
TEXT ·sleepingCode(SB),NOSPLIT,$0-16
	MOVD $sleeping<>(SB), R0
	MOVD R0, from+0(FP)
	MOVD $sleepingEnd<>(SB), R0
	MOVD R0, to+8(FP)
	RET

// sleeping is the code of a sleeper: see the type sleeper. Nothing calls it: a process begins
// here, with argc, argv..., 0, envp..., 0 on its stack.
//
// R20 holds the address of the sleeper, R19 the stack pointer at entry, R21 the address of the
// time that ppoll waits (0: without end), R22 whether the worker has been reaped, R23 a child that
// was killed. From RSP on: the three descriptors to poll at 0, that of the log at 24, the results of
// waitid and read at 64, no time at all at 192.
TEXT sleeping<>(SB),NOSPLIT|NOFRAME,$0-0
	MOVD RSP, R19
	SUB $256, RSP
	MOVD $const_sleeperAt, R20
	MOVD (sleeper_poll+0)(R20), R0
	MOVD R0, 0(RSP)
	MOVD (sleeper_poll+8)(R20), R0
	MOVD R0, 8(RSP)
	MOVD (sleeper_poll+16)(R20), R0
	MOVD R0, 16(RSP)
	MOVD sleeper_log(R20), R0
	MOVD R0, 24(RSP)
	MOVD ZR, 192(RSP)
	MOVD ZR, 200(RSP)
	MOVD ZR, R21
	MOVD ZR, R22

	MOVD $PR_SET_NAME, R0
	ADD $sleeper_name, R20, R1
	MOVD $SYS_prctl, R8
	SVC

reap:
	MOVD ZR, 80(RSP) // siginfo's si_pid stays 0 where no child is dead
	MOVD ZR, R0      // P_ALL
	MOVD ZR, R1
	ADD $64, RSP, R2
	MOVD $WEXITED_WNOHANG_WNOWAIT, R3
	MOVD ZR, R4
	MOVD $SYS_waitid, R8
	SVC
	CMP $0, R0
	BLT childless
	MOVW 80(RSP), R0
	CBZW R0, alive
	MOVW sleeper_worker(R20), R1
	CMPW R1, R0
	BEQ worker
	MOVW 72(RSP), R1 // si_code
	CMPW $CLD_EXITED, R1
	BEQ child
	CBNZ R22, wake
	MOVW R0, R23
	MOVD ZR, R0
	MOVD ZR, R1
	ADD $sleeper_moment, R20, R2
	MOVD ZR, R3
	MOVD ZR, R4
	MOVD $SYS_ppoll, R8
	SVC
	MOVD ZR, 80(RSP)
	MOVD $P_PID, R0
	MOVW sleeper_worker(R20), R1
	ADD $64, RSP, R2
	MOVD $WEXITED_WNOHANG_WNOWAIT, R3
	MOVD ZR, R4
	MOVD $SYS_waitid, R8
	SVC
	MOVW 80(RSP), R1
	CBNZW R1, wake
	MOVW R23, R0
	B child

worker:
	MOVW sleeper_adopts(R20), R1
	CBZW R1, wake
	MOVW 72(RSP), R1 // si_code
	CMPW $CLD_EXITED, R1
	BNE wake
	MOVW 88(RSP), R1 // si_status
	CBNZW R1, wake
	MOVD $1, R22

child:
	MOVD ZR, R1
	MOVD $WNOHANG, R2
	MOVD ZR, R3
	MOVD $SYS_wait4, R8
	SVC
	B reap

childless:
	CBZ R22, wake
	ADD $24, RSP, R0
	MOVD $1, R1
	ADD $192, RSP, R2
	MOVD ZR, R3
	MOVD ZR, R4
	MOVD $SYS_ppoll, R8
	SVC
	CMP $0, R0
	BLT wake
	MOVHU 30(RSP), R0 // revents of the log
	TBNZ $0, R0, wake // POLLIN
	MOVD ZR, R0
	MOVD $SYS_exit_group, R8
	SVC

alive:
	CBNZ R22, wake

wait:
	ADD $0, RSP, R0
	MOVD $3, R1
	MOVD R21, R2
	MOVD ZR, R3
	MOVD ZR, R4
	MOVD $SYS_ppoll, R8
	SVC
	CMN $4, R0 // EINTR: this process was stopped and continued
	BEQ reap
	CMP $0, R0
	BLE wake
	MOVHU 14(RSP), R0 // revents of SIGTERM
	CBZ R0, other
	MOVW sleeper_worker(R20), R0
	MOVD $SIGTERM, R1
	MOVD $SYS_kill, R8
	SVC
	B wake

other:
	MOVHU 6(RSP), R0 // revents of the link
	CBZ R0, dead
	MOVW sleeper_worker(R20), R0
	MOVD $SIGCONT, R1
	MOVD $SYS_kill, R8
	SVC
	MOVD $-1, R0
	MOVW R0, 0(RSP) // ppoll skips it from now on
	ADD $sleeper_patience, R20, R21
	B reap

dead:
	MOVW 16(RSP), R0 // SIGCHLD
	ADD $64, RSP, R1
	MOVD $128, R2 // one signalfd_siginfo
	MOVD $SYS_read, R8
	SVC
	B reap

wake:
	CBNZ R22, execute // the worker's number may be that of another process now
	MOVW sleeper_worker(R20), R0
	MOVD $SIGCONT, R1
	MOVD $SYS_kill, R8
	SVC

execute:
	MOVD $SIGTERM, R0
	ADD $sleeper_ignore, R20, R1
	MOVD ZR, R2
	MOVD $8, R3 // bytes of a signal set
	MOVD $SYS_rt_sigaction, R8
	SVC

	ADD $sleeper_image, R20, R0
	MOVD (R19), R3
	ADD $8, R19, R1 // argv
	ADD $16, R19, R2
	ADD R3<<3, R2, R2 // envp
	MOVD $SYS_execve, R8
	SVC

	MOVW sleeper_worker(R20), R0
	NEG R0, R0
	MOVD $SIGTERM, R1
	MOVD $SYS_kill, R8
	SVC
	MOVD $125, R0
	MOVD $SYS_exit_group, R8
	SVC
	BRK

TEXT sleepingEnd<>(SB),NOSPLIT|NOFRAME,$0-0
	RET
