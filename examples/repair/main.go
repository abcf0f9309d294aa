//go:build linux

// Repair mends a host on which hardly anything works any more: the root file system is
// read-only, /tmp is full, and there is neither python nor perl. It connects, inspects the host,
// remounts, edits one file and verifies it.
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
	"slices"
	"strings"
	"syscall"

	"github.com/mitosis-go/mitosis/connect/ssh"
	"github.com/mitosis-go/mitosis/contexts"
)

// Findings is the result of inspect.
type Findings struct {
	ReadOnly []string // mount points that are read-only
	Full     []string // directories without room
	Missing  []string // interpreters that are not there
	Self     string   // where this program runs from
}

var inspect = contexts.NewFunc("repair.inspect", func(_ context.Context, dirs []string) (Findings, error) {
	var f Findings
	mounts, err := os.Open("/proc/self/mounts")
	if err != nil {
		return f, err
	}
	defer mounts.Close()
	lines := bufio.NewScanner(mounts)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) > 3 && slices.Contains(strings.Split(fields[3], ","), "ro") {
			f.ReadOnly = append(f.ReadOnly, fields[1])
		}
	}
	if err := lines.Err(); err != nil {
		return f, err
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
	return f, err
})

// A Mount is a mount point with the options that it gets.
type Mount struct {
	Dir      string
	ReadOnly bool
}

var remount = contexts.NewFunc("repair.remount", func(_ context.Context, m Mount) (struct{}, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(m.Dir, &s); err != nil {
		return struct{}{}, &os.PathError{Op: "statfs", Path: m.Dir, Err: err}
	}
	// A remount replaces all options, so it has to repeat these. statfs and mount have
	// the same numbers for them.
	flags := uintptr(s.Flags)&(syscall.MS_NOSUID|syscall.MS_NODEV|syscall.MS_NOEXEC|syscall.MS_NOATIME) | syscall.MS_REMOUNT
	if m.ReadOnly {
		flags |= syscall.MS_RDONLY
	}
	if err := syscall.Mount("none", m.Dir, "", flags, ""); err != nil {
		return struct{}{}, &os.PathError{Op: "remount", Path: m.Dir, Err: err}
	}
	return struct{}{}, nil
})

// An Edit replaces a text in a file.
type Edit struct {
	File, Old, New string
}

// apply writes the new contents to a file beside the old one and renames it. So the file is
// complete at every moment, and /tmp is not needed.
var apply = contexts.NewFunc("repair.apply", func(_ context.Context, e Edit) (places int, err error) {
	content, err := os.ReadFile(e.File)
	if err != nil {
		return 0, err
	}
	places = bytes.Count(content, []byte(e.Old))
	if places == 0 {
		return 0, nil
	}
	info, err := os.Stat(e.File)
	if err != nil {
		return 0, err
	}
	owner := info.Sys().(*syscall.Stat_t)
	tmp, err := os.CreateTemp(filepath.Dir(e.File), ".repair")
	if err != nil {
		return 0, err
	}
	_, err = tmp.Write(bytes.ReplaceAll(content, []byte(e.Old), []byte(e.New)))
	err = errors.Join(err, tmp.Chown(int(owner.Uid), int(owner.Gid)), tmp.Chmod(info.Mode()), tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), e.File)
	}
	if err != nil {
		return 0, errors.Join(err, os.Remove(tmp.Name()))
	}
	return places, nil
})

// verify reads the file again and reports whether the edit is there.
var verify = contexts.NewFunc("repair.verify", func(_ context.Context, e Edit) (bool, error) {
	content, err := os.ReadFile(e.File)
	return bytes.Contains(content, []byte(e.New)) && !bytes.Contains(content, []byte(e.Old)), err
})

func main() {
	contexts.Init()
	var hop ssh.Login
	var e Edit
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

func run(ctx context.Context, hop ssh.Login, e Edit) error {
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

	if slices.Contains(f.ReadOnly, "/") {
		err = writable(ctx, host, "/", func() error { return mend(ctx, host, e) })
	} else {
		err = mend(ctx, host, e)
	}
	return errors.Join(err, self.Close())
}

// writable calls do while a mount point is writable, and restores it in any case: it was
// read-only for a reason.
func writable(ctx context.Context, host *contexts.Node, dir string, do func() error) error {
	if _, err := remount.Call(ctx, host, Mount{Dir: dir}); err != nil {
		return err
	}
	fmt.Println("remounted writable:", dir)
	err := do()
	_, again := remount.Call(context.WithoutCancel(ctx), host, Mount{Dir: dir, ReadOnly: true})
	if again == nil {
		fmt.Println("remounted read-only:", dir)
	}
	return errors.Join(err, again)
}

func mend(ctx context.Context, host *contexts.Node, e Edit) error {
	n, err := apply.Call(ctx, host, e)
	if err != nil {
		return err
	}
	fmt.Printf("mended %s in %d places\n", e.File, n)
	ok, err := verify.Call(ctx, host, e)
	if err != nil {
		return err
	}
	if !ok {
		return fmt.Errorf("%s does not hold %q in the place of %q", e.File, e.New, e.Old)
	}
	fmt.Println("verified")
	return nil
}
