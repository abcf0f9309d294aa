package files

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/mitosis-go/mitosis/contexts/files/internal/checksum"
	"github.com/mitosis-go/mitosis/contexts/files/internal/disk"
	"github.com/mitosis-go/mitosis/contexts/files/internal/wire"
	"github.com/mitosis-go/mitosis/core"
)

// receiver is one call of receive. All of it is owned by the goroutine of that call, but
// for the fields that jobs use: those are immutable, or guarded by notesMu.
type receiver struct {
	// Immutable.
	target      string // absolute
	o           Options
	conn        conn
	in          *wire.Reader
	out         *wire.Writer
	descriptors bool // a descriptor of this process may be a target, as it is the user's

	tree       bool         // the target is a directory; known from the first entry on
	top        *disk.Dir    // the target itself, or the directory that it is in
	entered    place        // of the last entry
	written    place        // of the last contents
	made       []wire.Entry // directories that this copy has made; they get their attributes at the end
	waiting    []*file      // announced, oldest first
	unsaid     int          // verdicts that are not flushed
	descriptor int          // of this process, if that is the target; -1: none
	torn       *file        // the file that is written in place and not complete; nil: none

	jobs    jobQueue         // small files that are being written
	sum     *checksum.Hasher // nil until a file needs it
	entries int
	bytes   int64 // of contents: announced, or received where the size was not announced
	res     Result
	done    Progress

	notesMu   sync.Mutex
	notes     []Note // guarded by notesMu
	notesSize int    // of their texts, in bytes; guarded by notesMu
}

// receive receives a copy, a file or a tree, from the sender at the other end of c. It
// returns when the copy is complete, or at the first error on either side. The error
// names the file, and the connection has been reset with it.
//
// With an empty target the copy gets a new name in the directory for temporary files.
// descriptors allows names like /dev/stdout.
func receive(c conn, target string, o Options, descriptors bool) (Result, error) {
	r := &receiver{o: o.withDefaults(), conn: c, in: wire.NewReader(c), out: wire.NewWriter(c), descriptors: descriptors, descriptor: -1}
	err := r.locate(target)
	if err == nil {
		err = r.receive()
	}
	if failed := r.jobs.wait(); err == nil {
		err = failed
	}
	if err == nil {
		err = r.finish()
	}
	r.close()
	err = r.whyInterrupted(err)
	if err != nil && r.torn != nil {
		err = r.incomplete(r.torn.Path, err)
	}
	if err != nil {
		c.Reset(err)
		return Result{}, err
	}
	return r.res, nil
}

// whyInterrupted replaces the error of waiting for a device or a pipe by the reason for
// which the connection has ended, if that has interrupted it.
func (r *receiver) whyInterrupted(err error) error {
	if !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, syscall.ENXIO) {
		return err
	}
	select {
	case <-r.conn.Done():
		if _, why := r.conn.Write(nil); why != nil {
			return why
		}
	default:
	}
	return err
}

func (r *receiver) locate(target string) (err error) {
	if target == "" {
		target = filepath.Join(os.TempDir(), disk.TempName()[1:])
		r.o.NoReplace = true
	}
	r.target, err = filepath.Abs(target)
	r.res.Target = r.target
	return err
}

// receive reads records up to the last one of the sender.
func (r *receiver) receive() error {
	for {
		// The sender must have all verdicts before we wait for it.
		if r.in.MayWait() {
			r.jobs.flush()
			if err := r.flush(); err != nil {
				return err
			}
		}
		kind, size, err := r.in.Next()
		if err == nil {
			err = r.jobs.failed()
		}
		if err == nil && kind == wire.RecEnd {
			return r.onEnd(size)
		}
		if err == nil {
			err = r.record(kind, size)
		}
		if err != nil {
			return err
		}
	}
}

func (r *receiver) record(kind byte, size int) error {
	if kind == wire.RecEntry {
		if len(r.waiting) > 0 && r.waiting[0].output != nil {
			return wire.ProtocolError("an entry amid the contents of a file")
		}
		e := new(wire.Entry)
		if err := r.in.Value(size, e); err != nil {
			return err
		}
		return r.entry(e)
	}
	if len(r.waiting) == 0 {
		return wire.ProtocolError("contents of no file")
	}
	f := r.waiting[0]
	var err error
	switch kind {
	case wire.RecData:
		err = f.data(size)
	case wire.RecHole:
		err = f.hole(size)
	case wire.RecOffset:
		err = f.resume(size)
	case wire.RecFinish:
		err = f.finish(size)
	case wire.RecSame:
		err = f.same(size)
	default:
		return wire.ProtocolError("a record that a sender does not send")
	}
	if err == nil && (kind == wire.RecSame || kind == wire.RecFinish) {
		r.waiting[0] = nil
		r.waiting = r.waiting[1:]
		r.done.Files++
		r.progress(f.Path, 0)
	}
	return err
}

func (r *receiver) progress(name string, n int64) {
	r.done.Name = name
	if r.done.Bytes += n; r.o.Progress != nil {
		r.o.Progress(r.done)
	}
}

// onEnd takes the last record of the sender.
func (r *receiver) onEnd(size int) error {
	var end wire.Ending
	if err := r.in.Value(size, &end); err != nil {
		return err
	}
	if len(r.waiting) > 0 || r.top == nil {
		return wire.ProtocolError("an end before that of a file")
	}
	r.res.Source = end.Source
	r.res.Skipped = end.Skipped[:min(len(end.Skipped), maxSkipped)]
	return nil
}

// finish completes the directories, when all files are written, and sends the result.
func (r *receiver) finish() error {
	for i := len(r.made) - 1; i >= 0; i-- {
		if err := r.completeDir(&r.made[i]); err != nil {
			return r.failure(r.made[i].Path, err)
		}
	}
	r.res.Notes = r.notes
	if err := r.out.Value(wire.RecResult, r.res); err != nil {
		return err
	}
	return r.flush()
}

// close closes all files and directories, and removes files that are not complete.
func (r *receiver) close() {
	for _, f := range r.waiting {
		f.abandon() // in general only the first has a file open
	}
	r.entered.leave()
	r.written.leave()
	r.top.Release()
	if r.sum != nil {
		r.sum.Close()
	}
}

// entry takes an entry.
func (r *receiver) entry(e *wire.Entry) error {
	if r.entries++; r.entries > r.o.MaxEntries {
		return r.tooMuch(e.Path, "more than %d entries", r.o.MaxEntries)
	}
	if first := r.top == nil; first != (e.Path == "") || !first && !r.tree {
		return wire.ProtocolError("an entry in a place where none can be")
	}
	if err := wire.CheckPath(e.Path, r.o.MaxDepth); err != nil {
		return err
	}
	var err error
	switch {
	case e.Path == "":
		err = r.first(e)
	case e.Kind == wire.KindDir:
		err = r.makeDir(e)
	case e.Kind == wire.KindSymlink:
		err = r.makeSymlink(e)
	case e.Kind == wire.KindFile:
		err = r.newFile(e)
	default:
		return wire.ProtocolError("an entry of a kind that is not known")
	}
	return r.failure(e.Path, err)
}

// first takes the first entry, which is the target itself.
func (r *receiver) first(e *wire.Entry) (err error) {
	switch e.Kind {
	case wire.KindDir:
		r.tree = true
		return r.openTarget(e)
	case wire.KindFile:
		if n, ok := disk.DescriptorOf(r.target); ok {
			r.descriptor = n
		}
		path, _ := filepath.Split(r.target)
		root, err := os.OpenRoot(path)
		if err != nil {
			return err
		}
		if r.top, err = disk.NewDir(root, filepath.Clean(path), false); err != nil {
			return err
		}
		return r.newFile(e)
	}
	return wire.ProtocolError("a copy that is neither file nor directory")
}

// openTarget opens the directory that a tree is copied to. It makes the directory if
// that is missing.
func (r *receiver) openTarget(e *wire.Entry) error {
	made := true
	if err := os.Mkdir(r.target, 0o700); os.IsExist(err) && !r.o.NoReplace {
		made = false
	} else if err != nil {
		return err
	}
	root, err := os.OpenRoot(r.target)
	if info, statErr := os.Stat(r.target); err != nil && statErr == nil && !info.IsDir() {
		return syscall.ENOTDIR // the error of OpenRoot does not match it
	}
	if err != nil {
		return err
	}
	if r.top, err = disk.NewDir(root, r.target, made); err != nil {
		return err
	}
	r.res.Dirs++
	if made {
		r.made = append(r.made, *e)
	}
	return nil
}

// failure adds the name of the target to an error.
func (r *receiver) failure(path string, err error) error {
	switch err.(type) {
	case nil:
		return nil
	case *core.Error, *core.RemoteError: // of the protocol, or of the other side
		return err
	}
	name := r.target
	if path != "" {
		name = filepath.Join(name, filepath.FromSlash(path))
	}
	return pathError("write", name, disk.Reason(err))
}

// incomplete returns the error for a target that was being written in place.
func (r *receiver) incomplete(path string, err error) error {
	if !errors.Is(err, ErrIncomplete) {
		err = fmt.Errorf("%w; %w", disk.Reason(err), ErrIncomplete)
	}
	return pathError("write", filepath.Join(r.target, filepath.FromSlash(path)), err)
}

func (r *receiver) tooMuch(path, format string, args ...any) error {
	return r.failure(path, fmt.Errorf("%w: "+format, append([]any{core.ErrTooLarge}, args...)...))
}

// account counts bytes of contents, and returns an error if they are too many.
func (r *receiver) account(path string, n int64) error {
	if r.bytes += n; r.o.MaxBytes > 0 && r.bytes > r.o.MaxBytes {
		return r.tooMuch(path, "more than %d bytes", r.o.MaxBytes)
	}
	return nil
}
