// Package contexts starts copies of the running program at other hosts, as other users and
// in containers, and runs functions and commands there.
//
// A program that calls [Init] at the start of main can start a copy of itself wherever a
// tool opens a pipe: over ssh, through sudo, on the same machine. Nothing has to be
// installed at the far side, and nothing is written to a disk there.
//
// Each copy is a context. Contexts form a tree. At its root is the master, the program that
// the user started. The handle on a context is a [Node].
//
//	// A function that can run in any context. What travels is its number.
//	var diskFree = contexts.NewFunc("disk.free",
//		func(ctx context.Context, path string) (uint64, error) {
//			var s syscall.Statfs_t
//			err := syscall.Statfs(path, &s)
//			return s.Bavail * uint64(s.Bsize), err
//		})
//
//	func main() {
//		contexts.Init() // in a child: serves here and never returns
//
//		ctx := context.Background()
//		self, err := contexts.Start(ctx, nil)
//		if err != nil {
//			log.Fatal(err)
//		}
//		defer self.Close()
//
//		web, err := self.Connect(ctx, ssh.Login{Host: "web1", User: "deploy"})
//		if err != nil {
//			log.Fatal(err)
//		}
//		root, err := web.Connect(ctx, become.Sudo{}) // runs in web: a grandchild
//		if err != nil {
//			log.Fatal(err)
//		}
//		free, err := diskFree.Call(ctx, root, "/var")
//		fmt.Println(free, err)
//	}
//
// # Functions
//
// [NewFunc] registers a typed function under a name. [Func.Call] calls it in a context and
// waits, [Func.Go] does not wait, and [CallAll] calls it in many contexts. [NewSeqFunc] is
// for results that come one by one, [NewConnFunc] for byte streams. Calls that need each
// other share a [Chain] and take one round trip together. Calls go both ways: a child may
// call functions in an ancestor that have the option [AllowDescendants].
//
// A function's ctx has the deadline of the caller's ctx, and is cancelled with it. It is
// also cancelled when the caller is lost.
//
// [NewMailbox] is for values that come unasked, from any number of contexts. Its [Sender]
// may be passed on, its [Receiver] has a channel. With [Node.DialContext] and [Node.Listen]
// a program uses the network of a context's host as if it ran there.
//
// # Services
//
// A [Service] is an object that lives in a context and is called by name: a cache, a pool of
// connections. Its methods are functions. [Nearest] finds the object that was started in the
// context or above it.
//
//	var pages = contexts.NewService("pages", openCache)
//	var page = contexts.NewMethod(pages, "get", (*Cache).Get, contexts.SingleFlight, contexts.AllowDescendants)
//
//	text, err := page.Call(ctx, contexts.Nearest(self), "index")
//
// # Commands
//
// [Node.Command] runs a program on the context's host. It is used like os/exec: see
// [Command].
//
//	out, err := root.Command(ctx, "systemctl", "restart", "nginx").CombinedOutput()
//
// # Files
//
// Package contexts/files copies files and trees to and from a context's host, and has its
// file system. Package contexts/sftp has SFTP. Copies of a program carry only the packages
// that it imports.
//
// # Other processes
//
// With package contexts/attach other processes of the user join a tree, and a context
// outlives the master that started it.
//
// # Life
//
// Connect starts a context. Close ends it with everything below it. A context also ends
// when its parent does, however that happens. It notices by the end of the link, or by a
// missing heartbeat where the network is silent. If the context itself is stopped or spins,
// a small guard process ends it. Processes that it started end with it, daemons included.
// Only jobs of a [Command] with KeepJobs run on. Done and Err of a Node tell of its end. A
// context that was detached with package contexts/attach goes on without a parent, for a
// time.
//
// # Goroutines
//
// A context has the goroutines of its router: one multiplexer, and a reader and a writer
// for each link. It has one for each call that runs, one for each making of a service's
// object and each run that callers share, one for the log, and one for each child, which
// waits for the end of the link. Close of the local node waits for all of them, except for
// functions of the user that do not heed their ctx.
//
// # Errors
//
// Every operation returns *[Error]. It names the operation and the path of hops, and wraps
// the reason. errors.Is and errors.As work on the error of a remote function as if it had
// been returned here.
package contexts

// Where things are: the tree is in init.go (Init, Start, and the life of a child), local.go
// (the context that this process is), child.go (how a child is started), connecting.go (hops
// that another context makes), bounds.go (how many contexts there may be), closing.go (how
// all of it ends), node.go, tree.go, host.go (managed hosts) and config.go. Calls are in
// registry.go (the table of functions), func.go (the caller's side), serve.go (the side where
// they run), chain.go, stream.go (sequences and byte streams), mailbox.go and target.go. Services
// are in service.go (their declaration), service_call.go (methods where they run),
// service_object.go (the life of an object) and service_find.go (which context has one).
// What is done at a host is in command.go, command_start.go, command_state.go, dial.go and
// listen.go. The person and the log at the master are in prompt.go and logs.go, executables
// for far sides in images.go, the way into package attach in succession.go. The engines,
// which know nothing of nodes and functions, are in the packages below internal.
