# Finds out whether memfd.pl would work here. In place of the image it executes a program that
# only exits. Its arguments: the system call number for 64 and for 32 bits, the program in
# hexadecimal digits. After a failure it prints the reason behind an exclamation mark, and ends
# with status 3.

$^F=250;
@INC=grep{m{^/}}@INC;
sub f{
	print"!@_";
	exit 3
}
$s="mitosis";
$k=length(pack("p",0))==8?$ARGV[0]+0:$ARGV[1]+0;
$d=syscall($k,$s,16);
$d=syscall($k,$s,0)if$d<0;
f("memfd_create: $!")if$d<0;
open F,">&=",$d or f("open: $!");
binmode F;
syswrite F,pack("H*",$ARGV[2]);
# A sudo that intercepts the execution opens the path as well: self would then mean sudo.
defined($p=fork)||f("fork: $!");
if(!$p){
	exec{"/proc/".readlink("/proc/self")."/fd/$d"}"mitosis";
	# 8 is ENOEXEC: the program is for another system. A C library may also give such a
	# program to a shell, which then fails.
	f("execution not allowed, $!")if$!!=8;
	exit 8
}
waitpid$p,0;
exit 3 if$?>>8==3;
f("execution not allowed, signal ".($?&127))if$?&127;
f("@WRONG@")if$?;
# A program with the name of an interpreter may do nothing and be content with that.
print"@WORKS@"
