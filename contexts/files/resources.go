package files

import (
	"bytes"
	"container/list"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"sync"

	"github.com/mitosis-go/mitosis/contexts"
)

// The bounds of resources, in bytes: of one file, and of all files that a context
// keeps of those that passed through it.
const (
	maxResource   = 16 << 20
	resourceCache = 16 << 20
)

// served are the files that masters in this process serve, each to its tree. Files of
// a tree that has ended are forgotten by the next call of Serve.
var served struct {
	mu sync.Mutex
	by map[*contexts.Node]fs.FS
}

// passed keeps resources that pass through the contexts of this process, in which there
// may be several if it joins one tree after another.
var passed resourceStore

// Serve lets all contexts of the tree read the files of fsys by [Resources], until
// self, the master of that tree, is closed. The files must not change. Every file
// that fsys can open is served: for a directory, prefer os.Root.FS to os.DirFS,
// which follows symbolic links out of it.
//
// In a context that is not a master the error matches contexts.ErrRefused. Where the
// tree is served files already it matches fs.ErrExist.
func Serve(self *contexts.Node, fsys fs.FS) error {
	if self == nil || self.Local() != self || self.Parent() != nil {
		return failedAt(self, "serve files", contexts.ErrRefused)
	}
	served.mu.Lock()
	defer served.mu.Unlock()
	maps.DeleteFunc(served.by, func(n *contexts.Node, _ fs.FS) bool { return hasEnded(n) })
	if served.by[self] != nil {
		return failedAt(self, "serve files", fs.ErrExist)
	}
	if served.by == nil {
		served.by = make(map[*contexts.Node]fs.FS)
	}
	served.by[self] = fsys
	return nil
}

// servedBy returns the files that a master serves; nil if it serves none.
func servedBy(self *contexts.Node) fs.FS {
	served.mu.Lock()
	defer served.mu.Unlock()
	if hasEnded(self) {
		return nil
	}
	return served.by[self]
}

func hasEnded(n *contexts.Node) bool {
	select {
	case <-n.Done():
		return true
	default:
		return false
	}
}

// Resources returns the files that the master serves to all contexts of its tree by
// [Serve], for a function that runs in any of them. ctx must be the one that the
// function was given, or descend from it, else Resources panics. It bounds every
// operation on the result.
//
// A file crosses each link of the tree once, when a context below the link first asks
// for it. Every context on the way keeps the files that passed, up to 16 MiB in all,
// so that the files must not change. A file of more than 16 MiB is
// contexts.ErrTooLarge; copy it with [Put].
func Resources(ctx context.Context) fs.FS { return &resourceFS{ctx: ctx, self: contexts.Self(ctx)} }

// resource is a file or a directory that the master serves.
type resource struct {
	_    struct{} `cbor:",toarray"`
	Info FileInfo
	Data []byte
	List []FileInfo // of a directory, by name
}

func (r *resource) size() int { return len(r.Data) + 100*(1+len(r.List)) }

// resourceFunc asks for a resource, from a context to its parent, in which it calls
// itself. The names come from contexts that may be hostile: only the fs.FS of the
// master keeps them within the files that are served.
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

// findResource finds a resource: in the master among the files that it serves,
// elsewhere by asking the parent.
func findResource(ctx context.Context, self *contexts.Node, name string) (*resource, error) {
	if !fs.ValidPath(name) {
		return nil, fs.ErrInvalid
	}
	parent := self.Parent()
	if parent == nil {
		return readResource(servedBy(self), name)
	}
	return passed.get(ctx, resourceKey{self, name}, func() (*resource, error) {
		r, err := resourceFunc.Call(ctx, parent, name)
		return &r, reasonWithin(err)
	})
}

var errNotRegular = fmt.Errorf("%w: not a regular file", fs.ErrInvalid)

func readResource(fsys fs.FS, name string) (*resource, error) {
	if fsys == nil {
		return nil, fs.ErrNotExist
	}
	if s, ok := fsys.(fs.StatFS); ok {
		// Opening a named pipe would wait for a process that writes to it.
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

// resourceStore keeps the resources that were asked for last.
type resourceStore struct {
	mu    sync.Mutex
	kept  map[resourceKey]*list.Element // of order
	order list.List                     // of *keptResource, the last asked for first
	size  int                           // of all resources in it that are there
}

// resourceKey names a resource. Each tree has its own files.
type resourceKey struct {
	self *contexts.Node // the context that keeps it
	name string
}

// keptResource is a resource that is there, or that one caller of get asks for while
// others wait.
type keptResource struct {
	key  resourceKey
	done chan struct{} // closed when the other fields are set
	r    *resource
	err  error
	// unasked tells that the caller who asked was cancelled, so that there is no
	// answer: another has to ask.
	unasked bool
}

// get returns a resource that is kept, or asks for it. Of several callers at a time one
// asks; if its ctx ends meanwhile, the next asks instead.
func (s *resourceStore) get(ctx context.Context, key resourceKey, ask func() (*resource, error)) (*resource, error) {
	for {
		k, ours := s.find(key)
		if ours {
			r, err := ask()
			s.settle(k, r, err, err != nil && ctx.Err() != nil)
			return r, err
		}
		select {
		case <-k.done:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		if !k.unasked {
			return k.r, k.err
		}
	}
}

// find returns the resource with a key. It reports ours if the caller has to ask for it
// and to call settle.
func (s *resourceStore) find(key resourceKey) (k *keptResource, ours bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.kept[key]; e != nil {
		s.order.MoveToFront(e)
		return e.Value.(*keptResource), false
	}
	if s.kept == nil {
		s.kept = make(map[resourceKey]*list.Element)
	}
	k = &keptResource{key: key, done: make(chan struct{})}
	s.kept[key] = s.order.PushFront(k)
	return k, true
}

// settle gives the answer to all callers that wait for k. It keeps a resource, and forgets the
// oldest ones that are too many then.
func (s *resourceStore) settle(k *keptResource, r *resource, err error, unasked bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k.r, k.err, k.unasked = r, err, unasked
	close(k.done)
	if err != nil || r.size() > resourceCache {
		s.forget(k)
		return
	}
	s.size += r.size()
	for e := s.order.Back(); s.size > resourceCache && e != nil; {
		old, before := e.Value.(*keptResource), e.Prev()
		select {
		case <-old.done:
			s.size -= old.r.size()
			s.forget(old)
		default: // it counts when it is there
		}
		e = before
	}
}

func (s *resourceStore) forget(k *keptResource) {
	s.order.Remove(s.kept[k.key])
	delete(s.kept, k.key)
}

// resourceFS is the result of Resources. It implements fs.ReadFileFS, fs.StatFS and
// fs.ReadDirFS.
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
	return bytes.Clone(r.Data), nil // callers may change the result
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
