# Checks that changes of files through sshfs arrive at the far side: sshfs.py MOUNTED THERE, where
# MOUNTED is the mount of the directory THERE of the host web. It prints each difference.
import errno, os, random, shlex, subprocess, sys, time

mounted, there = sys.argv[1:]
os.chdir(mounted)
wrong = []


def far(*command):
    return subprocess.run(["ssh", "-n", "web", shlex.join(command)], stdout=subprocess.PIPE).stdout


def content(name):
    return far("cat", there + "/" + name)


def told(name, what):
    return far("stat", "-c", what, there + "/" + name).decode().strip()


def check(about, got, want):
    if got != want:
        wrong.append(f"{about}: {got!r:.200}, want {want!r:.200}")


def error(call, *args):
    try:
        call(*args)
    except OSError as e:
        return e.errno
    return 0


# sshfs does not wait for the answers of writes.
f = os.open("last", os.O_RDWR | os.O_CREAT)
for i in range(20):
    os.pwrite(f, bytes([i]) * 8000, 0)
os.close(f)
check("the last of 20 writes to one place", content("last"), bytes([19]) * 8000)
for i in range(20):
    with open("read", "wb+", buffering=0) as g:
        g.write(b"foo")
        g.write(b"bar")
        g.seek(0)
        check("the bytes just written", g.read(), b"foobar")

f = os.open("short", os.O_RDWR | os.O_CREAT)
os.write(f, b"x" * 14000)
os.ftruncate(f, 100)
check("the size after ftruncate", os.fstat(f).st_size, 100)
os.close(f)
check("made shorter by descriptor", content("short"), b"x" * 100)
f = os.open("short", os.O_WRONLY)
os.ftruncate(f, 300)
os.pwrite(f, b"y", 299)
os.close(f)
check("made longer by descriptor", content("short"), b"x" * 100 + b"\0" * 199 + b"y")
os.truncate("short", 5)
check("made shorter by name", content("short"), b"xxxxx")

f = os.open("gone", os.O_RDWR | os.O_CREAT)
os.write(f, b"before")
os.unlink("gone")
os.write(f, b" after")
check("read without a name", os.pread(f, 100, 0), b"before after")
os.ftruncate(f, 3)
check("the size without a name", os.fstat(f).st_size, 3)
check("the name", os.path.exists("gone"), False)
os.close(f)

f = os.open("times", os.O_RDWR | os.O_CREAT)
os.utime("times", (1000000000, 1100000000))
check("times set by name", told("times", "%X %Y"), "1000000000 1100000000")
os.write(f, b"data")
os.utime(f, (1200000000, 1300000000))
os.close(f)
check("times set by descriptor", told("times", "%X %Y"), "1200000000 1300000000")
s = os.stat("times")
check("times as shown", (s.st_atime, s.st_mtime), (1.2e9, 1.3e9))

for name in "old", "new":
    with open(name, "w") as g:
        g.write(name)
f = os.open("old", os.O_WRONLY)
os.rename("old", "new")
os.write(f, b"OLD+")
os.close(f)
check("renamed over another while open", content("new"), b"OLD+")
check("the old name", os.path.exists("old"), False)
os.mkdir("d1", 0o700)
os.mkdir("d2")
check("the mode of a directory", told("d1", "%a"), "700")
os.rename("d1", "d2")
check("a directory renamed over an empty one", told("d2", "%a"), "700")
open("d2/x", "w").close()
os.mkdir("d3")
check("over one that is not", error(os.rename, "d3", "d2") != 0, True)
check("removing one that is not empty", error(os.rmdir, "d2") != 0, True)
check("removing a file as a directory", error(os.rmdir, "new"), errno.ENOTDIR)
check("removing a directory as a file", error(os.unlink, "d3") != 0 and os.path.isdir("d3"), True)
check("a file that must be new", error(os.open, "new", os.O_CREAT | os.O_EXCL | os.O_WRONLY) != 0, True)

os.link("new", "second")
with open("second", "a") as g:
    g.write("more")
check("by the other name", content("new"), b"OLD+more")
check("names", told("new", "%h"), "2")
os.symlink("x/y", "link")
check("a link", (told("link", "%N"), os.readlink("link")), (f"'{there}/link' -> 'x/y'", "x/y"))
f = os.open("mode", os.O_CREAT | os.O_WRONLY, 0o600)
os.fchmod(f, 0o4750)
os.close(f)
check("a mode set by descriptor", told("mode", "%a"), "4750")

a = os.open("append", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
b = os.open("append", os.O_WRONLY | os.O_APPEND)
os.write(a, b"one")
os.close(a)
os.write(b, b"two")
os.close(b)
check("appended by two", content("append"), b"onetwo")
v = os.statvfs(".")
check("the file system", f"{v.f_blocks} {v.f_frsize}", far("stat", "-f", "-c", "%b %S", there).decode().strip())
os.mkdir("many")
for i in range(250):
    open(f"many/{i}", "w").close()
with os.scandir("many") as all:
    for e in all:
        os.unlink(e.path)
check("removed while they were listed", far("ls", there + "/many"), b"")

# Random reads, writes and cuts, beside a file in memory.
r, model = random.Random(1), bytearray()
f = os.open("random", os.O_RDWR | os.O_CREAT)
for i in range(300):
    at, n = r.randrange(200000), r.randrange(1, 40000)
    what = r.randrange(10)
    if what < 4:
        data = r.randbytes(n)
        os.pwrite(f, data, at)
        model.extend(bytes(max(0, at - len(model))))
        model[at : at + n] = data
    elif what < 7:
        check(f"step {i}: read at {at}", os.pread(f, n, at) == model[at : at + n], True)
    elif what == 7:
        os.ftruncate(f, at)
        del model[at:]
        model.extend(bytes(at - len(model)))
    elif what == 8:
        check(f"step {i}: the size", os.fstat(f).st_size, len(model))
    elif i % 5 == 0:
        os.fsync(f)
        check(f"step {i}: the file after fsync is as its copy in memory", content("random") == model, True)
os.close(f)
check("the file in the end is as its copy in memory", content("random") == model, True)

deadline = time.monotonic() + 20
while b"hidden" in far("ls", "-a", there) and time.monotonic() < deadline:
    time.sleep(0.01)  # sshfs removes files that were open without a name a little later
check("a hidden file is left", b"hidden" in far("ls", "-a", there), False)
print("\n".join(wrong), end="")
sys.exit(len(wrong) > 0)
