// Package copies copies files between this host and the members of a group.
//
//	for m, r := range copies.Put(ctx, group, "conf/{host}.conf", "/etc/app.conf", nil) { ... }
//	all := fleet.Collect(copies.PutAll(ctx, group, "app.tar", "/srv/app.tar", nil))
//	logs := fleet.Collect(copies.Fetch(ctx, group, "/var/log/app.log", "logs/{host}.log", nil))
//
// Each function yields the result of each member exactly once, as [fleet.Do] does, and keeps
// to the policy of the group: fan-out, times, batches, retries, the share of failures after
// which it stops, and the journal. A copy itself is one of package contexts/files: a file
// appears at its target when it is complete and checked.
//
// It is a package of its own because a copy of a program carries only the packages that the
// program imports: contexts/files is about 190 kB of each image of such a program.
//
// # Templates
//
// In local and remote paths {host} stands for the name of the member, as [FileName] writes
// it: one element of a path, which no other name has. So the name ssh:bastion/web1 makes
// logs/{host}.log to logs/ssh%3Abastion%2Fweb1.log.
package copies

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/files"
	"github.com/mitosis-go/mitosis/contexts/fleet"
)

// ErrTemplate is matched by errors about a path that is the same for several members and must
// not be, or that differs and must be the same.
var ErrTemplate = errors.New("the path is wrong for several hosts")

// Put copies a file or a tree to each member, as [files.Put] does. Both paths may have {host}
// in them: each member has its own source, or its own target, then. The Progress of the
// options is called by a goroutine for each member that is under way.
//
// Where the source is the same for all and is large, [PutAll] sends it over each link of the
// tree once.
func Put(ctx context.Context, g *fleet.Group, local, remote string, o *files.Options) iter.Seq2[*fleet.Member, fleet.Result[files.Result]] {
	return fleet.Do(ctx, g, func(ctx context.Context, m *fleet.Member, n *contexts.Node) (files.Result, error) {
		return files.Put(ctx, n, PathFor(local, m.Name()), PathFor(remote, m.Name()), o)
	})
}

// PutAll copies one file to the same path at all members, as [files.PutAll] does: it crosses
// each link of the tree once in each batch of the policy. The slowest member of a batch sets
// the pace. See [fleet.Together] for the policy. Paths with {host} are an error, which matches
// [ErrTemplate]; no member is connected then.
func PutAll(ctx context.Context, g *fleet.Group, local, remote string, o *files.Options) iter.Seq2[*fleet.Member, fleet.Result[files.Result]] {
	for _, path := range []string{local, remote} {
		if strings.Contains(path, Placeholder) {
			return notTried[files.Result](g, fmt.Errorf("%w: %s can't differ for each host in a copy that crosses each link once", ErrTemplate, path))
		}
	}
	return fleet.Together(ctx, g, func(ctx context.Context, _ []*fleet.Member, nodes []*contexts.Node) []contexts.Result[files.Result] {
		return files.PutAll(ctx, nodes, local, remote, o)
	})
}

// Fetch copies a file or a tree from each member to this host, as [files.Get] does. The local
// path has {host} in it; directories above it are made where they are missing. If two members
// have the same local path, that is an error, which matches [ErrTemplate], and no member is
// connected.
func Fetch(ctx context.Context, g *fleet.Group, remote, local string, o *files.Options) iter.Seq2[*fleet.Member, fleet.Result[files.Result]] {
	targets, err := localPaths(g, local)
	if err != nil {
		return notTried[files.Result](g, err)
	}
	return fleet.Do(ctx, g, func(ctx context.Context, m *fleet.Member, n *contexts.Node) (files.Result, error) {
		target := targets[m.Name()]
		if err := os.MkdirAll(filepath.Dir(target), 0o777); err != nil {
			return files.Result{}, err
		}
		return files.Get(ctx, n, PathFor(remote, m.Name()), target, o)
	})
}

// localPaths returns the absolute local path for each member. They must differ.
func localPaths(g *fleet.Group, template string) (map[string]string, error) {
	targets := make(map[string]string, g.Len())
	owner := make(map[string]string, g.Len())
	for m := range g.Members() {
		path, err := filepath.Abs(PathFor(template, m.Name()))
		if err != nil {
			return nil, err
		}
		targets[m.Name()] = path
		if runtime.GOOS == "windows" || runtime.GOOS == "darwin" {
			path = strings.ToLower(path) // names that differ in case are one file there
		}
		if other, taken := owner[path]; taken {
			return nil, fmt.Errorf("%w: %s is that of %s and of %s; put %s into it", ErrTemplate, template, other, m.Name(), Placeholder)
		}
		owner[path] = m.Name()
	}
	return targets, nil
}

// notTried yields the same error for each member.
func notTried[Out any](g *fleet.Group, err error) iter.Seq2[*fleet.Member, fleet.Result[Out]] {
	return func(yield func(*fleet.Member, fleet.Result[Out]) bool) {
		for m := range g.Members() {
			if !yield(m, fleet.Result[Out]{Err: fmt.Errorf("%w: %w", fleet.ErrNotTried, err)}) {
				return
			}
		}
	}
}
