package files

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/files/internal/disk"
	"github.com/mitosis-go/mitosis/core"
)

// ErrNoMatch is matched by the errors of [Glob] and [Expand] where no file matches a
// pattern.
var ErrNoMatch = errors.New("no file matches")

// maxMatches is how many files may match a pattern.
const maxMatches = 100_000

// Glob returns the files of a context's host that match a pattern, in the order of their
// names. If there is none, the error matches ErrNoMatch.
//
// Patterns are those of a shell: * stands for any characters of a name, ? for one,
// [a-z] for one of these and [!a-z] for any other. A dot at the beginning of a name has
// to be written. A backslash takes the meaning from the character behind it. (On
// Windows it separates names, and no character takes the meaning away.) At the
// beginning, ~ stands for the home directory of the context's user, and ~user for that
// of another. Relative patterns begin at the working directory of the context, and so
// do the results.
//
// A pattern without such characters stands for the file of that name. So does a pattern
// that matches nothing, if there is a file with these very characters in its name.
func Glob(ctx context.Context, on contexts.Target, pattern string) ([]string, error) {
	return expand(ctx, on, pattern, globAll)
}

// Expand returns the one name that a pattern of [Glob] stands for, as the target of a
// copy. There need not be a file of that name. In a name without special characters
// only ~ and backslashes are resolved. Otherwise the pattern, up to its last element
// with special characters, must match exactly one file.
func Expand(ctx context.Context, on contexts.Target, pattern string) (string, error) {
	names, err := expand(ctx, on, pattern, globTarget)
	if err != nil {
		return "", err
	}
	return names[0], nil
}

func expand(ctx context.Context, on contexts.Target, pattern string, how globKind) ([]string, error) {
	names, err := globFunc.Call(ctx, on, globRequest{Pattern: pattern, Kind: how})
	if err == nil && len(names) == 0 {
		err = ErrNoMatch
	}
	if err != nil {
		return nil, failedAt(on, "expand", pathError("match", pattern, disk.Reason(reasonWithin(err))))
	}
	return names, nil
}

type globKind uint8

const (
	globAll    globKind = iota
	globTarget          // one name, of a file that need not be there
)

type globRequest struct {
	_       struct{} `cbor:",toarray"`
	Pattern string
	Kind    globKind
}

var globFunc = contexts.NewFunc("mitosis.files.glob", func(ctx context.Context, q globRequest) ([]string, error) {
	return q.find(ctx)
})

func (q *globRequest) find(ctx context.Context) ([]string, error) {
	found, err := q.match(ctx)
	if q.Kind == globAll && (err != nil || len(found) == 0) && isThere(q.Pattern) {
		return []string{q.Pattern}, nil
	}
	return found, err
}

func (q *globRequest) match(ctx context.Context) ([]string, error) {
	home, pattern, err := takeHome(ctx, q.Pattern)
	if err != nil {
		return nil, err
	}
	parts := splitPattern(pattern)
	last := len(parts)
	if q.Kind == globTarget {
		for last > 0 && !parts[last-1].special {
			last--
		}
	}
	if q.Kind == globAll && q.Pattern == "" {
		return nil, nil
	}
	g := globber{ctx: ctx}
	found := []string{home}
	for i, p := range parts[:last] {
		if found, err = g.step(found, p, i == last-1); err != nil {
			return nil, err
		}
	}
	if len(found) == 0 {
		return nil, g.denied
	}
	if q.Kind == globTarget {
		if len(found) > 1 {
			return nil, fmt.Errorf("%w: %d files match, and a target is one file", fs.ErrInvalid, len(found))
		}
		for _, p := range parts[last:] {
			found[0] += p.plain()
		}
	}
	return found, nil
}

// isThere reports whether there is a file of that name, or a symbolic link.
func isThere(name string) bool {
	_, err := os.Lstat(name)
	return err == nil
}

// takeHome returns the home directory that a pattern begins with, or "", and the rest of
// the pattern.
func takeHome(ctx context.Context, pattern string) (home, rest string, err error) {
	name, tilde := strings.CutPrefix(pattern, "~")
	if !tilde {
		return "", pattern, nil
	}
	n := 0
	for n < len(name) && !os.IsPathSeparator(name[n]) {
		n++
	}
	name, rest = name[:n], name[n:]
	if name == "" {
		if home, err = os.UserHomeDir(); err == nil {
			return home, rest, nil
		}
		u, err := user.Current()
		if err != nil {
			return "", "", err
		}
		return u.HomeDir, rest, nil
	}
	u, err := user.Lookup(unescape(name))
	if err == nil {
		return u.HomeDir, rest, nil
	}
	if home = homeByName(ctx, unescape(name)); home == "" {
		return "", "", fmt.Errorf("%w: there is no user %q", ErrNoMatch, name)
	}
	return home, rest, nil
}

// homeByName returns the home directory of a user who is in none of the files that a
// program without libc reads. It asks the system's getent, and is "" without such a user.
func homeByName(ctx context.Context, name string) string {
	out, err := exec.CommandContext(ctx, "getent", "passwd", "--", name).Output()
	if err != nil {
		return ""
	}
	fields := strings.Split(strings.TrimSuffix(string(out), "\n"), ":")
	if len(fields) < 7 || fields[0] != name {
		return ""
	}
	return fields[5]
}

// part is one element of a pattern, with the separators before it.
type part struct {
	separator string
	text      string
	special   bool // it has characters that stand for others
}

// plain returns the name that an element without special characters stands for.
func (p *part) plain() string { return p.separator + unescape(p.text) }

// splitPattern splits a pattern into its elements. The root, or a drive, is one without
// text.
func splitPattern(pattern string) (parts []part) {
	volume := filepath.VolumeName(pattern)
	rest := pattern[len(volume):]
	if volume != "" {
		parts = append(parts, part{separator: volume})
	}
	for rest != "" {
		n := 0
		for n < len(rest) && os.IsPathSeparator(rest[n]) {
			n++
		}
		p := part{separator: rest[:n]}
		rest = rest[n:]
		for n = 0; n < len(rest) && !os.IsPathSeparator(rest[n]); n++ {
			if rest[n] == '\\' && n+1 < len(rest) && !os.IsPathSeparator(rest[n+1]) {
				n++
			} else if strings.IndexByte("*?[", rest[n]) >= 0 {
				p.special = true
			}
		}
		p.text, rest = rest[:n], rest[n:]
		parts = append(parts, p)
	}
	return parts
}

// unescape takes off the backslashes that only take the meaning from characters.
func unescape(text string) string {
	if filepath.Separator == '\\' || strings.IndexByte(text, '\\') < 0 {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' && i+1 < len(text) {
			i++
		}
		b.WriteByte(text[i])
	}
	return b.String()
}

// globber finds the files that match.
type globber struct {
	ctx    context.Context
	denied error // the first directory that could not be read for lack of permission
}

// step goes one element further, from the files that match the elements before. Only the
// last element needs a look at whether a file is there: the others are opened anyway.
func (g *globber) step(from []string, p part, last bool) ([]string, error) {
	var found []string
	for _, dir := range from {
		if err := g.ctx.Err(); err != nil {
			return nil, err
		}
		switch {
		case !p.special:
			if name := dir + p.plain(); !last || isThere(name) {
				found = append(found, name)
			}
		default:
			names, err := g.matches(dir+p.separator, p.text)
			if err != nil {
				return nil, err
			}
			found = append(found, names...)
		}
		if len(found) > maxMatches {
			return nil, fmt.Errorf("%w: more than %d files match", core.ErrTooLarge, maxMatches)
		}
	}
	return found, nil
}

// matches lists the matching files of a directory, which ends in a separator or is empty.
// In a directory that can't be read there is none.
func (g *globber) matches(dir, text string) ([]string, error) {
	pattern, err := matchable(text)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(cmp.Or(dir, "."))
	if err != nil {
		if errors.Is(err, fs.ErrPermission) && g.denied == nil {
			g.denied = err
		}
		return nil, nil
	}
	defer f.Close()
	names, _ := f.Readdirnames(-1)
	slices.Sort(names)
	var found []string
	for _, name := range names {
		if strings.HasPrefix(name, ".") && !strings.HasPrefix(unescape(text), ".") {
			continue
		}
		ok, err := filepath.Match(pattern, name)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", fs.ErrInvalid, err)
		}
		if ok {
			found = append(found, dir+name)
		}
	}
	return found, nil
}

// matchable turns an element of a pattern into one of filepath.Match.
func matchable(text string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		b.WriteByte(text[i])
		switch {
		case text[i] == '\\' && i+1 < len(text):
			i++
			b.WriteByte(text[i])
		case text[i] == '[' && strings.HasPrefix(text[i:], "[!"):
			i++
			b.WriteByte('^')
		case text[i] == '[' && strings.HasPrefix(text[i:], "[["):
			return "", fmt.Errorf("%w: classes like [[:alpha:]] are not supported", fs.ErrInvalid)
		}
	}
	// A wrong pattern is an error even in an empty directory.
	_, err := filepath.Match(b.String(), "")
	if err != nil {
		return "", fmt.Errorf("%w: %w", fs.ErrInvalid, err)
	}
	return b.String(), nil
}
