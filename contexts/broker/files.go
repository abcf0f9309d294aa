//go:build linux || darwin || freebsd

package broker

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/broker/internal/wire"
	"github.com/mitosis-go/mitosis/contexts/files"
)

// text returns a name that the header has, or else the body.
func (q *request) text(inHeader string) (string, error) {
	name := inHeader
	if name == "" {
		name = string(q.body)
	}
	if name == "" {
		return "", usage("%s has no name of a file", q.f.Op)
	}
	return name, nil
}

// mode reads the mode of the request, 0 if it has none.
func (q *request) mode() (fs.FileMode, error) {
	if q.f.Mode == "" {
		return 0, nil
	}
	bits, err := strconv.ParseUint(q.f.Mode, 8, 12)
	if err != nil {
		return 0, usage("mode %q is no octal number up to 7777", q.f.Mode)
	}
	m := fs.FileMode(bits & 0o777)
	for _, special := range []struct {
		bit  uint64
		mode fs.FileMode
	}{{0o4000, fs.ModeSetuid}, {0o2000, fs.ModeSetgid}, {0o1000, fs.ModeSticky}} {
		if bits&special.bit != 0 {
			m |= special.mode
		}
	}
	return m, nil
}

// octal is the inverse of mode.
func octal(m fs.FileMode) string {
	bits := uint32(m.Perm())
	if m&fs.ModeSetuid != 0 {
		bits |= 0o4000
	}
	if m&fs.ModeSetgid != 0 {
		bits |= 0o2000
	}
	if m&fs.ModeSticky != 0 {
		bits |= 0o1000
	}
	return fmt.Sprintf("%04o", bits)
}

// put copies a file, or a tree of the broker's host.
func (q *request) put() (wire.Frame, error) {
	target, err := q.text(q.f.Target)
	if err != nil {
		return wire.Frame{}, err
	}
	mode, err := q.mode()
	if err != nil {
		return wire.Frame{}, err
	}
	if t := q.f.Times; t != nil && math.Abs(*t) > maxTime {
		return wire.Frame{}, usage("times is no time: %v", *t)
	}
	o := &files.Options{Mode: mode, Sync: q.f.Sync}
	noMode := q.f.Mode != "" && mode == 0 // which Options takes for none given
	if noMode {
		o.Mode = 0o200 // it is taken away below
	}
	if q.f.InPlace != nil {
		o.Overwrite = files.Replace
		if *q.f.InPlace {
			o.Overwrite = files.InPlace
		}
	}
	l, err := q.open()
	if err != nil {
		return wire.Frame{}, err
	}
	defer l.Release()
	var res files.Result
	if q.f.Local != "" {
		if !filepath.IsAbs(q.f.Local) {
			return wire.Frame{}, usage("local is no absolute path: %q", q.f.Local)
		}
		res, err = files.Put(q.ctx, l.Node(), q.f.Local, target, o)
	} else {
		res, err = files.PutReader(q.ctx, l.Node(), q.input, target, o)
	}
	if err == nil && noMode {
		err = files.FS(q.ctx, l.Node()).Chmod(rooted(res.Target), 0)
	}
	if err == nil && q.f.Times != nil {
		at := fromSeconds(*q.f.Times)
		err = files.FS(q.ctx, l.Node()).Chtimes(rooted(res.Target), at, at)
	}
	return copied(res), err
}

// get copies a file to the client, or a file or a tree to the broker's host.
func (q *request) get() (wire.Frame, error) {
	source, err := q.text(q.f.Source)
	if err != nil {
		return wire.Frame{}, err
	}
	l, err := q.open()
	if err != nil {
		return wire.Frame{}, err
	}
	defer l.Release()
	if q.f.Local != "" {
		if !filepath.IsAbs(q.f.Local) {
			return wire.Frame{}, usage("local is no absolute path: %q", q.f.Local)
		}
		res, err := files.Get(q.ctx, l.Node(), source, q.f.Local, nil)
		return copied(res), err
	}
	info, err := q.statAt(l.Node(), source)
	if err != nil {
		return wire.Frame{}, err
	}
	if info.IsDir() {
		return wire.Frame{}, fmt.Errorf("get %s: %w: a tree needs local", source, syscall.EISDIR)
	}
	data := &stream{q: q, name: "data"}
	res, err := q.getTo(l.Node(), source, data)
	q.ends = append(q.ends, data.end())
	last := copied(res)
	f := last.Header.(*wire.BrokerFrame)
	f.Target, f.Mode, f.Mtime = "", octal(info.Mode()), mtime(info)
	return last, err
}

// getTo copies a file into a writer. The copy writes into a pipe of this process.
func (q *request) getTo(n *contexts.Node, source string, w io.Writer) (files.Result, error) {
	r, end, err := os.Pipe()
	if err != nil {
		return files.Result{}, err
	}
	ctx, cancel := context.WithCancelCause(q.ctx)
	defer cancel(nil)
	pumped := make(chan error, 1)
	go func() {
		_, err := io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{r}, make([]byte, wire.MaxData))
		if err != nil {
			cancel(err)
		}
		_ = r.Close() // before the sender waits for room in the pipe
		pumped <- err
	}()
	res, err := files.Get(ctx, n, source, fmt.Sprintf("/dev/fd/%d", end.Fd()), nil)
	_ = end.Close()
	if pumpErr := <-pumped; err == nil {
		err = pumpErr
	}
	return res, err
}

// copied returns the last frame for a copy.
func copied(res files.Result) wire.Frame {
	f := okFrame()
	f.Target, f.Size = res.Target, &res.Size
	if res.SHA256 != [32]byte{} {
		f.SHA256 = hex.EncodeToString(res.SHA256[:])
	}
	return wire.Frame{Header: f}
}

// at calls f with the file system of the request's host, and the name in it. A relative name begins
// at the working directory of the context.
func (q *request) at(inHeader string, f func(*files.Dir, string) error) error {
	name, err := q.text(inHeader)
	if err != nil {
		return err
	}
	return q.on(func(n *contexts.Node) error {
		if name, err = absolute(q.ctx, n, name); err != nil {
			return err
		}
		return f(files.FS(q.ctx, n), rooted(name))
	})
}

// on calls f with the context at the end of the request's path.
func (q *request) on(f func(*contexts.Node) error) error {
	l, err := q.open()
	if err != nil {
		return err
	}
	defer l.Release()
	return f(l.Node())
}

// absolute returns the absolute path of a name at a host.
func absolute(ctx context.Context, n *contexts.Node, name string) (string, error) {
	if path.IsAbs(name) {
		return name, nil
	}
	dir, err := files.WorkingDir(ctx, n)
	return path.Join(dir, name), err
}

// rooted returns the name of a file as package fs has it, below the root directory.
func rooted(absolute string) string {
	if name := path.Clean(absolute)[1:]; name != "" {
		return name
	}
	return "."
}

func (q *request) statAt(n *contexts.Node, name string) (fs.FileInfo, error) {
	name, err := absolute(q.ctx, n, name)
	if err != nil {
		return nil, err
	}
	return files.FS(q.ctx, n).Stat(rooted(name))
}

func (q *request) stat() (wire.Frame, error) {
	f := okFrame()
	err := q.at(q.f.Name, func(d *files.Dir, name string) error {
		stat := d.Lstat
		if q.f.Follow {
			stat = d.Stat
		}
		info, err := stat(name)
		if err != nil {
			return err
		}
		file := describe(info)
		if info.Mode().Type() == fs.ModeSymlink {
			if file.Target, err = d.ReadLink(name); err != nil {
				return err
			}
		}
		f.File = &file
		return nil
	})
	return wire.Frame{Header: f}, err
}

// listed is how many files a frame describes.
const listed = 500

func (q *request) listDir() (wire.Frame, error) {
	err := q.at(q.f.Name, func(d *files.Dir, name string) error {
		entries, err := d.ReadDir(name)
		if err != nil {
			return err
		}
		for len(entries) > 0 {
			now := entries[:min(len(entries), listed)]
			entries = entries[len(now):]
			f := &wire.BrokerFrame{}
			for _, e := range now {
				info, err := e.Info()
				if err != nil {
					return err
				}
				f.Files = append(f.Files, describe(info))
			}
			if err := q.send(wire.Frame{Header: f}); err != nil {
				return err
			}
		}
		return nil
	})
	return wire.Frame{Header: okFrame()}, err
}

func (q *request) mkdir() (wire.Frame, error) {
	mode, err := q.mode()
	if err != nil {
		return wire.Frame{}, err
	}
	if q.f.Mode == "" {
		mode = 0o777
	}
	return wire.Frame{Header: okFrame()}, q.at(q.f.Name, func(d *files.Dir, name string) error {
		if q.f.Parents {
			return d.MkdirAll(name, mode)
		}
		return d.Mkdir(name, mode)
	})
}

func (q *request) remove() (wire.Frame, error) {
	return wire.Frame{Header: okFrame()}, q.at(q.f.Name, func(d *files.Dir, name string) error {
		if q.f.Recursive {
			return d.RemoveAll(name)
		}
		return d.Remove(name)
	})
}

func (q *request) rename() (wire.Frame, error) {
	from, to := q.f.Name, q.f.Target
	if from == "" || to == "" {
		a, rest, _ := bytes.Cut(q.body, []byte{0})
		b, _, _ := bytes.Cut(rest, []byte{0})
		from, to = string(a), string(b)
	}
	if from == "" || to == "" {
		return wire.Frame{}, usage("rename needs two names")
	}
	return wire.Frame{Header: okFrame()}, q.on(func(n *contexts.Node) error {
		var err error
		if from, err = absolute(q.ctx, n, from); err != nil {
			return err
		}
		if to, err = absolute(q.ctx, n, to); err != nil {
			return err
		}
		return files.FS(q.ctx, n).Rename(rooted(from), rooted(to))
	})
}

// describe describes a file for a client.
func describe(info fs.FileInfo) wire.File {
	f := wire.File{Name: info.Name(), Type: typeOf(info.Mode()), Mode: octal(info.Mode()), Size: info.Size(), Mtime: *mtime(info)}
	if !utf8.ValidString(f.Name) {
		f.Bytes = []byte(f.Name)
	}
	if i, ok := info.(files.FileInfo); ok {
		f.UID, f.GID = i.UID, i.GID
	}
	return f
}

func typeOf(m fs.FileMode) string {
	switch {
	case m.IsRegular():
		return "file"
	case m.IsDir():
		return "directory"
	case m&fs.ModeSymlink != 0:
		return "link"
	case m&fs.ModeNamedPipe != 0:
		return "pipe"
	case m&fs.ModeSocket != 0:
		return "socket"
	case m&fs.ModeDevice != 0:
		return "device"
	}
	return "other"
}

func mtime(info fs.FileInfo) *float64 {
	t := float64(info.ModTime().UnixNano()) / 1e9
	return &t
}

// maxTime bounds times of files, in seconds before and after 1970: about eight thousand years.
const maxTime = 1 << 38

func fromSeconds(s float64) time.Time { return time.UnixMicro(int64(s * 1e6)) }
