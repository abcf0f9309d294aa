# Receives an image into an anonymous file, checks it, and becomes it. Its arguments are those of
# memfd.pl, but for two. The command that unpacks does not hash, which a library does here, and
# "zlib" stands for a library. In place of the variables that were taken away is LC_CTYPE: "x"
# and its value, or nothing if it was not set.
import os,signal,hashlib
m,n,w,v,h,z,l,q,x=sys.argv[1:10]
n=int(n)
# Where the locale is C, python sets LC_CTYPE in its own environment. The child gets the
# value from before.
os.environ.pop("LC_CTYPE",None)
if x: os.environ["LC_CTYPE"]=x[1:]
signal.signal(signal.SIGPIPE,signal.SIG_IGN)

# fail reads the rest of the image and forgets it, prints why this start method fails, and
# returns to the loop.
def fail(t):
    global n
    while n>0:
        b=os.read(0,min(n,65536))
        if not b: break
        n-=len(b)
    os.write(1,("\n%s fail memfd-python3 0 %s\n"%(m," ".join(str(t).split()))).encode())
    signal.signal(signal.SIGPIPE,signal.SIG_DFL)
    os.execv("/bin/sh",["/bin/sh","-c",l,"sh",q])
# @CREATE@
def put(d,b):
    while b: b=b[os.write(d,b):]
try:
    d=create(w,v)
    os.set_inheritable(d,True)
except Exception as e:
    fail("memfd_create: %s"%getattr(e,"strerror",e))

# Unpacking: u is a function that unpacks one piece, or None if a command unpacks.
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
                for k in "@VARIABLES@".split(): os.environ.pop(k,None)
                os.execvp(z.split()[0],z.split())
            finally: os._exit(127)
        os.close(r)
    else:
        u=lambda b:b
except Exception as e:
    s=str(e)

# The image. After a failure it is still read to its end, so that the loop finds the next plan.
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

# The hash.
y=hashlib.sha256()
os.lseek(d,0,0)
while 1:
    b=os.read(d,1<<20)
    if not b: break
    y.update(b)
if y.hexdigest()!=h: fail("hash")
# @LOAD@
signal.signal(signal.SIGPIPE,signal.SIG_DFL)
# The directory and the variables about it are those from before the first stage left it.
os.environ.pop("OLDPWD",None)
try:
    os.chdir(q)
    os.environ["PWD"]=q
except OSError: pass
try: image(d,*sys.argv[10:])
except Exception as x: fail("exec: %s"%getattr(x,"strerror",x))
