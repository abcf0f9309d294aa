package contexts

import (
	"cmp"
	"context"
	"os"
	"os/user"
	"runtime"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/mitosis-go/mitosis/core"
)

// Info describes one context of a tree.
type Info struct {
	Node        *Node
	ID          core.ID
	Parent      core.ID // its own ID in the master
	Path        string
	Hostname    string
	User        string
	UID         int
	PID         int
	GOOS        string
	GOARCH      string
	StartMethod string    // by which its image was started; see package bootstrap
	Since       time.Time // when it joined; zero for the local context

	// Figures of the link to its parent, as the parent sees it. They are zero if the parent
	// could not be asked.
	RTT       time.Duration
	BytesSent uint64 // toward the context
	BytesRead uint64
	Queued    int    // bytes that wait to be sent to it
	Refused   uint64 // frames that were refused: quotas, authority
	Forged    uint64 // frames with an identity that is not the sender's
}

// linkStat has a parent's figures of the link to one of its children.
type linkStat struct {
	_               struct{} `cbor:",toarray"`
	ID              core.ID
	RTT             time.Duration
	Out, In         uint64
	Queued          int
	Refused, Forged uint64
}

// linksFunc reports on the links of the children of a context.
var linksFunc = NewFunc("mitosis.links", func(ctx context.Context, _ struct{}) ([]linkStat, error) {
	return callOf(ctx).l.linkStats(), nil
})

func (l *local) linkStats() []linkStat {
	children := l.children.List()
	stats := make([]linkStat, 0, len(children))
	for _, c := range children {
		s := c.Link.Stats()
		stats = append(stats, linkStat{ID: c.ID, RTT: s.RTT, Out: s.BytesOut, In: s.BytesIn,
			Queued: int(s.Queued), Refused: s.Refused, Forged: s.Forged})
	}
	return stats
}

// Tree describes the local context and all contexts below it: parents before their
// children, and children in the order of their IDs. If a context does not answer before ctx
// ends, the figures of the links to its children are zero, and that is no error. For
// another node than the local one Tree returns an error.
func (n *Node) Tree(ctx context.Context) ([]Info, error) {
	l := n.self
	if n.id != l.id {
		return nil, &Error{Op: "tree", Path: n.String(), Err: ErrRefused}
	}
	self := Info{Node: n, ID: n.id, Parent: n.via, Path: n.String(), UID: os.Getuid(), PID: os.Getpid(),
		GOOS: runtime.GOOS, GOARCH: runtime.GOARCH}
	self.Hostname, _ = os.Hostname()
	if u, err := user.Current(); err == nil {
		self.User = u.Username
	}
	tree := []Info{self}
	parents := []*Node{n}
	for _, c := range l.router.Contexts() {
		var info childInfo
		_ = core.Unmarshal(c.Info, &info) // a hostile parent's nonsense shows as blanks
		node := l.node(c.ID)
		tree = append(tree, Info{
			Node: node, ID: c.ID, Parent: c.Parent, Path: node.String(), Hostname: info.Hostname,
			User: info.User, UID: info.UID, PID: info.PID, GOOS: info.GOOS, GOARCH: info.GOARCH,
			StartMethod: info.StartMethod, Since: info.Since,
		})
		if !slices.Contains(parents, l.node(c.Parent)) {
			parents = append(parents, l.node(c.Parent))
		}
	}
	type reported struct{ by, id core.ID }
	stats := make(map[reported]linkStat)
	for by, r := range CallAll(ctx, linksFunc, parents, struct{}{}) {
		for _, s := range r.Value {
			stats[reported{by.id, s.ID}] = s
		}
	}
	for i := range tree {
		if s, ok := stats[reported{tree[i].Parent, tree[i].ID}]; ok {
			tree[i].RTT, tree[i].BytesSent, tree[i].BytesRead = s.RTT, s.Out, s.In
			tree[i].Queued, tree[i].Refused, tree[i].Forged = s.Queued, s.Refused, s.Forged
		}
	}
	return preorder(tree), nil
}

// preorder sorts parents before children; the first stays first.
func preorder(tree []Info) []Info {
	// It sorts pointers: the code that sorts large structs is larger, and crosses every
	// first hop.
	below := make(map[core.ID][]*Info)
	for i := range tree[1:] {
		n := &tree[1+i]
		below[n.Parent] = append(below[n.Parent], n)
	}
	var sorted []Info
	var add func(n *Info)
	add = func(n *Info) {
		sorted = append(sorted, *n)
		children := below[n.ID]
		delete(below, n.ID) // so that a hostile context can't make a circle
		slices.SortFunc(children, func(a, b *Info) int { return cmp.Compare(a.ID, b.ID) })
		for _, c := range children {
			add(c)
		}
	}
	add(&tree[0])
	return sorted
}

// A treeID tells a tree from all others: a random UUID (RFC 9562, version 4).
type treeID = uuid.UUID
