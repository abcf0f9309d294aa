// Quickstart makes three hops: over ssh, through sudo if that needs no password, and to a child
// of that. It makes calls in both directions, shows the logs of all contexts and their tree, and
// ends it.
//
// It starts an SSH server of its own on loopback, with throw-away keys. So it runs on any
// machine with Go and a shell:
//
//	go run ./examples/quickstart
package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"os/user"
	"path/filepath"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/become"
	"github.com/mitosis-go/mitosis/connect/local"
	"github.com/mitosis-go/mitosis/connect/ssh"
	"github.com/mitosis-go/mitosis/contexts"
)

// Usage is the result of a call: any type that CBOR can carry.
type Usage struct {
	Total, Free uint64 // bytes
}

// diskFree can run in every context. The compiler checks its types at both ends; a call only
// sends its number and its argument.
var diskFree = contexts.NewFunc("quickstart.diskfree",
	func(ctx context.Context, path string) (Usage, error) {
		slog.Info("looking", "path", path) // arrives at the master's logger
		use, err := usage(path)
		if err != nil {
			return Usage{}, &fs.PathError{Op: "statfs", Path: path, Err: err}
		}
		return use, nil
	})

// greet runs in the master. Every descendant may call it.
var greet = contexts.NewFunc("quickstart.greet",
	func(ctx context.Context, from int) (string, error) {
		return fmt.Sprintf("hello %v, process %d", contexts.Caller(ctx), from), nil
	}, contexts.AllowDescendants)

// phoneHome runs in a child and calls the master back.
var phoneHome = contexts.NewFunc("quickstart.phonehome",
	func(ctx context.Context, home *contexts.Node) (string, error) {
		return greet.Call(ctx, home, os.Getpid())
	})

func main() {
	contexts.Init() // in a child: serves here and never returns

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		log.SetFlags(0)
		log.Print(err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	sshd, err := startServer()
	if err != nil {
		return err
	}
	defer sshd.Close()
	dir, err := os.MkdirTemp("", "quickstart")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	known := filepath.Join(dir, "known_hosts")
	if err := os.WriteFile(known, []byte(sshd.KnownHost), 0o600); err != nil {
		return err
	}
	me, err := user.Current()
	if err != nil {
		return err
	}

	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: dropTime}))
	slog.SetDefault(logger)
	self, err := contexts.Start(ctx, &contexts.Config{Log: logger})
	if err != nil {
		return err
	}
	defer self.Close()

	start := time.Now()
	far, err := self.Connect(ctx, ssh.Login{
		Host: "127.0.0.1", Port: sshd.Port, User: me.Username, NoConfig: true,
		Keys: []connect.Secret{connect.Secret(sshd.ClientKey)}, KnownHostsFiles: []string{known},
	})
	if err != nil {
		return err
	}
	fmt.Printf("over ssh in %v: %v\n", time.Since(start).Round(time.Millisecond), far)

	start = time.Now()
	second, err := far.Connect(ctx, secondHop())
	if err != nil {
		return err
	}
	fmt.Printf("one hop on in %v: %v\n", time.Since(start).Round(time.Millisecond), second)
	third, err := second.Connect(ctx, local.Child{})
	if err != nil {
		return err
	}

	nodes := []*contexts.Node{self, far, second, third}
	for node, r := range contexts.CallAll(ctx, diskFree, nodes, "/") {
		if r.Err != nil {
			return r.Err
		}
		fmt.Printf("%v: %d of %d MiB free\n", node, r.Value.Free>>20, r.Value.Total>>20)
	}
	if _, err = diskFree.Call(ctx, third, "/no/such/place"); errors.Is(err, fs.ErrNotExist) {
		fmt.Println("an error keeps its meaning:", err)
	}
	answer, err := phoneHome.Call(ctx, third, self)
	if err != nil {
		return err
	}
	fmt.Println("called back:", answer)

	if err := printTree(ctx, self); err != nil {
		return err
	}
	if err := self.Close(); err != nil {
		return err
	}
	fmt.Println("all contexts have ended")
	return nil
}

// secondHop returns sudo if that needs no password, and otherwise a plain child.
func secondHop() connect.Method {
	if exec.Command("sudo", "-n", "true").Run() == nil {
		return become.Sudo{User: "root"}
	}
	return local.Child{}
}

func printTree(ctx context.Context, self *contexts.Node) error {
	tree, err := self.Tree(ctx)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nID\tPATH\tPID\tUSER\tROUND TRIP\tSENT\tREAD\tSTARTED FROM")
	for _, c := range tree {
		rtt := time.Duration(0)
		if c.Node != self {
			if rtt, err = c.Node.Ping(ctx); err != nil {
				return err
			}
		}
		fmt.Fprintf(w, "%d\t%s\t%d\t%s\t%v\t%d\t%d\t%s\n",
			c.ID, c.Path, c.PID, c.User, rtt.Round(time.Microsecond), c.BytesSent, c.BytesRead, c.StartMethod)
	}
	fmt.Fprintln(w)
	return w.Flush()
}

func dropTime(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}
