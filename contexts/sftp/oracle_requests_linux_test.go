package sftp_test

import (
	"math/rand/v2"
	"slices"
	"strings"
)

// generator makes up requests.
type generator struct {
	*rand.Rand
	uid int
	// ownsAll: the directories around belong to the user of the servers, who is not root.
	// Nothing is locked then: the test could not look at it, and a server that has a
	// directory by its path needs what is above it, where OpenSSH's has it as its working
	// directory.
	ownsAll bool
	open    []int // slots
	slots   int   // given so far
}

func pick[T any](g *generator, from ...T) T { return from[g.IntN(len(from))] }

func (g *generator) name() string {
	return pick(g, "a", "a", "b", "b", "c", "d", "d/x", "d/y", "d/e", "d/e/z", "l", "l/x", "m",
		"d/../a", "d/e/../x", "a/", "d/", "d/.", "./b", ".//b", "l/../a", ".", "", "none/x", "a/x", strings.Repeat("n", 300))
}

func (g *generator) target() string {
	return pick(g, "a", "d", "x", "d/x", "../a", "none", "l", "m", "..", "/none/at/all", "")
}

func (g *generator) handle() any {
	if len(g.open) == 0 || g.IntN(20) == 0 {
		return pick(g, "", "\xff\xff\xff\xff", "\xff\xff\xff\xff\xff\xff\xff\xff", strings.Repeat("h", 300))
	}
	return slot(pick(g, g.open...))
}

func (g *generator) attrs() []byte {
	flags := 0
	var rest []any
	if g.IntN(3) == 0 {
		flags |= hasSize
		rest = append(rest, pick(g, uint64(g.IntN(5000)), uint64(g.IntN(100)), 1<<63+5))
	}
	if g.IntN(3) == 0 {
		flags |= hasOwners
		rest = append(rest, pick[uint32](g, uint32(g.uid), 12345, 1<<32-1), pick[uint32](g, uint32(g.uid), 23456, 1<<32-1))
	}
	if g.IntN(2) == 0 {
		flags |= hasMode
		mode := pick(g, g.IntN(0o10000), 0o644, 0o600, 0o755, 0o100755, 0o777)
		if g.ownsAll {
			mode |= 0o700
		}
		rest = append(rest, mode)
	}
	if g.IntN(3) == 0 {
		flags |= hasTimes
		rest = append(rest, pick(g, 0, 1, 1e9, g.Uint32()), pick(g, 0, 1, 1e9, g.Uint32()))
	}
	if g.IntN(8) == 0 {
		return encode(append(append([]any{uint32(flags) | hasExtended}, rest...), 2, "name@example.com", "value", "", "")...)
	}
	return encode(append([]any{flags}, rest...)...)
}

func (g *generator) bytes(n int) string {
	b := make([]byte, g.IntN(n+1))
	for i := range b {
		b[i] = byte(g.Uint32())
	}
	return string(b)
}

// burst returns requests that are sent at once.
func (g *generator) burst() []step {
	var steps []step
	for range 1 + g.IntN(12) {
		steps = append(steps, g.step())
	}
	return steps
}

func (g *generator) newSlot() int { g.slots++; return g.slots }

func (g *generator) step() step {
	ext := func(name string, parts ...any) step {
		return step{kind: fxExtended, parts: append([]any{name}, parts...)}
	}
	switch g.IntN(36) {
	case 0, 1, 2, 3:
		return step{fxOpen, []any{g.name(), pick(g, g.IntN(64), wantRead|wantWrite|wantCreate, wantRead), g.attrs()}, g.newSlot()}
	case 4, 5:
		return step{fxOpendir, []any{g.name()}, g.newSlot()}
	case 6:
		if len(g.open) < 4 {
			return step{kind: fxClose, parts: []any{"\xff\xff\xff\xff"}}
		}
		i := g.IntN(len(g.open))
		n := g.open[i]
		g.open = slices.Delete(g.open, i, i+1)
		return step{kind: fxClose, parts: []any{slot(n)}}
	case 7, 8, 9:
		return step{kind: fxRead, parts: []any{g.handle(), uint64(g.IntN(3000)), g.IntN(4000)}}
	case 10, 11, 12, 13:
		return step{kind: fxWrite, parts: []any{g.handle(), pick(g, uint64(g.IntN(3000)), 0, 1<<63+1), g.bytes(1500)}}
	case 14:
		return step{kind: fxLstat, parts: []any{g.name()}}
	case 15:
		return step{kind: fxStat, parts: []any{g.name()}}
	case 16:
		return step{kind: fxFstat, parts: []any{g.handle()}}
	case 17:
		return step{kind: fxSetstat, parts: []any{g.name(), g.attrs()}}
	case 18, 19:
		return step{kind: fxFsetstat, parts: []any{g.handle(), g.attrs()}}
	case 20, 21:
		return step{kind: fxReaddir, parts: []any{g.handle()}}
	case 22:
		return step{kind: fxRemove, parts: []any{g.name()}}
	case 23, 24:
		return step{kind: fxMkdir, parts: []any{g.name(), g.attrs()}}
	case 25:
		return step{kind: fxRmdir, parts: []any{g.name()}}
	case 26:
		return step{kind: fxRealpath, parts: []any{g.name()}}
	case 27:
		return step{kind: fxRename, parts: []any{g.name(), g.name()}}
	case 28:
		return step{kind: fxReadlink, parts: []any{g.name()}}
	case 29:
		return step{kind: fxSymlink, parts: []any{g.target(), g.name()}}
	case 30:
		return ext("posix-rename@openssh.com", g.name(), g.name())
	case 31:
		return ext("hardlink@openssh.com", g.name(), g.name())
	case 32:
		return ext("lsetstat@openssh.com", g.name(), g.attrs())
	case 33:
		return pick(g, ext("statvfs@openssh.com", g.name()), ext("fstatvfs@openssh.com", g.handle()))
	case 34:
		return pick(g, ext("fsync@openssh.com", g.handle()), ext("no-such@example.com", "x"))
	default:
		return pick(g,
			ext("expand-path@openssh.com", pick(g, "", "~", "~/", "~/d/../a", "~root", "~root/none", "~nosuchuser/a", g.name())),
			ext("users-groups-by-id@openssh.com", string(encode(0, g.uid, 4242)), string(encode(0, 4242, g.uid))),
			ext("users-groups-by-id@openssh.com", "", ""))
	}
}
