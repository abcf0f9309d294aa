# A Python that is started once and runs modules in children that it forks. It runs none itself.
#
# Its descriptor 0 is a socket. Each request is a length in 4 bytes and then a line, which may have something behind it:
#   zip HASH       the zip of that name, in base64
#   run ID HASH    a task as JSON; with two descriptors, for the outputs of the child
#   kill ID N      the signal N for the session of a task
# Answers are lines: "ready", "status ID N", and "other ID" for a task that does not fit to what was imported.
import array, base64, gc, hashlib, io, json, os, select, signal, socket, struct, sys, zipfile
import importlib.machinery
import glob, runpy, shutil, subprocess, tempfile, traceback  # most modules want them: here they are imported once

ROOT = "/dev/null/ansible_payload.zip"  # the file in which the libraries seem to be; there is none
RESPAWN = "ansible/module_utils/common/respawn.py"  # a library that starts Python anew with the zip


class Library:
    """The files of a zip. Equal files of several zips are compiled once."""

    compiled = {}  # by the hash of the source

    def __init__(self, data):
        self.data, self.files = data, {}
        with zipfile.ZipFile(io.BytesIO(data)) as z:
            for name in z.namelist():
                self.files[name] = z.read(name)
        self.hashes = {}

    def find(self, module):
        """Returns the file of a module, and whether it is a package."""
        base = module.replace(".", "/")
        for name, package in ((base + "/__init__.py", True), (base + ".py", False)):
            if name in self.files:
                return name, package
        return None, False

    def hash(self, name):
        if name not in self.hashes:
            self.hashes[name] = hashlib.sha256(self.files[name]).digest()
        return self.hashes[name]

    def code(self, name):
        key = name, self.hash(name)
        if key not in self.compiled:
            self.compiled[key] = compile(self.files[name], ROOT + "/" + name, "exec", dont_inherit=True)
        return self.compiled[key]

    def compile_all(self):
        for name in self.files:
            if name.endswith(".py"):
                try:
                    self.code(name)
                except (SyntaxError, ValueError):
                    pass  # whoever imports it sees it


class Finder:
    """Finds and loads the modules of a library, as zipimport does."""

    def __init__(self, library):
        self.library = library

    def find_spec(self, fullname, path=None, target=None):
        name, package = self.library.find(fullname)
        if not name:
            return None
        spec = importlib.machinery.ModuleSpec(fullname, self, origin=ROOT + "/" + name, is_package=package)
        spec.has_location = True
        if package:
            spec.submodule_search_locations = [os.path.dirname(spec.origin)]
        return spec

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        exec(self.get_code(module.__name__), module.__dict__)

    def file(self, fullname):
        name, package = self.library.find(fullname)
        if not name:
            raise ImportError(fullname)
        return name, package

    def get_code(self, fullname):
        return self.library.code(self.file(fullname)[0])

    def get_source(self, fullname):
        return self.library.files[self.file(fullname)[0]].decode("utf-8")

    def is_package(self, fullname):
        return self.file(fullname)[1]

    def get_filename(self, fullname):
        return ROOT + "/" + self.file(fullname)[0]

    def get_data(self, path):
        try:
            return self.library.files[path[len(ROOT) + 1:]]
        except KeyError:
            raise OSError(path)


class Preloaded:
    """The libraries that are imported before the fork. They serve zips that have the same files."""

    def __init__(self):
        self.files = {}  # name of the module to (file, hash)

    def load(self, library, task):
        before = set(sys.modules)
        finder = Finder(library)
        sys.meta_path.insert(0, finder)
        try:
            importlib.import_module("ansible.module_utils.basic")
            if task["form"] == "loader":
                importlib.import_module("ansible.module_utils._internal._ansiballz._loader")
        except Exception:
            for name in set(sys.modules) - before:
                del sys.modules[name]
        finally:
            sys.meta_path.remove(finder)
        for name in set(sys.modules) - before:
            file = library.find(name)[0]
            if file:
                self.files[name] = file, library.hash(file)

    def fits(self, library):
        return all(file in library.files and library.hash(file) == h for file, h in self.files.values())


class Zygote:
    def __init__(self, channel, preload):
        self.channel, self.preload = channel, preload
        self.libraries, self.children, self.preloaded = {}, {}, Preloaded()
        self.wake, self.waker = os.pipe()
        for fd in (self.wake, self.waker):
            os.set_blocking(fd, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self.waker)
        gc.disable()

    def serve(self):
        poll = select.poll()
        poll.register(self.channel, select.POLLIN)
        poll.register(self.wake, select.POLLIN)
        while True:
            for fd, _ in poll.poll():
                if fd == self.wake:
                    try:
                        os.read(self.wake, 512)
                    except BlockingIOError:
                        pass
                    self.reap()
                else:
                    request, fds = self.receive()
                    if request is None:
                        return self.end()
                    self.obey(request, fds)

    def receive(self):
        fds = array.array("i")
        head, ancillary, _, _ = self.channel.recvmsg(4, socket.CMSG_LEN(2 * fds.itemsize))
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds.frombytes(data[:len(data) - len(data) % fds.itemsize])
        while head and len(head) < 4:
            more = self.channel.recv(4 - len(head))
            head = head + more if more else b""
        if not head:
            return None, fds
        left, pieces = struct.unpack(">I", head)[0], []
        while left:
            piece = self.channel.recv(left)
            if not piece:
                return None, fds
            pieces.append(piece)
            left -= len(piece)
        return b"".join(pieces), fds

    def tell(self, *words):
        try:
            self.channel.sendall(" ".join(map(str, words)).encode() + b"\n")
        except OSError:
            pass  # the end of the channel is read next

    def obey(self, request, fds):
        line, rest = request.split(b"\n", 1)
        words = line.decode().split(" ")
        if words[0] == "kill":
            for pid in [pid for pid, task in self.children.items() if task == words[1]]:
                self.signal(pid, int(words[2]))
        elif words[0] == "zip":
            try:
                self.libraries[words[1]] = Library(base64.b64decode(rest))
                self.libraries[words[1]].compile_all()
            except Exception:
                traceback.print_exc()  # no zip, or one of a kind that this Python does not know
        else:
            self.run(words[1], self.libraries.get(words[2]), json.loads(rest.decode("utf-8")), fds)

    def run(self, name, library, task, fds):
        if self.preload and library and not self.preloaded.files:
            self.preloaded.load(library, task)
            if hasattr(gc, "freeze"):
                gc.collect()
                gc.freeze()
        pid = -1
        if library and self.preloaded.fits(library):
            try:
                pid = os.fork()
            except OSError:
                traceback.print_exc()
        if pid == 0:
            self.child(task, library, fds)
        for fd in fds:
            os.close(fd)
        if pid < 0:
            return self.tell("other", name)
        self.children[pid] = name

    @staticmethod
    def signal(pid, number):
        try:
            os.killpg(pid, number)
        except OSError:
            try:
                os.kill(pid, number)  # it has not made its session yet
            except OSError:
                pass

    def reap(self):
        while self.children:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            task = self.children.pop(pid, None)
            if task is not None:
                code = 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
                self.tell("status", task, code)

    def end(self):
        """Ends the children, which nobody waits for any more."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            for pid in self.children:
                self.signal(pid, number)
            waited = 0
            while self.children and waited < 50:
                self.reap()
                select.select([], [], [], 0.01)
                waited += 1

    def child(self, task, library, fds):
        """Is the process of a task."""
        code = 1
        try:
            os.setsid()
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.dup2(fds[0], 1)
            os.dup2(fds[1], 2)
            for fd in list(fds) + [self.wake, self.waker]:
                os.close(fd)
            self.channel.close()
            gc.enable()
            os.environ.update(task.get("env") or {})
            code = run(task, library)
        except SystemExit as e:
            code = e.code
        except BaseException:
            traceback.print_exc()
        os._exit(leave(code))


def leave(code):
    """Does what an interpreter does at its end, and returns the exit status."""
    import atexit
    if code is None:
        code = 0
    elif not isinstance(code, int):
        print(code, file=sys.stderr)
        code = 1
    if "threading" in sys.modules:
        try:
            sys.modules["threading"]._shutdown()
        except Exception:
            pass
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            code = 120  # as the interpreter has it
    return code & 255


def run(task, library):
    try:
        os.getcwd()
    except OSError:
        try:
            os.chdir(os.path.expanduser("~"))
        except OSError:
            os.chdir("/")
    if task.get("rlimit_nofile"):
        import resource
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = min(hard, task["rlimit_nofile"])
        if wanted != soft:
            try:
                resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            except ValueError:
                pass
    sys.meta_path.insert(0, Finder(library))
    path, directory = ROOT, None
    if RESPAWN in library.files:
        directory = os.path.realpath(tempfile.mkdtemp(prefix="ansible_payload_"))
        path = os.path.join(directory, "ansible_payload.zip")
        with open(path, "wb") as f:
            f.write(library.data)
        with zipfile.ZipFile(path, "a") as z:
            z.writestr(zipfile.ZipInfo("sitecustomize.py"), "import sys\nsys.path.insert(0, %r)\n" % path)
        sys.path.insert(0, path)
    try:
        params, module = task["params"].encode("utf-8"), task["module"]
        if task["form"] == "loader":
            from ansible.module_utils._internal._ansiballz import _loader
            _loader.run_module(json_params=params, profile=task["profile"], module_fqn=module, modlib_path=path, extensions={})
        else:
            from ansible.module_utils import basic
            basic._ANSIBLE_ARGS = params
            runpy.run_module(mod_name=module, init_globals={"_module_fqn": module, "_modlib_path": path}, run_name="__main__", alter_sys=True)
            print('{"msg": "New-style module did not handle its own exit", "failed": true}')
        return 1
    finally:
        if directory:
            shutil.rmtree(directory, ignore_errors=True)


def main():
    fd = os.dup(0)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.close(null)
    sys.path[:] = [p for p in sys.path if p not in ("", ".")]
    sys.argv[:] = [""]
    channel = socket.socket(fileno=fd)
    zygote = Zygote(channel, PRELOAD)
    zygote.tell("ready")
    zygote.serve()


main()
