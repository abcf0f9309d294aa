//go:build linux

// Repair mends a host on which hardly anything works any more: the root file
// system is read-only, /tmp is full, and there is neither python nor perl. It
// attaches, looks around, remounts, mends one file and verifies that.
//
//	go run ./examples/repair -host web1 -user root -file /etc/app.conf -old broken -new mended
package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/contexts"
)

// Findings is what inspect sees.
type Findings struct {
	ReadOnly []string          // mount points that are read-only
	Full     []string          // directories without room
	Missing  []string          // interpreters that are not there
	Self     string            // where this program runs from
	Facts    map[string]string // whatever else is good to know
}

var inspect = contexts.NewFunc("repair.inspect", func(_ context.Context, dirs []string) (Findings, error) {
	f := Findings{Facts: make(map[string]string)}
	mounts, err := os.Open("/proc/self/mounts")
	if err != nil {
		return f, err
	}
	defer mounts.Close()
	for s := bufio.NewScanner(mounts); s.Scan(); {
		fields := strings.Fields(s.Text())
		if len(fields) > 3 && (fields[3] == "ro" || strings.HasPrefix(fields[3], "ro,")) {
			f.ReadOnly = append(f.ReadOnly, fields[1])
		}
	}
	for _, dir := range dirs {
		var s syscall.Statfs_t
		if err := syscall.Statfs(dir, &s); err == nil && s.Blocks > 0 && s.Bavail == 0 {
			f.Full = append(f.Full, dir)
		}
	}
	for _, name := range []string{"python3", "perl"} {
		if _, err := exec.LookPath(name); errors.Is(err, exec.ErrNotFound) {
			f.Missing = append(f.Missing, name)
		}
	}
	f.Self, err = os.Readlink("/proc/self/exe")
	f.Facts["pid"] = fmt.Sprint(os.Getpid())
	return f, err
})

// remount makes a mount point writable or read-only.
type mount struct {
	Dir      string
	ReadOnly bool
}

var remount = contexts.NewFunc("repair.remount", func(_ context.Context, m mount) (struct{}, error) {
	flags := uintptr(syscall.MS_REMOUNT)
	if m.ReadOnly {
		flags |= syscall.MS_RDONLY
	}
	return struct{}{}, os.NewSyscallError("mount", syscall.Mount("none", m.Dir, "", flags, ""))
})

// edit replaces a text in a file, by way of a new file beside it, so that the
// old or the new content is there at every moment.
type edit struct {
	File, Old, New string
}

var apply = contexts.NewFunc("repair.apply", func(_ context.Context, e edit) (int, error) {
	content, err := os.ReadFile(e.File)
	if err != nil {
		return 0, err
	}
	n := bytes.Count(content, []byte(e.Old))
	if n == 0 {
		return 0, nil
	}
	content = bytes.ReplaceAll(content, []byte(e.Old), []byte(e.New))
	info, err := os.Stat(e.File)
	if err != nil {
		return 0, err
	}
	tmp, err := os.CreateTemp(filepath.Dir(e.File), ".repair")
	if err != nil {
		return 0, err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(content)
	err = errors.Join(err, tmp.Chmod(info.Mode()), tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), e.File)
	}
	return n, err
})

var contains = contexts.NewFunc("repair.contains", func(_ context.Context, e edit) (bool, error) {
	content, err := os.ReadFile(e.File)
	return bytes.Contains(content, []byte(e.New)), err
})

func main() {
	contexts.Init()
	var hop connect.SSH
	var e edit
	flag.StringVar(&hop.Host, "host", "localhost", "the damaged host")
	flag.IntVar(&hop.Port, "port", 0, "its port; 0 is what the ssh configuration says")
	flag.StringVar(&hop.User, "user", "root", "user to log in as")
	identity := flag.String("identity", "", "file of the private key; empty is what the ssh configuration says")
	known := flag.String("known-hosts", "", "known_hosts file; empty is what the ssh configuration says")
	flag.StringVar(&e.File, "file", "/etc/app.conf", "file to mend")
	flag.StringVar(&e.Old, "old", "broken", "text to replace there")
	flag.StringVar(&e.New, "new", "mended", "text to put in its place")
	flag.Parse()
	if *identity != "" {
		hop.IdentityFiles = []string{*identity}
	}
	if *known != "" {
		hop.KnownHostsFiles = []string{*known}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, hop, e); err != nil {
		log.SetFlags(0)
		log.Print(err)
		os.Exit(1)
	}
}

func run(ctx context.Context, hop connect.SSH, e edit) error {
	self, err := contexts.Start(ctx, nil)
	if err != nil {
		return err
	}
	defer self.Close()
	host, err := self.Connect(ctx, hop)
	if err != nil {
		return err
	}
	fmt.Println("attached:", host)

	f, err := inspect.Call(ctx, host, []string{"/", "/tmp"})
	if err != nil {
		return err
	}
	fmt.Printf("read-only: %v\nfull: %v\nmissing: %v\nrunning from: %s\n", f.ReadOnly, f.Full, f.Missing, f.Self)

	for _, dir := range f.ReadOnly {
		if dir != "/" {
			continue
		}
		if _, err := remount.Call(ctx, host, mount{Dir: dir}); err != nil {
			return err
		}
		fmt.Println("remounted writable:", dir)
		// It was read-only for a reason; leave it as it was found.
		defer func() {
			if _, err := remount.Call(context.WithoutCancel(ctx), host, mount{Dir: dir, ReadOnly: true}); err != nil {
				fmt.Println(err)
			} else {
				fmt.Println("remounted read-only:", dir)
			}
		}()
	}
	n, err := apply.Call(ctx, host, e)
	if err != nil {
		return err
	}
	fmt.Printf("mended %s in %d places\n", e.File, n)
	ok, err := contains.Call(ctx, host, e)
	if err != nil {
		return err
	}
	if !ok {
		return fmt.Errorf("%s does not hold %q after all", e.File, e.New)
	}
	fmt.Println("verified")
	return nil
}
