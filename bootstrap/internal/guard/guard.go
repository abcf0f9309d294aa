// Package guard has the code that a child runs before any other code of the program.
//
// A child of the tree is two processes. The carrier starts the guard, which runs this package
// and nothing more. The guard starts the worker: the same executable, which goes on to the
// program's main. It watches the link for the parent's end. When the worker is gone, for
// whatever reason, the guard kills all processes that the worker left behind. The worker can't
// do that itself: it may be stopped, spin without ever yielding, or be killed. A worker may be
// detached from its parent: then a timer takes the place of the link (see Lease).
//
// The package starts from init, so that a guard runs no code of its program. It has few
// imports, so that Go initialises it before nearly all other packages (the order is by import
// path among packages whose imports are ready). That protects the worker as well: the guard
// gives it a standard output that is not the link, so even a package-level Println of the
// program corrupts nothing.
//
// The first argument says which kind of process this is:
//
//	mitosis:guard=MARKER    standard input and output are the link
//	mitosis:worker=MARKER   descriptors as in [WorkerIn] and following
//	mitosis:check=SHA256    exits 0 if this executable has that hash; with no hash it
//	                        exits 0, which shows that it can be executed
//	mitosis:memfd           exits unless a seccomp filter kills it; see memfdKills
package guard

import (
	"os"
	"strings"
	"time"
)

// The prefixes of os.Args[1] by which a child is recognised. The rest of the
// word is the marker of the connect, or the hash for CheckPrefix.
const (
	GuardPrefix  = "mitosis:guard="
	WorkerPrefix = "mitosis:worker="
	CheckPrefix  = "mitosis:check="
	memfdWord    = "mitosis:memfd"
	// ImagePrefix begins the next argument, which holds the hash of the image. It is absent
	// if no image was sent.
	ImagePrefix = "image="
)

// markVariable begins an entry in the environment of a worker and of the processes that it
// starts. If the guard is killed, the kernel gives the orphans among them to init. Then only
// this entry says which context they belong to.
const markVariable = "MITOSIS_CONTEXT="

// Unmarked returns an environment without the mark.
func Unmarked(env []string) []string {
	out := make([]string, 0, len(env)+1)
	for _, entry := range env {
		if !strings.HasPrefix(entry, markVariable) {
			out = append(out, entry)
		}
	}
	return out
}

// A Left is a process whose parent has ended.
type Left struct {
	PID  int
	Name string // the name of its program, as ps shows it
}

// The descriptors with which a worker starts, besides 0 (nothing to read) and
// 1 and 2 (the log pipe).
const (
	WorkerIn     = 3 // the link, to read
	WorkerOut    = 4 // the link, to write
	WorkerLog    = 5 // the log pipe's read end
	WorkerStderr = 6 // the carrier's standard error
	WorkerLife   = 7 // read end of a pipe that ends with the guard
	WorkerLease  = 8 // a timer; see Lease
)

// Grace is the time that a worker has to end by itself, after the end of the link or a
// SIGTERM.
const Grace = 2 * time.Second

// reapBudget bounds the killing of the processes that a worker left behind. Only processes
// that can't be killed use it up: the kernel holds them, or they belong to another user.
const reapBudget = 3 * time.Second

// guardsBudget bounds the wait for the guards of contexts below this one. A guard waits for
// them only where there may be jobs. Each of them gives its own worker Grace.
const guardsBudget = Grace + reapBudget

// Marker is the word by which the parent recognises this worker's first
// output; empty in a process that is not a worker.
var Marker string

// ImageHash is the hex SHA-256 of the image that was sent for this worker;
// empty if none was, because the parent's own executable was used.
var ImageHash string

func init() {
	if len(os.Args) < 2 {
		return
	}
	word := os.Args[1]
	if marker, ok := strings.CutPrefix(word, WorkerPrefix); ok {
		Marker = marker
		if len(os.Args) > 2 {
			ImageHash, _ = strings.CutPrefix(os.Args[2], ImagePrefix)
		}
		giveBack()
		prepareWorker()
		return
	}
	if marker, ok := strings.CutPrefix(word, GuardPrefix); ok {
		if runGuard(marker, os.Args[2:]) {
			return
		}
		os.Exit(0)
	}
	if want, ok := strings.CutPrefix(word, CheckPrefix); ok {
		os.Exit(checkSelf(want))
	}
	if word == memfdWord {
		tryMemfd()
		os.Exit(0)
	}
}
