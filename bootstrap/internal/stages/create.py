# create makes an anonymous file. Its arguments are the numbers of the system call for 64 and for
# 32 bits. Flag 16 is MFD_EXEC: see memfd.pl.
#
# image executes the file in place of this process, whose number its path has: see memfd.pl.
def image(d,*a): os.execv("/proc/%s/fd/%d"%(os.readlink("/proc/self"),d),("mitosis",)+a)
def create(w,v):
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
