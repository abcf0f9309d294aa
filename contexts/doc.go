// Package contexts is what programs that divide import.
//
// A Go program that calls [Init] first thing in main can start copies of
// itself wherever some tool opens a pipe: over ssh, through sudo, on the same
// machine. Nothing has to be installed at the far side and nothing is written
// to a disk there. Each copy is a context; contexts form a tree with the
// program that the user started, the master, at the root. The handle on a
// context is a [Node].
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
// [NewFunc] registers a typed function under a name; [Func.Call] calls it in a
// context and waits, [Func.Go] does not wait, [CallAll] asks many contexts.
// [NewSeqFunc] is for results that come one by one, [NewConnFunc] for byte
// streams. Dependent calls share a [Chain] and take one round trip together.
// Calls go both ways: a child may call what an ancestor registered with
// [AllowDescendants].
//
// The deadline of the caller's ctx travels as remaining time, its cancellation
// as a message; a function whose caller is lost is cancelled as well.
//
// [NewMailbox] is for values that come unasked, from any number of contexts: its
// [Sender] is a value that may be passed on, its [Receiver] has a channel. With
// [Node.DialContext] and [Node.Listen] a program uses the network of a context's
// host as if it ran there.
//
// # Commands
//
// [Node.Command] runs a program on the context's host, in the shape of os/exec:
// see [Command].
//
//	out, err := root.Command(ctx, "systemctl", "restart", "nginx").CombinedOutput()
//
// # Files
//
// Copying files and trees to and from a context's host, and its file system,
// are in package contexts/files; SFTP is in package contexts/sftp. What a
// program does not import, its copies do not carry.
//
// # Other processes
//
// Package contexts/attach lets other processes of the user join a tree, and a
// context outlive the master that started it.
//
// # Life
//
// Connect starts a context and Close ends it, with everything below it. A
// context also ends when its parent does, however that happened: by end of
// file, by heartbeat where the network is silent, by a small guard process
// where the context itself is stopped or spins. Processes that it started die
// with it, daemons included, but for those of a [Command] with KeepJobs. Done and Err of a Node tell about its end. Only what
// was detached with package contexts/attach goes on without a parent, for a time.
//
// # Goroutines
//
// A context has the goroutines of its router (one multiplexer, and a reader
// and a writer for each link), one for each call that runs, one for the log,
// and one for each child that waits for the link's end. Close of the local
// node waits for all of them but calls of user functions that do not heed
// their ctx.
//
// # Errors
//
// Every operation returns *[Error], which names what was done and at which
// path of hops, and unwraps to the reason. What a remote function returned is
// recognised by errors.Is and errors.As as if it had been returned here.
package contexts

// Where things are: the tree is in init.go (Init, Start, and the life of a child), local.go
// (the context that this process is), child.go (how a child is started), connecting.go (hops
// that another context makes), bounds.go (how many contexts there may be), closing.go (how
// all of it ends), node.go, tree.go, host.go (managed hosts) and config.go. Calls are in
// registry.go (the table of functions), func.go (the caller's side), serve.go (the side where
// they run), chain.go, stream.go (sequences and byte streams), mailbox.go and target.go.
// What is done at a host is in command.go, command_start.go, command_state.go, dial.go and
// listen.go. The person and the log at the master are in prompt.go and logs.go, executables
// for far sides in images.go, the way into package attach in succession.go. The engines,
// which know nothing of nodes and functions, are in the packages below internal.
