# Finds out whether memfd.py would work here, as trial.pl does for memfd.pl.
import os,signal,hashlib,zlib,binascii
# @CREATE@
def fail(t):
    print("!"+t)
    sys.exit(3)
try:
    d=create(*sys.argv[1:3])
    os.set_inheritable(d,True)
    os.write(d,binascii.unhexlify(sys.argv[3]))
except Exception as e: fail("memfd_create: %s"%(getattr(e,"strerror",None) or e))
p=os.fork()
if p==0:
    try: image(d)
    except OSError as e: os._exit(e.errno)
x=os.waitpid(p,0)[1]
if x==8<<8: fail("@WRONG@")
# A program with the name of an interpreter may do nothing and be content with that.
if not x: print("@WORKS@")
else: fail("execution not allowed, %s"%("signal %d"%(x&127) if x&127 else os.strerror(x>>8)))
