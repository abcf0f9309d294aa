//go:build unix

package files_test

import (
	"context"
	"fmt"
	"io/fs"
	"log"
	"os"
	"path/filepath"
	"strings"

	"github.com/mitosis-go/mitosis/connect/local"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/files"
	"github.com/mitosis-go/mitosis/contexts/pool"
)

// startExample makes a tree of a master and one child, and a directory for the files of
// the example. The child is on this host here, and on another one with ssh.Login.
func startExample(ctx context.Context) (child *contexts.Node, dir string, end func()) {
	self, err := contexts.Start(ctx, nil)
	if err != nil {
		log.Fatal(err)
	}
	child, err = self.Connect(ctx, local.Child{})
	if err != nil {
		log.Fatal(err)
	}
	dir, err = os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	return child, dir, func() {
		self.Close()
		os.RemoveAll(dir)
	}
}

// Put copies a file or a tree to the host of a context. What appears there is complete and checked.
func ExamplePut() {
	ctx := context.Background()
	child, dir, end := startExample(ctx)
	defer end()
	source, target := filepath.Join(dir, "motd"), filepath.Join(dir, "there")
	if err := os.WriteFile(source, []byte("welcome\n"), 0o600); err != nil {
		log.Fatal(err)
	}

	res, err := files.Put(ctx, child, source, target, &files.Options{Mode: 0o644})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%d bytes, SHA-256 %x...\n", res.Size, res.SHA256[:4])
	// Output: 8 bytes, SHA-256 77f44b90...
}

// A large file goes over several connections to its host, which a pool lends. Each lease of the
// pool "bulk" has a connection of its own.
func ExampleOptions_Over() {
	ctx := context.Background()
	self, err := contexts.Start(ctx, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer self.Close()
	p := pool.New(self, nil)
	defer p.Close()
	bulk := p.Named("bulk", 1)
	var on []contexts.Target
	for range 3 {
		lease, err := bulk.GetHops(ctx, local.Child{}) // ssh.Login for another host
		if err != nil {
			log.Fatal(err)
		}
		defer lease.Release()
		on = append(on, lease.Node())
	}
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	source := filepath.Join(dir, "disk.img")
	if err := os.WriteFile(source, make([]byte, 8<<20), 0o600); err != nil {
		log.Fatal(err)
	}

	res, err := files.Put(ctx, on[0], source, filepath.Join(dir, "there"), &files.Options{Over: on[1:]})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(res.Sent, "bytes sent")
	// Output: 8388608 bytes sent
}

// FS is the file system of a context's host. It is an fs.FS, and can be written to as well.
func ExampleFS() {
	ctx := context.Background()
	child, dir, end := startExample(ctx)
	defer end()

	root := files.FS(ctx, child) // names of an fs.FS begin without a slash
	there, err := root.OpenRoot(strings.TrimPrefix(dir, "/"))
	if err != nil {
		log.Fatal(err)
	}
	if err := there.WriteFile("notes.txt", []byte("remember"), 0o600); err != nil {
		log.Fatal(err)
	}
	text, err := fs.ReadFile(there, "notes.txt")
	if err != nil {
		log.Fatal(err)
	}
	names, err := fs.Glob(there, "*.txt")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%v: %s\n", names, text)
	// Output: [notes.txt]: remember
}
