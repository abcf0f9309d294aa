package bootstrap

import (
	"fmt"
	"strconv"
	"strings"
)

// memfdNumbers are the system call numbers of memfd_create by machine, for
// interpreters of 64 and of 32 bits. (Linux, arch/*/entry/syscalls.)
func memfdNumbers(goarch string) (wide, narrow int) {
	switch goarch {
	case "amd64", "386":
		return 319, 356
	case "arm64", "arm":
		return 279, 385
	case "ppc64", "ppc64le":
		return 360, 360
	case "s390x":
		return 350, 350
	case "mips64", "mips64le", "mips", "mipsle":
		return 5314, 4354
	}
	return 279, 279 // riscv64, loong64 and everything newer share one table
}

// perlScript needs nothing beyond perl-base of Debian. It may contain no single
// quote. Its arguments: marker, image bytes, system call number for 64 and for
// 32 bits, hash wanted, the command that unpacks (see unpackAndHash), the loop to
// return to, the working directory of the child, how many variables of the
// environment were taken away and these as NAME=VALUE (see withoutPerl), and the
// child's arguments.
//
// Flag 16 is MFD_EXEC, which kernels from 6.3 on may demand and older ones refuse
// as unknown.
//
// What the command prints is a line that begins with the hash, and a line that
// begins with ! for each of its parts that has failed; the rest tells why, or is
// noise of a shell. Where it can't hash, a library of perl does, or the image itself.
const perlScript = `$^F=250;
@INC=grep{m{^/}}@INC;
binmode STDIN;
binmode STDOUT;
($m,$n,$w,$v,$h,$u,$l,$q,$x,@a)=@ARGV;
for(splice@a,0,$x){my($i,$j)=split/=/,$_,2;$ENV{$i}=$j}
$SIG{PIPE}="IGNORE";
sub f{
my$t="@_";$t=~s/\s+/ /g;
while($n>0){my$c=sysread(STDIN,my$b,$n<65536?$n:65536);last if!$c;$n-=$c}
syswrite(STDOUT,"\n$m fail memfd-perl 0 $t\n");
$SIG{PIPE}="DEFAULT";
exec"/bin/sh","-c",$l,"sh",$q;
exit 1
}
$k=length(pack("p",0))==8?$w+0:$v+0;
$s="mitosis";
$d=syscall($k,$s,16);
$d=syscall($k,$s,0)if$d<0;
f("memfd_create: $!")if$d<0;
$e="/proc/self/fd/$d";
$u=~s/FD/$e/g;
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
$x="";
while($n>0){
$c=sysread(STDIN,$b,$n<65536?$n:65536);
exit 1 if!$c;
$n-=$c;
for($o=0;$x eq""&&$o<$c;$o+=$g){$g=syswrite(W,$b,$c-$o,$o);if(!defined$g){$x="write: $!";$g=0}}
}
close W;
$y=$r=$i="";
while(<H>){if(/^[0-9a-f]{64}\b/){$y=$&}else{$i=1if s/^!//;$r.=$_}}
waitpid$p,0;
f("unpacking: $r")if$i;
f($x)if$x ne"";
if($y eq""&&eval{require Digest::SHA}){open(F,"<",$e)||f("open: $!");$y=Digest::SHA->new(256)->addfile(*F)->hexdigest;close F}
if($y eq""){$y=system({$e}"mitosis","mitosis:check=$h")?"":$h}
f("hash")if$y ne$h;
$SIG{PIPE}="DEFAULT";
chdir$q;
exec{$e}"mitosis",@a;
f("exec: $!")`

// perlVariables steer perl before it sees its script: options, modules, layers of
// handles.
const perlVariables = "PERL5OPT PERL5LIB PERLLIB PERL5DB PERL_UNICODE PERLIO PERL_ENCODING"

// perl is how it is started: -C0 keeps it from decoding what it reads.
const perl = "perl -C0 -e "

// withoutPerl takes these variables away and makes "$@" of them. The script puts them
// back for the child.
const withoutPerl = `set --;for x in ` + perlVariables + `;do eval "[ \"\${$x+x}\" ]&&set -- \"\$@\" \"$x=\$$x\"";done;unset ` + perlVariables + `;`

// perl is the plan that makes an anonymous file with perl.
func (p *plan) perl() string {
	wide, narrow := memfdNumbers(p.facts.GOARCH())
	argv := []string{
		p.marker, strconv.Itoa(p.size), strconv.Itoa(wide), strconv.Itoa(narrow),
		p.hash, p.unpackAndHash(), p.loop,
	}
	script := perlScript
	if p.loader != "" {
		script = insertBehind(script, `f("hash")if$y ne$h;`, loadByPerl)
	}
	return p.tryInterpreter("unset "+perlVariables+";command "+perl+quote(perlTrial)) +
		withoutPerl + "exec " + perl + quote(script) + " -- " + quoteAll(argv) + ` "$w" $# "$@" ` + quoteAll(p.args) + ";}"
}

// unpackAndHash is a shell command that unpacks standard input into the file FD,
// and where it can, prints the hash of what it unpacks meanwhile: that costs no
// time where there is a second processor, and on few hosts is the hash computed
// faster than the image arrives. It prints nothing else unless something fails.
func (p *plan) unpackAndHash() string {
	unpack := p.codec.command()
	if unpack == "" {
		unpack = "cat"
	}
	// perl starts a shell of its own for it, which has the environment of this one.
	clean := stageClean + "unset " + unpackVariables + ";"
	// A pipeline has the status of its last command. A tee that can't write the
	// file goes on with the pipe, so the hash alone says nothing about the file.
	checked := func(command string) string {
		name, _, _ := strings.Cut(command, " ")
		return "{ " + command + "||echo !" + name + ": status $? >&2;}"
	}
	hash := hashCommand(p.facts)
	if hash == "" || !p.facts.has("tee") {
		return clean + checked(unpack+" >FD")
	}
	return clean + checked(unpack) + "|" + checked("tee FD") + "|{ " + hash + "||cat >/dev/null;}"
}

// pythonCreate makes an anonymous file, given the system call numbers for 64 and
// for 32 bits.
const pythonCreate = `def create(w,v):
    if hasattr(os,"memfd_create"):
        try: return os.memfd_create("mitosis",16)
        except OSError: return os.memfd_create("mitosis",0)
    import ctypes
    c=ctypes.CDLL(None,use_errno=True)
    k=int(w if sys.maxsize>1<<32 else v)
    for g in 16,0:
        d=c.syscall(k,b"mitosis",g)
        if d>=0: return d
    raise OSError(ctypes.get_errno(),os.strerror(ctypes.get_errno()))
`

// pythonClean is what each script for python begins with: -c has put the working
// directory in front of the places where modules are looked for. sys is built in.
const pythonClean = "import sys;sys.path=[x for x in sys.path if x[:1]=='/']\n"

// python is how it is started: without variables (-E), without what users (-s) or
// packages (-S) have added, and without writing what it has compiled (-B).
const python = "python3 -EsSB -c "

// pythonProgram is a script of several lines as arguments of python3. A plan may
// not have lines; python itself unfolds them, from a literal that means the same in
// Go.
func pythonProgram(script string) string {
	return python + quote(fmt.Sprintf("exec(%q)", pythonClean+script))
}

// pythonScript takes the same arguments as perlScript; its command only unpacks,
// and it hashes by a library. The variable that python sets in its own environment,
// where the locale is C, is as it was for the child.
const pythonScript = `import os,signal,hashlib
m,n,w,v,h,z,l,q,x=sys.argv[1:10]
n=int(n)
os.environ.pop("LC_CTYPE",None)
if x: os.environ["LC_CTYPE"]=x[1:]
signal.signal(signal.SIGPIPE,signal.SIG_IGN)
def fail(t):
    global n
    while n>0:
        b=os.read(0,min(n,65536))
        if not b: break
        n-=len(b)
    os.write(1,("\n%s fail memfd-python3 0 %s\n"%(m," ".join(str(t).split()))).encode())
    signal.signal(signal.SIGPIPE,signal.SIG_DFL)
    os.execv("/bin/sh",["/bin/sh","-c",l,"sh",q])
` + pythonCreate + `def put(d,b):
    while b: b=b[os.write(d,b):]
try:
    d=create(w,v)
    os.set_inheritable(d,True)
except Exception as e:
    fail("memfd_create: %s"%getattr(e,"strerror",e))
s=""
try:
    if z=="zlib":
        import zlib
        u=zlib.decompressobj(31).decompress
    elif z:
        u=None
        r,o=os.pipe()
        p=os.fork()
        if p==0:
            try:
                signal.signal(signal.SIGPIPE,signal.SIG_DFL)
                os.dup2(r,0)
                os.dup2(d,1)
                os.closerange(3,64)
                for k in "` + unpackVariables + `".split(): os.environ.pop(k,None)
                os.execvp(z.split()[0],z.split())
            finally: os._exit(127)
        os.close(r)
    else:
        u=lambda b:b
except Exception as e:
    s=str(e)
while n>0:
    b=os.read(0,min(n,65536))
    if not b: os._exit(1)
    n-=len(b)
    if s: continue
    try:
        if u: put(d,u(b))
        else: put(o,b)
    except Exception as e: s="unpacking: %s"%(getattr(e,"strerror",None) or e)
if not s and u is None:
    os.close(o)
    x=os.waitpid(p,0)[1]
    if x: s="unpacking by %s: status %d"%(z,x>>8)
if s: fail(s)
y=hashlib.sha256()
os.lseek(d,0,0)
while 1:
    b=os.read(d,1<<20)
    if not b: break
    y.update(b)
if y.hexdigest()!=h: fail("hash")
signal.signal(signal.SIGPIPE,signal.SIG_DFL)
try: os.chdir(q)
except OSError: pass
try: os.execv("/proc/self/fd/%d"%d,["mitosis"]+sys.argv[10:])
except Exception as x: fail("exec: %s"%getattr(x,"strerror",x))`

// python is the plan that makes an anonymous file with python3.
func (p *plan) python() string {
	wide, narrow := memfdNumbers(p.facts.GOARCH())
	unpack := p.codec.command()
	if p.codec == Gzip {
		unpack = "zlib" // a process less
	}
	argv := []string{
		p.marker, strconv.Itoa(p.size), strconv.Itoa(wide), strconv.Itoa(narrow),
		p.hash, unpack, p.loop,
	}
	script := pythonScript
	if p.loader != "" {
		script = insertBehind(script, `if y.hexdigest()!=h: fail("hash")`, loadByPython)
	}
	return p.tryInterpreter("command "+pythonProgram(pythonTrial)) + "exec " + pythonProgram(script) + " " +
		quoteAll(argv) + ` "$w" "${LC_CTYPE+x$LC_CTYPE}" ` + quoteAll(p.args) + ";}"
}
