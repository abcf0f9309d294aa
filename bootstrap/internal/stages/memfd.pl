# Receives an image into an anonymous file, checks it, and becomes it. It needs nothing
# beyond perl-base of Debian, and contains no single quote. Its arguments: marker, number of
# image bytes, system call number for 64 and for 32 bits, hash wanted, the command that unpacks
# and may hash, the loop to return to, the working directory of the child, how many variables
# were taken out of the environment, these variables as NAME=VALUE, and the child's arguments.
#
# The command prints a line that begins with the hash, and a line that begins with ! for each
# of its parts that has failed. Its other lines give the reason, or are noise of a shell. If it
# can't hash, a library of perl does, or the image itself.

# Descriptors above 2 stay open in programs that this one executes.
$^F=250;
# perl looks for no module in the working directory.
@INC=grep{m{^/}}@INC;
binmode STDIN;
binmode STDOUT;
($m,$n,$w,$v,$h,$u,$l,$q,$x,@a)=@ARGV;
for(splice@a,0,$x){
	my($i,$j)=split/=/,$_,2;
	$ENV{$i}=$j
}
$SIG{PIPE}="IGNORE";

# f reads the rest of the image and forgets it, prints why this start method fails, and returns
# to the loop.
sub f{
	my$t="@_";
	$t=~s/\s+/ /g;
	while($n>0){
		my$c=sysread(STDIN,my$b,$n<65536?$n:65536);
		last if!$c;
		$n-=$c
	}
	syswrite(STDOUT,"\n$m fail memfd-perl 0 $t\n");
	$SIG{PIPE}="DEFAULT";
	exec"/bin/sh","-c",$l,"sh",$q;
	exit 1
}

# The anonymous file. Flag 16 is MFD_EXEC, which kernels from 6.3 on may demand and older
# ones refuse as unknown.
$k=length(pack("p",0))==8?$w+0:$v+0;
$s="mitosis";
$d=syscall($k,$s,16);
$d=syscall($k,$s,0)if$d<0;
f("memfd_create: $!")if$d<0;
$u=~s!FD!/proc/self/fd/$d!g;

# i executes the image in place of this process. The path names the process by number: a sudo that
# intercepts the execution looks for the path as well, and /proc/self would lead it to its own
# descriptors.
sub i{
	exec{"/proc/".readlink("/proc/self")."/fd/$d"}"mitosis",@_
}

# j executes it in a process of its own, and returns the status.
sub j{
	my$p=fork;
	if(defined$p&&!$p){
		i@_;
		exit 1
	}
	return-1 if!$p||waitpid($p,0)<0;
	$?
}

# The command that unpacks has one pipe for its input and one for its output.
pipe(R,W)&&pipe(H,O)||f("pipe: $!");
binmode$_ for*R,*W,*H,*O;
defined($p=fork)||f("fork: $!");
if(!$p){
	close W;
	close H;
	open STDIN,"<&R";
	open STDOUT,">&O";
	open STDERR,">&O";
	$SIG{PIPE}="DEFAULT";
	exec"/bin/sh","-c",$u;
	exit 127
}
close R;
close O;

# The image. After a failure it is still read to its end, so that the loop finds the next plan.
$x="";
while($n>0){
	$c=sysread(STDIN,$b,$n<65536?$n:65536);
	exit 1 if!$c;
	$n-=$c;
	for($o=0;$x eq""&&$o<$c;$o+=$g){
		$g=syswrite(W,$b,$c-$o,$o);
		if(!defined$g){
			$x="write: $!";
			$g=0
		}
	}
}
close W;

# The output of the command: the hash is y, other lines are r, and i is set if a part failed.
$y=$r=$i="";
while(<H>){
	if(/^[0-9a-f]{64}\b/){
		$y=$&
	}else{
		$i=1if s/^!//;
		$r.=$_
	}
}
waitpid$p,0;
f("unpacking: $r")if$i;
f($x)if$x ne"";

# The hash.
if($y eq""&&eval{require Digest::SHA}){
	open(F,"<","/proc/self/fd/$d")||f("open: $!");
	$y=Digest::SHA->new(256)->addfile(*F)->hexdigest;
	close F
}
if($y eq""){
	$y=j("mitosis:check=$h")?"":$h
}
f("hash")if$y ne$h;

# @LOAD@
$SIG{PIPE}="DEFAULT";
# The directory and the variables about it are those from before the first stage left it.
chdir($q)&&($ENV{PWD}=$q);
delete$ENV{OLDPWD};
i@a;
f("exec: $!")
