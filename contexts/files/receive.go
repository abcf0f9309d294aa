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

// receiver is one receive under way. But for the jobs of writers, all of it is
// owned by the goroutine that called receive.
type receiver struct {
	// Immutable.
	target      string // absolute
	o           Options
	conn        conn
	in          *wire.Reader
	out         *wire.Writer
	descriptors bool // those of this process are the user's, and may be a target

	tree       bool         // the target is a directory; known from the first entry on
	top        *disk.Dir    // the target itself, or the directory that it is in
	entered    place        // where the last entry is
	written    place        // where the last contents went
	made       []wire.Entry // directories that get their attributes at the end
	waiting    []*file      // announced, oldest first
	unsaid     int          // verdicts that are not on their way
	descriptor int          // of this process, which is the target; -1: it is none
	torn       *file        // is being written in place and not complete; nil: none

	files   writers
	sum     *checksum.Hasher // nil until a file needs it
	entries int
	bytes   int64 // announced or come
	res     Result
	done    Progress

	notesMu   sync.Mutex
	notes     []Note // guarded by notesMu
	notesSize int    // of their texts, in bytes; guarded by notesMu
}

// receive takes a copy from the sender at the other end of c and makes it
// target: a file, or a directory. It returns when the copy is complete, or at
// the first error on either side, with which the connection has then been
// reset and which names the file.
//
// Where target is empty the copy gets a new name in the directory for
// temporary files. descriptors tells that names like /dev/stdout may be used.
func receive(c conn, target string, o Options, descriptors bool) (Result, error) {
	r := &receiver{o: o.withDefaults(), conn: c, in: wire.NewReader(c), out: wire.NewWriter(c), descriptors: descriptors, descriptor: -1}
	err := r.locate(target)
	if err == nil {
		err = r.run()
	}
	if failed := r.files.wait(); err == nil {
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

// whyInterrupted finds the reason where something that waited for a device or a
// pipe was told not to, as the connection has ended.
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

// run reads records until the sender's end.
func (r *receiver) run() error {
	for {
		// What was said has to arrive before anything is waited for.
		if r.in.MayWait() {
			r.files.flush()
			if err := r.flush(); err != nil {
				return err
			}
		}
		kind, size, err := r.in.Next()
		if err == nil {
			err = r.files.failed()
		}
		if err == nil && kind == wire.RecEnd {
			return r.end(size)
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

// end takes the sender's last word.
func (r *receiver) end(size int) error {
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

// finish tells the result when all is written.
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

// close gives back what is held. What was not completed is removed.
func (r *receiver) close() {
	for _, f := range r.waiting {
		f.abandon() // in general only the first has anything
	}
	r.entered.leave()
	r.written.leave()
	r.top.Release()
	if r.sum != nil {
		r.sum.Close()
	}
}

// entry takes what is announced.
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

// first takes the entry of the target itself.
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

// openTarget opens the directory that a tree is copied to, making it where it
// is not there.
func (r *receiver) openTarget(e *wire.Entry) error {
	made := true
	if err := os.Mkdir(r.target, 0o700); os.IsExist(err) && !r.o.NoReplace {
		made = false
	} else if err != nil {
		return err
	}
	root, err := os.OpenRoot(r.target)
	if info, statErr := os.Stat(r.target); err != nil && statErr == nil && !info.IsDir() {
		return syscall.ENOTDIR // which OpenRoot says in its own words
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

// failure names the target that something went wrong with.
func (r *receiver) failure(path string, err error) error {
	switch err.(type) {
	case nil:
		return nil
	case *core.Error, *core.RemoteError: // the protocol's, or the other side's
		return err
	}
	name := r.target
	if path != "" {
		name = filepath.Join(name, filepath.FromSlash(path))
	}
	return pathError("write", name, disk.Reason(err))
}

// incomplete is the failure of a target that was being written in place.
func (r *receiver) incomplete(path string, err error) error {
	if !errors.Is(err, ErrIncomplete) {
		err = fmt.Errorf("%w; %w", disk.Reason(err), ErrIncomplete)
	}
	return pathError("write", filepath.Join(r.target, filepath.FromSlash(path)), err)
}

func (r *receiver) tooMuch(path, format string, args ...any) error {
	return r.failure(path, fmt.Errorf("%w: "+format, append([]any{core.ErrTooLarge}, args...)...))
}

// account counts bytes of contents, announced or come.
func (r *receiver) account(path string, n int64) error {
	if r.bytes += n; r.o.MaxBytes > 0 && r.bytes > r.o.MaxBytes {
		return r.tooMuch(path, "more than %d bytes", r.o.MaxBytes)
	}
	return nil
}
