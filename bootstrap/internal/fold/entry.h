// Where the parameters of startFolded are, from where it begins.
#define ENTRY 16
#define SELF 24
#define SIZE 28
#define TEXT_FROM 32
#define TEXT_TO 36
#define SELF_END 40
#define TABLES 44
#define FIRST 48
#define COUNT 52

// Free, from the stack as it was: the status of a process, the end of a path.
#define STATUS -64
#define PATH_END -8

// What is written when there is no way.
#define REASON 96

DATA reason<>+0(SB)/8, $"mitosis:"
DATA reason<>+8(SB)/8, $" this pr"
DATA reason<>+16(SB)/8, $"ogram ha"
DATA reason<>+24(SB)/8, $"s to be "
DATA reason<>+32(SB)/8, $"executed"
DATA reason<>+40(SB)/8, $" from me"
DATA reason<>+48(SB)/8, $"mory, an"
DATA reason<>+56(SB)/8, $"d neithe"
DATA reason<>+64(SB)/8, $"r a memf"
DATA reason<>+72(SB)/8, $"d nor pa"
DATA reason<>+80(SB)/8, $"ges allo"
DATA reason<>+88(SB)/8, $"w that \n"
GLOBL reason<>(SB), RODATA|NOPTR, $96
