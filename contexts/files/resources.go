package files

import (
	"bytes"
	"container/list"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"sync"

	"github.com/mitosis-go/mitosis/contexts"
)

// The bounds of resources, in bytes: of one file, and of what a context keeps
// of those that passed through it.
const (
	maxResource   = 16 << 20
	resourceCache = 16 << 20
)

// offers are the files that masters in this process offer, each to its tree.
var offers struct {
	mu sync.Mutex
	of map[*contexts.Node]fs.FS
}

// passed is what this process keeps of resources on their way. It is the
// process's because a process is at the most one context that is not a master,
// and that until its end.
var passed resourceStore

// Serve lets all contexts of the tree read the files of fsys by [Resources], until
// self, the master of that tree, is closed. The files must not change. Every file
// that fsys can open is offered: for a directory, prefer os.Root.FS to os.DirFS,
// which follows symbolic links out of it.
//
// In a context that is not a master it fails with contexts.ErrRefused, and with
// fs.ErrExist where files are offered already.
func Serve(self *contexts.Node, fsys fs.FS) error {
	if self == nil || self.Local() != self || self.Parent() != nil {
		return failedAt(self, "offer", contexts.ErrRefused)
	}
	offers.mu.Lock()
	defer offers.mu.Unlock()
	if offers.of[self] != nil {
		return failedAt(self, "offer", fs.ErrExist)
	}
	if offers.of == nil {
		offers.of = make(map[*contexts.Node]fs.FS)
	}
	offers.of[self] = fsys
	go func() { // until self is closed
		<-self.Done()
		offers.mu.Lock()
		defer offers.mu.Unlock()
		delete(offers.of, self)
	}()
	return nil
}

func offered(self *contexts.Node) fs.FS {
	offers.mu.Lock()
	defer offers.mu.Unlock()
	return offers.of[self]
}

// Resources returns the files that the master offers to all contexts of its
// tree by [Serve], for a function that runs in any of them. ctx must be, or
// descend from, the one that the function was given, else Resources panics; it
// bounds all that is done with the result.
//
// A file crosses each link of the tree when it is first asked for from below
// it: every context on the way keeps what passed, up to 16 MiB in all. Whoever
// offers files must therefore not change them. A file of more than 16 MiB is
// contexts.ErrTooLarge; for such there is [Put].
func Resources(ctx context.Context) fs.FS { return &resourceFS{ctx: ctx, self: contexts.Self(ctx)} }

// resource is a file or a directory that was offered.
type resource struct {
	_    struct{} `cbor:",toarray"`
	Info FileInfo
	Data []byte
	List []FileInfo // of a directory, by name
}

func (r *resource) size() int { return len(r.Data) + 100*(1+len(r.List)) }

// resourceFunc is what a context asks its parent for a resource with. The
// names come from contexts that may be hostile; fs.FS is what keeps them in. It
// calls itself in the parent.
var resourceFunc = contexts.Declare[string, resource]("mitosis.files.resource", contexts.AllowDescendants)

func init() {
	resourceFunc.Define(func(ctx context.Context, name string) (resource, error) {
		r, err := findResource(ctx, contexts.Self(ctx), name)
		if err != nil {
			return resource{}, err
		}
		return *r, nil
	})
}

// findResource finds a resource: in the master what was offered, elsewhere what
// the parent says.
func findResource(ctx context.Context, self *contexts.Node, name string) (*resource, error) {
	if !fs.ValidPath(name) {
		return nil, fs.ErrInvalid
	}
	parent := self.Parent()
	if parent == nil {
		return readResource(offered(self), name)
	}
	return passed.get(ctx, name, func() (*resource, error) {
		// Others may wait for the same: the end of one caller is not theirs.
		r, err := resourceFunc.Call(context.WithoutCancel(ctx), parent, name)
		return &r, reasonWithin(err)
	})
}

var errNotRegular = fmt.Errorf("%w: not a regular file", fs.ErrInvalid)

func readResource(fsys fs.FS, name string) (*resource, error) {
	if fsys == nil {
		return nil, fs.ErrNotExist
	}
	if s, ok := fsys.(fs.StatFS); ok {
		// Opening a named pipe would wait for somebody who writes to it.
		if info, err := s.Stat(name); err == nil && !info.IsDir() && !info.Mode().IsRegular() {
			return nil, errNotRegular
		}
	}
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	r := &resource{Info: newFileInfo(info)}
	if info.IsDir() {
		list, err := fs.ReadDir(fsys, name)
		for _, e := range list {
			info, infoErr := e.Info()
			if infoErr != nil {
				return nil, infoErr
			}
			r.List = append(r.List, newFileInfo(info))
		}
		return r, err
	}
	if !info.Mode().IsRegular() {
		return nil, errNotRegular
	}
	r.Data, err = io.ReadAll(io.LimitReader(f, maxResource+1))
	if err == nil && len(r.Data) > maxResource {
		err = contexts.ErrTooLarge
	}
	return r, err
}

// resourceStore keeps resources, those that were asked for last.
type resourceStore struct {
	mu    sync.Mutex
	kept  map[string]*list.Element // of order
	order list.List                // of *keptResource, the last asked for first
	size  int                      // of all that is in it
}

// keptResource is one that is there or on its way.
type keptResource struct {
	name string
	done chan struct{} // closed when r and err are set
	r    *resource
	err  error
}

// get returns a resource, having it fetched if nobody else does already.
func (s *resourceStore) get(ctx context.Context, name string, fetch func() (*resource, error)) (*resource, error) {
	s.mu.Lock()
	e := s.kept[name]
	if e == nil {
		if s.kept == nil {
			s.kept = make(map[string]*list.Element)
		}
		e = s.order.PushFront(&keptResource{name: name, done: make(chan struct{})})
		s.kept[name] = e
		go s.fill(e, fetch) // until fetch returns: at the loss of the parent, at the latest
	} else {
		s.order.MoveToFront(e)
	}
	k := e.Value.(*keptResource)
	s.mu.Unlock()
	select {
	case <-k.done:
		return k.r, k.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (s *resourceStore) fill(e *list.Element, fetch func() (*resource, error)) {
	k := e.Value.(*keptResource)
	k.r, k.err = fetch()
	close(k.done)
	s.mu.Lock()
	defer s.mu.Unlock()
	if k.err != nil || k.r.size() > resourceCache {
		s.order.Remove(e)
		delete(s.kept, k.name)
		return
	}
	s.size += k.r.size()
	for e := s.order.Back(); s.size > resourceCache && e != nil; {
		old, before := e.Value.(*keptResource), e.Prev()
		select {
		case <-old.done:
			s.size -= old.r.size()
			s.order.Remove(e)
			delete(s.kept, old.name)
		default: // on its way; it is counted when it is there
		}
		e = before
	}
}

// resourceFS is what Resources returns. It implements fs.ReadFileFS, fs.StatFS
// and fs.ReadDirFS.
type resourceFS struct {
	ctx  context.Context
	self *contexts.Node
}

func (f *resourceFS) get(op, name string) (*resource, error) {
	r, err := findResource(f.ctx, f.self, name)
	if err != nil {
		if p, ok := errors.AsType[*fs.PathError](err); ok {
			err = p.Err
		}
		return nil, pathError(op, name, err)
	}
	return r, nil
}

// Open implements fs.FS.
func (f *resourceFS) Open(name string) (fs.File, error) {
	r, err := f.get("open", name)
	if err != nil {
		return nil, err
	}
	return &resourceFile{r: r, name: name, Reader: *bytes.NewReader(r.Data)}, nil
}

// Stat implements fs.StatFS.
func (f *resourceFS) Stat(name string) (fs.FileInfo, error) {
	r, err := f.get("stat", name)
	if err != nil {
		return nil, err
	}
	return r.Info, nil
}

// ReadFile implements fs.ReadFileFS.
func (f *resourceFS) ReadFile(name string) ([]byte, error) {
	r, err := f.get("read", name)
	if err == nil && r.Info.IsDir() {
		err = pathError("read", name, isDirectory)
	}
	if err != nil {
		return nil, err
	}
	return bytes.Clone(r.Data), nil // what is kept is nobody's to change
}

// ReadDir implements fs.ReadDirFS.
func (f *resourceFS) ReadDir(name string) ([]fs.DirEntry, error) {
	r, err := f.get("readdir", name)
	if err == nil && !r.Info.IsDir() {
		err = pathError("readdir", name, notDirectory)
	}
	if err != nil {
		return nil, err
	}
	return entries(r.List), nil
}

// resourceFile is an open resource.
type resourceFile struct {
	bytes.Reader
	r    *resource
	name string
	next int // of the list
}

// Stat implements fs.File.
func (f *resourceFile) Stat() (fs.FileInfo, error) { return f.r.Info, nil }

// Close implements fs.File.
func (f *resourceFile) Close() error { return nil }

// Read implements fs.File.
func (f *resourceFile) Read(b []byte) (int, error) {
	if f.r.Info.IsDir() {
		return 0, pathError("read", f.name, isDirectory)
	}
	return f.Reader.Read(b)
}

// ReadDir implements fs.ReadDirFile.
func (f *resourceFile) ReadDir(n int) ([]fs.DirEntry, error) {
	if !f.r.Info.IsDir() {
		return nil, pathError("readdir", f.name, notDirectory)
	}
	rest := f.r.List[f.next:]
	if n > 0 {
		if len(rest) == 0 {
			return nil, io.EOF
		}
		rest = rest[:min(n, len(rest))]
	}
	f.next += len(rest)
	return entries(slices.Clone(rest)), nil
}
